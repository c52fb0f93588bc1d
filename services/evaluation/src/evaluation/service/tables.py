"""Tables for export: a set's values, an assessment's marks, in the documents' form."""

from __future__ import annotations

from brain_kit.auth import Principal
from brain_kit.clock import CHINA, utc_now
from brain_kit.database import Database

from evaluation.domain.sheets import Sheet, criteria_sheet, indicator_sheet
from evaluation.service.assessments import known_assessment
from evaluation.service.catalogue import FACTORY_SET, factory_criteria, known_set
from evaluation.service.indicators import set_table
from evaluation.service.levels import assessment_result, current_rule

BASES = {"reviewed": "审核认定", "self": "企业自评"}
SYNTHETIC = "合成数据：由程序生成，用于演示，不是真实企业的数据"


def indicator_table(
    database: Database, caller: Principal, set_id: str, *, period: str | None, cluster: str | None
) -> tuple[Sheet, str]:
    """The table of a set and a name for its file. The criteria set gives its table of stars alone."""
    if set_id == FACTORY_SET:
        return criteria_sheet(factory_criteria(), {}, []), factory_criteria().title
    found = known_set(set_id)
    table = set_table(database, caller, set_id, period=period, cluster=cluster)
    where = table["cluster"]["name"] if table["cluster"] else "未选定"
    made = utc_now().astimezone(CHINA).strftime("%Y-%m-%d %H:%M")
    facts = [f"集群：{where}　期间：{table['period']}　导出时间：{made}"]
    if table["cluster"] and table["cluster"]["synthetic"]:
        facts.append(SYNTHETIC)
    return indicator_sheet(found, table["items"], facts), f"{found.title}-{where}-{table['period']}"


def assessment_table(database: Database, caller: Principal, assessment: str) -> tuple[Sheet, str]:
    """An assessment's table of criteria with its marks. Raises AssessmentUnknown."""
    found = factory_criteria()
    with database.reading() as session:
        row = known_assessment(session, caller, assessment)
        result = assessment_result(row.marks, current_rule(session))
    level = "未达 1 级" if result["level"] is None else f"{result['level']} 级"
    basis = BASES[result["basis"]]
    facts = [f"企业：{row.org_name}　年度：{row.year}　{basis}：{level}（定级规则由{result['chosen_by']}）"]
    return criteria_sheet(found, row.marks, facts), f"{found.title}-{row.org_name}-{row.year}"
