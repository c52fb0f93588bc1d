"""The catalogue, a data set with its contract, and its rows."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query
from starlette.responses import Response

from service_portal.portal.exports import as_file, streamed
from service_portal.portal.parts import part
from service_portal.portal.shapes import Dataset, catalogue, dataset_of, numeric_columns
from service_portal.portal.visit import SignedIn, Visit

router = APIRouter()
PAGE_ROWS = 100
SHOWN_VERSIONS = 8
Columns = Annotated[list[str] | None, Query()]


@router.get("/datasets")
def datasets(visit: SignedIn, q: str = "", warehouse: str = "", library: str = "") -> Response:
    """Every data set the caller may see, narrowed by text, warehouse and library."""
    known = _catalogue(visit)
    return visit.page(
        "datasets.html",
        known=known,
        shown=_chosen(known, q, warehouse, library),
        q=q,
        warehouse=warehouse,
        library=library,
        counts={name: sum(item.warehouse == name for item in known) for name in ("public", "industry", "enterprise")},
    )


@router.get("/datasets.{kind}")
def datasets_file(
    visit: SignedIn, kind: Literal["csv", "xlsx"], q: str = "", warehouse: str = "", library: str = ""
) -> Response:
    """The catalogue as the page shows it."""
    columns = [
        "name",
        "title",
        "warehouse",
        "library",
        "access",
        "classification",
        "rows",
        "bytes",
        "owners",
        "last_commit",
    ]
    items = [
        {name: getattr(item, name) for name in columns} for item in _chosen(_catalogue(visit), q, warehouse, library)
    ]
    return as_file(kind, "datasets", columns, items)


@router.get("/datasets/{name}")
def dataset(visit: SignedIn, name: str) -> Response:
    """A data set: schema, key, rules, a valid example, calls to push and read, size, latest pushes."""
    statistics = part(visit.brain.statistics)
    found = dataset_of(visit.brain.dataset(name), visit.locale).with_statistics(statistics.value or {})
    pushes = part(lambda: visit.brain.pushes(dataset=name, limit=8)["items"])
    return visit.page(
        "dataset.html",
        versions=part(lambda: visit.brain.versions(name, SHOWN_VERSIONS)),
        copies=part(lambda: visit.brain.data_quotes(name)),
        dataset=found,
        statistics=statistics,
        pushes=pushes,
        synthetic=found.synthetic or is_synthetic(visit, pushes.value or []),
        example=json.dumps(found.example, ensure_ascii=False, default=str),
    )


@router.get("/datasets/{name}/rows")
def rows(
    visit: SignedIn,
    name: str,
    columns: Columns = None,
    filter: str = "",  # noqa: A002
    after: str = "",
    as_of: str = "",
    version: str = "",
) -> Response:
    """A page of rows with column choice and filter; a filter that the API refuses is explained above the table."""
    found = dataset_of(visit.brain.dataset(name), visit.locale)
    chosen = _split(columns)
    page = part(
        lambda: visit.brain.rows(
            name, columns=",".join(chosen), filter=filter, after=after, as_of=as_of, version=version, limit=PAGE_ROWS
        )
    )
    items = (page.value or {}).get("items") or []
    query = {"columns": ",".join(chosen), "filter": filter, "as_of": as_of, "version": version}
    return visit.page(
        "rows.html",
        dataset=found,
        page=page,
        synthetic=found.with_statistics(part(visit.brain.statistics).value or {}).synthetic
        or is_synthetic(visit, [{"owner": row["_owner"]} for row in items if "_owner" in row]),
        numeric=numeric_columns(items),
        chosen=chosen,
        filter=filter,
        after=after,
        as_of=as_of,
        version=version,
        titles={column.name: column for column in found.columns},
        exports=[
            ("CSV", visit.url(f"/datasets/{quote(name)}/rows.csv", **query)),
            ("XLSX", visit.url(f"/datasets/{quote(name)}/rows.xlsx", after=after, **query)),
            ("Parquet", visit.url(f"/datasets/{quote(name)}/rows.parquet", **query)),
        ],
        api_path=visit.url(f"/v1/datasets/{quote(name)}/rows", limit=PAGE_ROWS, **query),
    )


_TYPES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}


@router.get("/datasets/{name}/rows.{kind}")
def rows_file(
    visit: SignedIn,
    name: str,
    kind: Literal["csv", "xlsx", "parquet"],
    columns: Columns = None,
    filter: str = "",  # noqa: A002
    after: str = "",
    as_of: str = "",
    version: str = "",
) -> Response:
    """The rows of the page as a file: XLSX of the page, CSV and Parquet of all that match, as the API limits them."""
    params = {"columns": ",".join(_split(columns)), "filter": filter, "as_of": as_of, "version": version}
    given = {key: value for key, value in params.items() if value}
    if kind == "xlsx":
        page = visit.brain.rows(name, after=after, limit=PAGE_ROWS, **given)
        return as_file("xlsx", name, [column["name"] for column in page["columns"]], page["items"])
    return streamed(visit.brain.rows_stream(name, _TYPES[kind], **given), _TYPES[kind], f"{name}.{kind}")


def is_synthetic(visit: Visit, owned: list[dict[str, Any]]) -> bool:
    """True when an `owner` of pushes or rows is registered as 合成数据.

    Looks at three owners at most; those that the caller may not know count as real.
    """
    owners = list(dict.fromkeys(str(item["owner"]) for item in owned if item.get("owner")))[:3]
    known = [part(lambda owner=owner: visit.brain.organisation(owner)).value for owner in owners]  # type: ignore[misc]
    return any(bool(organisation and organisation.get("synthetic")) for organisation in known)


def _split(columns: list[str] | None) -> list[str]:
    return [name for entry in columns or [] for name in entry.split(",") if name]


def _catalogue(visit: SignedIn) -> list[Dataset]:
    statistics = part(visit.brain.statistics)
    return catalogue(visit.brain.datasets(), statistics.value or {}, visit.locale)


def _chosen(known: list[Dataset], text: str, warehouse: str, library: str) -> list[Dataset]:
    needle = text.strip().casefold()
    return [
        item
        for item in known
        if (not warehouse or item.warehouse == warehouse)
        and (not library or item.library == library)
        and (not needle or needle in item.search_text)
    ]
