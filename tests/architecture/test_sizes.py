"""Small files and small functions: the tail is what makes code hard to read."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for pattern in ("*/src", "*/*/src") for path in ROOT.glob(f"{pattern}/**/*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
FILE_LINES, TEST_FILE_LINES, FUNCTION_LINES = 400, 600, 50
# name -> why it may be longer
LONGER_FUNCTIONS: dict[str, str] = {
    "routes": "a router factory is a list of small routes",
    "upgrade": "a migration is a list of tables",
    "_overview": "the fake platform's answer is one literal",
    "_profiles": "the fake platform's answers are literals",
    "overview": "the fake platform's answer is one literal",
    "_pushes": "the fake platform's answer is one literal",
    "events_app": "a list of small routes of the fake platform",
}


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    """A file that outgrows the limit becomes a package; a function is split."""
    text = path.read_text(encoding="utf-8")
    limit = TEST_FILE_LINES if "tests" in path.relative_to(ROOT).parts[:1] else FILE_LINES

    assert len(text.splitlines()) <= limit
    long = [
        f"{node.name} ({node.end_lineno - node.lineno + 1} lines)"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES
        and node.name not in LONGER_FUNCTIONS
        and not node.name.endswith("_routes")
    ]
    assert long == []
