"""Child processes that may be killed at any moment: work that is not trusted, with nothing in reach but its request."""

from brain_kit.sandbox.limits import SandboxLimits
from brain_kit.sandbox.pool import SandboxPool
from brain_kit.sandbox.process import SandboxDied, SandboxProcess

__all__ = ["SandboxDied", "SandboxLimits", "SandboxPool", "SandboxProcess"]
