"""Python types of JSON Schemas, as source text: TypedDict for objects, Literal for enumerations."""

from __future__ import annotations

import keyword
from typing import Any

Json = dict[str, Any]
_SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


class Types:
    """The named types of one service, in the order in which they may be written."""

    def __init__(self, prefix: str, schemas: Json) -> None:
        self._prefix = prefix
        self._schemas = schemas
        self.sources: dict[str, str] = {}

    def of(self, schema: Any, name: str) -> str:
        """The type of a schema; name: what an object in it is called when it has no name of its own."""
        if not isinstance(schema, dict) or not schema:
            return "Any"
        if "$ref" in schema:
            return self._named(schema["$ref"].rpartition("/")[2])
        for member in ("anyOf", "oneOf"):
            if member in schema:
                return _union(self.of(item, name) for item in schema[member])
        if "const" in schema:
            return f"Literal[{schema['const']!r}]"
        if "enum" in schema:
            return f"Literal[{', '.join(repr(item) for item in schema['enum'])}]"
        kinds = schema.get("type", "object" if "properties" in schema else None)
        kinds = kinds if isinstance(kinds, list) else [kinds]
        return _union(self._of_kind(kind, schema, name) for kind in kinds)

    def _of_kind(self, kind: str | None, schema: Json, name: str) -> str:
        if kind == "array":
            return f"list[{self.of(schema.get('items'), name + 'Item')}]"
        if kind == "object":
            if "properties" in schema:
                return self._object(schema, name)
            return f"dict[str, {self.of(schema.get('additionalProperties'), name + 'Value')}]"
        return _SCALARS.get(kind or "", "Any")

    def _named(self, full: str) -> str:
        name = type_name(full.removeprefix(f"{self._prefix}."))
        if name not in self.sources:
            schema = self._schemas.get(full, {})
            if "properties" not in schema:
                return self.of(schema, name)
            self._object(schema, name)
        return name

    def _object(self, schema: Json, name: str) -> str:
        self.sources.setdefault(name, "")  # a schema that refers to itself finds its name taken
        required = set(schema.get("required", ()))
        members = {
            member: self.of(item, name + type_name(member)) for member, item in schema.get("properties", {}).items()
        }
        members = {member: text if member in required else f"NotRequired[{text}]" for member, text in members.items()}
        del self.sources[name]
        self.sources[name] = _typed_dict(name, members, str(schema.get("description", "")))
        return name


def type_name(text: str) -> str:
    """A class name of a schema's or member's name."""
    words = "".join(letter if letter.isalnum() else " " for letter in text.replace("_", " ")).split()
    return "".join(word[:1].upper() + word[1:] for word in words)


def _typed_dict(name: str, members: dict[str, str], text: str) -> str:
    if all(member.isidentifier() and not keyword.iskeyword(member) for member in members):
        body = "".join(f"    {member}: {kind}\n" for member, kind in members.items())
        return f"class {name}(TypedDict):\n    {docstring(text or name)}\n\n{body}"
    listed = "".join(f"        {member!r}: {kind},\n" for member, kind in members.items())
    return f"{name} = TypedDict(\n    {name!r},\n    {{\n{listed}    }},\n)\n"


def docstring(text: str, indent: str = "    ") -> str:
    """A docstring literal of a text."""
    lines = [line.strip() for line in text.replace("\\", "\\\\").replace('"""', "'''").strip().splitlines()]
    if len(lines) < 2:
        return f'"""{"".join(lines)}"""'
    return '"""' + f"\n{indent}".join(lines).replace(f"\n{indent}\n", "\n\n") + f'\n{indent}"""'


def _union(kinds: Any) -> str:
    found = list(dict.fromkeys(kinds))
    if "Any" in found:
        return "Any"
    return " | ".join(sorted(found, key=lambda kind: kind == "None"))
