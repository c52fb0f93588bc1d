"""Versions that the lineage holds: the inputs of runs under way, and those of the newest result of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from brain_kit.ids import new_id
from sqlalchemy.orm import Session

from data_hub import store
from data_hub.domain.lineage import nodes
from data_hub.domain.lineage.openlineage import RunEvent
from data_hub.domain.lineage.runs import FINAL
from data_hub.store import PinRecord, RunRecord


def hold(session: Session, record: RunRecord, event: RunEvent, results: Sequence[str]) -> None:
    """Pins the inputs of a run until it has ended, then until its result is replaced by that of a later run.

    A version that is forgotten already stays so; what a run was made of remains in the graph in any case.
    """
    inputs = [(item.name, item.version_text) for item in event.inputs if item.namespace == nodes.BRAIN and item.version]
    if record.state not in FINAL:
        pin_inputs(session, record.org, record.reporter, inputs, source_of_run(record.run_id), record.state_at)
        return
    store.drop_pins_of(session, [source_of_run(record.run_id)])
    if record.state == "COMPLETE" and event.event_type == "COMPLETE":
        for result in results:
            hold_for_result(session, record, inputs, result)


def hold_for_result(session: Session, record: RunRecord, inputs: Iterable[tuple[str, str]], result: str) -> None:
    """Pins inputs as long as nothing newer than this run's result is there."""
    source = nodes.dataset_node(result, "")
    newest = store.newest_pin_of(session, source)
    if newest is not None and newest > record.state_at:
        return
    store.drop_pins_of(session, [source])
    pin_inputs(session, record.org, record.reporter, inputs, source, record.state_at)


def pin_inputs(
    session: Session, org: str, subject: str, inputs: Iterable[tuple[str, str]], source: str, at: datetime
) -> None:
    """Pins versions on behalf of the lineage; a pin that is there stays."""
    pins = [
        PinRecord(new_id("pin"), name, version, org, subject, f"血缘 {source}"[:300], source[:200], at)
        for name, version in sorted(set(inputs))
    ]
    for name in sorted({pin.dataset for pin in pins}):
        # A commit that is about to forget the version waits, and then sees the pin.
        store.lock_dataset(session, name)
    store.add_pins(session, pins)


def source_of_run(run_id: str) -> str:
    """What holds the inputs of a run that is under way."""
    return nodes.run_node(run_id)


def hand_over(session: Session, run_id: str, result: str) -> None:
    """Lets the result of a run hold the inputs that the run has held, in place of those of the result before.

    Locks no data set: the pins are there already, only their reason changes.
    """
    source = nodes.dataset_node(result, "")
    store.drop_pins_of(session, [source])
    store.hand_over_pins(session, source_of_run(run_id), source)
