"""Where data come from: organisations, their keys, their last pushes. Operators add organisations and keys here."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import Response

from service_portal.portal.exports import as_file
from service_portal.portal.parts import part
from service_portal.portal.visit import Sent, SignedIn, Visit

router = APIRouter()
RECENT_PUSHES = 500


@router.get("/sources")
def sources(visit: SignedIn, q: str = "", kind: str = "") -> Response:
    """Organisations with their keys and recent pushes."""
    return _page(visit, q, kind)


def _page(visit: Visit, q: str = "", kind: str = "", status: int = 200, **extra: Any) -> Response:
    organisations = part(lambda: visit.brain.organisations()["items"])
    context = {"fresh_key": None, "problem": None, "fields": {}} | extra
    return visit.page(
        "sources.html",
        status=status,
        organisations=organisations,
        shown=_sources(visit, organisations.value or [], q, kind),
        q=q,
        kind=kind,
        **context,
    )


def _sources(visit: Visit, organisations: list[dict[str, Any]], text: str, kind: str) -> list[dict[str, Any]]:
    keys = part(lambda: visit.brain.keys()["items"]).value or []
    pushes = part(lambda: visit.brain.pushes(limit=RECENT_PUSHES)["items"]).value or []
    by_org: dict[str, list[dict[str, Any]]] = {}
    for push in pushes:
        by_org.setdefault(str(push.get("owner")), []).append(push)
    needle = text.strip().casefold()
    shown = []
    for org in organisations:
        if (kind and org["kind"] != kind) or needle not in f"{org['name']} {org['uscc']}".casefold():
            continue
        own = by_org.get(org["uscc"], [])
        live = [key for key in keys if key.get("org") == org["uscc"] and key.get("state", "active") == "active"]
        shown.append(
            {
                **org,
                "live_keys": len(live),
                "pushes": len(own),
                "accepted": sum(int(push.get("accepted") or 0) for push in own),
                "rejected": sum(int(push.get("rejected") or 0) for push in own),
                "last_push": own[0].get("created_at") if own else None,
            }
        )
    return sorted(shown, key=lambda org: (-(org["pushes"]), str(org["name"])))


@router.get("/sources.{form}")
def sources_file(visit: SignedIn, form: Literal["csv", "xlsx"], q: str = "", kind: str = "") -> Response:
    """The organisations of the page."""
    columns = ["uscc", "name", "kind", "region", "live_keys", "pushes", "accepted", "rejected", "last_push"]
    return as_file(form, "sources", columns, _sources(visit, visit.brain.organisations()["items"], q, kind))


@router.get("/sources/{uscc}")
def source(visit: SignedIn, uscc: str) -> Response:
    """One organisation: its keys and its pushes."""
    return _source_page(visit, uscc)


def _source_page(visit: Visit, uscc: str, **extra: Any) -> Response:
    keys = part(lambda: visit.brain.keys(uscc)["items"])
    pushes = [
        push
        for push in part(lambda: visit.brain.pushes(limit=RECENT_PUSHES)["items"]).value or []
        if push.get("owner") == uscc
    ]
    return visit.page(
        "source.html",
        uscc=uscc,
        organisation=visit.brain.organisation(uscc),
        keys=keys,
        own_keys=[key for key in keys.value or [] if key.get("org", uscc) == uscc],
        pushes=pushes[:20],
        **({"fresh_key": None} | extra),
    )


@router.post("/sources/organisations")
def add_organisation(sent: Sent) -> Response:
    """Register an organisation; a refusal is shown above the form with what was typed."""
    visit, form = sent.visit, sent.form
    fields = {name: form.one(name) for name in ("uscc", "name", "kind", "region")}
    made = part(lambda: visit.brain.add_organisation(fields))
    if made.problem:
        return _page(visit, status=int(made.problem["status"]), problem=made.problem, fields=fields)
    return visit.go(f"/sources/{quote(fields['uscc'])}")


@router.post("/sources/{uscc}/keys")
def add_key(sent: Sent, uscc: str) -> Response:
    """Make a key. It stands in this answer only: neither this page nor the platform can show it again."""
    return _fresh(sent.visit, uscc, sent.visit.brain.add_key(uscc, sent.form.one("name") or "portal"))


@router.post("/sources/{uscc}/keys/{key_id}/rotate")
def rotate_key(sent: Sent, uscc: str, key_id: str) -> Response:
    """Make the successor of a key; the old one still works until it is revoked or ends."""
    return _fresh(sent.visit, uscc, sent.visit.brain.rotate_key(key_id))


def _fresh(visit: Visit, uscc: str, key: dict[str, Any]) -> Response:
    """The key for the place in the page that asked, so that loading the page again makes no other; else with a page."""
    if visit.is_partial:
        return visit.page("_fresh_key.html", fresh_key=key)
    return _source_page(visit, uscc, fresh_key=key)


@router.post("/sources/{uscc}/keys/{key_id}/revoke")
def revoke_key(sent: Sent, uscc: str, key_id: str) -> Response:
    """End a key at once."""
    sent.visit.brain.revoke_key(key_id)
    return sent.visit.go(f"/sources/{quote(uscc)}")
