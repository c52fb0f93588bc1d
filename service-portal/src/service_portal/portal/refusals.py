"""What an API refused of a form: the problem as a page shows it, and its words for each field."""

from __future__ import annotations

from typing import Any

from brain_kit.problems import InvalidInput, Problem, problem_body

from service_portal.portal.security import Form, current_request_id

REFUSALS = (400, 403, 404, 409, 413, 422)


def refused(problem: Problem) -> dict[str, Any]:
    """The problem of a form that is to be shown again, with `fields`: the words by field.

    Raises the problem itself when it is none that another input could mend.
    """
    if problem.status not in REFUSALS:
        raise problem
    told = problem_body(problem, request_id=current_request_id())
    return told | {"fields": {str(item["field"]): str(item["reason"]) for item in told.get("errors") or ()}}


def typed(form: Form) -> dict[str, str]:
    """What was typed, field by field, without the token."""
    return {name: form.one(name) for name in form if name != "form_token"}


class Numbers:
    """Reads numbers of a form and remembers each one that is none."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._errors: list[dict[str, str]] = []

    def one(self, name: str, *, whole: bool = False) -> float | int | None:
        """The number in a field, None when it is empty."""
        text = self._form.one(name)
        return self.read(name, text, whole=whole) if text else None

    def read(self, field: str, text: str, *, whole: bool = False) -> float | int | None:
        """The number in a text; thousands may be separated."""
        try:
            plain = text.replace(",", "").replace("，", "")
            return int(plain) if whole else float(plain)
        except ValueError:
            reason = "应为整数，如 40" if whole else "应为数值，如 0.4"
            self._errors.append({"field": field, "value": text[:40], "reason": reason})
            return None

    def check(self) -> None:
        """Raises InvalidInput naming every field that held no number."""
        if self._errors:
            raise InvalidInput("有的数值无法识别", errors=self._errors)
