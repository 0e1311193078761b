"""What can go wrong with a file: values of other kinds, keys gone or added, bits flipped, cut."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

WORDS = ["", "kind", "ae", "lr=0.5", "ra", "a" * 300, "../mnist", "a\x00b", "${x}", "???", "*"]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 10**20),
    st.floats(),
    st.sampled_from(WORDS),
    st.sampled_from([[], {}, [[]], [None], {"kind": None}, [[1, 2]], {"": []}]),
).map(copy.deepcopy)
KEYS = ("seeds", "measure", "batches", "arms", "x")


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths to everything in nested lists and mappings."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


@st.composite
def mutated(
    draw: st.DrawFn,
    contents: Sequence[Any],
    values: st.SearchStrategy[Any] = VALUES,
    keys: Sequence[str] = KEYS,
) -> Any:
    """Draw one of `contents` with one to three values replaced, keys deleted or added."""
    content = copy.deepcopy(draw(st.sampled_from(contents)))
    for _ in range(draw(st.integers(1, 3))):
        if not content:
            break
        # Where there are a hundred arms, the rest is to have its turn too.
        there = list(places(content))
        first = draw(st.sampled_from(list(dict.fromkeys(place[0] for place in there))))
        *path, last = draw(st.sampled_from([place for place in there if place[0] == first]))
        node: Any = content
        for part in path:
            node = node[part]
        match draw(st.sampled_from(["replace", "delete", "add"])):
            case "replace":
                node[last] = draw(values)
            case "delete":
                del node[last]
            case _ if isinstance(node, dict):
                node[draw(st.sampled_from(keys))] = draw(values)
    return content


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Draw a file's content with a bit flipped, a part overwritten, cut, or something else."""
    kind = draw(st.sampled_from(["flip", "overwrite", "cut", "append", "other"]))
    if kind == "other":
        return draw(st.binary(max_size=40))
    if kind == "append":
        return content + draw(st.binary(min_size=1, max_size=40))
    at = draw(st.integers(0, max(0, len(content) - 1)))
    if kind == "cut":
        return content[:at]
    if kind == "flip":
        return (
            content[:at] + bytes([content[at] ^ 1 << draw(st.integers(0, 7))]) + content[at + 1 :]
        )
    part = draw(st.binary(min_size=1, max_size=40))
    return content[:at] + part + content[at + len(part) :]
