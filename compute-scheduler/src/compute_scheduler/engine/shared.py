"""The two folders of an attempt that runs in a cluster: the agent's own, and the one that nodes share (`copy.py`).

What decides lies in the agent's own: `record` (the order with its token, and the end), `asked` (a submission was sent),
`claim.json` (which copy asked first), `places.json` (where the members of its gang are), `begun` (its claim was
granted). Nodes cannot reach it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import Any

from compute_scheduler.engine.folder import AttemptFolder, read_json, write_text, write_whole

Json = dict[str, Any]
_CAUSES = frozenset({"exit", "stopped", "time_limit", "terminated", "killed"})
_SIGNALS = 64


class SharedFolder(AttemptFolder):
    """The folders of one attempt: `path` is the agent's own, `shared` is what nodes see."""

    def __init__(self, root: Path, shared: Path, attempt: str) -> None:
        super().__init__(root, attempt)
        self.shared = shared / attempt
        self.work = str(self.shared / "work")
        self.log = str(self.shared / "log")

    def claim(self) -> Json | None:
        """{nonce, remote, address} of the copy that asked first."""
        return read_json(self.file("claim.json"))

    def keep_claim(self, nonce: str, remote: str, address: str) -> None:
        """Keeps which copy asked first, and where it is."""
        write_whole(self.file("claim.json"), {"nonce": nonce, "remote": remote, "address": address})

    def places(self) -> dict[str, str]:
        """What the member of a gang is told of the others; nothing before they have all come."""
        return read_json(self.file("places.json")) or {}

    def keep_places(self, variables: dict[str, str]) -> None:
        """Keeps what the member of a gang is told of the others."""
        write_whole(self.file("places.json"), dict(variables))

    def mark(self, name: str) -> None:
        """Makes an empty file of the agent's own, once."""
        os.close(os.open(self.file(name), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))

    def has(self, name: str) -> bool:
        """Whether such a file is there."""
        return os.path.exists(self.file(name))

    def write_script(self, text: str) -> Path:
        """Puts the script where nodes reach it."""
        path = self.shared / "run"
        if not path.exists():
            write_text(path, text)
        return path

    def beat(self) -> str:
        """What the living copy last wrote."""
        try:
            return (self.shared / "beat").read_text(encoding="ascii")
        except (OSError, ValueError):
            return ""

    def log_size(self) -> int:
        """Bytes of the log."""
        try:
            return os.stat(self.log).st_size
        except OSError:
            return 0

    def stop(self) -> None:
        """Tells the copy to end its command."""
        with contextlib.suppress(OSError):  # without its folder it has nothing to be told in
            write_text(self.shared / "stop", "stop\n")

    def marker(self, nonce: str) -> Json | None:
        """How the command of the copy with this nonce ended: {cause, exit_code or signal, run_s, cpu_s, log_bytes}.

        cpu_s is None when the copy itself was killed, so that nobody has counted.
        """
        found = read_json(str(self.shared / "exit.json"))
        if found is None or found.get("nonce") != nonce or found.get("cause") not in _CAUSES:
            return None
        code = int(found["code"])
        by_signal = 128 < code <= 128 + _SIGNALS
        record: Json = {"cause": found["cause"], "run_s": max(0.0, round(found["ended"] - found["began"], 3))}
        record["exit_code"], record["signal"] = (None, code - 128) if by_signal else (code, None)
        record["log_bytes"] = self.log_size()
        record["cpu_s"] = _seconds(str(found["cpu"])) if found.get("cpu") else None
        return record

    def remove(self) -> None:
        """Forgets the attempt on both sides."""
        shutil.rmtree(self.shared, ignore_errors=True)
        shutil.rmtree(self.path, ignore_errors=True)


def _seconds(times: str) -> float:
    """Seconds of what bash's `times` prints, such as `0m1.250s 0m0.010s`."""
    return round(sum(int(m) * 60 + float(s) for m, s in re.findall(r"(\d+)m([\d.]+)s", times)), 3)
