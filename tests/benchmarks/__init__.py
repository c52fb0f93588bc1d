"""Benchmarks: measured on demand by `make bench`, never timed tests."""
