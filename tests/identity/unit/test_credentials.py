"""Keys, passwords and locks as pure decisions."""

from __future__ import annotations

import hashlib
import math
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from identity.domain import credentials
from identity.domain.credentials import (
    after_attempt,
    key_state,
    new_api_key,
    new_password,
    parse_api_key,
    password_faults,
    secret_matches,
    successor_expiry,
)
from identity.domain.roles import manages

NOW = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)


def test_a_key_has_the_form_that_the_readme_prints() -> None:
    """bk_, 12 characters of id, 43 of secret: 256 bits in base64."""
    made = new_api_key()

    assert re.fullmatch(r"bk_[A-Za-z0-9]{12}_[A-Za-z0-9_-]{43}", made.text)
    assert parse_api_key(made.text) == (made.id, made.text[16:])
    assert made.secret_hash == hashlib.sha256(made.text[16:].encode()).hexdigest()
    assert secret_matches(made.text[16:], made.secret_hash)
    assert not secret_matches(made.text[16:-1], made.secret_hash)
    assert parse_api_key(made.text + "\n") is None


@given(st.text(max_size=70) | st.from_regex(r"bk_[A-Za-z0-9_]{40,70}"))
def test_a_text_is_a_key_or_nothing(text: str) -> None:
    """Only the whole form is parsed; a line end behind it is not part of it."""
    whole = re.fullmatch(r"bk_([A-Za-z0-9]{12})_([A-Za-z0-9_\-]{43})", text)

    assert parse_api_key(text) == (whole.groups() if whole else None)


def test_made_passwords_are_strong_and_differ() -> None:
    """20 of 62 characters are 119 bits; each follows the policy."""
    made = {new_password() for _ in range(200)}

    assert len(made) == 200
    assert all(password_faults(password, "operator") == [] for password in made)
    assert all(len(password) * math.log2(len(set(credentials.ID_CHARACTERS))) > 110 for password in made)


@pytest.mark.parametrize(
    ("password", "faults"),
    [
        ("Correct-Horse-42", 0),
        ("correct-horse-42", 0),  # lower case, digits and signs: three kinds
        ("correcthorse", 1),  # one kind
        ("Short-1", 1),
        ("Zhang.Wei-2026", 1),  # contains the login
        ("ZHANG.WEI", 3),  # short, two kinds, contains the login
        ("Aa1-" * 51, 1),  # over 200 characters
        ("密码密码密码密码密码Aa1", 0),
    ],
)
def test_the_password_policy(password: str, faults: int) -> None:
    """Ten characters, three kinds of them, without the login."""
    assert len(password_faults(password, "zhang.wei")) == faults


def test_the_fifth_attempt_in_a_row_locks_for_a_quarter_of_an_hour() -> None:
    """Counted one by one from nothing."""
    failures, locked = 0, None
    for number in range(1, 6):
        failures, locked = after_attempt(failures, NOW, NOW + timedelta(seconds=number))
        assert (locked is not None) == (number == 5)

    assert locked == NOW + timedelta(seconds=5, minutes=15)


@given(st.lists(st.integers(0, 3600), min_size=1, max_size=40))
def test_nobody_gets_more_than_five_guesses_in_a_quarter_of_an_hour(pauses: list[int]) -> None:
    """Whatever the rhythm, against a count of the attempts that were let through."""
    failures, last, locked, now = 0, NOW, None, NOW
    let_through: list[datetime] = []
    for pause in pauses:
        now += timedelta(seconds=pause)
        if locked is not None and locked > now:
            continue
        failures, locked = after_attempt(failures, last, now)
        last = now
        let_through.append(now)

    for moment in let_through:
        window = [other for other in let_through if moment <= other < moment + timedelta(minutes=15)]
        assert len(window) <= 5


def test_revocation_outranks_expiry_and_expiry_is_exact() -> None:
    """A key works up to its last moment and not in it."""
    assert key_state(NOW, None, None) == "active"
    assert key_state(NOW, NOW + timedelta(microseconds=1), None) == "active"
    assert key_state(NOW, NOW, None) == "expired"
    assert key_state(NOW, NOW, NOW) == "revoked"


def test_a_successor_lives_as_long_as_its_predecessor_was_meant_to() -> None:
    """Rotation is no way around an expiry that the operator set."""
    made, ends = NOW - timedelta(days=80), NOW + timedelta(days=10)

    assert successor_expiry(NOW, made, ends) == NOW + timedelta(days=90)
    assert successor_expiry(NOW, made, None) is None


@pytest.mark.parametrize(
    ("kind", "roles", "expected"),
    [
        ("operator", ["operator"], True),
        ("operator", ["analyst", "auditor", "developer"], False),
        ("department", ["analyst"], True),
        ("department", ["auditor"], False),
        ("enterprise", ["manager"], True),
        ("enterprise", ["member", "developer"], False),
        ("provider", ["provider"], True),
        ("provider", ["developer"], False),
        ("unheard-of", ["operator"], False),
    ],
)
def test_the_leading_role_of_each_kind_manages_its_people(kind: str, roles: list[str], expected: bool) -> None:
    """And no other role does."""
    assert manages(kind, roles) is expected
