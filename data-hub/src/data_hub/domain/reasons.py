"""What is wrong with a value, in words: Chinese first, with what to do next. The code never changes, the words may."""

from __future__ import annotations

from brain_contracts.codes import CHECKS, CodeInvalid
from brain_contracts.contract import Column

TYPE_WORDS = {
    "string": ("文字", '请写作带引号的文字，如 "600000"'),
    "integer": ("整数", "请填不带单位和千分位的整数，如 312"),
    "number": ("数", "请填不带单位和千分位的数，如 1286.4"),
    "boolean": ("是否", "请填 true 或 false"),
    "date": ("日期", "请写作 2026-10-31"),
    "timestamp": ("时间", "请写作 2026-10-31T08:15:00+08:00；不写时区按北京时间"),
}
CODE_OF_TYPE = {
    "uscc": "bad_uscc",
    "region": "bad_region",
    "industry_class": "bad_industry_class",
    "month": "bad_month",
}
TYPE_OF_CODE = {code: kind for kind, code in CODE_OF_TYPE.items()}
CODE_FIXES = {
    "bad_uscc": "请核对营业执照上的 18 位代码",
    "bad_region": "请用国家标准 GB/T 2260 的 6 位代码，如 370303",
    "bad_industry_class": "请用国家标准 GB/T 4754-2017 的代码，如 3451",
    "bad_month": "请写作 YYYY-MM，如 2026-10",
}
MAX_VALUE_CHARACTERS = 200


def shown_value(value: object) -> str | None:
    """A value as a reject shows it: text, cut off when long."""
    if value is None:
        return None
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    text = text.replace("\x00", "\\u0000")
    return text if len(text) <= MAX_VALUE_CHARACTERS else text[:MAX_VALUE_CHARACTERS] + "…"


def explain_value(column: Column, code: str, value: object) -> tuple[str, str]:
    """(reason, fix) for a value of a column that breaks the rule behind the code."""
    if code in TYPE_OF_CODE:
        return _code_reason(code, value), CODE_FIXES[code]
    if code == "wrong_type":
        word, fix = TYPE_WORDS[column.logical_type]
        return f"{_title(column)}应为{word}", fix
    if code == "required_missing":
        return f"{_title(column)}必填", "请补上值"
    if code == "nul_byte":
        return f"{_title(column)}含有不可见的 NUL 字符", "请删去 NUL 字符后重新提交"
    return _rule_reason(column, code, value)


def _code_reason(code: str, value: object) -> str:
    try:
        CHECKS[TYPE_OF_CODE[code]](str(value))
    except CodeInvalid as error:
        return str(error)
    return "代码不合国家标准"


def _rule_reason(column: Column, code: str, value: object) -> tuple[str, str]:
    title = _title(column)
    unit = column.unit
    if code == "not_in_enum":
        allowed = "、".join(column.enum)
        return f"{title}的取值不在允许的范围内", f"请填其中之一：{allowed}"
    if code == "pattern":
        return f"{title}的写法不合要求", f"应符合 {column.pattern}"
    if code == "below_minimum":
        return f"{title}小于最小值 {column.minimum:g}{unit}", f"请填不小于 {column.minimum:g} 的数"
    if code == "above_maximum":
        return f"{title}大于最大值 {column.maximum:g}{unit}", f"请填不大于 {column.maximum:g} 的数"
    length = len(value) if isinstance(value, str) else 0
    return f"{title}过长：{length} 个字，最多 {column.max_length} 个", f"请缩短到 {column.max_length} 个字以内"


def explain_row(code: str, **facts: object) -> tuple[str, str]:
    """(reason, fix) for what is wrong with a row as a whole."""
    words = {
        "unknown_column": ("合同中没有列 {field}", "{hint}"),
        "malformed_line": ("这一行不能读懂：{error}", "请检查引号、括号和逗号，每行一个完整的对象"),
        "duplicate_key": ("同一次推送中主键重复，第 {first} 行已有相同的主键", "请合并为一行，或改正主键"),
        "not_your_row": (
            "{field} 不是本企业的代码 {org}；企业只能推送自己的数据",
            "请改为本企业的代码，或由主管部门推送",
        ),
        "key_exists": ("主键已存在，追加不会覆盖", "要更新请用 mode=upsert 重新推送"),
    }
    reason, fix = words[code]
    return reason.format(**facts), fix.format(**facts)


def _title(column: Column) -> str:
    return f"{column.title_zh}（{column.name}）" if column.title_zh else column.name
