"""Use cases of the registry, of calls and of runs."""
