"""Mistakes in configuration, collected and told together."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

MOST_NAMED = 40
NAMED_OF_MANY = 8
"""So many of the words that are allowed are named where there are more than the most."""


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


def under(problem: Problem, place: str) -> Problem:
    """Return a problem with its key continued to the left."""
    return replace(problem, key=f"{place}.{problem.key}".rstrip("."))


def nearest(word: object, allowed: Iterable[str]) -> str:
    """Return the allowed word most like `word`, or an empty string."""
    close = difflib.get_close_matches(str(word), list(allowed), n=1, cutoff=0.5)
    return close[0] if close else ""


def unknown(file: str, key: str, found: object, allowed: Iterable[str]) -> Problem:
    """Return the problem of a word that is none of `allowed`; of many, the likeliest are named."""
    words = sorted(allowed)
    shown = ", ".join(words) or "nothing"
    if len(words) > MOST_NAMED:
        like = difflib.get_close_matches(str(found), words, n=NAMED_OF_MANY, cutoff=0.0)
        shown = f"{', '.join(like)}, ... ({len(words)} in all)"
    return Problem(file, key, repr(found), shown, nearest(found, words))


@cache
def adapter(schema: Any) -> TypeAdapter[Any]:
    """Validator of a dataclass or annotated type."""
    return TypeAdapter(schema)


def parse(schema: Any, content: object, file: str, key: str, problems: list[Problem]) -> Any | None:
    """Validate plain JSON types against `schema`.

    Returns the typed value, or None after adding every mistake to `problems`.
    """
    if odd := [_odd(value, file, path) for path, value in _odd_values(content, key)]:
        problems += odd
        return None
    try:
        text = json.dumps(content, allow_nan=False)
    except (TypeError, ValueError) as error:
        problems.append(Problem(file, key, str(error), "plain YAML values, finite numbers"))
        return None
    try:
        return adapter(schema).validate_json(text, strict=True, extra="forbid")
    except ValidationError as error:
        errors = [dict(e) for e in error.errors(include_url=False)]
    plain = json.loads(text)
    mine: dict[tuple[str, str], Problem] = {}
    for item in errors:
        if not _follows(item, errors):
            problem = _problem(schema, item, plain, file, key)
            # Each alternative of a union says what it would have taken.
            same = mine.setdefault((problem.key, problem.found), problem)
            if problem.allowed not in same.allowed:
                allowed = f"{same.allowed}, or {problem.allowed}"
                mine[problem.key, problem.found] = replace(same, allowed=allowed)
    problems += mine.values()
    return None


def _odd_values(content: object, key: str) -> Iterator[tuple[str, object]]:
    """Yield what JSON cannot say, with the key that leads to it."""
    if isinstance(content, Mapping):
        for name, value in content.items():
            yield from _odd_values(value, f"{key}.{name}".lstrip("."))
    elif isinstance(content, list | tuple):
        for position, value in enumerate(content):
            yield from _odd_values(value, f"{key}.{position}".lstrip("."))
    elif isinstance(content, float):
        if not math.isfinite(content):
            yield key, content
    elif not isinstance(content, str | int | None):
        yield key, content


def _odd(value: object, file: str, key: str) -> Problem:
    allowed = "a finite number" if isinstance(value, float) else "plain YAML values"
    return Problem(file, key, _short(value), allowed)


def _follows(error: Mapping[str, Any], errors: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a list is called too short only because its items are wrong."""
    place = error["loc"]
    return error["type"] == "too_short" and any(
        len(e["loc"]) > len(place) and e["loc"][: len(place)] == place for e in errors
    )


def _path(content: Any, error: Mapping[str, Any]) -> list[str]:
    """Keys that lead to an error, without the names that pydantic gives to a union's members."""
    path = []
    for position, part in enumerate(error["loc"]):
        if isinstance(content, dict | list) and _has(content, part):
            content = content[part]
        elif position + 1 < len(error["loc"]) or not error["type"].startswith("missing"):
            continue
        path.append(str(part))
    return path


def _has(content: Any, part: object) -> bool:
    """Whether a mapping has a key, or a list an index."""
    return part in (content if isinstance(content, dict) else range(len(content)))


def _problem(schema: Any, error: dict[str, Any], content: object, file: str, key: str) -> Problem:
    where = ".".join([key] * bool(key) + _path(content, error))
    found = _short(error["input"])
    match error["type"]:
        case "unexpected_keyword_argument":
            word = str(error["loc"][-1])
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
    text = str(error["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    text = {"an object": "a mapping", "a valid array": "a list"}.get(text, text)
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
