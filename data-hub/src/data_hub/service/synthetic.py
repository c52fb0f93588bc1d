"""Which data sets hold 合成数据: rows of an organisation that identity has registered as made by a program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from brain_kit.acting import ActingOrganisationInvalid, Organisations
from brain_kit.client import ServiceClient
from brain_kit.problems import Problem

REMEMBERED_S = 600.0
TIMEOUT_S = 5.0
# Organisations with the most rows that are looked at; a data set may have rows of thousands.
LOOKED_AT = 50


class SyntheticOwners:
    """Organisations as identity knows them, asked once and remembered for ten minutes; safe among threads."""

    def __init__(self, identity: Callable[[], ServiceClient]) -> None:
        self._organisations = Organisations(identity, remembered_s=REMEMBERED_S, timeout_s=TIMEOUT_S)

    def is_among(self, owners: Counter[str]) -> bool:
        """Whether one of the fifty organisations with the most rows is synthetic; rows by USCC.

        False while identity is away: nobody is called synthetic on a guess.
        """
        try:
            return any(self._is_synthetic(org) for org, _ in owners.most_common(LOOKED_AT))
        except Problem:
            return False

    def _is_synthetic(self, org: str) -> bool:
        try:
            return self._organisations.find(org).is_synthetic
        except ActingOrganisationInvalid:
            return False
