"""Compute lent to other brains and borrowed from them: offers, use, history, both accounts, taking back."""

from __future__ import annotations

from typing import Annotated, Any

from brain_kit.problems import InvalidInput
from fastapi import APIRouter, Path
from starlette.responses import Response

from service_portal.portal.exports import disposition
from service_portal.portal.parts import part
from service_portal.portal.routes.settlement import organisation_names
from service_portal.portal.visit import Operator, Sent

router = APIRouter()
Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


@router.get("/lending")
def lending(visit: Operator) -> Response:
    """What is lent out and borrowed, and how much of it is in use."""
    found = visit.brain.lending()
    return visit.page("lending.html", found=found, names=organisation_names(visit))


@router.get("/lending/loans/{loan}")
def loan(visit: Operator, loan: Name) -> Response:
    """One that is lent: its terms, newest jobs and both accounts."""
    found = visit.brain.loan(loan)
    told = part(lambda: visit.brain.lending_statement(loan=loan))
    party = {"loan": loan}
    return visit.page("lending_account.html", found=found, told=told, party=party, names=organisation_names(visit))


@router.get("/lending/centres/{centre}")
def borrowed(visit: Operator, centre: Name) -> Response:
    """A centre that is borrowed: both accounts."""
    told = part(lambda: visit.brain.lending_statement(centre=centre))
    party = {"centre": centre}
    return visit.page("lending_account.html", found=None, told=told, party=party, names=organisation_names(visit))


@router.get("/lending/{kind}/{name}/statement.csv")
def statement_file(visit: Operator, kind: str, name: Name) -> Response:
    """Both accounts as the API writes them."""
    reply = visit.brain.lending_file(**_party(kind, name))
    media = "text/csv; charset=utf-8"
    return Response(reply.content, media_type=media, headers=disposition(f"lending-{name}.csv"))


@router.post("/lending/loans/{loan}/state")
def set_state(sent: Sent, loan: Name) -> Response:
    """Take back or lend again, then show the loans."""
    state = sent.form.one("state")
    if state == "recalled":
        sent.visit.brain.recall_loan(loan)
    elif state == "open":
        sent.visit.brain.reopen_loan(loan)
    else:
        raise InvalidInput("没有这种状态。")
    return sent.visit.go("/lending")


def _party(kind: str, name: str) -> dict[str, Any]:
    parties = {"loans": {"loan": name}, "centres": {"centre": name}}
    if kind not in parties:
        raise InvalidInput("没有这种对账单。")
    return parties[kind]
