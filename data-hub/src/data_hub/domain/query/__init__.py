"""Which SQL may run, and what stands in its way."""
