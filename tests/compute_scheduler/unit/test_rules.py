"""What follows for an attempt in a cluster: every combination of what may be known of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from compute_scheduler.engine.cluster import Copy
from compute_scheduler.engine.rules import REFUSED_CODE, Times, View, decide
from hypothesis import given
from hypothesis import strategies as st

TIMES = Times(beat_s=1.0, lost_s=20.0, patience_s=30.0)
MARKER = {"cause": "exit", "exit_code": 0, "run_s": 1.0}


def copy(phase: Any, cause: str = "exit", code: int | None = 0, remote: str = "7") -> Copy:
    """A job of the cluster."""
    return Copy("job_x.1", remote, phase, cause if phase == "ended" else "", code, "words")


COPIES = st.builds(
    copy,
    st.sampled_from(["waiting", "running", "ended"]),
    st.sampled_from(["exit", "time_limit", "memory", "node_failed", "preempted", "engine_cancelled"]),
    st.sampled_from([0, 1, REFUSED_CODE, None]),
    st.sampled_from(["7", "8"]),
)
VIEWS = st.builds(
    View,
    claim=st.sampled_from(["none", "asked", "granted"]),
    copies=st.none() | st.lists(COPIES, max_size=3).map(tuple),
    claimed_by=st.sampled_from(["7", "8", ""]),
    ending=st.sampled_from(["", "cancelled"]),
    marker=st.none() | st.sampled_from([MARKER, {"cause": "terminated"}, {"cause": "killed"}, {"cause": "stopped"}]),
    quiet_s=st.sampled_from([0.0, 2.9, 3.0, 10.0, 19.9, 20.0, 23.0, 1e6]),
    silent_s=st.sampled_from([0.0, 30.0, 31.0]),
    is_fenced=st.booleans(),
)


@given(VIEWS)
def test_a_granted_attempt_is_never_submitted_again_nor_given_back(view: View) -> None:
    """Its command may have run: only a marker or a fence ends it, and never as if it had not begun."""
    do, record = decide(view, TIMES)
    if view.claim == "granted":
        assert do != "submit"
        assert record.get("cause") not in ("never_began", "refused")
        if do == "end" and view.marker is None:
            assert view.is_fenced
            assert view.quiet_s >= 6 * TIMES.beat_s


@given(VIEWS)
def test_a_silent_cluster_decides_nothing_about_what_runs(view: View) -> None:
    """ "Unknown" is never "failed": without an answer only the copy's own marker ends it."""
    if view.copies is None and view.claim == "granted" and view.marker is None:
        assert decide(view, TIMES) == ("wait", {})


@given(VIEWS)
def test_nothing_is_submitted_while_the_cluster_may_hold_it(view: View) -> None:
    """Only a fresh look without any job of the attempt lets it be sent again."""
    do, _ = decide(view, TIMES)
    if do == "submit":
        assert (view.claim, view.copies, view.ending) == ("none", (), "")


@given(VIEWS)
def test_a_copy_that_runs_in_the_cluster_is_never_given_up(view: View) -> None:
    """As long as the cluster says that the granted copy runs, silence of the copy is no proof."""
    alive = [c for c in view.copies or () if c.phase == "running" and c.remote == view.claimed_by]
    if view.claim == "granted" and view.marker is None and alive:
        assert decide(view, TIMES) == ("wait", {})


@pytest.mark.parametrize(
    ("told", "cause"),
    [
        (copy("ended", "time_limit", None), "time_limit"),
        (copy("ended", "memory", None), "memory"),
        (copy("ended", "node_failed", None), "node_failed"),
        (copy("ended", "preempted", None), "preempted"),
        (copy("ended", "engine_cancelled", None), "engine_cancelled"),
        (copy("ended", "exit", 0), "result_missing"),
        (copy("ended", "exit", REFUSED_CODE), "engine_lost"),
        (None, "engine_lost"),
    ],
)
def test_a_copy_without_marker_ends_by_the_cause_that_the_cluster_tells(told: Copy | None, cause: str) -> None:
    """Fenced first, then given up; the record of a later copy that was refused says nothing of the first."""
    view = View("granted", (told,) if told else (), "7", quiet_s=1e6)
    assert decide(view, TIMES)[0] == "fence"
    do, record = decide(View("granted", (told,) if told else (), "7", quiet_s=1e6, is_fenced=True), TIMES)
    assert (do, record["cause"]) == ("end", cause)


@pytest.mark.parametrize(("said", "cause"), [("terminated", "engine_cancelled"), ("killed", "script_killed")])
def test_a_copy_that_others_have_ended_waits_to_hear_why_from_the_cluster(said: str, cause: str) -> None:
    """The cluster's cause stands; without one a script that was killed is lost and may be tried again."""
    marker = {"cause": said, "exit_code": None, "signal": 9}
    view = View("granted", (), "7", marker=marker, quiet_s=TIMES.beat_s)
    assert decide(view, TIMES) == ("wait", {})
    told = replace(view, copies=(copy("ended", "memory", None),))
    assert decide(told, TIMES)[1]["cause"] == "memory"
    do, record = decide(replace(view, quiet_s=7 * TIMES.beat_s), TIMES)
    assert (do, record["cause"]) == ("end", cause)
    assert decide(replace(view, ending="cancelled"), TIMES)[1]["cause"] == "cancelled"


def test_the_second_copy_of_the_same_id_does_not_speak_for_the_first() -> None:
    """Slurm started it again after its controller was killed; the second copy was refused; the first still beats."""
    view = View("granted", (copy("ended", "exit", REFUSED_CODE),), "7", quiet_s=1.0)
    assert decide(view, TIMES) == ("wait", {})


def test_a_copy_that_waits_again_is_no_sign_of_life() -> None:
    """Slurm killed the first copy after its controller had died, and holds the second for ever: its node is drained."""
    held = (copy("waiting"),)
    assert decide(View("granted", held, "7", quiet_s=TIMES.lost_s - 0.1), TIMES) == ("wait", {})
    assert decide(View("granted", held, "7", quiet_s=1e6), TIMES) == ("fence", {})
    assert decide(View("granted", held, "7", quiet_s=1e6, is_fenced=True), TIMES) == ("end", {"cause": "engine_lost"})


def test_what_has_not_begun_is_given_back_when_the_cluster_stays_silent() -> None:
    """Another centre may take it: its claim here is refused from now on."""
    assert decide(View(silent_s=29.0), TIMES) == ("wait", {})
    assert decide(View(silent_s=31.0), TIMES)[1]["cause"] == "never_began"
    assert decide(View("asked", silent_s=1e6), TIMES) == ("wait", {})
