"""Use cases of evaluation."""
