"""The frozen copy of a tree of objects against what a listing of the tree says."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from industry_brain.backup.errors import BackupRefused
from industry_brain.backup.links import LinkedTree

NAMES = st.sampled_from(["a", "b", "c/a", "c/b", "c/d/a", "e/a", ".tmp/x"])
STEPS = st.lists(st.tuples(st.sampled_from(["write", "remove", "update"]), NAMES), max_size=30)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder that is no scratch."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: data for name, data in found.items() if not name.startswith(".tmp/")}


@given(STEPS)
@settings(max_examples=80)
def test_a_second_look_brings_the_copy_to_what_is_there(steps: list[tuple[str, str]]) -> None:
    """Whatever was written, replaced and removed between the looks, the copy equals the tree after the last one."""
    with TemporaryDirectory() as folder:
        source, target = Path(folder, "source"), Path(folder, "target")
        source.mkdir()
        tree = LinkedTree(source, target, "objects")
        for number, (step, name) in enumerate([*steps, ("update", "a")]):
            path = source / name
            if step == "write":
                path.parent.mkdir(parents=True, exist_ok=True)
                draft = source / f".draft-{number}"
                draft.write_bytes(f"{number}".encode())
                draft.replace(path)
            elif step == "remove":
                path.unlink(missing_ok=True)
                if path.parent != source and path.parent.is_dir() and not any(path.parent.iterdir()):
                    path.parent.rmdir()
            else:
                tree.update()
                assert contents(target) == contents(source)


def test_what_is_removed_later_stays_in_the_copy(tmp_path: Path) -> None:
    """The platform may remove an object a moment after the cut."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source/a").write_bytes(b"kept")
    tree = LinkedTree(tmp_path / "source", tmp_path / "target", "objects")
    tree.update()

    (tmp_path / "source/a").unlink()

    assert (tmp_path / "target/a").read_bytes() == b"kept"


def test_a_file_that_goes_between_reading_and_linking_harms_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The platform removes files while their folder is read; what stays is linked then and at the next look."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    for name in ("a", "b"):
        (source / name).write_bytes(name.encode())
    link = os.link

    def remove_a_first(path: str, *args: object, **options: bool) -> None:
        (source / "a").unlink(missing_ok=True)
        link(path, *args, **options)  # type: ignore[arg-type]

    tree = LinkedTree(source, target, "objects")
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", remove_a_first)
        tree.update()
    assert contents(target) == {"b": b"b"}
    (source / "c").write_bytes(b"c")
    tree.update()

    assert contents(target) == {"b": b"b", "c": b"c"}


def test_a_file_system_without_hard_links_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file and the reason."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source/a").write_bytes(b"1")

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)

    with pytest.raises(BackupRefused, match="硬链接"):
        LinkedTree(tmp_path / "source", tmp_path / "target", "objects").update()
