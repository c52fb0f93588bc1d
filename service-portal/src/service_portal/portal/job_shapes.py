"""The form of a job: a specification as fields of text, and the fields back into a specification."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from brain_kit.problems import InvalidInput

from service_portal.portal.formats import CHINA, moment
from service_portal.portal.security import Form

Json = dict[str, Any]
PRIORITIES = ("low", "normal", "high")
_MINUTES = "%Y-%m-%dT%H:%M"


def fields_of(spec: Mapping[str, Any]) -> dict[str, str]:
    """A specification as the fields of the form; members without a field are left to `spec_of`."""
    resources = spec.get("resources") or {}
    due = moment(spec.get("deadline"))
    plain = {name: spec.get(name) for name in ("name", "priority", "retries", "time_limit_s", "centre", "gang")}
    plain |= {name: spec.get(name) for name in ("checkpoint_every_s", "reservation")}
    plain |= {name: resources.get(name) for name in ("cores", "memory_mb")}
    read = spec.get("datasets") or []
    datasets = [item["dataset"] + (f"@{item['version']}" if item.get("version") else "") for item in read]
    inputs = {name: item["sha256"] for name, item in (spec.get("inputs") or {}).items()}
    return {
        **{name: _plain(value) for name, value in plain.items()},
        "command": shlex.join(spec.get("command") or []),
        "deadline": due.astimezone(CHINA).strftime(_MINUTES) if due else "",
        "accelerators": pairs_text(resources.get("accelerators") or {}),
        "env": pairs_text(spec.get("env") or {}),
        "labels": pairs_text(spec.get("labels") or {}),
        "inputs": pairs_text(inputs),
        "datasets": _words_text(datasets),
        "outputs": _words_text(spec.get("outputs") or []),
        "after": _words_text(spec.get("after") or []),
    }


def typed(form: Form) -> dict[str, str]:
    """The fields as somebody wrote them, to be shown again; whatever the form left out is empty."""
    return {name: form.one(name).replace("\r\n", "\n") for name in fields_of({})}


def spec_of(fields: Mapping[str, str], given: Mapping[str, Any]) -> Json:
    """The specification that the fields say; members of `given` without a field stay as they are.

    Numbers that are none are passed on as they are: the API names the field. Raises InvalidInput for what cannot be
    told as JSON, such as an open quotation mark.
    """
    resources = dict(given.get("resources") or {}) | {
        "cores": number_of(fields["cores"]) or 1,
        "memory_mb": number_of(fields["memory_mb"]) or 512,
        "accelerators": {kind: number_of(text) for kind, text in pairs_of(fields, "accelerators").items()},
    }
    made: Json = dict(given) | {
        "name": fields["name"],
        "command": _words(fields, "command"),
        "resources": resources,
        "priority": fields["priority"] or "normal",
        "deadline": moment_text(fields["deadline"]),
        "env": pairs_of(fields, "env"),
        "labels": pairs_of(fields, "labels"),
        "inputs": {name: {"sha256": digest} for name, digest in pairs_of(fields, "inputs").items()},
        "datasets": [_dataset(word) for word in _words(fields, "datasets")],
        "outputs": _words(fields, "outputs"),
        "after": _words(fields, "after"),
        "centre": fields["centre"] or None,
        "reservation": fields["reservation"].strip() or None,
    }
    for name in ("retries", "gang", "time_limit_s", "checkpoint_every_s"):
        if fields[name]:
            made[name] = number_of(fields[name])
        else:
            made.pop(name, None)
    return made


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def pairs_text(pairs: Mapping[str, Any]) -> str:
    """Pairs as a form shows them, one a line."""
    return "\n".join(shlex.quote(f"{name}={_plain(value)}") for name, value in pairs.items())


def _words_text(words: list[str]) -> str:
    return "\n".join(shlex.quote(word) for word in words)


def _words(fields: Mapping[str, str], name: str) -> list[str]:
    try:
        return shlex.split(fields[name])
    except ValueError:
        errors = [{"field": name, "reason": "引号没有成对；含空格的部分用一对引号括起来"}]
        raise InvalidInput(f"{name} 里的引号没有成对", errors=errors) from None


def pairs_of(fields: Mapping[str, str], name: str) -> dict[str, str]:
    """The pairs of a field. Raises InvalidInput naming what is none."""
    pairs = {}
    for word in _words(fields, name):
        left, sign, right = word.partition("=")
        if not sign or not left:
            errors = [{"field": name, "value": word[:60], "reason": "每项应写成 名=值"}]
            raise InvalidInput(f"{name} 里的 {word[:60]} 应写成 名=值", errors=errors)
        pairs[left] = right
    return pairs


def _dataset(word: str) -> Json:
    name, _, version = word.partition("@")
    return {"dataset": name, "version": version or None}


def moment_text(text: str) -> str | None:
    """A moment in China as the browser's field writes it, in the form of the API; what is none stays as it is."""
    return f"{text}:00+08:00" if len(text) == len("2026-01-01T00:00") else text or None


def number_of(text: str) -> float | int | str:
    """The number that a text says; what is none stays as it is: the API names the field."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text
