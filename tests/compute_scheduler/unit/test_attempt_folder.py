"""The record of an attempt, and folders that pass from one attempt to another."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from compute_scheduler.engine import folder as module
from compute_scheduler.engine.folder import AttemptFolder, Spares, attempts_in


def test_a_line_that_was_cut_off_says_nothing_and_what_follows_counts(tmp_path: Path) -> None:
    """As after a kill in the middle of a write."""
    folder = AttemptFolder(tmp_path, "job.1")
    assert folder.take({"nonce": "a"})
    with open(folder.file("record"), "ab") as file:
        file.write(b'\n{"begun": tr')
    assert not folder.has_begun()
    folder.begin()
    folder.finish({"cause": "exit"})
    facts = folder.facts()
    assert facts is not None
    assert (facts.spec, facts.has_begun, facts.end) == ({"nonce": "a"}, True, {"cause": "exit"})


def test_an_order_that_was_cut_off_was_never_taken(tmp_path: Path) -> None:
    """Taking it again makes it whole."""
    folder = AttemptFolder(tmp_path, "job.1")
    folder.take({"nonce": "a"})
    os.truncate(folder.file("record"), 20)
    assert folder.facts() is None
    assert folder.take({"nonce": "b"})
    assert not folder.take({"nonce": "c"})
    assert folder.spec() == {"nonce": "b"}


def test_the_first_word_on_the_end_stands(tmp_path: Path) -> None:
    """Whoever comes later is told it."""
    folder = AttemptFolder(tmp_path, "job.1")
    folder.take({})
    assert folder.finish({"cause": "exit"}) == {"cause": "exit"}
    assert folder.finish({"cause": "supervisor_lost"}) == {"cause": "exit"}
    assert folder.give_up({"cause": "cancelled"}) == {"cause": "exit"}
    with pytest.raises(FileNotFoundError):
        AttemptFolder(tmp_path, "job.2").finish({})


def test_of_beginning_and_giving_up_one_comes_first(tmp_path: Path) -> None:
    """While one has the pen the other gets nothing; what has begun is not given up, what was given up is seen."""
    folder = AttemptFolder(tmp_path, "job.1")
    folder.take({})
    pen = folder.pen()
    assert pen is not None
    assert folder.give_up({"cause": "cancelled"}) is None
    pen.begin()
    pen.close()
    assert folder.give_up({"cause": "cancelled"}) is None

    other = AttemptFolder(tmp_path, "job.2")
    other.take({})
    assert other.give_up({"cause": "cancelled"}) == {"cause": "cancelled"}
    late = other.pen()
    assert late is not None
    assert late.facts.end == {"cause": "cancelled"}
    late.close()


def ended(spares: Spares, root: Path, name: str) -> str:
    """What is left of an attempt that was given a folder and has ended."""
    folder = AttemptFolder(root, name)
    assert spares.give(folder, {"name": name})
    folder.finish({"cause": "exit"})
    left = spares.take_back(folder)
    assert left is not None
    return left


def test_an_untouched_folder_passes_on_without_a_word_of_its_last_attempt(tmp_path: Path) -> None:
    """The next one has not begun, has printed nothing, and lies in the same place of the disk."""
    spares = Spares(tmp_path)
    left = ended(spares, tmp_path, "job.1")
    place = os.stat(left).st_ino
    Path(left, "log").write_text("said")
    spares.keep(left)
    folder = AttemptFolder(tmp_path, "job.2")
    assert spares.give(folder, {"name": "job.2"})
    facts = folder.facts()
    assert facts is not None
    assert (facts.spec, facts.has_begun, facts.end) == ({"name": "job.2"}, False, None)
    assert (os.stat(folder.path).st_ino, folder.read_log(0, 100)) == (place, b"")
    assert attempts_in(tmp_path) == ["job.2"]
    assert AttemptFolder(tmp_path, "job.1").facts() is None


def leave_file(work: Path) -> None:
    """A result."""
    (work / "out").touch()


def leave_temporary(work: Path) -> None:
    """Something in the temporary folder."""
    (work / "tmp" / "x").touch()


def leave_open(work: Path) -> None:
    """Rights for everybody."""
    work.chmod(0o777)


def leave_mark(work: Path) -> None:
    """An attribute."""
    os.setxattr(work / "tmp", "user.word", b"x")


def leave_way_out(work: Path) -> None:
    """A link instead of the temporary folder."""
    (work / "tmp").rmdir()
    (work / "tmp").symlink_to("/tmp")


def test_a_shorter_order_leaves_nothing_of_a_longer_one_that_the_folder_had(tmp_path: Path) -> None:
    """The record is overwritten and not cut; what it was is not read again, and not left on the disk."""
    spares = Spares(tmp_path)
    long = AttemptFolder(tmp_path, "job.1")
    assert spares.give(long, {"env": {"TOKEN": "secret" * 100}})
    long.begin()
    long.finish({"cause": "exit"})
    left = spares.take_back(long)
    assert left is not None
    spares.keep(left)
    assert not Path(left, "record").read_bytes().strip()
    short = AttemptFolder(tmp_path, "job.2")
    assert spares.give(short, {})
    short.begin()
    facts = short.facts()
    assert facts is not None
    assert (facts.spec, facts.has_begun, facts.end) == ({}, True, None)


def test_lines_of_another_attempt_say_nothing(tmp_path: Path) -> None:
    """Power fails, and the second block of the record is again what it was before the folder passed on."""
    folder, before = AttemptFolder(tmp_path, "job.2"), AttemptFolder(tmp_path, "job.1")
    assert before.take({"nonce": "a"})
    before.begin()
    before.finish({"cause": "exit"})
    assert folder.take({"nonce": "b"})
    with open(folder.file("record"), "ab") as file:
        file.write(Path(before.file("record")).read_bytes())
    facts = folder.facts()
    assert facts is not None
    assert (facts.spec, facts.has_begun, facts.end) == ({"nonce": "b"}, False, None)


def test_a_large_record_is_not_passed_on(tmp_path: Path) -> None:
    """It would be read whole again and again."""
    spares = Spares(tmp_path)
    folder = AttemptFolder(tmp_path, "job.1")
    assert spares.give(folder, {"command": ["x" * 20_000]})
    left = spares.take_back(folder)
    assert left is not None
    spares.keep(left)
    assert not os.path.exists(left)


@pytest.mark.parametrize("leave", [leave_file, leave_temporary, leave_open, leave_mark, leave_way_out])
def test_a_folder_that_was_changed_is_removed(tmp_path: Path, leave: object) -> None:
    """No job finds anything of another's."""
    spares = Spares(tmp_path)
    left = ended(spares, tmp_path, "job.1")
    assert callable(leave)
    leave(Path(left, "work"))
    spares.keep(left)
    assert not os.path.exists(left)


@pytest.mark.parametrize("leave", [leave_file, leave_temporary, leave_open, leave_mark, leave_way_out])
def test_a_folder_of_some_age_tells_by_its_inodes_that_it_was_changed(tmp_path: Path, leave: object) -> None:
    """The second attempt that has it leaves something; the first did not, and so it was kept."""
    spares = Spares(tmp_path)
    kept = ended(spares, tmp_path, "job.1")
    spares.keep(kept)
    place = os.stat(kept).st_ino
    time.sleep(0.15)
    left = ended(spares, tmp_path, "job.2")
    assert os.stat(left).st_ino == place
    assert callable(leave)
    leave(Path(left, "work"))
    spares.keep(left)
    assert not os.path.exists(left)


def test_a_folder_of_some_age_is_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its inodes tell that nothing was changed; what was printed is erased all the same."""
    spares = Spares(tmp_path)
    spares.keep(ended(spares, tmp_path, "job.1"))
    time.sleep(0.15)
    left = ended(spares, tmp_path, "job.2")
    Path(left, "log").write_text("said")
    monkeypatch.setattr(module, "_is_as_made", lambda left: False)
    spares.keep(left)
    assert Path(left, "log").read_bytes() == b""


def test_what_an_agent_that_died_has_left_is_removed(tmp_path: Path) -> None:
    """Folders between two attempts; those of attempts stay."""
    spares = Spares(tmp_path)
    ended(spares, tmp_path, "job.1")
    assert spares.give(AttemptFolder(tmp_path, "job.2"), {})
    Spares(tmp_path).open()
    assert os.listdir(tmp_path) == ["job.2"]
