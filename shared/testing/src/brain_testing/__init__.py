"""Starters of real servers and fixtures for tests; never imported by services."""
