"""The command line as a newcomer uses it: the README's lines as printed, exit codes, JSON, what a person copies."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from brain_testing.process import PlatformProcess, free_port
from brain_testing.servers.debian import run_quietly

from tests.e2e.record_examples import ENVIRONMENT

pytestmark = [pytest.mark.slow]

ROOT = Path(__file__).parents[2]
USCC = "91370300MA3C00002Y"
MONTHLY = "enterprise.enterprise_monthly"


class Shell:
    """Runs commands against one platform, in a folder of their own."""

    def __init__(self, platform: PlatformProcess, folder: Path) -> None:
        self.platform = platform
        self.folder = folder
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environment = os.environ | {"PATH": path, "BRAIN_URL": platform.url, "BRAIN_HOME": str(platform.home)}

    def brain(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`brain` with these arguments."""
        return subprocess.run(
            ["brain", *arguments],
            env=self.environment | environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """The answer of `brain ... --json`, which must be JSON and nothing else."""
        done = self.brain(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """An embedded platform and a place to work in."""
    with PlatformProcess(tmp_path_factory.mktemp("home"), env=ENVIRONMENT) as platform:
        yield Shell(platform, tmp_path_factory.mktemp("newcomer"))


@pytest.fixture(scope="module")
def pasted(shell: Shell) -> str:
    """What the README's lines print when they are pasted; only the address and the folders are another machine's."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    block = next(block for block in blocks if "brain push" in block)
    lines = [line for line in block.splitlines() if not line.startswith("export ")]
    assert len(lines) == len(block.splitlines()) - 1
    done = subprocess.run(
        ["bash", "-u"],
        input="\n".join(lines),
        env=shell.environment,
        cwd=shell.folder,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    return done.stdout


def test_the_lines_of_the_readme_work_as_printed(pasted: str, shell: Shell) -> None:
    """One row of the two is in, twice pushed and once there; the other came back with row, field, value and fix."""
    receipts = [json.loads(line) for line in re.findall(r'\{"id":"psh_.*\}', pasted)]
    assert [(item["state"], item["accepted"], item["rejected"]) for item in receipts] == [("committed", 1, 1)]
    reject = receipts[0]["rejects"][0]
    assert (reject["row"], reject["field"], reject["value"]) == (2, "month", "2026-13")
    assert "YYYY-MM" in reject["fix"]
    with (shell.folder / "mine.csv").open(encoding="utf-8-sig") as file:
        assert list(csv.reader(file)) == [["uscc", "month", "revenue_10k_cny"], [USCC, "2026-10", "1286.4"]]
    with (shell.folder / "rejects.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [(row["month"], row["revenue_10k_cny"], row["_row"]) for row in rows] == [("2026-13", "990", "2")]


def test_a_key_is_printed_in_one_piece_and_works_until_it_is_revoked(pasted: str, shell: Shell) -> None:
    """What is shown once must be whole, also on a narrow screen."""
    assert pasted
    shown = shell.brain("key", "add", "--org", USCC, "--name", "till", COLUMNS="40").stdout
    found = re.search(r"^key +(bk_\S{40,})$", shown, re.MULTILINE)
    identity = re.search(r"^id +(\S+)$", shown, re.MULTILINE)
    assert found is not None, shown
    assert identity is not None, shown
    assert shell.brain("datasets", "--key", found[1]).returncode == 0
    assert shell.json("key", "revoke", identity[1]) == {"id": identity[1], "state": "revoked"}
    refused = shell.brain("datasets", "--key", found[1])
    assert (refused.returncode, "key_revoked" in refused.stderr) == (4, True)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["push", MONTHLY, "nothing.csv"], 2, "nothing.csv"),
        (["push", MONTHLY, "rows.txt"], 2, "--content-type"),
        (["datasets", "--url", "http://127.0.0.1:9"], 3, "brain up"),
        (["datasets", "--key", "bk_wrong"], 4, "key"),
        (["push", MONTHLY, "rows.ndjson", "--mode", "upsert"], 5, "2026-13"),
        (["datasets", "nope.nope"], 6, "dataset_unknown"),
        (["query", "DROP TABLE enterprise.enterprise_monthly"], 6, "query_not_select"),
        (["org", "add", "--uscc", "123", "--name", "x", "--kind", "enterprise", "--region", "370303"], 6, "uscc"),
        (["events", "replay", "data-hub", "99"], 6, "99"),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, list) else None,
)
def test_exit_codes_tell_what_went_wrong(shell: Shell, arguments: list[str], code: int, words: str) -> None:
    """Usage 2, unreachable 3, credentials 4, rejected rows 5, refused 6; the words name the thing at fault."""
    (shell.folder / "rows.txt").write_text("x")
    rows = [f'{{"uscc":"{USCC}","month":"{month}","revenue_10k_cny":1}}' for month in ("2026-09", "2026-13")]
    (shell.folder / "rows.ndjson").write_text("\n".join(rows))
    done = shell.brain(*arguments)
    assert (done.returncode, words in done.stderr + done.stdout) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_json_is_for_programs(pasted: str, shell: Shell) -> None:
    """Every command that reads has it."""
    assert pasted
    assert USCC in {item["uscc"] for item in shell.json("org", "list")}
    assert "ERP" in {item["name"] for item in shell.json("key", "list")}
    assert MONTHLY in {item["name"] for item in shell.json("datasets")}
    assert shell.json("datasets", MONTHLY)["key"] == ["uscc", "month"]
    assert shell.json("query", "SELECT 1 AS a")["items"] == [{"a": 1}]
    assert {item["service"] for item in shell.json("events", "lag")} >= {"identity", "government-services"}
    assert shell.json("events", "dead") == []
    assert [item for item in shell.json("doctor") if not item["ok"]] == []


def test_doctor_says_what_to_do_when_nothing_runs(shell: Shell) -> None:
    """Exit code 7, for what differs from what it should be, and the command that starts it."""
    done = shell.brain("doctor", "--url", "http://127.0.0.1:9")
    assert done.returncode == 7
    assert "✗ platform: http://127.0.0.1:9" in done.stdout
    assert "→ brain up --home" in done.stdout


def test_migrate_makes_an_empty_home_ready_and_may_be_repeated(shell: Shell, tmp_path: Path) -> None:
    """One line a service, both times."""
    for _ in range(2):
        done = shell.brain("migrate", "--home", str(tmp_path / "new"))
        assert (done.returncode, done.stdout.count("✓") >= 4) == (0, True), done.stderr


def test_a_home_or_a_port_in_use_is_told_in_one_line(shell: Shell, tmp_path: Path) -> None:
    """A second start must neither touch the data nor end in a stack of frames."""
    same_home = shell.brain("up", "--home", str(shell.platform.home), "--port", str(free_port()))
    same_port = shell.brain("up", "--home", str(tmp_path), "--port", shell.platform.url.rsplit(":", 1)[1])
    for done, words in ((same_home, "home"), (same_port, "--port")):
        assert done.returncode not in (0, -15)
        assert words in done.stderr
        assert "Traceback" not in done.stderr


def test_the_demonstration_is_loaded_once(shell: Shell) -> None:
    """A second run says so and changes nothing."""
    command = [str(Path(sys.executable).parent / "brain"), "demo", "--enterprises", "60", "--json"]
    run_quietly(command, cwd=shell.folder, env=dict(shell.environment))
    count = "SELECT count(*) AS n FROM public.enterprise"
    loaded = shell.json("query", count)["items"]
    again = shell.brain("demo", "--enterprises", "60")
    assert (again.returncode, "already" in again.stdout) == (0, True)
    assert shell.json("query", count)["items"] == loaded == [{"n": 60}]


def test_the_demonstration_describes_its_centre_as_synthetic(shell: Shell) -> None:
    """Place, storage, racks, prices, energy, carbon and tariff carry the label; a list is tried, a tariff published."""
    shell.brain("demo", "--enterprises", "60")
    (local,) = [item for item in shell.json("inventory", "show")["items"] if item["centre"] == "local"]
    assert (local["region"], local["storage_tb"], local["racks_built"]) == ("370303", 120.0, 12)
    tariffs = shell.json("settlement", "tariffs", "--centre", "local")
    assert all("合成数据" in text for text in (local["source"], tariffs[0]["source"]))
    assert "合成数据" in shell.json("centre", "carbon", "local")[0]["source"]
    tried = shell.json("settlement", "try-prices", "--core-hour", "0.2", "--days", "7")
    assert (tried["days"], tried["kept_out"]) == (7, [])
    (shell.folder / "tariff.csv").write_text(
        "月份,开始,结束,时段,元每千瓦时\n1-12,0:00,24:00,平,0.5\n", encoding="utf-8"
    )
    given = ("--region", "370303", "--source", "合成数据", "--as-of", "2026-01-01")
    made = shell.json("settlement", "set-tariff", "tariff.csv", *given)
    assert shell.json("settlement", "tariffs", "--centre", "local")[0]["region"] == made["region"] == "370303"
    (shell.folder / "tariff.csv").write_text("months\n", encoding="utf-8")
    refused = shell.brain("settlement", "set-tariff", "tariff.csv", *given)
    assert refused.returncode != 0
    assert "第 1 行" in refused.stderr


def test_indicators_are_listed_computed_and_exported(shell: Shell) -> None:
    """Of the demonstration's city: every indicator has a value or a reason; the workbook has the document's columns."""
    shell.brain("demo", "--enterprises", "60")
    place = ("--cluster", "demo-city", "--period", "2025")
    assert [item["count"] for item in shell.json("indicators", "list")] == [34, 32, 26, 72]
    run = shell.json("indicators", "compute", "demo-city", "--set", "construction", "--period", "2025")
    assert (run["state"], run["done"]) == ("succeeded", run["total"])
    table = shell.json("indicators", "list", "construction", *place)
    assert all((item["value"] is None and item["text"] is None) == bool(item["reason"]) for item in table["items"])
    assert table["cluster"]["synthetic"] is True

    written = shell.json("indicators", "export", "construction", "-o", "construction.csv", *place)
    with (shell.folder / "construction.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert written["bytes"] == (shell.folder / "construction.csv").stat().st_size
    assert rows[0][:5] == ["类型", "编号", "指标名称", "指标说明", "单位"]
    assert len(rows) == 35
    wrong = shell.brain("indicators", "export", "construction", "-o", "construction.pdf")
    assert (wrong.returncode, ".xlsx" in wrong.stderr) == (2, True)
    unknown = shell.brain("indicators", "compute", "nowhere")
    assert (unknown.returncode, "cluster_unknown" in unknown.stderr) == (6, True)


def test_compute_is_priced_shown_and_exported(shell: Shell) -> None:
    """Prices as exact decimals; a job's cost soon after its end; the month as a file; a running month stays open."""
    made = shell.json("settlement", "set-prices", "--core-hour", "3600", "--accelerator-hour", "*=3.5", "--note", "试")
    assert (made["core_hour"], made["accelerator_hour"]) == ("3600.000000", {"*": "3.500000"})
    refused = shell.brain("settlement", "set-prices", "--core-hour", "一元")
    assert refused.returncode == 6
    assert "core_hour" in refused.stderr
    job = json.loads(shell.brain("job", "submit", "--wait", "--json", "--", "sleep", "0.2").stdout)
    deadline = time.monotonic() + 30
    while not (found := shell.json("settlement", "ledger", "--job", job["id"])["items"]):
        assert time.monotonic() < deadline
    assert found[0]["amount"] == f"{found[0]['wall_s']:.6f}"
    period = found[0]["period"]
    shown = shell.brain("settlement", "show", period)
    assert "草稿" in shown.stdout
    assert found[0]["amount"] in shown.stdout
    shell.json("settlement", "export", period, "-o", "month.csv")
    rows = list(csv.DictReader((shell.folder / "month.csv").open(encoding="utf-8-sig")))
    assert sum(float(row["amount"]) for row in rows) == pytest.approx(found[0]["wall_s"])
    closing = shell.brain("settlement", "close", period, "--yes")
    assert closing.returncode == 6
    assert "还没有结束" in closing.stderr


def test_capacity_is_reserved_and_nodes_are_maintained(shell: Shell) -> None:
    """A preview keeps nothing; what is in the way is named; a cancelled reservation cannot be cancelled again."""
    span = ("--from", "2099-05-01T00:00:00+08:00", "--to", "2099-05-01T06:00:00+08:00", "--title", "汛期预报")
    org = shell.json("centre", "list")[0]["owner"]
    part = ("reserve", "add", "local", *span, "--org", org, "--cores", "0.5")
    seen = shell.json(*part, "--preview")
    assert [item["kept"]["cores"] for item in seen["nodes"]] == [0.5]
    assert shell.json("reserve", "list") == []
    made = shell.json(*part)
    assert (made["state"], made["start_at"]) == ("planned", "2099-04-30T16:00:00.000Z")
    assert made["id"] in shell.brain("reserve", "list", "--state", "live").stdout
    assert shell.json("reserve", "show", made["id"])["use"] is None
    refused = shell.brain("maintain", "add", "local", *span)
    assert (refused.returncode, made["id"] in refused.stderr) == (6, True)
    shell.json("reserve", "cancel", made["id"], "--reason", "改期")
    assert shell.brain("reserve", "cancel", made["id"], "--reason", "改期").returncode == 6
    window = shell.json("maintain", "add", "local", *span, "--running", "requeue")
    assert [item["id"] for item in shell.json("maintain", "list")] == [window["id"]]
    assert shell.json("maintain", "cancel", window["id"], "--reason", "不做了")["state"] == "cancelled"
    assert shell.brain("reserve", "add", "local", *span, "--org", org, "--count", "2").returncode == 2
