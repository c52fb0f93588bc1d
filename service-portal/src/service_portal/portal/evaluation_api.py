"""The evaluation API as the pages call it, with the person's own token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import quote

from brain_kit.client import StreamedReply

from service_portal.portal.clients import Brain, Json

SERVICE = "evaluation"


class EvaluationApi:
    """Sets, values, runs, reported values, assessments. Every method raises the Problem that the API answered with."""

    def __init__(self, brain: Brain) -> None:
        self._brain = brain

    def sets(self) -> list[Json]:
        """Every set."""
        return list(self._get("/v1/indicator-sets")["items"])

    def table(self, set_id: str, **place: Any) -> Json:
        """A set's indicators with values. place: period, cluster, trend."""
        return dict(self._get(f"{_set(set_id)}/indicators", **place))

    def indicator(self, set_id: str, code: str, **place: Any) -> Json:
        """One indicator."""
        return dict(self._get(_indicator(set_id, code), **place))

    def lineage(self, set_id: str, code: str, **place: Any) -> Json:
        """Where its value comes from."""
        return dict(self._get(f"{_indicator(set_id, code)}/lineage", **place))

    def series(self, set_id: str, code: str, **place: Any) -> Json:
        """Its values over time. place: until, cluster, points."""
        return dict(self._get(f"{_indicator(set_id, code)}/series", **place))

    def comparison(self, set_id: str, code: str, period: str) -> Json:
        """Its values of all clusters."""
        return dict(self._get(f"{_indicator(set_id, code)}/comparison", period=period))

    def score(self, set_id: str, **place: Any) -> Json:
        """The weighted score of a cluster."""
        return dict(self._get(f"{_set(set_id)}/score", **place))

    def weights(self, set_id: str) -> Json:
        """Weights with their history."""
        return dict(self._get(f"{_set(set_id)}/weights"))

    def put_weights(
        self, set_id: str, weights: dict[str, float], full_marks: dict[str, float], note: str, version: str
    ) -> Json:
        """Replaces the weights and full marks that were read as `version`."""
        body = {"weights": weights, "full_marks": full_marks, "note": note}
        headers = {"If-Match": f'"{version}"'} if version else {}
        return dict(self._call("PUT", f"{_set(set_id)}/weights", json=body, headers=headers))

    def put_target(self, set_id: str, code: str, body: Json) -> Json:
        """Sets or removes a target."""
        return dict(self._call("PUT", f"{_indicator(set_id, code)}/target", json=body))

    def export(self, set_id: str, form: str, **place: Any) -> AbstractContextManager[StreamedReply]:
        """The table as a file."""
        return self._stream(f"{_set(set_id)}/export", format=form, **place)

    def clusters(self) -> list[Json]:
        """Every cluster."""
        return list(self._get("/v1/clusters")["items"])

    def runs(self, cluster: str = "", limit: int = 5) -> list[Json]:
        """The latest runs."""
        return list(self._get("/v1/runs", cluster=cluster, limit=limit)["items"])

    def run(self, run: str) -> Json:
        """One run."""
        return dict(self._get(f"/v1/runs/{_part(run)}"))

    def request_run(self, body: Json) -> Json:
        """Queues a run."""
        return dict(self._call("POST", "/v1/runs", json=body))

    def cancel_run(self, run: str) -> Json:
        """Ends a run."""
        return dict(self._call("POST", f"/v1/runs/{_part(run)}/cancel"))

    def create_report(self, set_id: str, code: str, body: Json) -> Json:
        """Begins a reported value."""
        return dict(self._call("POST", f"{_indicator(set_id, code)}/reports", json=body))

    def report(self, report: str) -> Json:
        """A reported value with its history."""
        return dict(self._get(f"/v1/reports/{_part(report)}"))

    def waiting_reports(self, limit: int = 20) -> list[Json]:
        """Reported values that wait for review."""
        return list(self._get("/v1/reports", state="submitted", limit=limit)["items"])

    def edit_report(self, report: str, body: Json, version: str) -> Json:
        """Changes a reported value that was read as `version`."""
        headers = {"If-Match": f'"{version}"'} if version else {}
        return dict(self._call("PATCH", f"/v1/reports/{_part(report)}", json=body, headers=headers))

    def act(self, kind: str, identity: str, action: str, note: str) -> Json:
        """Moves a reported value (`reports`) or an assessment (`assessments`) on."""
        return dict(self._call("POST", f"/v1/{kind}/{_part(identity)}/{_part(action)}", json={"note": note}))

    def add_evidence(self, kind: str, identity: str, content: Iterator[bytes], media: str, params: Json) -> Json:
        """Uploads a file. params: name, and criterion for assessments."""
        path = f"/v1/{kind}/{_part(identity)}/evidence"
        headers = {"Content-Type": media}
        return dict(self._call("POST", path, params=params, content=content, headers=headers, timeout_s=300))

    def evidence(self, kind: str, identity: str, evidence: str) -> AbstractContextManager[StreamedReply]:
        """A file as it was uploaded."""
        return self._stream(f"/v1/{kind}/{_part(identity)}/evidence/{_part(evidence)}")

    def remove_evidence(self, kind: str, identity: str, evidence: str) -> None:
        """Takes a file away."""
        self._brain.call(SERVICE, "DELETE", f"/v1/{kind}/{_part(identity)}/evidence/{_part(evidence)}")

    def assessments(self, **filters: Any) -> Json:
        """A page of assessments."""
        return dict(self._get("/v1/assessments", **filters))

    def assessment(self, assessment: str) -> Json:
        """One assessment with every criterion."""
        return dict(self._get(f"/v1/assessments/{_part(assessment)}"))

    def create_assessment(self, year: str) -> Json:
        """Begins an assessment of the person's enterprise."""
        return dict(self._call("POST", "/v1/assessments", json={"year": year}))

    def mark(self, assessment: str, marks: Json, version: str) -> Json:
        """Sets the enterprise's own marks."""
        return self._patch(f"/v1/assessments/{_part(assessment)}", marks, version)

    def review(self, assessment: str, marks: Json, version: str) -> Json:
        """Sets the reviewer's verdicts."""
        return self._patch(f"/v1/assessments/{_part(assessment)}/review", marks, version)

    def export_assessment(self, assessment: str, form: str) -> AbstractContextManager[StreamedReply]:
        """The table of criteria as a file."""
        return self._stream(f"/v1/assessments/{_part(assessment)}/export", format=form)

    def level_rule(self) -> Json:
        """The rule from stars to level."""
        return dict(self._get("/v1/level-rule"))

    def put_level_rule(self, body: Json, version: str) -> Json:
        """Changes the rule that was read as `version`. body: method, shares, thresholds, note."""
        headers = {"If-Match": f'"{version}"'} if version else {}
        return dict(self._call("PUT", "/v1/level-rule", json=body, headers=headers))

    def rows(self, query: Json, limit: int) -> Json:
        """The rows behind a value: the lineage's own query over its fixed versions, with the person's rights."""
        body = {name: query[name] for name in ("sql", "parameters", "versions")} | {"limit": limit}
        return dict(self._brain.call("data-hub", "POST", "/v1/queries", json=body, timeout_s=120).json())

    def rows_file(self, query: Json) -> AbstractContextManager[StreamedReply]:
        """All of these rows as CSV for people."""
        body = {name: query[name] for name in ("sql", "parameters", "versions")}
        manners = {"bom": "true", "escape_formulas": "true"}
        return self._brain.stream("data-hub", "POST", "/v1/queries", "text/csv", json=body, params=manners)

    def _get(self, path: str, **params: Any) -> Any:
        return self._brain.get(SERVICE, path, **params)

    def _call(self, method: str, path: str, **options: Any) -> Any:
        return self._brain.call(SERVICE, method, path, **options).json()

    def _patch(self, path: str, marks: Json, version: str) -> Json:
        headers = {"If-Match": f'"{version}"'} if version else {}
        return dict(self._call("PATCH", path, json={"marks": marks}, headers=headers))

    def _stream(self, path: str, **params: Any) -> AbstractContextManager[StreamedReply]:
        given = {name: value for name, value in params.items() if value not in (None, "")}
        return self._brain.stream(SERVICE, "GET", path, params=given)


def _part(text: str) -> str:
    return quote(text, safe="")


def _set(set_id: str) -> str:
    return f"/v1/indicator-sets/{_part(set_id)}"


def _indicator(set_id: str, code: str) -> str:
    return f"{_set(set_id)}/indicators/{_part(code)}"
