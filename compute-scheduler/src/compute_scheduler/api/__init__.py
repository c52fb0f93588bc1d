"""HTTP routes of compute-scheduler."""
