"""The workspace is what it says: members, import contracts and declared dependencies agree."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MEMBERS: list[str] = CONFIG["tool"]["brain"]["workspace"]["members"]


@cache
def project(member: str) -> dict[str, object]:
    """The [project] table of a member."""
    table: dict[str, object] = tomllib.loads((ROOT / member / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def package(member: str) -> str:
    """A member's package: the underscored form of its distribution name."""
    return str(project(member)["name"]).replace("-", "_")


def distribution(requirement: str) -> str:
    """The normalised name in a requirement line."""
    return re.split(r"[\[<>=~! ;]", requirement)[0].lower().replace("_", "-")


def test_every_folder_with_a_project_is_a_member() -> None:
    """No member is forgotten in the list, the Makefile or the import contracts."""
    found = {
        str(path.parent.relative_to(ROOT))
        for path in [*ROOT.glob("*/pyproject.toml"), *ROOT.glob("*/*/pyproject.toml")]
        if not {".venv", "build"} & set(path.relative_to(ROOT).parts)
    }
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert found == set(MEMBERS)
    assert set(re.search(r"^MEMBERS := (.*)$", makefile, re.MULTILINE)[1].split()) == found  # type: ignore[index]
    assert set(CONFIG["tool"]["importlinter"]["root_packages"]) == {package(member) for member in MEMBERS}


@pytest.mark.parametrize("member", MEMBERS)
def test_imports_are_declared(member: str) -> None:
    """A shared environment hides undeclared dependencies; each member names what it imports, or what brings it."""
    providers = packages_distributions()
    declared = {distribution(item) for item in project(member)["dependencies"]}  # type: ignore[attr-defined]
    allowed = _with_workspace(declared)
    missing = set()
    for path in (ROOT / member / "src").rglob("*.py"):
        for name in _imported(path) - set(sys.stdlib_module_names) - {package(member)}:
            names = {item.lower().replace("_", "-") for item in providers.get(name, [name])}
            if not names & allowed:
                missing.add(f"{name} ({path.name})")

    assert sorted(missing) == []


def _with_workspace(declared: set[str]) -> set[str]:
    """Declared distributions and, through workspace members among them, what those declare."""
    found = set(declared)
    for member in MEMBERS:
        if project(member)["name"] in declared:
            found |= _with_workspace({distribution(item) for item in project(member)["dependencies"]})  # type: ignore[attr-defined]
    if "fastapi" in found:
        found |= {"starlette", "pydantic"}
    return found | ({"pydantic-core"} if "pydantic" in found else set()) | ({"yarl"} if "aiohttp" in found else set())


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def test_migrations_are_numbered_without_gaps() -> None:
    """0001, 0002, ... in each service, each after the one before."""
    for folder in [*ROOT.glob("*/src/*/migrations/versions"), *ROOT.glob("*/*/src/*/migrations/versions")]:
        scripts = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")

        assert [script.name[:4] for script in scripts] == [f"{number:04d}" for number in range(1, len(scripts) + 1)]
        for number, script in enumerate(scripts, 1):
            text = script.read_text(encoding="utf-8")
            assert f'revision = "{number:04d}"' in text or f'revision: str = "{number:04d}"' in text


def test_the_repository_names_no_registry_and_no_machine_path() -> None:
    """Locks carry hashes, not addresses; nothing points at the machine it was written on."""
    hosts = re.compile(
        r"://[^/\s]*(py" + r"pi|python" + r"hosted|npm" + r"js|repo1?\.mav" + r"en|gol" + r"ang|crate" + r"s\.)"
    )
    places = re.compile("/wor" + "k/|/roo" + "t/")
    found = []
    for path in _text_files():
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [str(path.relative_to(ROOT)) for pattern in (hosts, places) if pattern.search(text)]

    assert found == []


def _text_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = [ROOT / line for line in listed.stdout.splitlines()]
    return [path for path in paths if path.is_file() and path.suffix not in {".png", ".parquet", ".xlsx"}]


@pytest.mark.parametrize("member", MEMBERS)
def test_no_module_gives_a_name_twice(member: str) -> None:
    """A constant or function that is written again further down hides the first without a word."""
    doubled = []
    for path in (ROOT / member).glob("src/**/*.py"):
        names: list[str] = []
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.append(node.name)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names += [target.id for target in targets if isinstance(target, ast.Name)]
        doubled += [(str(path.relative_to(ROOT)), name) for name in sorted(set(names)) if names.count(name) > 1]
    assert doubled == []
