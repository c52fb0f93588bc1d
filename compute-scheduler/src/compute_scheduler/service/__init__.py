"""Use cases of compute-scheduler."""
