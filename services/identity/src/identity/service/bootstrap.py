"""The first start: one operator whose random password is told once."""

from __future__ import annotations

from dataclasses import dataclass

from brain_contracts.codes import make_uscc
from brain_contracts.events import UserChanged
from brain_kit.clock import utc_now
from brain_kit.database import Database
from brain_kit.events import emit
from brain_kit.ids import new_id

from identity.domain.credentials import new_password
from identity.service import keys, organisations
from identity.service.sessions import HASHER
from identity.store import people

OPERATOR_LOGIN = "operator"
OPERATOR_ROLES = ["auditor", "operator"]


@dataclass(frozen=True)
class FirstCredentials:
    """Credentials of the operator, to be shown once."""

    user: str
    password: str
    api_key: str


def bootstrap(database: Database, name: str, region: str) -> FirstCredentials | None:
    """Makes the operator's organisation, user and key on an empty platform; None on one that has them."""
    with database.exclusive("bootstrap", timeout_s=30):
        with database.reading() as session:
            if people.any_organisation(session):
                return None
        password = new_password()
        hashed = HASHER.hash(password)
        uscc = make_uscc(region, 0, registrar="12")
        with database.transaction() as session:
            organisations.insert(session, uscc=uscc, name=name, kind="operator", region=region)
            user_id = new_id("usr")
            values = {"org": uscc, "login": OPERATOR_LOGIN, "name": "运营管理员", "password_hash": hashed}
            people.insert_user(
                session, id=user_id, roles=OPERATOR_ROLES, state="active", failures=0, created_at=utc_now(), **values
            )
            emit(session, UserChanged(user_id=user_id, org=uscc, roles=tuple(OPERATOR_ROLES), state="active"))
            key = keys.insert(session, org=uscc, name="first", roles=OPERATOR_ROLES)
    return FirstCredentials(OPERATOR_LOGIN, password, key["key"])
