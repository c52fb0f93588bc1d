"""Plugins of every test; the servers and the rule against skipping live in brain_testing."""

from hypothesis import settings

# Other processes share the machine's two cores: how long one example takes says nothing.
settings.register_profile("brain", deadline=None)
settings.load_profile("brain")

pytest_plugins = ["brain_testing.fixtures"]
