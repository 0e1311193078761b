"""Mistakes in configuration, collected and told together."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError


@dataclass(frozen=True)
class Problem:
    """One mistake: where, what was found, what is allowed, and the nearest allowed word."""

    file: str
    key: str
    found: str
    allowed: str
    nearest: str = ""

    def __str__(self) -> str:
        hint = f" (did you mean {self.nearest!r}?)" if self.nearest else ""
        return (
            f"{self.file}: {self.key or 'file'}: found {self.found}; allowed: {self.allowed}{hint}"
        )


class ConfigError(Exception):
    """Everything that is wrong with the configuration that was asked for."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        count = len(self.problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"{count} mistake{'s' * (count > 1)} in the configuration:\n{lines}")


def nearest(word: object, allowed: Iterable[str]) -> str:
    """Return the allowed word most like `word`, or an empty string."""
    close = difflib.get_close_matches(str(word), list(allowed), n=1, cutoff=0.5)
    return close[0] if close else ""


def unknown(file: str, key: str, found: object, allowed: Iterable[str]) -> Problem:
    """Return the problem of a word that is none of `allowed`."""
    words = sorted(allowed)
    return Problem(file, key, repr(found), ", ".join(words) or "nothing", nearest(found, words))


@cache
def adapter(schema: Any) -> TypeAdapter[Any]:
    """Validator of a dataclass or annotated type."""
    return TypeAdapter(schema)


def parse(schema: Any, content: object, file: str, key: str, problems: list[Problem]) -> Any | None:
    """Validate plain JSON types against `schema`.

    Returns the typed value, or None after adding every mistake to `problems`.
    """
    try:
        text = json.dumps(content, allow_nan=False)
    except (TypeError, ValueError) as error:
        problems.append(Problem(file, key, str(error), "plain YAML values, finite numbers"))
        return None
    try:
        return adapter(schema).validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        problems += [_problem(schema, dict(e), file, key) for e in error.errors(include_url=False)]
    return None


def _problem(schema: Any, error: dict[str, Any], file: str, key: str) -> Problem:
    path = [str(part) for part in error["loc"]]
    where = ".".join([key, *path] if key else path)
    found = _short(error["input"])
    match error["type"]:
        case "unexpected_keyword_argument":
            word = path[-1]
            allowed = _fields_at(schema, error["loc"][:-1])
            return Problem(
                file, where, f"unknown key {word!r}", ", ".join(allowed), nearest(word, allowed)
            )
        case "missing" | "missing_argument":
            return Problem(file, where, "nothing", "a value; the key is required")
        case "literal_error":
            allowed = [
                w.strip(" '") for w in error["ctx"]["expected"].replace(" or ", ",").split(",")
            ]
            return Problem(file, where, found, ", ".join(allowed), nearest(error["input"], allowed))
        case "union_tag_invalid":
            tags = [w.strip(" '") for w in error["ctx"]["expected_tags"].split(",")]
            tag = error["ctx"]["tag"]
            return Problem(file, f"{where}.kind", repr(tag), ", ".join(tags), nearest(tag, tags))
        case "union_tag_not_found":
            return Problem(file, where, found, "a mapping with a kind")
    text = str(error["msg"]).removeprefix("Input should be ")
    return Problem(file, where, found, text)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _fields_at(schema: Any, path: Sequence[Any]) -> list[str]:
    """Names of the fields of the dataclass that `path` leads to inside `schema`."""
    current = adapter(schema).json_schema()
    root = current
    for part in path:
        current = _deref(current, root)
        options = current.get("anyOf") or current.get("oneOf") or [current]
        mapping = current.get("discriminator", {}).get("mapping", {})
        if part in mapping:
            current = _deref({"$ref": mapping[part]}, root)
            continue
        for raw in options:
            option = _deref(raw, root)
            if isinstance(part, int):
                found = option.get("items") or (option.get("prefixItems") or [None])[0]
            else:
                found = option.get("properties", {}).get(part) or option.get("additionalProperties")
            if isinstance(found, dict):
                current = found
                break
        else:
            return []
    current = _deref(current, root)
    names: list[str] = []
    for raw in current.get("anyOf") or [current]:
        names += _deref(raw, root).get("properties", {})
    return names


def _deref(node: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        return dict(root["$defs"][node["$ref"].rsplit("/", 1)[-1]])
    return node
