"""Making and refreshing a data set from a query: contract, rows and lineage together or nothing."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa
from brain_contracts.contract import Change, ContractInvalid, DatasetContract, validated
from brain_contracts.events import ContractRegistered
from brain_kit.audit import record as record_audit
from brain_kit.auth import Principal
from brain_kit.clock import utc_now
from brain_kit.events import emit
from brain_kit.problems import NotPermitted
from sqlalchemy.orm import Session

from data_hub import store
from data_hub.domain.derived import (
    DERIVED_MEDIA,
    DerivedInterrupted,
    DerivedInvalid,
    DeriveRequest,
    check_request,
    contract_of,
    refreshed,
)
from data_hub.domain.refusals import IdempotencyKeyReused
from data_hub.domain.stamp import PushStamp
from data_hub.service.contracts import BreakingChange, changes_shown, check_name, owned
from data_hub.service.derived.staging import DerivedStaging, Result
from data_hub.service.lineage import holding
from data_hub.service.push import Pushes, check_key
from data_hub.service.query.running import Gone
from data_hub.service.receipts import changed_event
from data_hub.store import Derivation, PushRecord

DERIVING_ROLES = ("operator", "analyst", "manager", "developer", "provider", "service")


@dataclass(frozen=True)
class Derived:
    """What came of a request: the push that carries the rows, and whether it is that of an earlier equal request."""

    record: PushRecord
    is_replay: bool = False


@dataclass(frozen=True)
class _Plan:
    """What is to be kept: the contract as it will be, and how it differs from the one that is there."""

    contract: DatasetContract
    change: Change
    old: DatasetContract | None


class Deriving:
    """Use cases of derived data sets."""

    def __init__(self, pushes: Pushes, staging: DerivedStaging) -> None:
        self._pushes = pushes
        self._staging = staging
        self._database = pushes.database

    def derive(
        self, caller: Principal, push_id: str, request: DeriveRequest, idempotency_key: str | None, gone: Gone
    ) -> Derived:
        """Runs the query and keeps its rows as the next version of the data set; answers once they are safe.

        Raises NotPermitted, DerivedInvalid, DatasetNameTaken, BreakingChange, IdempotencyKeyReused,
        DerivedInterrupted, and what running a query and checking rows raise. Then nothing is left behind.
        """
        _check_caller(caller)
        check_request(request)
        check_key(idempotency_key)
        earlier = self._earlier(caller, request, idempotency_key)
        if earlier is not None:
            return earlier
        self._check_target(caller, request)
        folder = self._pushes.settings.spool / push_id
        folder.mkdir(parents=True)
        try:
            return self._derive(caller, push_id, request, idempotency_key, folder, gone)
        except sa.exc.IntegrityError as error:
            earlier = self._earlier(caller, request, idempotency_key)
            if earlier is not None:
                return earlier
            raise DerivedInterrupted(f"{request.name} 刚刚被另一次请求创建，请重试", dataset=request.name) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def load(self, push_id: str) -> PushRecord:
        """A push that `derive` has kept."""
        with self._database.reading() as session:
            record = store.get_push(session, push_id)
        assert record is not None
        return record

    def described(self, record: PushRecord) -> dict[str, Any]:
        """What an answer says beside the receipt."""
        with self._database.reading() as session:
            (made,) = store.get_derivations(session, [record.id])
        return {
            "dataset": record.dataset,
            "contract_version": record.contract_version,
            "rows": record.accepted,
            "run": f"run:{made.run_id}",
            "inputs": {name: version or None for name, version in sorted(made.inputs.items())},
            "columns_known": made.columns is not None,
            "version": record.snapshot,
        }

    def _derive(
        self, caller: Principal, push_id: str, request: DeriveRequest, key: str | None, folder: Path, gone: Gone
    ) -> Derived:
        started = utc_now()
        result = self._staging.run(caller, request, folder, gone)
        plan = self._plan(caller, request, result)
        # Rows of a replacement stand alone; an upsert meets the others at the commit.
        stamp = PushStamp(push_id, caller.org, started, "append", None)
        with self._staging.staged(plan.contract, stamp, result, folder) as parts:
            record = PushRecord(
                id=push_id,
                dataset=request.name,
                owner=caller.org,
                subject=caller.subject,
                mode=request.mode,
                state="validated",
                contract_version=plan.contract.version,
                media_type=DERIVED_MEDIA,
                created_at=started,
                idempotency_key=key,
                content_sha256=request.digest,
                bytes=sum(part.bytes for part in parts),
                received=result.rows,
                accepted=result.rows,
                staged=[part.stored() for part in parts],
                validated_at=utc_now(),
            )
            self._keep(caller, request, plan, record, result)
        self._pushes.contracts.forget(request.name)
        self._pushes.after(record)
        return Derived(record)

    def _keep(self, caller: Principal, request: DeriveRequest, plan: _Plan, record: PushRecord, result: Result) -> None:
        """Contract, push, what it was made of, pins, events and audit, in one transaction."""
        run_id = str(uuid4())
        columns = None if result.sources is None else [list(item) for item in result.sources]
        with self._database.transaction() as session:
            for name in sorted({request.name, *result.versions}):
                store.lock_dataset(session, name)
            if not store.close_staging(session, record.id):
                raise DerivedInterrupted("生成数据集用时过长，已被放弃；没有留下任何数据，请重试")
            self._keep_contract(session, caller, plan)
            store.insert_push(session, record)
            store.add_derivation(
                session,
                Derivation(
                    record.id, run_id, request.sql, request.parameters, result.versions, columns, record.created_at
                ),
            )
            inputs = [(name, version) for name, version in result.versions.items() if version]
            source = holding.source_of_run(run_id)
            holding.pin_inputs(session, caller.org, caller.subject, inputs, source, record.created_at)
            emit(session, changed_event(record))
            detail = {"push": record.id, "mode": record.mode, "rows": record.accepted, "inputs": result.versions}
            record_audit(session, caller, action="dataset.derive", object=request.name, detail=detail)

    @staticmethod
    def _keep_contract(session: Session, caller: Principal, plan: _Plan) -> None:
        contract = plan.contract
        if store.get_contract(session, contract.name) != plan.old:
            raise DerivedInterrupted(f"{contract.name} 的合同刚刚有了新版本，请重试", dataset=contract.name)
        if plan.old is None:
            store.add_datasets(session, [contract], utc_now(), caller.subject)
        elif contract != plan.old:
            store.save_contract(session, contract, plan.change, utc_now(), caller.subject)
        else:
            return
        emit(
            session,
            ContractRegistered(
                dataset=contract.name, version=contract.version, compatible=plan.change.compatible, state="active"
            ),
        )

    def _plan(self, caller: Principal, request: DeriveRequest, result: Result) -> _Plan:
        inputs = [table.contract for table in result.inputs]
        made = owned(caller, contract_of(request, result.columns, result.example, inputs))
        with self._database.reading() as session:
            old = store.get_contract(session, request.name)
        try:
            if old is None:
                return _Plan(validated(made), Change(True, ()), None)
            check_name(caller, old)
            contract, change = refreshed(old, made)
        except ContractInvalid as error:
            errors = [{"field": field, "reason": reason} for field, reason in error.errors]
            raise DerivedInvalid(f"结果不能成为数据集：{error}", errors=errors) from error
        if not change.compatible and not request.allow_breaking:
            words = "；".join(item.text for item in change.changes if not item.compatible)
            raise BreakingChange(
                f"结果与 {old.name} 现有合同不兼容：{words}。请换名称，或加 ?breaking=allow",
                changes=changes_shown(change),
            )
        return _Plan(contract, change, old)

    def _check_target(self, caller: Principal, request: DeriveRequest) -> None:
        """Refuses a name that is taken or not allowed before the query costs anything."""
        with self._database.reading() as session:
            old = store.get_contract(session, request.name)
        if old is not None:
            check_name(caller, old)
        else:
            owned(caller, contract_of(request, (), {}, ()))

    def _earlier(self, caller: Principal, request: DeriveRequest, key: str | None) -> Derived | None:
        if key is None:
            return None
        with self._database.reading() as session:
            found = store.find_by_key(session, caller.org, request.name, key)
        if found is None:
            return None
        if found.content_sha256 != request.digest or found.media_type != DERIVED_MEDIA:
            raise IdempotencyKeyReused(
                f"Idempotency-Key {key} 已用于 {found.id}，内容不同；新的内容请用新的键", push=found.id
            )
        return Derived(found, is_replay=True)


def _check_caller(caller: Principal) -> None:
    if not caller.has(*DERIVING_ROLES):
        raise NotPermitted(
            f"由查询生成数据集需要其中一个角色：{'、'.join(DERIVING_ROLES)}", required=list(DERIVING_ROLES)
        )
    if caller.kind == "service" and not caller.acting:
        raise NotPermitted("服务生成数据集须代表一个组织：请带 X-Acting-Org", required=["operator"])
