"""Functions that are found by a name under which they were registered."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import TypeVar

_Function = TypeVar("_Function", bound=Callable[..., object])


def registering(
    table: MutableMapping[str, _Function], name: str, what: str
) -> Callable[[_Function], _Function]:
    """Return a decorator that enters a function into a table under a name.

    Raises
    ------
    ValueError
        From the decorator, if the name is taken; `what` says what it is a name of.
    """

    def register(function: _Function) -> _Function:
        if name in table:
            raise ValueError(f"{what} {name!r} is registered twice")
        table[name] = function
        return function

    return register
