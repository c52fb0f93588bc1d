"""The SQL page: editor, run and cancel, result, chart, history, export. The address keeps the SQL."""

from __future__ import annotations

import re
from typing import Any, Literal

from brain_kit.problems import InvalidInput
from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.exports import as_file, streamed
from service_portal.portal.parts import part
from service_portal.portal.shapes import dataset_of, numeric_columns
from service_portal.portal.visit import Sent, SignedIn, Visit

router = APIRouter()
ROW_LIMIT = 1000
DERIVE_WAIT_S = 5
FILE_TYPES = {
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
EXAMPLE = """SELECT month, count(*) AS enterprises, sum(revenue_10k_cny) AS revenue
FROM enterprise.enterprise_monthly
GROUP BY month
ORDER BY month"""


@router.get("/sql")
def editor(visit: SignedIn, q: str = "") -> Response:
    """The editor with the SQL of the address; nothing runs before the person says so."""
    found = part(visit.brain.datasets)
    tables = [dataset_of(item, visit.locale) for item in found.value or []]
    history = part(lambda: visit.brain.queries()["items"])
    return visit.page(
        "sql.html",
        sql=q or EXAMPLE,
        tables=sorted(tables, key=lambda table: table.name),
        history=history,
        limit=ROW_LIMIT,
    )


@router.get("/sql/tables/{name}")
def table_columns(visit: SignedIn, name: str) -> Response:
    """The columns of a table for the list beside the editor."""
    return visit.page("_columns.html", table=dataset_of(visit.brain.dataset(name), visit.locale))


@router.post("/sql/run")
def run(sent: Sent) -> Response:
    """Run the SQL and answer the result part of the page."""
    visit, form = sent.visit, sent.form
    sql = form.one("q")
    if not sql:
        raise InvalidInput("请先写一条 SELECT 语句。")
    body = visit.brain.query(sql, ROW_LIMIT, form.one("id"))
    items: list[dict[str, Any]] = body["items"]
    return visit.page(
        "_result.html",
        columns=body["columns"],
        rows=items,
        numeric=numeric_columns(items),
        more=bool(body.get("next")),
        elapsed_ms=body.get("elapsed_ms"),
        synthetic=_reads_synthetic(visit, sql),
    )


def _reads_synthetic(visit: Visit, sql: str) -> bool:
    """Whether the SQL names a data set that holds 合成数据, however it writes the name."""
    words = re.sub(r'["\s]', "", sql).casefold()
    known = part(visit.brain.statistics).value or {}
    return any(item.get("synthetic") and item["dataset"].casefold() in words for item in known.get("datasets", ()))


@router.post("/sql/derive")
def derive(sent: Sent) -> Response:
    """Make a data set of the SQL's result and say where it is."""
    visit, form = sent.visit, sent.form
    fields = {
        "name": form.one("name").strip(),
        "title": form.one("title").strip(),
        "sql": form.one("q"),
        "key": [name.strip() for name in form.one("key").replace("，", ",").split(",") if name.strip()],
        "mode": form.one("mode", "replace"),
    }
    if not fields["name"] or not fields["title"]:
        raise InvalidInput("请填写数据集名称和中文名称。")
    return visit.page("_derived.html", made=visit.brain.derive(fields, DERIVE_WAIT_S))


@router.post("/sql/cancel")
def cancel(sent: Sent) -> Response:
    """Stop the query of this page."""
    sent.visit.brain.cancel_query(sent.form.one("id"))
    return Response(status_code=204)


@router.get("/sql/history")
def history(visit: SignedIn) -> Response:
    """The caller's running and recent queries."""
    return visit.page("_history.html", history=part(lambda: visit.brain.queries()["items"]))


@router.post("/sql/export")
def export(sent: Sent) -> Response:
    """The whole answer as a file, streamed as the API gives it; XLSX takes the first rows only."""
    visit, form = sent.visit, sent.form
    kind: Literal["csv", "parquet", "arrow", "xlsx"] = form.one("kind", "csv")  # type: ignore[assignment]
    sql = form.one("q")
    if kind == "xlsx":
        body = visit.brain.query(sql, 10_000, "")
        return as_file("xlsx", "query", [column["name"] for column in body["columns"]], body["items"])
    if kind not in FILE_TYPES:
        raise InvalidInput(f"不支持的格式。可用：{'、'.join([*FILE_TYPES, 'xlsx'])}。")
    stream = visit.brain.query_stream(sql, FILE_TYPES[kind])
    return streamed(stream, FILE_TYPES[kind], f"query.{kind}")
