"""The reference of the canonical data sets matches the contracts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from brain_contracts.odcs import canonical_contracts
from brain_contracts.reference import datasets_page

ROOT = Path(__file__).parents[3]


def test_the_page_of_data_sets_is_up_to_date() -> None:
    """`make docs` writes it anew after a change of a contract."""
    assert (ROOT / "docs/data-sets.md").read_text(encoding="utf-8") == datasets_page()


def test_the_page_shows_every_column_with_its_unit() -> None:
    """Nothing of a contract is hidden from readers."""
    page = datasets_page()
    for contract in canonical_contracts().values():
        section = page.split(f"### {contract.name}\n", 1)[1].split("###", 1)[0]
        for column in contract.columns:
            (row,) = [line for line in section.splitlines() if line.startswith(f"| `{column.name}` |")]
            assert column.title_zh in row
            assert f"| {column.unit} |" in row
        assert json.dumps(contract.example, ensure_ascii=False) in section


def test_importing_the_package_loads_nothing_heavy() -> None:
    """Every process imports the contracts; the standard's model and DuckDB are loaded where they are needed."""
    code = (
        "import sys, brain_contracts.codes, brain_contracts.contract, brain_contracts.events, brain_contracts.odcs;"
        "brain_contracts.odcs.canonical_contracts();"
        "print([name for name in ('duckdb', 'open_data_contract_standard', 'pyarrow', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
