"""Checking rows one by one: the only place that says which row, field and value is wrong, and why.

Small pushes go through here whole. Of large ones only the stretches in which SQL found something wrong do, so that a
reason is worded once and a row is judged the same whatever the size of its push (a property test compares the two).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from brain_contracts.codes import CHECKS, CodeInvalid
from brain_contracts.contract import Column, DatasetContract

from data_hub.domain.columns import unknown_hint
from data_hub.domain.push import Mode, Reject, columns_of
from data_hub.domain.reasons import CODE_OF_TYPE, explain_row, explain_value, shown_value
from data_hub.domain.values import WRONG, Parse, parser_of

Rule = tuple[str, Callable[[Any], bool]]
Key = tuple[Any, ...]


@dataclass(frozen=True)
class _Plan:
    column: Column
    parse: Parse
    rules: tuple[Rule, ...]
    is_required: bool
    is_text_column: bool


class RowChecker:
    """Judges rows of one push against its contract.

    owner: the only value that the owner column may have, None when the caller may push for anybody.
    is_text: values come from CSV or a spreadsheet.
    """

    def __init__(self, contract: DatasetContract, mode: Mode, *, owner: str | None, is_text: bool) -> None:
        wanted = columns_of(contract, mode)
        self.contract = contract
        self.names = wanted.used
        self._known = frozenset(wanted.known)
        self._plans = [_plan(contract.column(name), name in wanted.required, is_text) for name in wanted.used]
        self._is_text = is_text
        self._owner = owner if contract.owner_column is not None else None
        self._key_places = [wanted.used.index(name) for name in contract.key]

    def key_of(self, values: list[Any]) -> Key:
        """The key of a checked row; empty when the contract has none."""
        return tuple(values[place] for place in self._key_places)

    def check(self, row: Mapping[str, Any], number: int, original: Callable[[], str]) -> tuple[list[Any], list[Reject]]:
        """(values in the order of `names`, what is wrong). `original` gives the row's text when it is needed."""
        values: list[Any] = []
        wrong: list[tuple[Column, str, Any]] = []
        for plan in self._plans:
            value = row.get(plan.column.name)
            if value is None or value == "":
                # An empty cell is nothing; an empty text in JSON is a text, though not one for a required column.
                values.append(None if value is None or self._is_text or not plan.is_text_column else "")
                if plan.is_required:
                    wrong.append((plan.column, "required_missing", value))
                continue
            parsed = plan.parse(value)
            values.append(parsed)
            if parsed is WRONG:
                wrong.append((plan.column, "wrong_type", value))
                continue
            for code, is_broken in plan.rules:
                if is_broken(parsed):
                    wrong.append((plan.column, code, value))
                    break
        if not wrong and self._owner is None and len(row) <= len(self._known) and self._known.issuperset(row):
            return values, []
        return values, self._rejects(row, wrong, number, original)

    def malformed(self, number: int, text: str, error: str) -> Reject:
        """The reject of a line that is not a row at all."""
        reason, fix = explain_row("malformed_line", error=error)
        return Reject(number, "", shown_value(text), "malformed_line", reason, fix, text)

    def duplicate(self, number: int, first: int, key: Key, original: str) -> Reject:
        """The reject of a row whose key an earlier row of the push has."""
        return key_reject("duplicate_key", self.contract, number, key, original, first=first)

    def _rejects(
        self,
        row: Mapping[str, Any],
        wrong: list[tuple[Column, str, Any]],
        number: int,
        original: Callable[[], str],
    ) -> list[Reject]:
        found = []
        text = ""
        for column, code, value in wrong:
            text = text or original()
            reason, fix = explain_value(column, code, value)
            found.append(Reject(number, column.name, shown_value(value), code, reason, fix, text))
        for name in row:
            # Without a value nothing is lost, and SQL cannot tell such a column from a known one.
            if name not in self._known and row[name] is not None:
                text = text or original()
                hint = unknown_hint(name, self.contract.column_names)
                reason, fix = explain_row("unknown_column", field=name, hint=hint)
                found.append(Reject(number, name, shown_value(row[name]), "unknown_column", reason, fix, text))
        if self._owner is not None:
            field = self.contract.owner_column or ""
            value = row.get(field)
            # A deletion whose key lacks the owner column deletes among the caller's own rows anyway.
            if value is not None and value != "" and value != self._owner:
                text = text or original()
                reason, fix = explain_row("not_your_row", field=field, org=self._owner)
                found.append(Reject(number, field, shown_value(value), "not_your_row", reason, fix, text))
        return found


def key_reject(code: str, contract: DatasetContract, number: int, key: Key, original: str, **facts: object) -> Reject:
    """The reject of a row for its key: `duplicate_key` (facts: first) or `key_exists`."""
    reason, fix = explain_row(code, **facts)
    return Reject(number, "、".join(contract.key), shown_value("、".join(map(str, key))), code, reason, fix, original)


def _plan(column: Column, is_required: bool, is_text: bool) -> _Plan:
    parse = parser_of(column.logical_type, column.code_type, is_text=is_text)
    return _Plan(column, parse, tuple(_rules(column)), is_required, column.logical_type == "string")


def _rules(column: Column) -> list[Rule]:
    rules: list[Rule] = []
    if column.logical_type == "string":
        rules.append(("nul_byte", lambda text: "\x00" in text))
    if column.code_type is not None:
        rules.append((CODE_OF_TYPE[column.code_type], _code_rule(column.code_type)))
    if column.enum:
        allowed = frozenset(column.enum)
        rules.append(("not_in_enum", lambda text: text not in allowed))
    if column.pattern is not None:
        pattern = re.compile(column.pattern)
        rules.append(("pattern", lambda text: pattern.fullmatch(text) is None))
    rules += _bounds(column)
    return rules


def _bounds(column: Column) -> list[Rule]:
    rules: list[Rule] = []
    if column.minimum is not None:
        least = column.minimum
        rules.append(("below_minimum", lambda value: value < least))
    if column.maximum is not None:
        most = column.maximum
        rules.append(("above_maximum", lambda value: value > most))
    if column.max_length is not None:
        length = column.max_length
        rules.append(("too_long", lambda text: len(text) > length))
    return rules


@cache
def _code_rule(code_type: str) -> Callable[[str], bool]:
    check = CHECKS[code_type]

    @lru_cache(maxsize=65536)
    def is_broken(text: str) -> bool:
        try:
            check(text)
        except CodeInvalid:
            return True
        return False

    return is_broken
