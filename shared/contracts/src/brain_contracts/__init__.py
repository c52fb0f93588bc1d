"""Data set contracts, code types and event schemas of the Industry Brain; no behaviour."""
