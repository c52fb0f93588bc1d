"""Attempts of a cluster's engine in memory, each read again from its folders when the agent comes back."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compute_scheduler.engine import rules
from compute_scheduler.engine.folder import attempts_in
from compute_scheduler.engine.shared import SharedFolder

Json = dict[str, Any]


@dataclass(eq=False)
class Entry:
    """An attempt; everything but its clocks lies in its folder.

    nonce, claimed_by, address: of the copy that asked first; before, the engine's own nonce. places: what a member of
    a gang is told of the others. asked_at: when a submission was last
    sent or answered; next_at: not again before. beat, beat_at: what the granted copy last wrote, and when that was seen
    to change.
    """

    folder: SharedFolder
    order: Json
    token: str
    nonce: str
    claimed_by: str = ""
    address: str = ""
    claim: rules.Claim = "none"
    is_prepared: bool = False
    is_asked: bool = False
    is_sending: bool = False
    asked_at: float = 0.0
    tries: int = 0
    next_at: float = 0.0
    ending: str = ""
    is_fenced: bool = False
    record: Json | None = None
    beat: str = ""
    beat_at: float = 0.0
    log_size: int = 0
    words: str = ""
    places: Mapping[str, str] = field(default_factory=dict)
    answered: threading.Event = field(default_factory=threading.Event)

    @property
    def attempt(self) -> str:
        """Its id."""
        return self.folder.attempt

    @property
    def members(self) -> int:
        """How many the gang has of which it is one, else 1."""
        return int(self.order["env"]["WORLD_SIZE"]) if self.attempt.count(".") == 2 else 1


class Entries:
    """All attempts of one agent; `guard` protects what several threads decide on."""

    def __init__(self, root: Path, shared: Path) -> None:
        self.guard = threading.Lock()
        self._own = root / "attempts"
        self._shared = shared
        self._entries: dict[str, Entry] = {}
        self._forgotten: dict[str, float] = {}
        self._removals: queue.SimpleQueue[SharedFolder | None] = queue.SimpleQueue()

    def open(self) -> None:
        """Reads what was held; folders without a spec were given up and are removed."""
        self._own.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._shared.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in attempts_in(self._own):
            if self.recall(name) is None:
                self._removals.put(self.folder(name))
        threading.Thread(target=self._remove, name="cluster-folders", daemon=True).start()

    def close(self) -> None:
        """Ends the thread."""
        self._removals.put(None)

    def folder(self, attempt: str) -> SharedFolder:
        """The folders of an attempt, whether it is held or not."""
        return SharedFolder(self._own, self._shared, attempt)

    def get(self, attempt: str) -> Entry | None:
        """An attempt that is held."""
        return self._entries.get(attempt)

    def all(self) -> list[Entry]:
        """Every attempt that is held."""
        with self.guard:
            return list(self._entries.values())

    def recall(self, attempt: str) -> Entry | None:
        """The entry of an attempt, made from its folder when it is not in memory; None when it has no spec."""
        with self.guard:
            if attempt in self._entries:
                return self._entries[attempt]
            folder = self.folder(attempt)
            spec = folder.spec()
            if spec is None:
                return None
            entry = Entry(folder, spec, str(spec["token"]), str(spec["nonce"]))
            claim = folder.claim()
            if claim is not None:
                entry.nonce, entry.claimed_by, entry.claim = claim["nonce"], claim["remote"], "asked"
                entry.address = claim.get("address", "")
            if folder.has("begun"):
                entry.claim, entry.beat_at = "granted", time.monotonic()
            entry.places = folder.places()
            entry.is_asked, entry.record = folder.has("asked"), folder.exit()
            self._entries[attempt] = entry
            return entry

    def tell_places(self, entry: Entry) -> None:
        """Keeps for each member of a gang where all are, when the first of them is granted: until then all are held.

        Called under `guard`. Each copy has a place of its own in the cluster, with its own cards: LOCAL_RANK is 0.
        """
        gang, size = entry.attempt.rpartition(".")[0], entry.members
        if size == 1 or entry.places:
            return
        members = [self._entries.get(f"{gang}.{number}") for number in range(size)]
        if not all(member is not None and member.address for member in members):
            return  # one was lost here: the plan's own idea of their places stands
        addresses = [member.address for member in members if member is not None]
        known = {"MASTER_ADDR": addresses[0], "BRAIN_MEMBERS": ",".join(addresses), "LOCAL_RANK": "0"}
        for member in members:
            if member is not None:
                member.folder.keep_places(known)
                member.places = known

    def forget(self, attempt: str) -> None:
        """Drops an attempt; its folders go beside the other work."""
        with self.guard:
            entry = self._entries.pop(attempt, None)
            self._forgotten[attempt] = time.monotonic()
        if entry is not None:
            entry.answered.set()
            entry.folder.disown()
            self._removals.put(entry.folder)

    def forgotten_after(self, attempt: str, moment: float) -> bool:
        """Whether it was given up later than that: what was seen of it then was no orphan."""
        return self._forgotten.get(attempt, float("-inf")) > moment

    def forget_forgotten(self, moment: float) -> None:
        """Drops what was given up before that from memory."""
        with self.guard:
            self._forgotten = {name: at for name, at in self._forgotten.items() if at > moment}

    def _remove(self) -> None:
        while (folder := self._removals.get()) is not None:
            folder.remove()
