"""What one sandbox process may use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SandboxLimits:
    """memory_mib: what its engine may hold; temp_mib: what it may spill to disk; threads: what it computes with.

    process_mib: private memory of the whole process; the kernel refuses more. DuckDB does not count the result of
    one call of a function against its own limit (`repeat('x', 4000000000)` took 3.9 GB under a limit of 512 MB).
    """

    memory_mib: int = 512
    temp_mib: int = 1024
    threads: int = 2
    process_mib: int = 1536
    kept_scopes: int = 4
    recycle_mib: int = 400
