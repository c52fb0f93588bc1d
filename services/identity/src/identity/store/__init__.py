"""Tables of identity and their queries."""
