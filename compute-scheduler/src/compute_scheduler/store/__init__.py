"""Tables of compute-scheduler and their queries."""
