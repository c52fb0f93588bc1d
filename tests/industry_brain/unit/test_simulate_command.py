"""`brain simulate` on a log written for the test."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from industry_brain.cli import cli

# Eight processors: 6 of them until 100; then all 8 wanted; then 2 for 50 s, which pass.
LOG = """; MaxProcs: 8
1 0 -1 100 6 -1 -1 6 100 -1 1 1 1 -1 -1 -1 -1 -1
2 1 -1 50 8 -1 -1 8 50 -1 1 2 1 -1 -1 -1 -1 -1
3 2 -1 50 2 -1 -1 2 50 -1 1 1 1 -1 -1 -1 -1 -1
"""


def run(path: Path, *more: str) -> tuple[int, str]:
    """Exit code and standard output."""
    result = CliRunner().invoke(cli, ["simulate", "--trace", str(path), *more])
    return result.exit_code, result.stdout if result.exit_code == 0 else result.output


def test_the_report_compares_the_policy_with_easy(tmp_path: Path) -> None:
    """Without backfill the third job waits until 150, with it none: slowdowns 1, 149/50 and 198/50 or 1."""
    log = tmp_path / "log.swf.gz"
    log.write_bytes(gzip.compress(LOG.encode()))
    code, output = run(log, "--policy", "fcfs", "--json")
    report = json.loads(output)

    assert code == 0
    assert (report["trace"], report["policy"], report["seed"], report["jobs"]) == ("log.swf.gz", "fcfs", 0, 3)
    assert abs(report["metrics"]["mean_bounded_slowdown"] - (1 + 149 / 50 + 198 / 50) / 3) < 1e-9
    assert report["reference"]["name"] == "EASY"
    assert abs(report["reference"]["metrics"]["mean_bounded_slowdown"] - (1 + 149 / 50 + 1) / 3) < 1e-9
    assert report["metrics"]["longest_wait_s"] == 148.0
    assert report["metrics"]["decisions_per_s"] > 0


def test_the_table_is_for_people(tmp_path: Path) -> None:
    """Without --json: a row a metric with the ratio to EASY."""
    log = tmp_path / "log.swf"
    log.write_text(LOG, encoding="utf-8")
    code, output = run(log, "--policy", "easy", "--limit", "2")

    assert code == 0
    assert "2 个作业" in output
    assert "mean_bounded_slowdown" in output
    assert "1.000" in output


def test_what_is_no_log_is_refused_in_words(tmp_path: Path) -> None:
    """A wrong line is named; a damaged archive is said; both end with the code of wrong usage."""
    log, archive = tmp_path / "log.swf", tmp_path / "log.swf.gz"
    log.write_text("; MaxProcs: 8\n1 2 3\n", encoding="utf-8")
    archive.write_bytes(gzip.compress(LOG.encode())[:40])

    assert run(log)[0] == run(archive)[0] == 2
    assert "line 2" in run(log)[1]
    assert "log.swf.gz" in run(archive)[1]


def test_clusters_in_an_archive_share_their_work(tmp_path: Path) -> None:
    """Two clusters of two GPUs: the job that waits in east moves to west with 10 s of staging; plain pull agrees."""
    head = "job_id,submission_time,duration,num_gpu\n"
    logs = {"east.csv": head + "a,0,100,2\nb,1,50,1\n", "west.csv": head + "c,100,60,2\n", "LICENSE": "MIT"}
    archive = tmp_path / "logs.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, text in logs.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    code, output = run(
        archive, "--format", "elasticflow", "--load", "9", "--staging", "10", "--policy", "easy", "--json"
    )
    report = json.loads(output)

    assert code == 0
    assert report["reference"]["name"] == "pull"
    assert abs(report["metrics"]["mean_delay_s"] - 10 / 3) < 1e-9
    assert abs(report["reference"]["metrics"]["moved_pct"] - 100 / 3) < 1e-9
    assert run(archive)[0] == 2


def test_clusters_with_a_carbon_series_are_compared_by_their_co2(tmp_path: Path) -> None:
    """Ten hours of two cards of 1 kW go to the clean cluster, the minute of two cards that comes then to the other.

    Pull, all at home: 20 kWh at 550 g, 1/60 kWh at 550 g, 1/30 kWh at 50 g. Ours with ten seconds of staging:
    2 * 36,010 kJ at 50 g, 60 kJ at 550 g, 2 * 70 kJ at 550 g.
    """
    options = ["--format", "elasticflow", "--policy", "carbon", "--power", "1000", "--staging", "10"]
    code, output = run(*clusters(tmp_path), *options, "--zone", "a=coal", "--zone", "b=hydro", "--json")
    report = json.loads(output)

    assert code == 0
    assert report["reference"]["metrics"]["co2_kg"] == pytest.approx(11 + 0.55 / 60 + 0.05 / 30)
    ours = (2 * 36_010 * 50 + 60 * 550 + 2 * 70 * 550) / 3600 / 1000
    assert report["metrics"]["co2_kg"] == pytest.approx(ours)
    assert report["metrics"]["moved_pct"] == pytest.approx(200 / 3)
    # The logs may also follow the options, as a shell writes them out for a pattern.
    first, *rest = (path for path in clusters(tmp_path) if path != "--trace")
    again = json.loads(
        run(Path(first), *options, "--zone", "a=coal", "--zone", "b=hydro", "--json", *map(str, rest))[1]
    )
    assert again["metrics"]["co2_kg"] == report["metrics"]["co2_kg"]


def test_a_wrong_carbon_series_or_zone_is_refused_in_words(tmp_path: Path) -> None:
    """Each names the option and what is wrong."""
    told = clusters(tmp_path)
    for zone, words in (("c=coal", "no such centre"), ("a", "CENTRE=ZONE"), ("a=wind", "no such zone")):
        code, output = run(*told, "--format", "elasticflow", "--zone", zone)
        assert (code, words in output) == (2, True)
    assert run(told[0], "--carbon", told[-1])[0] == 2
    Path(told[-1]).write_text("hour_utc,coal\n2022-01-01T00:00Z,much\n", encoding="utf-8")
    code, output = run(*told, "--format", "elasticflow")
    assert (code, "line 2" in output) == (2, True)


def clusters(folder: Path) -> tuple[Path, str, str, str, str]:
    """Two clusters and a carbon series of two zones, as arguments."""
    head = "job_id,submission_time,duration,num_gpu\n"
    first, second, carbon = folder / "a.csv", folder / "b.csv", folder / "carbon.csv"
    first.write_text(head + "x,0,36000,2\ny,36000,60,1\n", encoding="utf-8")
    second.write_text(head + "z,1,60,2\n", encoding="utf-8")
    carbon.write_text("hour_utc,coal,hydro\n2022-01-01T00:00Z,550,50\n", encoding="utf-8")
    return first, "--trace", str(second), "--carbon", str(carbon)


NODES = "sn,cpu_milli,memory_mib,gpu,model\nn-0,8000,1000,10,T4\n"
PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\np,500,10,1,1000,T4\n"


def test_a_pod_list_is_packed_beside_published_fgd(tmp_path: Path) -> None:
    """Thirteen whole GPUs are asked for, ten are there; the first twelve ask for 120 %."""
    nodes, pods = tmp_path / "nodes.csv.gz", tmp_path / "pods.csv"
    nodes.write_bytes(gzip.compress(NODES.encode()))
    pods.write_text(PODS, encoding="utf-8")
    code, output = run(pods, "--format", "openb", "--nodes", str(nodes), "--seed", "7", "--json")
    report = json.loads(output)

    assert code == 0
    assert (report["trace"], report["policy"], report["seed"], report["jobs"]) == ("pods.csv", "default", 7, 13)
    assert (report["metrics"]["allocation_pct"], report["metrics"]["requested_pct"]) == (100.0, 130.0)
    assert report["metrics"]["decisions_per_s"] > 0
    assert report["reference"]["name"] == "FGD"
    assert report["reference"]["metrics"]["allocation_pct"] == 100.0

    code, output = run(pods, "--format", "openb", "--nodes", str(nodes), "--limit", "12", "--policy", "best-fit")
    assert (code, "12 个 pod" in output, "120.00" in output) == (0, True, True)


def test_what_is_wrong_with_a_pod_list_is_said(tmp_path: Path) -> None:
    """Without nodes, with a cell that is no number, with a damaged archive, with nodes where none belong."""
    nodes, pods, bad = tmp_path / "nodes.csv", tmp_path / "pods.csv", tmp_path / "bad.csv.gz"
    nodes.write_text(NODES, encoding="utf-8")
    pods.write_text(PODS.replace("500", "x"), encoding="utf-8")
    bad.write_bytes(gzip.compress(PODS.encode())[:30])
    openb = ("--format", "openb")

    assert "needs the node list" in run(pods, *openb)[1]
    code, output = run(pods, *openb, "--nodes", str(nodes))
    assert code == 2
    assert "pods.csv, line 2, column cpu_milli: x" in " ".join(output.split())
    assert "bad.csv.gz" in run(bad, *openb, "--nodes", str(nodes))[1]
    assert "bad.csv.gz" in run(pods, *openb, "--nodes", str(bad))[1]
    assert run(pods, "--nodes", str(nodes))[0] == 2
