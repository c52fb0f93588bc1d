"""The first start: one operator whose random password is told once."""

from __future__ import annotations

from dataclasses import dataclass

from brain_contracts.codes import check_region, make_uscc
from brain_kit import audit
from brain_kit.auth import Principal
from brain_kit.database import Database, DatabaseUnavailable

from identity.domain.credentials import new_password
from identity.service import keys, organisations, users
from identity.service.passwords import password_hash
from identity.store import people

LOCK_S = 30.0
OPERATOR_LOGIN = "operator"
PLATFORM = Principal(subject="service:identity", kind="service", org="", org_kind="operator", name="identity")
OPERATOR_ROLES = ["auditor", "operator"]


@dataclass(frozen=True)
class FirstCredentials:
    """Credentials of the operator, to be shown once."""

    user: str
    password: str
    api_key: str


def bootstrap(database: Database, name: str, region: str) -> FirstCredentials | None:
    """Makes the operator's organisation, user and key on an empty platform; None on one that has them.

    Of several processes that start at once, one gets the credentials. Raises DatabaseUnavailable when another
    process keeps the lock.
    """
    with database.exclusive("bootstrap", timeout_s=LOCK_S) as held:
        if not held:
            raise DatabaseUnavailable("另一进程正在创建首个运营方，请稍后重试", database=database.name)
        with database.reading() as session:
            if people.any_organisation(session):
                return None
        password = new_password()
        hashed = password_hash(password)
        uscc = make_uscc(check_region(region), 0, registrar="12")
        with database.transaction() as session:
            organisations.insert(session, uscc=uscc, name=name, kind="operator", region=region)
            users.insert(
                session,
                org=uscc,
                login=OPERATOR_LOGIN,
                name="运营管理员",
                password_hash=hashed,
                roles=OPERATOR_ROLES,
            )
            key = keys.insert(session, org=uscc, name="first", roles=OPERATOR_ROLES)
            audit.record(session, PLATFORM, action="platform.begin", object=uscc, detail={"key": key["id"]})
    return FirstCredentials(OPERATOR_LOGIN, password, key["key"])
