"""Which problems an endpoint may answer with, read from the code that it reaches.

The simple specification: every place in the endpoint, in its dependencies and in the functions of this product that
they name, where a subclass of Problem is made. Names are followed through globals, closures, attributes of objects
that closures hold, and annotations of parameters. What is only known while running is not followed, so the list may
lack an error; it never names one that no code on the way makes.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from brain_kit.problems import Problem

# Of the kit only what decides about callers and calls; its databases and brokers fail as `Unavailable` everywhere.
KIT = frozenset({"brain_kit.auth", "brain_kit.acting", "brain_kit.client"})
MISSING = object()


@dataclass(frozen=True)
class Raised:
    """A problem that may be answered; detail: its sentence, with {placeholders} where values come in."""

    status: int
    code: str
    title: str
    detail: str


@dataclass(frozen=True)
class _Step:
    """A function to look into, with the object that its first parameter is."""

    function: FunctionType
    owner: Any = None


class Reader:
    """Reads the functions of one application; what it has read it remembers."""

    def __init__(self) -> None:
        self._read: dict[tuple[int, int], tuple[_Step, list[Raised], list[_Step]]] = {}
        # Trees are large; they go with the reader.
        self._sources: dict[str, dict[tuple[str, int], ast.AST]] = {}

    def raised_by(self, endpoints: Iterable[Callable[..., Any]]) -> dict[str, Raised]:
        """Problems by code that the endpoints (a route's function and its dependencies) may end with."""
        found: dict[str, Raised] = {}
        waiting = [step for endpoint in endpoints for step in _steps(endpoint)]
        packages = {step.function.__module__.partition(".")[0] for step in waiting} - {"brain_kit"}
        seen: set[tuple[int, int]] = set()
        while waiting:
            step = waiting.pop()
            mark = (id(step.function), id(step.owner))
            if mark in seen or not _is_ours(step.function.__module__, packages):
                continue
            seen.add(mark)
            if mark not in self._read:
                # The step is kept with what it leads to, so that its objects live and their ids stay theirs.
                self._read[mark] = (step, *_made(step, self._definition(step.function)))
            _, problems, next_steps = self._read[mark]
            waiting += next_steps
            for problem in problems:
                found.setdefault(problem.code, problem)
        return dict(sorted(found.items()))

    def _definition(self, function: FunctionType) -> ast.AST | None:
        path = function.__code__.co_filename
        if path not in self._sources:
            self._sources[path] = _definitions(path)
        return self._sources[path].get((function.__name__, function.__code__.co_firstlineno))


def _is_ours(module: str, packages: set[str]) -> bool:
    return module.partition(".")[0] in packages or module in KIT


def _steps(value: Any, owner: Any = None) -> Iterator[_Step]:
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    if inspect.ismethod(value):
        value, owner = value.__func__, value.__self__
    if isinstance(value, FunctionType):
        yield _Step(inspect.unwrap(value), owner)


def _made(step: _Step, tree: ast.AST | None) -> tuple[list[Raised], list[_Step]]:
    """The problems that a function makes, and the functions that it names."""
    problems: list[Raised] = []
    waiting: list[_Step] = []
    if tree is None:
        return problems, waiting
    names = _names(step, tree)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)):
            value, owner = _resolved(node, names)
            waiting += _steps(value, owner)
        made = node.func if isinstance(node, ast.Call) else node.exc if isinstance(node, ast.Raise) else None
        if made is None:
            continue
        value, _ = _resolved(made, names)
        if isinstance(value, type) and issubclass(value, Problem):
            # The sentence is the longest text that it is made with; some take their code before it.
            texts = map(_sentence, node.args) if isinstance(node, ast.Call) else ()
            detail = max(texts, key=len, default="")
            problems.append(Raised(value.status, value.code, value.title, detail))
        elif isinstance(value, type):
            waiting += _steps(inspect.getattr_static(value, "__init__", None), value)
    return problems, waiting


def _names(step: _Step, tree: ast.AST) -> dict[str, Any]:
    """What the names in a function stand for, as far as that is known before it runs."""
    function = step.function
    names: dict[str, Any] = dict(function.__globals__)
    closure = inspect.getclosurevars(function) if function.__closure__ else None
    names |= closure.nonlocals if closure else {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in sys.modules:
            module = sys.modules[node.module]
            names |= {alias.asname or alias.name: getattr(module, alias.name, MISSING) for alias in node.names}
    parameters = list(function.__code__.co_varnames[: function.__code__.co_argcount])
    for name in parameters:
        # An annotation that names a class stands for an object of it; anything else hides a global of that name.
        kind = names.get(str(function.__annotations__.get(name, "")), MISSING)
        names[name] = kind if isinstance(kind, type) and not issubclass(kind, Problem) else MISSING
    if step.owner is not None and parameters:
        names[parameters[0]] = step.owner
    return names


def _resolved(node: ast.AST, names: dict[str, Any]) -> tuple[Any, Any]:
    """What an expression stands for and whose attribute it is; MISSING when that is not known."""
    if isinstance(node, ast.Name):
        return names.get(node.id, MISSING), None
    if not isinstance(node, ast.Attribute):
        return MISSING, None
    owner, _ = _resolved(node.value, names)
    if owner is MISSING:
        return MISSING, None
    if isinstance(owner, ModuleType):
        return getattr(owner, node.attr, MISSING), None
    value = inspect.getattr_static(owner, node.attr, MISSING)
    if isinstance(value, property):
        value = value.fget
    return value, owner


def _sentence(node: ast.AST) -> str:
    """The text that a problem is made with; values that come in stand as {names}."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_sentence(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return "{" + (ast.unparse(node.value) if isinstance(node.value, ast.Name) else "…") + "}"
    return ""


def _definitions(path: str) -> dict[tuple[str, int], ast.AST]:
    """Functions of a source file by name and first line, which is that of the first decorator."""
    try:
        tree = ast.parse(Path(path).read_text(encoding="utf-8"))
    except (OSError, SyntaxError):
        return {}
    return {
        (node.name, min([node.lineno, *(mark.lineno for mark in node.decorator_list)])): node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
