"""`python -m algorithm_dev.runner`: a component over a data set, inside a job.

It reads from its folder `card.json`, the card's entry file as `artefact`, `input.parquet` and `run.json`; verifies the
digests; writes `result.parquet` and `report.json`. It needs no network, no database and no other service. Exit code 0
with a result, 3 with a reason in `report.json`, which is also the last line that it prints.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

REFUSED = 3
CARD, ARTEFACT, INPUT, SETTINGS = "card.json", "artefact", "input.parquet", "run.json"
RESULT, REPORT = "result.parquet", "report.json"


def main(folder: Path) -> int:
    """Runs in a folder; the exit code."""
    started = time.monotonic()
    try:
        report = _run(folder)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is the run's reason, told in its report
        report = {"state": "failed", "reason": _told(error), "error": type(error).__name__}
    report["seconds"] = round(time.monotonic() - started, 3)
    (folder / REPORT).write_text(json.dumps(report, ensure_ascii=False), encoding="utf-8")
    sys.stdout.write(f"{report.get('reason') or '完成 done'}\n")
    return 0 if report["state"] == "succeeded" else REFUSED


def _run(folder: Path) -> dict[str, Any]:
    from algorithm_dev.domain.card import parse_card
    from algorithm_dev.domain.versions import content_digest
    from algorithm_dev.engine.batch import run_batch

    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    card = parse_card((folder / CARD).read_bytes())
    content = (folder / ARTEFACT).read_bytes()
    _tell(f"组件 {card.name} {card.version}，运行时 {card.runtime}")
    if content_digest(card) != settings["digest"]:
        raise ValueError(f"卡片的摘要不是 {settings['digest']}：文件被替换")
    if hashlib.sha256(content).hexdigest() != card.artefact(card.entry).sha256:
        raise ValueError(f"文件 {card.entry} 的摘要与卡片不符：文件被替换")
    _tell("摘要相符，开始计算")
    counts = run_batch(card, content, folder / INPUT, folder / RESULT, settings, folder / "tmp")
    digest = hashlib.sha256((folder / RESULT).read_bytes()).hexdigest()
    _tell(f"读入 {counts['rows_in']} 行，得到 {counts['rows_out']} 行")
    return {"state": "succeeded", "reason": "", "digest": settings["digest"], "result_sha256": digest} | counts


def _told(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text[:1000]


def _tell(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(Path.cwd()))
