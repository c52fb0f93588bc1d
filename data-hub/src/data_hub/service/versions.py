"""Versions of a data set that can be read, and pins that keep one from being forgotten."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from brain_kit.audit import record as record_audit
from brain_kit.auth import Principal
from brain_kit.clock import rfc3339, utc_now
from brain_kit.database import Database
from brain_kit.ids import new_id
from brain_kit.problems import NotPermitted

from data_hub import store
from data_hub.domain.policy import knows_totals
from data_hub.domain.refusals import dataset_unknown
from data_hub.domain.versions import MAX_PINS, PinsExhausted, PinUnknown, snapshot_of
from data_hub.engine.warehouse import SnapshotFacts, Warehouse
from data_hub.service.readable import WarehouseReading, is_known_to, viewer_of
from data_hub.store import PinRecord

PINNING_ROLES = ("operator", "analyst", "developer", "manager", "provider", "service")


class Versions:
    """Use cases of versions and pins."""

    def __init__(self, database: Database, warehouse: Warehouse, source: WarehouseReading) -> None:
        self._database = database
        self._warehouse = warehouse
        self._source = source

    def page(self, caller: Principal, dataset: str, limit: int, after: int | None) -> dict[str, Any]:
        """Versions that can be read, newest first; `next` is given as `after` for the following page.

        Raises DatasetUnknown.
        """
        contract = self._contract(caller, dataset)
        shown = knows_totals(viewer_of(caller), contract.access, contract.owner_org)
        found = [item for item in self._warehouse.snapshots(dataset) if after is None or item.sequence < after]
        page = found[:limit]
        names = [item.version for item in page]
        with self._database.reading() as session:
            known = store.get_versions(session, dataset, names)
            pins = [pin for pin in store.list_pins(session, dataset, names) if _may_see(caller, pin)]
            current = store.get_dataset(session, dataset)
        items = [
            self._item(item, known.get(item.version), shown)
            | {
                "is_current": current is not None and current.snapshot == item.version,
                "pins": [pin_shown(pin) for pin in pins if pin.version == item.version],
            }
            for item in page
        ]
        return {"items": items, "next": page[-1].sequence if len(found) > limit else None}

    def pin(self, caller: Principal, dataset: str, version: str, reason: str) -> tuple[dict[str, Any], bool]:
        """Keeps a version readable until the pin is removed; the pin, and whether it is new.

        Raises DatasetUnknown, SnapshotUnknown, PinsExhausted, NotPermitted.
        """
        _check_role(caller)
        self._contract(caller, dataset)
        snapshot = snapshot_of(version)
        made = PinRecord(
            new_id("pin"), dataset, str(snapshot), caller.org, caller.subject, reason.strip(), "", utc_now()
        )
        try:
            with self._database.transaction() as session:
                # A commit that forgets the version waits, and then sees the pin.
                store.lock_dataset(session, dataset)
                self._warehouse.table_state(dataset, snapshot)
                mine = [pin for pin in store.list_pins(session, dataset) if pin.org == caller.org and not pin.source]
                if len(mine) >= MAX_PINS:
                    raise PinsExhausted(
                        f"本组织在 {dataset} 上已保留 {len(mine)} 个版本，至多 {MAX_PINS} 个；请先取消不用的",
                        dataset=dataset,
                    )
                store.add_pin(session, made)
                detail = {"version": made.version, "reason": made.reason}
                record_audit(session, caller, action="version.pin", object=dataset, detail=detail)
        except sa.exc.IntegrityError:
            with self._database.reading() as session:
                found = store.list_pins(session, dataset, [made.version])
            same = [pin for pin in found if (pin.org, pin.reason, pin.source) == (made.org, made.reason, "")]
            return pin_shown(same[0]), False
        return pin_shown(made), True

    def unpin(self, caller: Principal, dataset: str, version: str, pin_id: str) -> None:
        """Removes a pin of one's own organisation; operators remove any. Raises PinUnknown, NotPermitted."""
        _check_role(caller)
        self._contract(caller, dataset)
        with self._database.transaction() as session:
            pin = store.get_pin(session, pin_id)
            is_asked = pin is not None and (pin.dataset, pin.version, pin.source) == (dataset, version, "")
            if pin is None or not is_asked or not (caller.is_operator or pin.org == caller.org):
                raise PinUnknown(f"没有保留记录 {pin_id[:60]}")
            store.drop_pin(session, pin_id)
            record_audit(session, caller, action="version.unpin", object=dataset, detail={"version": version})

    def _contract(self, caller: Principal, dataset: str) -> Any:
        contract = self._source.contract(dataset)
        if contract is None or not is_known_to(caller, contract):
            raise dataset_unknown(dataset)
        return contract

    @staticmethod
    def _item(facts: SnapshotFacts, known: store.VersionRecord | None, shown: bool) -> dict[str, Any]:
        return {
            "version": facts.version,
            "sequence": facts.sequence if known is None else known.sequence,
            "committed_at": rfc3339(facts.committed_at),
            "rows": facts.rows if shown else None,
            "rows_added": known.rows_added if shown and known is not None else None,
            "rows_removed": known.rows_removed if shown and known is not None else None,
        }


def pin_shown(pin: PinRecord) -> dict[str, Any]:
    """A pin as callers see it."""
    return {
        "id": pin.id,
        "version": pin.version,
        "org": pin.org,
        "reason": pin.reason,
        "held_by": pin.source or None,
        "created_at": rfc3339(pin.created_at),
    }


def _may_see(caller: Principal, pin: PinRecord) -> bool:
    return caller.is_government or pin.org == caller.org


def _check_role(caller: Principal) -> None:
    if not caller.has(*PINNING_ROLES):
        raise NotPermitted(f"保留版本需要其中一个角色：{'、'.join(PINNING_ROLES)}", required=list(PINNING_ROLES))
