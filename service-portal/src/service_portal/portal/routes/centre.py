"""One computing centre: what it is and has, how it is doing, what its work costs; its forms for operators."""

from __future__ import annotations

from typing import Annotated, Any

from brain_kit.clock import CHINA, utc_now
from brain_kit.problems import InvalidInput, Problem
from fastapi import APIRouter, Path
from starlette.responses import Response

from service_portal.portal.formats import moment
from service_portal.portal.parts import Part, part
from service_portal.portal.refusals import Numbers, refused, typed
from service_portal.portal.routes.settlement import organisation_names
from service_portal.portal.security import Form
from service_portal.portal.translations import mark
from service_portal.portal.visit import Operator, Sent, SignedIn, Visit
from service_portal.portal.vocabulary import TARIFF_KINDS

router = APIRouter()
Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
KINDS = ("region", "industry", "edge")
PRECISIONS = ("fp64", "fp32", "fp16", "int8")
UNENDED = "queued,starting,running"
MOST_JOBS = 10
DAYS = 30
CARBON_DAYS = 7
# A clock that is off by more is said to be wrong: leases last for tens of seconds.
CLOCK_OFF_S = 5.0
_UTILISATION, _INTENSITY, _YUAN_KWH = mark("利用率"), mark("碳强度"), mark("元/kWh")


@router.get("/register-centre")
def new_centre(visit: Operator) -> Response:
    """The form that registers a centre."""
    return _register(visit, {"kind": "edge"}, None)


@router.post("/centres")
def register(sent: Sent) -> Response:
    """Registers a centre and shows it; what is refused stands beside its field."""
    visit, form = sent.visit, sent.form
    fields = typed(form)
    body = {name: fields.get(name, "") for name in ("id", "title", "kind")} | {"owner": fields.get("owner") or None}
    try:
        visit.brain.add_centre(body)
    except Problem as problem:
        return _register(visit, fields, refused(problem))
    return visit.go(f"/centres/{body['id']}")


@router.get("/centres/{centre}")
def centre_page(visit: SignedIn, centre: Name) -> Response:
    """Everything about a centre."""
    return _page(visit, centre)


@router.post("/centres/{centre}/keys")
def make_key(sent: Sent, centre: Name) -> Response:
    """Makes a key of the centre's agent and shows it once, with the lines that start an agent."""
    visit = sent.visit
    made = visit.brain.make_centre_key(centre)
    if visit.is_partial:
        # For the place in the page that asked, so that loading the page again makes no other key.
        found = visit.brain.centre(centre)
        return visit.page("_centre_key.html", centre=found, fresh_key=made, address=_address(visit))
    return _page(visit, centre, fresh_key=made)


@router.post("/centres/{centre}/fence")
def fence(sent: Sent, centre: Name) -> Response:
    """Declares what a silent centre ran lost, once the operator vouches that its machines are off."""
    visit = sent.visit
    try:
        if sent.form.one("off") != "yes":
            errors = [{"field": "off", "reason": "请先确认机器已关闭"}]
            raise InvalidInput("没有声明失效", errors=errors)
        ended = visit.brain.fence_centre(centre)
    except Problem as problem:
        return _page(visit, centre, problem=refused(problem))
    return visit.go(visit.url(f"/centres/{centre}", fenced=ended))


@router.get("/centres/{centre}/inventory")
def inventory_form(visit: Operator, centre: Name) -> Response:
    """The form of what the centre has beside its nodes, filled in with what is stated."""
    return _inventory(visit, centre, None, None)


@router.post("/centres/{centre}/inventory")
def set_inventory(sent: Sent, centre: Name) -> Response:
    """States what the centre has; what is refused stands beside its field."""
    visit, form = sent.visit, sent.form
    try:
        visit.brain.set_inventory(centre, _stated(form))
    except Problem as problem:
        return _inventory(visit, centre, typed(form), refused(problem))
    return visit.go(f"/centres/{centre}")


def _register(visit: Visit, fields: dict[str, str], problem: dict[str, Any] | None) -> Response:
    return visit.page(
        "centre_register.html",
        status=problem["status"] if problem else 200,
        fields=fields,
        kinds=KINDS,
        names=organisation_names(visit),
        problem=problem,
        wrong=(problem or {}).get("fields", {}),
    )


def _inventory(visit: Visit, centre: str, fields: dict[str, str] | None, problem: dict[str, Any] | None) -> Response:
    found = visit.brain.centre(centre)
    stated = _of(visit.brain.inventory()["items"], centre)
    return visit.page(
        "centre_inventory.html",
        status=problem["status"] if problem else 200,
        centre=found,
        fields=_written(stated) if fields is None else fields,
        precisions=PRECISIONS,
        today=utc_now().astimezone(CHINA).date().isoformat(),
        problem=problem,
        wrong=(problem or {}).get("fields", {}),
    )


def _page(
    visit: Visit, centre: str, *, fresh_key: dict[str, Any] | None = None, problem: dict[str, Any] | None = None
) -> Response:
    brain = visit.brain
    found = brain.centre(centre)
    lists = part(lambda: brain.prices_of(centre))
    carbon = part(lambda: brain.carbon_hours(centre, CARBON_DAYS))
    used = part(lambda: brain.utilisation(DAYS))
    tariff = part(lambda: brain.centre_tariff(centre))
    return visit.page(
        "centre.html",
        status=problem["status"] if problem else 200,
        centre=found,
        sums=_sums(found["nodes"]),
        health=found["capabilities"].get("health", {}),
        clock=_clock(found),
        stated=part(lambda: _of(brain.inventory()["items"], centre)),
        links=part(lambda: [link for link in brain.links() if centre in (link["one"], link["other"])]),
        jobs=part(lambda: brain.jobs(centre=centre, state=UNENDED, costs="true", limit=MOST_JOBS)),
        used=Part(_of(used.value["centres"], centre) if used.value else None, used.problem),
        used_chart=_used_chart(visit, centre, used),
        lists=lists,
        in_force=_in_force(lists.value or [], centre),
        energy=part(lambda: brain.energy_factors(centre)),
        tariff=tariff,
        tariff_chart=_tariff_chart(visit, tariff.value),
        carbon=carbon,
        carbon_chart=_carbon_chart(visit, carbon.value),
        names=organisation_names(visit),
        days=DAYS,
        fresh_key=fresh_key,
        fenced=visit.request.query_params.get("fenced", ""),
        address=_address(visit),
        problem=problem,
    )


def _address(visit: Visit) -> str:
    return str(visit.request.base_url).rstrip("/")


def _of(items: list[dict[str, Any]], centre: str) -> dict[str, Any] | None:
    return next((item for item in items if item["centre"] == centre), None)


def _sums(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    kinds: dict[str, int] = {}
    held: dict[str, float] = {}
    for node in nodes:
        for kind, number in node["accelerators"].items():
            kinds[kind] = kinds.get(kind, 0) + number
        for kind, number in node["used"]["accelerators"].items():
            held[kind] = held.get(kind, 0) + number
    return {
        "cores": sum(node["cores"] for node in nodes),
        "memory_mb": sum(node["memory_mb"] for node in nodes),
        "used": {name: sum(node["used"][name] for node in nodes) for name in ("cores", "memory_mb", "jobs")},
        "accelerators": kinds,
        "held": held,
    }


def _clock(found: dict[str, Any]) -> dict[str, Any] | None:
    ahead_s = found["capabilities"].get("clock_ahead_s")
    if ahead_s is None:
        return None
    return {"ahead_s": round(ahead_s, 1) or 0.0, "is_off": abs(ahead_s) > CLOCK_OFF_S}


def _in_force(lists: list[dict[str, Any]], centre: str) -> dict[str, Any] | None:
    """The centre's own newest list that has begun, else the newest of those for all centres."""
    now = utc_now()
    begun = [one for one in lists if (at := moment(one["valid_from"])) is not None and at <= now]
    own = [one for one in begun if one["centre"] == centre]
    return next(iter(own or begun), None)


def _used_chart(visit: Visit, centre: str, used: Part[dict[str, Any]]) -> dict[str, Any] | None:
    mine = _of(used.value["centres"], centre) if used.value else None
    if used.value is None or mine is None or all(value is None for value in mine["utilisation_pct"]):
        return None
    line = {"name": visit.text(_UTILISATION), "unit": "%", "values": mine["utilisation_pct"]}
    return {"kind": "bar", "x": [day[5:] for day in used.value["days"]], "series": [line]}


def _carbon_chart(visit: Visit, carbon: dict[str, Any] | None) -> dict[str, Any] | None:
    if not carbon or not carbon["items"]:
        return None
    hours = [moment(item["at"]) for item in carbon["items"]]
    line = {
        "name": visit.text(_INTENSITY),
        "unit": "gCO2/kWh",
        "values": [item["g_kwh"] for item in carbon["items"]],
    }
    shown = [at.astimezone(CHINA).strftime("%m-%d %H:%M") if at else "" for at in hours]
    return {"kind": "line", "x": shown, "series": [line]}


def _tariff_chart(visit: Visit, found: dict[str, Any] | None) -> dict[str, Any] | None:
    """The price of each quarter of an hour of today, as steps; each kind of period a series of its own."""
    if not found or not found["hours"]:
        return None
    quarters = [f"{n // 4:02d}:{n % 4 * 15:02d}" for n in range(96)]
    priced = [next(one for one in found["hours"] if one["from"] <= at < one["until"]) for at in quarters]
    series = [
        {
            "name": visit.text(words),
            "unit": visit.text(_YUAN_KWH),
            "values": [float(one["yuan_kwh"]) if one["kind"] == kind else None for one in priced],
        }
        for kind, words in TARIFF_KINDS.items()
        if any(one["kind"] == kind for one in priced)
    ]
    return {"kind": "bar", "x": quarters, "series": series, "stacked": True}


def _written(stated: dict[str, Any] | None) -> dict[str, str]:
    """What is stated as the fields of the form."""
    if not stated or not stated["as_of"]:
        return {}
    names = ("region", "longitude", "latitude", "storage_tb", "racks_built", "racks_planned", "as_of", "source")
    fields = {name: _text(stated[name]) for name in names}
    fields |= {f"eflops_{name}": _text(value) for name, value in stated["eflops"].items()}
    return fields | {"dedicated": "yes" if stated["dedicated"] else ""}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _stated(form: Form) -> dict[str, Any]:
    """The inventory of a form; what is empty is left out. Raises InvalidInput naming fields that hold no number."""
    numbers = Numbers(form)
    body: dict[str, Any] = {name: numbers.one(name) for name in ("longitude", "latitude", "storage_tb")}
    body |= {name: numbers.one(name, whole=True) for name in ("racks_built", "racks_planned")}
    eflops = {name: numbers.one(f"eflops_{name}") for name in PRECISIONS}
    numbers.check()
    words = {name: form.one(name) for name in ("region", "as_of", "source")}
    known = {name: value for name, value in eflops.items() if value is not None}
    return body | words | {"eflops": known, "dedicated": form.one("dedicated") == "yes"}
