"""Tables of the gateway and their queries."""
