"""Schema of compute-scheduler."""
