"""Tables as files: XLSX in the documents' form, CSV for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any, Literal

from brain_kit.spreadsheets import harmless

from evaluation.domain.sheets import Cell, Sheet

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV = "text/csv; charset=utf-8"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
CELL_LIMIT = 32_767
WIDTHS = {
    "类型": 18, "分类": 12, "一级指标": 16, "编号": 8, "指标名称": 26, "二级指标": 24, "指标说明": 56, "概要介绍": 56,
    "单位": 8, "指标值": 16, "来源": 34, "没有数值的原因": 36, "说明": 48,
}  # fmt: skip
Format = Literal["xlsx", "csv"]


def sheet_file(sheet: Sheet, form: Format) -> tuple[bytes, str]:
    """The table as a file, and its media type."""
    return (_xlsx(sheet), XLSX) if form == "xlsx" else (_csv(sheet), CSV)


def _csv(sheet: Sheet) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(sheet.columns)
    for row in sheet.rows:
        writer.writerow(["" if cell is None else harmless(cell) for cell in row])
    return BYTE_ORDER_MARK + text.getvalue().encode()


def _xlsx(sheet: Sheet) -> bytes:
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
    from openpyxl.utils import get_column_letter

    book = Workbook()
    page = book.active
    page.title = sheet.name[:31]
    width = len(sheet.columns)
    line = Side(style="thin", color="999999")
    border, wrapped = Border(line, line, line, line), Alignment(wrap_text=True, vertical="center")
    for number, text in enumerate(sheet.heading, 1):
        cell = page.cell(number, 1, text)
        cell.font = Font(bold=number <= 2, size=14 if number == 2 else 10)
        page.merge_cells(start_row=number, start_column=1, end_row=number, end_column=width)
    top = len(sheet.heading) + 1
    for number, name in enumerate(sheet.columns, 1):
        cell = page.cell(top, number, name)
        cell.font, cell.border, cell.alignment = Font(bold=True), border, wrapped
        # What the document does not print stands on another ground.
        cell.fill = PatternFill("solid", fgColor="DDE6F0" if number <= sheet.own_columns else "F3EBDD")
        page.column_dimensions[get_column_letter(number)].width = WIDTHS.get(name, 10)
    for place, row in enumerate(sheet.rows, top + 1):
        for number, value in enumerate(row, 1):
            cell = page.cell(place, number)
            _write(cell, value)
            cell.border, cell.alignment = border, wrapped
    for column, first, last in _runs(sheet):
        page.merge_cells(start_row=top + first, start_column=column, end_row=top + last, end_column=column)
    page.freeze_panes = page.cell(top + 1, sheet.spans + 1)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _write(cell: Any, value: Cell) -> None:
    """Text stays text: one that looks like a formula is not run."""
    if isinstance(value, str):
        cell.value = value[:CELL_LIMIT]
        cell.data_type = "s"
    elif value is not None:
        cell.value = value


def _runs(sheet: Sheet) -> Iterator[tuple[int, int, int]]:
    """(column, first row, last row), counted from 1, of equal texts in the leading columns; inner runs within outer."""
    for column in range(sheet.spans):
        first = 0
        for number in range(1, len(sheet.rows) + 1):
            here = sheet.rows[number][: column + 1] if number < len(sheet.rows) else None
            if here != sheet.rows[first][: column + 1]:
                if number - first > 1:
                    yield column + 1, first + 1, number
                first = number
