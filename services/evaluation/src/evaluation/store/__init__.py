"""Tables of evaluation and their queries."""
