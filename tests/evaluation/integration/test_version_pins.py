"""Versions behind shown values stay readable; what is not needed is let go, whatever was killed in between."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.problems import Conflict, NotFound, Unavailable
from evaluation.clients import DatasetVersion
from evaluation.service.version_pins import VersionPins
from evaluation.store import tables

from tests.evaluation.world import World

FIRM = "public.enterprise"


class PinsExhausted(Conflict):
    """As the data hub answers."""

    code = "pins_exhausted"


class Hub:
    """Pins as the data hub gives them: (data set, version, reason) to id; the same again gives the same."""

    def __init__(self, most: int = 100) -> None:
        self.pins: dict[tuple[str, str, str], str] = {}
        self.most = most
        self.is_losing = False
        self.gone: set[str] = set()
        self._ids = count(1)

    def pin(self, dataset: str, version: str, reason: str) -> str:
        """Makes a pin; its answer may get lost."""
        if version in self.gone:
            raise NotFound("gone")
        key = (dataset, version, reason)
        if key not in self.pins:
            if len(self.pins) >= self.most:
                raise PinsExhausted("full")
            self.pins[key] = f"pin{next(self._ids)}"
        if self.is_losing:
            raise Unavailable("away")
        return self.pins[key]

    def unpin(self, dataset: str, version: str, pin: str) -> None:
        """Takes it away."""
        self.pins = {key: known for key, known in self.pins.items() if known != pin}

    def versions(self) -> list[str]:
        """Versions that are pinned, each as often as it is."""
        return sorted(version for _, version, _ in self.pins)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.servers)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database of the service."""
    url = f"sqlite:///{tmp_path}/e.db" if request.param == "sqlite" else request.getfixturevalue("database_url")
    made = Database(url, name="evaluation")
    made.migrate("evaluation")
    yield made
    made.close()


def show(database: Database, version: str, period: str = "2025") -> None:
    """A value of a place that came from this version."""
    now, place = utc_now(), {"cluster": "c", "computation": "enterprises", "period": period}
    value = {"run": f"run{version}", "unit": "家", "parameters": {}, "detail": {}, "computed_at": now}
    sources = [{"dataset": FIRM, "version": version}, {"dataset": "public.empty", "version": None}]
    with database.transaction() as session:
        if session.execute(sa.select(tables.clusters.c.id)).first() is None:
            cluster = {"id": "c", "name": "c", "synthetic": True, "version": 1, "created_at": now, "updated_at": now}
            session.execute(sa.insert(tables.clusters).values(cluster))
        session.execute(sa.insert(tables.computed_values).values(place | value | {"sources": sources}))


def of(*versions: str) -> list[DatasetVersion | None]:
    """Versions as a run holds them, beside a data set that is empty and one that is not registered."""
    return [*(DatasetVersion(FIRM, version) for version in versions), DatasetVersion("public.empty", None), None]


def test_what_is_shown_stays_and_what_is_superseded_goes(database: Database) -> None:
    """Kept twice is pinned once; another period may still need an old version."""
    hub = Hub()
    pins = VersionPins(database, hub, 600)  # type: ignore[arg-type]
    for version, periods in (("1", ["2024", "2025"]), ("2", ["2025"]), ("3", ["2025"])):
        pins.keep(of(version))
        pins.keep(of(version))
        for period in periods:
            show(database, version, period)
    assert hub.versions() == ["1", "2", "3"]
    pins.sweep_if_due()
    assert hub.versions() == ["1", "2", "3"]  # not so soon
    assert (pins.sweep(), hub.versions()) == (1, ["1", "3"])
    assert (pins.sweep(), hub.versions()) == (0, ["1", "3"])


def test_a_run_under_way_keeps_what_it_was_given(database: Database) -> None:
    """Before its first value; once it has ended without one, nothing needs the version."""
    hub = Hub()
    pins = VersionPins(database, hub, 600)  # type: ignore[arg-type]
    show(database, "0")
    run = {
        "id": "r", "cluster": "c", "trigger": "request", "request": {}, "state": "running", "reason": "", "total": 1,
        "done": 0, "without_value": 0, "cancel_requested": False, "epoch": 1, "requested_by": "x",
        "requested_org": "x", "created_at": utc_now(), "versions": {FIRM: of("7")[0].as_dict(), "public.x": None},  # type: ignore[union-attr]
    }  # fmt: skip
    with database.transaction() as session:
        session.execute(sa.insert(tables.runs).values(run))
    pins.keep(of("7"))
    assert (pins.sweep(), hub.versions()) == (0, ["7"])
    with database.transaction() as session:
        session.execute(sa.update(tables.runs).values(state="cancelled"))
    assert (pins.sweep(), hub.versions()) == (1, [])


def test_a_lost_answer_leaves_no_pin_behind(database: Database) -> None:
    """The note names the pin, so another process finds it, whether the version is wanted again or not."""
    hub = Hub()
    pins = VersionPins(database, hub, 600)  # type: ignore[arg-type]
    hub.is_losing = True
    for version in ("1", "2"):
        with pytest.raises(Unavailable):
            pins.keep(of(version))
    hub.is_losing = False
    again = VersionPins(database, hub, 600)  # type: ignore[arg-type]
    again.keep(of("1"))
    show(database, "1")
    assert hub.versions() == ["1", "2"]
    assert (again.sweep(), hub.versions()) == (1, ["1"])


def test_too_many_pins_make_room_and_a_version_that_is_gone_hinders_nothing(database: Database) -> None:
    """The old ones go first; without room the computation goes on unpinned."""
    hub = Hub(most=1)
    pins = VersionPins(database, hub, 600)  # type: ignore[arg-type]
    pins.keep(of("1"))
    show(database, "2")
    pins.keep(of("2"))
    assert hub.versions() == ["2"]
    pins.keep(of("3"))
    assert hub.versions() == ["2"]
    hub.gone.add("4")
    pins.keep(of("4"))


def test_a_version_that_is_wanted_again_while_it_is_let_go_is_pinned_anew(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking and letting go another process asks for it: its note is new, so its pin is another one."""
    hub = Hub()
    pins, other = (VersionPins(database, hub, 600) for _ in range(2))  # type: ignore[arg-type]
    pins.keep(of("1"))
    moments = iter(utc_now() + timedelta(seconds=n) for n in range(1, 9))
    monkeypatch.setattr("evaluation.service.version_pins.utc_now", lambda: next(moments))
    real = hub.unpin

    def unpin(dataset: str, version: str, pin: str) -> None:
        other.keep(of("1"))
        real(dataset, version, pin)

    hub.unpin = unpin  # type: ignore[method-assign]
    assert pins.sweep() == 1
    assert hub.versions() == ["1"]


def test_a_computation_pins_its_versions_in_the_data_hub(world: World) -> None:
    """So the query of a value that is shown can be asked as long as it is shown."""
    run = world.compute(periods=["2023"])
    version = run["versions"][FIRM]["version"]
    found: list[dict[str, Any]] = world.json(
        "bureau", "GET", f"/v1/datasets/{FIRM}/versions", "data-hub", params={"limit": 50}
    )["items"]
    (mine,) = [item for item in found if item["version"] == version]
    assert [pin["reason"].split()[0] for pin in mine["pins"]] == ["指标的来源"]
