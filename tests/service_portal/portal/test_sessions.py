"""Sessions on the server and the tokens of forms."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from brain_kit.database import Database
from brain_kit.problems import RateLimited
from service_portal.portal.attempts import SignInBrake
from service_portal.portal.security import safe_return
from service_portal.portal.sessions import (
    LIFETIME,
    RENEWAL_CLAIM,
    Session,
    SessionStore,
    form_token,
    form_token_matches,
    metadata,
)

NOW = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
SESSION = Session("usr_1", "张三", "91370100MA3C00001X", "示例", "operator", ("operator",), "ACCESS", "REFRESH", 1.0)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty database with the table of sessions."""
    found = Database(f"sqlite:///{tmp_path / 'portal.db'}", name="service-portal")
    metadata.create_all(found.engine)
    yield found
    found.close()


def test_session_is_found_by_its_cookie_until_its_time_is_over(database: Database) -> None:
    """Twelve hours after sign-in the same cookie finds nothing."""
    store = SessionStore(database)
    secret = store.open(SESSION, NOW)
    assert store.find(secret, NOW + LIFETIME - timedelta(seconds=1)) == SESSION
    assert store.find(secret, NOW + LIFETIME) is None


def test_other_cookie_values_find_nothing(database: Database) -> None:
    """Neither an empty, nor a made-up, nor an altered cookie opens a session."""
    store = SessionStore(database)
    secret = store.open(SESSION, NOW)
    for wrong in ("", "made-up", secret[:-1], secret + "A"):
        assert store.find(wrong, NOW) is None


def test_database_alone_reveals_neither_cookie_nor_token(database: Database) -> None:
    """What is stored contains neither the cookie's value nor the tokens nor the name."""
    secret = SessionStore(database).open(SESSION, NOW)
    with database.reading() as db:
        stored = repr(db.execute(sa.text("SELECT * FROM portal_session")).all()).encode()
    for hidden in (secret.encode(), b"ACCESS", b"REFRESH", "张三".encode(), b"usr_1"):
        assert hidden not in stored


def test_damaged_session_counts_as_none(database: Database) -> None:
    """A row that was changed in the database does not open."""
    store = SessionStore(database)
    secret = store.open(SESSION, NOW)
    with database.transaction() as db:
        db.execute(sa.text("UPDATE portal_session SET sealed = :other"), {"other": b"0" * 80})
    assert store.find(secret, NOW) is None


def test_closed_session_is_gone_and_expired_ones_are_removed(database: Database) -> None:
    """Signing out removes the row; opening a session removes those whose time is over."""
    store = SessionStore(database)
    first = store.open(SESSION, NOW)
    store.close(first)
    assert store.find(first, NOW) is None
    store.open(SESSION, NOW)
    store.open(SESSION, NOW + LIFETIME)
    with database.reading() as db:
        assert db.execute(sa.text("SELECT count(*) FROM portal_session")).scalar_one() == 1


def test_renewed_tokens_replace_the_old_ones(database: Database) -> None:
    """After a renewal the same cookie gives the new tokens."""
    store = SessionStore(database)
    secret = store.open(SESSION, NOW)
    renewed = replace(SESSION, access_token="ACCESS2", refresh_token="REFRESH2", access_expires=time.time())
    store.replace(secret, renewed)
    assert store.find(secret, NOW) == renewed


def test_one_of_many_requests_may_renew(database: Database) -> None:
    """Of 16 requests at once exactly one gets the claim; it is free again when given back, replaced or old."""
    store = SessionStore(database)
    secret = store.open(SESSION, NOW)
    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(lambda _: store.claim_renewal(secret, NOW), range(16))) == 1
    store.release_renewal(secret)
    assert store.claim_renewal(secret, NOW)
    assert not store.claim_renewal(secret, NOW + RENEWAL_CLAIM)
    assert store.claim_renewal(secret, NOW + RENEWAL_CLAIM + timedelta(seconds=1))
    store.replace(secret, SESSION)
    assert store.claim_renewal(secret, NOW)


def test_form_token_belongs_to_one_cookie() -> None:
    """The token of one cookie does not pass with another, nor does an empty one."""
    assert form_token_matches("a", form_token("a"))
    assert not form_token_matches("b", form_token("a"))
    assert not form_token_matches("", form_token(""))
    assert not form_token_matches("a", "")
    assert not form_token_matches("a", "é")


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "", "/a\r\nSet-Cookie: x"],
)
def test_the_way_back_never_leads_elsewhere(target: str) -> None:
    """Addresses of other sites and header splitting become the first page."""
    assert safe_return(target) == "/"


def test_the_way_back_keeps_path_and_query() -> None:
    """A path of the portal stays as it is."""
    assert safe_return("/datasets?q=%E4%BC%81") == "/datasets?q=%E4%BC%81"


def test_guessing_from_one_address_is_slowed_down() -> None:
    """Ten attempts pass, the eleventh waits five seconds, whatever name it tries."""
    now = [0.0]
    brake = SignInBrake(lambda: now[0])
    for attempt in range(10):
        brake.check("10.0.0.1", f"user{attempt}")
    with pytest.raises(RateLimited) as refused:
        brake.check("10.0.0.1", "berta")
    assert refused.value.members["retry_after_s"] == 5
    brake.check("10.0.0.2", "berta")
    now[0] += 5
    brake.check("10.0.0.1", "berta")


def test_guessing_one_name_from_many_addresses_is_slowed_down() -> None:
    """Thirty attempts on a name pass, from wherever; the next waits, however the name is written."""
    brake = SignInBrake(lambda: 0.0)
    for attempt in range(30):
        brake.check(f"10.0.1.{attempt}", "anna")
    with pytest.raises(RateLimited):
        brake.check("10.0.1.99", "ANNA")


def test_sign_ins_that_work_are_not_counted() -> None:
    """An office behind one address may sign in as often as it likes."""
    brake = SignInBrake(lambda: 0.0)
    for _ in range(50):
        brake.check("10.0.0.1", "anna")
        brake.forgive("10.0.0.1", "Anna")
