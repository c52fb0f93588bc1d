"""The real public data as three providers push them, with their own contracts and a chain made of them."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
CHAIN = "shenwan"
METER_USCC = "91370300MA3C000032"

Rows = list[dict[str, Any]]


def read_csv(path: Path) -> Rows:
    """Rows of a CSV file, empty strings as None."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [{name: value or None for name, value in row.items()} for row in csv.DictReader(file)]


def as_csv(rows: Iterable[dict[str, Any]], columns: list[str]) -> bytes:
    """CSV bytes with a header."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


class RealInput:
    """What `realdata` holds, and what must come out of it, computed from the files alone."""

    def __init__(self, folder: Path) -> None:
        self.companies = read_csv(folder / "chain/listed_companies_2021.csv")
        self.industries = read_csv(folder / "chain/sw_industries.csv")
        self.links = read_csv(folder / "chain/industry_upstream_edges.csv")
        self.regions = read_csv(folder / "codes/gbt2260_shandong.csv")
        self.meter = read_csv(folder / "energy/steel_industry_2018_15min.csv")

    def first_by(self, rows: Rows, *key: str) -> Rows:
        """The first row of each key: what an append keeps when later rows repeat a key."""
        kept: dict[tuple[Any, ...], dict[str, Any]] = {}
        for row in rows:
            kept.setdefault(tuple(row[name] for name in key), row)
        return list(kept.values())

    def dated_companies(self) -> Rows:
        """Companies whose date of listing is a date or empty; some rows of the file carry another column there."""
        return [row for row in self.companies if row["listed_on"] is None or DATE.fullmatch(row["listed_on"])]

    def good_companies(self) -> Rows:
        """Companies that keep the contract, the first of each code."""
        return self.first_by(self.dated_companies(), "stock_code")

    def meter_rows(self) -> Rows:
        """Energy rows in the shape of enterprise.meter_15min: local time as UTC+8, energy in kWh."""
        rows = []
        for row in self.meter:
            day, clock = row["date"].split(" ")
            date, month, year = day.split("/")
            hour, minute = clock.split(":")
            rows.append(
                {
                    "uscc": METER_USCC,
                    "meter_id": "steel-1",
                    "ts": f"{year}-{month}-{date}T{hour}:{minute}:00+08:00",
                    "energy_kwh": row["Usage_kWh"],
                }
            )
        return rows

    def energy_kwh(self) -> float:
        """Energy of the whole file, summed without the platform."""
        return sum(float(row["Usage_kWh"]) for row in self.meter)

    def companies_of(self) -> dict[str, set[str]]:
        """Industry code to stock codes of the companies that name it."""
        found: dict[str, set[str]] = defaultdict(set)
        for row in self.good_companies():
            if row["sw_industry_code"]:
                found[row["sw_industry_code"]].add(row["stock_code"])
        return found

    def neighbours(self, industry: str) -> tuple[set[str], set[str]]:
        """Names of the industries that supply an industry, and of those that it supplies; known industries only."""
        known = {row["name"] for row in self.industries}
        up = {row["upstream_industry"] for row in self.links if row["industry"] == industry}
        down = {row["industry"] for row in self.links if row["upstream_industry"] == industry}
        return up & known, down & known

    def busiest_industry(self) -> str:
        """The industry with most companies that has links both ways."""
        names = {row["code"]: row["name"] for row in self.industries}
        counts = Counter({code: len(codes) for code, codes in self.companies_of().items() if code in names})
        for code, _ in counts.most_common():
            up, down = self.neighbours(names[code])
            if up and down:
                return code
        raise AssertionError("no industry with companies and links both ways")


def contract(
    name: str, title: str, columns: dict[str, str], key: list[str], *, access: str = "owner", example: dict[str, Any]
) -> bytes:
    """A small ODCS document; columns maps a name to a logical type."""
    properties = []
    for column, logical_type in columns.items():
        item: dict[str, Any] = {"name": column, "logicalType": logical_type}
        if column in key:
            item |= {"primaryKey": True, "primaryKeyPosition": key.index(column) + 1, "required": True}
        properties.append(item)
    warehouse, table = name.split(".")
    document = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": name,
        "name": name,
        "version": "1.0.0",
        "status": "active",
        "customProperties": [
            {"property": "warehouse", "value": warehouse},
            {"property": "library", "value": "base"},
            {"property": "classification", "value": "一般-2"},
            {"property": "access", "value": access},
            {"property": "titleZh", "value": title},
            {"property": "titleEn", "value": table.replace("_", " ")},
            {"property": "example", "value": example},
        ],
        "schema": [{"name": table, "logicalType": "object", "properties": properties}],
    }
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False).encode()


CONTRACTS: dict[str, bytes] = {
    "industry.listed_company": contract(
        "industry.listed_company",
        "上市公司",
        {
            "stock_code": "string",
            "short_name": "string",
            "full_name": "string",
            "exchange": "string",
            "listed_on": "date",
            "sw_industry_code": "string",
            "sw_industry_name": "string",
            "shandong_area_code_guess": "string",
        },
        ["stock_code"],
        example={"stock_code": "600000", "short_name": "示例股份", "full_name": "示例股份有限公司"},
    ),
    "industry.sw_industry": contract(
        "industry.sw_industry",
        "申万行业",
        {"code": "string", "name": "string", "parent": "string"},
        ["code"],
        access="open",
        example={"code": "110000", "name": "农林牧渔"},
    ),
    "industry.sw_upstream": contract(
        "industry.sw_upstream",
        "行业上游关系",
        {"industry": "string", "upstream_industry": "string", "weight": "integer"},
        ["industry", "upstream_industry"],
        access="open",
        example={"industry": "轴承", "upstream_industry": "特钢", "weight": 1},
    ),
    "public.shandong_region": contract(
        "public.shandong_region",
        "山东行政区划",
        {"code": "string", "name": "string", "level": "string", "parent": "string"},
        ["code"],
        access="open",
        example={"code": "370000", "name": "山东省", "level": "province"},
    ),
}
DEFINITION: dict[str, Any] = {
    "name": "申万行业上下游",
    "nodes": {"dataset": "industry.sw_industry", "id": "code", "name": "name", "parent": "parent"},
    "links": {
        "dataset": "industry.sw_upstream",
        "from": "upstream_industry",
        "to": "industry",
        "weight": "weight",
        "by": "name",
    },
    "enterprises": {"dataset": "industry.listed_company", "id": "stock_code", "name": "short_name"},
    "members": {"dataset": "industry.listed_company", "enterprise": "stock_code", "node": "sw_industry_code"},
}
