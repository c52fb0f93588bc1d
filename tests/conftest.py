"""Plugins of every test; the servers and the rule against skipping live in brain_testing."""

import os

from hypothesis import settings

# Other processes share the machine's two cores: how long one example takes says nothing.
# What CI says must not depend on chance; a developer's runs go on looking for new examples.
settings.register_profile("brain", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("brain")

pytest_plugins = ["brain_testing.fixtures"]
