"""What is said when Kubernetes cannot be built for the tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from brain_testing.servers.debian import MissingServer
from brain_testing.servers.kubernetes_build import ensure_kubernetes


@pytest.mark.parametrize(
    ("said", "here"), [(None, "no `go` on PATH"), ("go version go1.19.8 linux/amd64", r"go1\.19\.8")]
)
def test_missing_or_old_go_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, here: str
) -> None:
    """The text says which version is needed, what is there, and where to get it."""
    if said is not None:
        program = tmp_path / "go"
        program.write_text(f"#!/bin/sh\necho {said}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingServer, match=rf"Go 1\.26 or newer .*{here}.*go\.dev"):
        ensure_kubernetes()
