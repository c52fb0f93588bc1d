"""Events that algorithm-dev consumes."""

from __future__ import annotations

from collections.abc import Callable

from brain_contracts.events import JobChanged
from brain_kit.events import Event, Wanted
from sqlalchemy.orm import Session

from algorithm_dev.service.run_steps import LABEL, job_changed

Handler = Callable[[Session, Event], None]


def handlers(wake: Callable[[], None]) -> dict[str, Handler]:
    """The handler of each topic; wake: looks at the runs now."""

    def on_job(session: Session, event: Event) -> None:
        """A job of a run has changed: the run is looked at again. A redelivery only looks once more."""
        job = event.payload(JobChanged)
        run_id = job.labels.get(LABEL)
        if run_id is not None and job_changed(session, run_id, job.job_id, job.state, job.reason):
            wake()

    return {JobChanged.topic: on_job}


def _is_of_a_run(event: Event) -> bool:
    """Most jobs are nobody's run."""
    return LABEL in event.data.get("labels", ())


WANTED = {JobChanged.topic: Wanted(_is_of_a_run, word=LABEL)}
