"""Plugins of every test; the servers and the rule against skipping live in brain_testing."""

pytest_plugins = ["brain_testing.fixtures"]
