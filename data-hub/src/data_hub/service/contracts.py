"""Registering contracts and showing data sets."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import structlog
from brain_contracts.contract import Change, Column, ContractInvalid, DatasetContract, compare
from brain_contracts.events import ContractRegistered
from brain_contracts.odcs import canonical_contracts, load_contract, to_yaml
from brain_kit.acting import HEADER
from brain_kit.audit import record as record_audit
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.events import emit
from brain_kit.problems import Conflict, InvalidInput, NotPermitted

from data_hub.domain.policy import OWN_WAREHOUSES, knows_totals, view_of
from data_hub.domain.refusals import DatasetNameTaken, DatasetUnknown, dataset_unknown
from data_hub.engine.patterns import pattern_error
from data_hub.service.known_contracts import KnownContracts
from data_hub.service.readable import is_known_to, viewer_of
from data_hub.store import (
    DatasetRecord,
    add_datasets,
    contract_history,
    get_contract,
    get_dataset,
    list_datasets,
    save_contract,
)

log = structlog.get_logger()
PLATFORM = "platform"


# Several processes of a cluster start at once on an empty database.
LOCK_S = 30.0


class ContractRefused(InvalidInput):
    """The document is not a usable contract; `errors` lists each wrong field."""

    code = "contract_invalid"


class ContractNotPermitted(NotPermitted):
    """The caller may not register contracts."""

    code = "contract_not_permitted"


class BreakingChange(Conflict):
    """The version would break readers or writers; `changes` says how."""

    code = "breaking_change"
    title = "Breaking change"


class VersionTaken(Conflict):
    """The version exists with other content."""

    code = "version_taken"
    title = "Version taken"


def register_canonical(database: Database) -> None:
    """Registers the contracts that ship with the platform and are not known yet; one process at a time does it."""
    shipped = canonical_contracts()
    with database.reading() as session:
        known = {record.name for record in list_datasets(session)}
    missing = [contract for name, contract in shipped.items() if name not in known]
    if not missing:
        return
    with database.exclusive("canonical-contracts", timeout_s=LOCK_S), database.transaction() as session:
        known = {record.name for record in list_datasets(session)}
        missing = [contract for contract in missing if contract.name not in known]
        add_datasets(session, missing, utc_now(), PLATFORM)
        for contract in missing:
            emit(session, _registered(contract, compatible=True))


def put_contract(
    database: Database, known: KnownContracts, caller: Principal, name: str, text: bytes, *, allow_breaking: bool
) -> dict[str, Any]:
    """Registers a version of a contract.

    Operators register the platform's data sets; a service that acts for an organisation registers that one's own.
    Raises ContractNotPermitted, ContractRefused, DatasetNameTaken, BreakingChange unless that is allowed, VersionTaken
    when the version is not new.
    """
    _check_registrant(caller)
    contract = _loaded(name, text)
    if caller.acting:
        contract = owned(caller, contract)
    with database.transaction() as session:
        old = get_contract(session, name)
        if old is not None and caller.acting:
            check_name(caller, old)
        if old == contract:
            return _answer(contract, Change(True, ()), created=False)
        change = Change(True, ()) if old is None else compare(old, contract)
        if old is not None:
            _check_version(old, contract, get_contract(session, name, contract.version), change, allow_breaking)
            save_contract(session, contract, change, utc_now(), caller.subject)
        else:
            add_datasets(session, [contract], utc_now(), caller.subject)
        emit(session, _registered(contract, compatible=change.compatible))
        detail = {"version": contract.version, "compatible": change.compatible}
        record_audit(session, caller, action="contract.put", object=name, detail=detail)
    known.forget(name)
    log.info("contract_registered", dataset=name, version=contract.version, compatible=change.compatible)
    return _answer(contract, change, created=old is None)


def _check_registrant(caller: Principal) -> None:
    if caller.acting or caller.is_operator:
        return
    if caller.kind == "service":
        raise ContractNotPermitted(f"服务登记数据合同须代表一个组织：请带 {HEADER}", required=["operator"])
    raise ContractNotPermitted(
        "登记数据合同需要角色 operator；本组织的结果数据集请用 POST /v1/derived 或算法运行生成", required=["operator"]
    )


def owned(caller: Principal, contract: DatasetContract) -> DatasetContract:
    """The contract as one of the caller's organisation.

    Raises ContractRefused when it names another owner, opens itself to all, or lies in a warehouse that is not for
    this kind of organisation.
    """
    allowed = OWN_WAREHOUSES[caller.org_kind]
    errors = []
    if contract.owner_org not in (None, caller.org):
        errors.append({"field": "customProperties.ownerOrg", "reason": f"只能是本组织 {caller.org}"})
    if contract.access == "open":
        errors.append({"field": "customProperties.access", "reason": "公开数据集由运营方登记；请用 owner"})
    if contract.warehouse not in allowed:
        errors.append({"field": "name", "reason": f"本组织的数据集只能放在 {'、'.join(allowed)}"})
    if errors:
        raise ContractRefused(f"合同不合要求：{errors[0]['field']} {errors[0]['reason']}", errors=errors)
    return replace(contract, owner_org=caller.org, owner=contract.owner or caller.org_name)


def check_name(caller: Principal, old: DatasetContract) -> None:
    """Raises DatasetNameTaken when the data set is not the caller's organisation's."""
    if old.owner_org != caller.org:
        raise DatasetNameTaken(f"数据集名称 {old.name} 已被占用，请换一个名称", dataset=old.name)


def _loaded(name: str, text: bytes) -> DatasetContract:
    try:
        contract = load_contract(text)
    except ContractInvalid as error:
        errors = [{"field": field, "reason": reason} for field, reason in error.errors]
        raise ContractRefused(f"合同不合要求：{error}", errors=errors) from error
    errors = [] if contract.name == name else [{"field": "name", "reason": f"与路径不一致：{contract.name}"}]
    for column in contract.columns:
        reason = None if column.pattern is None else pattern_error(column.pattern)
        if reason is not None:
            errors.append({"field": f"schema.properties.{column.name}", "reason": f"pattern 不能用：{reason}"})
    if errors:
        raise ContractRefused(f"合同不合要求：{errors[0]['field']} {errors[0]['reason']}", errors=errors)
    return contract


def _check_version(
    old: DatasetContract, new: DatasetContract, same: DatasetContract | None, change: Change, allow_breaking: bool
) -> None:
    if same is not None:
        raise VersionTaken(
            f"{old.name} 的版本 {new.version} 已登记且内容不同，请使用新的版本号",
            version=new.version,
            current=old.version,
        )
    if not change.compatible and not allow_breaking:
        words = "；".join(text for _, text, compatible in change.changes if not compatible)
        raise BreakingChange(
            f"这一版本与 {old.version} 不兼容：{words}。确需如此请加 ?breaking=allow", changes=changes_shown(change)
        )


def _registered(contract: DatasetContract, *, compatible: bool) -> ContractRegistered:
    return ContractRegistered(dataset=contract.name, version=contract.version, compatible=compatible, state="active")


def _answer(contract: DatasetContract, change: Change, *, created: bool) -> dict[str, Any]:
    kind = "compatible" if change.compatible else "breaking"
    return {
        "name": contract.name,
        "version": contract.version,
        "created": created,
        "compatibility": kind,
        "changes": changes_shown(change),
    }


def changes_shown(change: Change) -> list[dict[str, Any]]:
    """What changed between two versions, as answers show it."""
    return [{"code": code, "text": text, "compatible": compatible} for code, text, compatible in change.changes]


def contract_yaml(database: Database, caller: Principal, name: str, version: str | None) -> str:
    """The ODCS document of a contract. Raises DatasetUnknown."""
    with database.reading() as session:
        newest = get_contract(session, name)
        contract = newest if version is None else get_contract(session, name, version)
    if contract is None or newest is None or not is_known_to(caller, newest):
        what = name if version is None else f"{name} 的版本 {version}"
        raise DatasetUnknown(f"没有数据集 {what}")
    return to_yaml(contract)


def page_of_datasets(
    database: Database, caller: Principal, *, after: str, limit: int, warehouse: str | None
) -> dict[str, Any]:
    """Registered data sets by name."""
    with database.reading() as session:
        found = list_datasets(session, after=after)
    found = [
        record
        for record in found
        if is_known_to(caller, record.contract) and warehouse in (None, record.contract.warehouse)
    ]
    items = [_summary(record, caller) for record in found[:limit]]
    return {"items": items, "next": found[limit - 1].name if len(found) > limit else None}


def dataset_detail(database: Database, caller: Principal, name: str) -> dict[str, Any]:
    """A data set with schema, key, rules, owner, example and figures. Raises DatasetUnknown."""
    with database.reading() as session:
        record = get_dataset(session, name)
        if record is None or not is_known_to(caller, record.contract):
            raise dataset_unknown(name)
        versions = contract_history(session, name)
    contract = record.contract
    schema = [_column(contract, column) for column in contract.columns]
    return _summary(record, caller) | {
        "description": contract.description,
        "description_en": contract.description_en,
        "schema": schema,
        "rules": {column["name"]: column["rules"] for column in schema if column["rules"]},
        "example": contract.example,
        "owner_column": contract.owner_column,
        "versions": [
            {
                "version": item["version"],
                "compatible": item["compatible"],
                "changes": [change[1] for change in item["changes"]],
                "created_at": rfc3339(item["created_at"]),
            }
            for item in versions
        ],
        "snapshot": record.snapshot,
    }


def _summary(record: DatasetRecord, caller: Principal) -> dict[str, Any]:
    contract = record.contract
    # How much others have is not for everybody; statistics give each caller the own part.
    shown = knows_totals(viewer_of(caller), contract.access, contract.owner_org)
    committed = record.last_commit_at if shown else None
    return {
        "name": contract.name,
        "title": contract.title_zh,
        "title_en": contract.title_en,
        "warehouse": contract.warehouse,
        "library": contract.library,
        "classification": contract.classification,
        "access": contract.access,
        "view": view_of(viewer_of(caller), contract.access),
        "owner": contract.owner,
        "owner_org": contract.owner_org,
        "version": contract.version,
        "key": list(contract.key),
        "rows": record.rows if shown else None,
        "bytes": record.bytes if shown else None,
        "last_commit": None if committed is None else rfc3339(committed),
    }


def _column(contract: DatasetContract, column: Column) -> dict[str, Any]:
    rules = {
        "required": column.required or None,
        "code_type": column.code_type,
        "enum": list(column.enum) or None,
        "pattern": column.pattern,
        "minimum": column.minimum,
        "maximum": column.maximum,
        "max_length": column.max_length,
        "references": column.references,
    }
    return {
        "name": column.name,
        "type": column.logical_type,
        "title": column.title_zh,
        "title_en": column.title_en,
        "description": column.description,
        "unit": column.unit,
        "is_key": column.name in contract.key,
        "required": column.required,
        "classification": column.classification,
        "rules": {name: value for name, value in rules.items() if value is not None},
    }
