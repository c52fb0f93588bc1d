"""Every operation of every service as every role, without credentials, and as the tenant next door."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.access import ROLES, TABLE, table
from tests.e2e.played import OWNER, Answer, Played, Stage

pytestmark = [pytest.mark.slow]
PUBLIC_ANSWERS = {201, 200, 204, 401, 422, 429}


class Walk:
    """Answers by operation and role; the role `nobody` carries no credentials."""

    def __init__(self, stage: Stage) -> None:
        self.first = {name: played for name, played in stage.played.items() if ":" not in name}
        self.answers: dict[tuple[str, str], Answer] = {}
        calls = [(name, role) for name in self.first for role in ("nobody", *ROLES)]

        def call(pair: tuple[str, str]) -> Answer:
            played = self.first[pair[0]]
            return stage.send(played.service, played.request, stage.tokens.get(pair[1], ""))

        # By operation, so that what one role's call changes is seen by the next role as it is without parallel calls.
        with ThreadPoolExecutor(max_workers=3) as pool:
            self.answers = dict(zip(calls, pool.map(call, calls), strict=True))


@pytest.fixture(scope="module")
def walk(stage: Stage) -> Walk:
    """Every example's request, sent by everybody after all examples were played."""
    return Walk(stage)


def told(answer: Answer) -> str:
    """Status and code of an answer."""
    return f"{answer.status} {answer.json().get('code', '') if answer.media.endswith('problem+json') else ''}".strip()


def test_the_table_names_exactly_the_operations_there_are(stage: Stage) -> None:
    """A new operation is put into the table, with thought."""
    there = set(stage.addresses())

    assert there - table().keys() == set()
    assert table().keys() - there == set()
    assert len(TABLE.strip().splitlines()) - 1 == len(table())


def test_without_credentials_nothing_but_signing_in_is_reached(walk: Walk) -> None:
    """401 with the way to authenticate; the public operations judge what they are given themselves."""
    wrong = []
    for name, access in table().items():
        answer = walk.answers[name, "nobody"]
        if access.is_public:
            assert answer.status in PUBLIC_ANSWERS, (name, told(answer))
        elif (answer.status, answer.json()["code"]) != (401, "credentials_missing"):
            wrong.append((name, told(answer)))
        else:
            assert answer.headers["www-authenticate"].startswith("Bearer")

    assert wrong == []


def test_each_role_may_call_what_the_table_says_and_no_more(walk: Walk) -> None:
    """403 exactly where the table does not name the role."""
    wrong = []
    for name, access in table().items():
        for role in ROLES:
            answer = walk.answers[name, role]
            if not access.is_public and (answer.status != 403) != (role in access.roles):
                wrong.append(f"{name} as {role}: {told(answer)}")

    assert wrong == []


def test_no_call_of_anybody_crashes(walk: Walk) -> None:
    """No answer is a 5xx, and every refusal is a problem with a code."""
    wrong = []
    for (name, role), answer in walk.answers.items():
        if answer.status >= 500:
            wrong.append(f"{name} as {role}: {told(answer)}")
        elif answer.status >= 400:
            assert answer.json()["code"], (name, role)

    assert wrong == []


def test_what_is_the_owners_does_not_exist_next_door(walk: Walk) -> None:
    """The very request that the owner made is answered 404 to the neighbour."""
    wrong = [
        f"{name}: {told(walk.answers[name, 'neighbour'])}"
        for name, access in table().items()
        if access.next_door == "404" and walk.answers[name, "neighbour"].status != 404
    ]

    assert wrong == []
    assert sum(access.next_door == "404" for access in table().values()) > 12


def test_lists_of_ones_own_show_nothing_of_the_owner(walk: Walk) -> None:
    """The owner's code stands in none of the answers that the neighbour gets of its own data."""
    for name, access in table().items():
        if access.next_door == "own":
            answer = walk.answers[name, "neighbour"]
            assert answer.status == 200, (name, told(answer))
            assert OWNER not in answer.content.decode("utf-8", "replace"), name


def test_every_further_example_of_the_owner_is_refused_next_door(stage: Stage) -> None:
    """Ids that only later examples bring about (drafts, rejected versions) do not exist for the neighbour either."""
    for played in _drafts(stage):
        service, request = "algorithm-dev", {"operation": "read_version", "path": played.request["path"]}
        assert stage.send(service, request, stage.tokens["developer"]).status == 200
        assert stage.send(service, request, stage.tokens["neighbour"]).status == 404


def _drafts(stage: Stage) -> Iterator[Played]:
    found: Any = stage.played["algorithm_dev.reject_version"]
    yield found
