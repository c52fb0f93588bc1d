"""The agent of a computing centre: pulls work, runs it, reports it."""
