"""The kinds of figure a claim may ask for, by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_type_hints

from pydantic import TypeAdapter

from bench_lr.registry import registering
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Drawing = Callable[..., "Figure"]

FIGURES: dict[str, Drawing] = {}


def figure(kind: str) -> Callable[[Drawing], Drawing]:
    """Register a drawing function under `kind`.

    The function takes the verdict and, as keyword-only arguments with annotations that exist at
    run time, what a claim file may say under ``figure.params``.

    Raises
    ------
    ValueError
        If the kind is taken.
    """
    return registering(FIGURES, kind, "figure kind")


def parameters(kind: str) -> dict[str, inspect.Parameter]:
    """Return what a claim file may say for a figure of this kind.

    Returns
    -------
    dict of name to inspect.Parameter
        Each with its type as annotation (fit for ``pydantic.TypeAdapter``) and its default;
        a parameter whose default is ``inspect.Parameter.empty`` is required.

    Raises
    ------
    KeyError
        If no such kind is registered.
    """
    function = FIGURES[kind]
    hints = get_type_hints(function, localns={"Figure": Any})
    return {
        name: parameter.replace(annotation=hints[name])
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def placeholder(verdict: ClaimVerdict, words: str) -> Figure:
    """Return a figure with the claim's frame that says `words` in place of data."""
    from bench_lr.figures.canvas import canvas, nothing
    from bench_lr.figures.style import theme

    with theme():
        frame = canvas(verdict)
        nothing(frame.axes[0], words)
    return frame.figure


def draw(verdict: ClaimVerdict) -> Figure:
    """Draw the figure that a claim asks for.

    Raises
    ------
    KeyError
        If the claim names a figure kind that is not registered.
    TypeError
        If it gives parameters that the kind does not have.
    ValueError
        If a parameter is not of the kind's type.
    """
    from bench_lr.figures.style import theme

    spec = verdict.claim.spec.figure
    allowed = parameters(spec.kind)
    given = {
        name: TypeAdapter(allowed[name].annotation).validate_python(value)
        if name in allowed
        else value
        for name, value in spec.params.items()
    }
    with theme():
        return FIGURES[spec.kind](verdict, **given)
