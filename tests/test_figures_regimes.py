"""The figure of the four regimes of the learning rate."""

from __future__ import annotations

from typing import Any

import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench_lr import figures
from bench_lr.criteria import Detail
from bench_lr.figures.regimes import SHADES
from bench_lr.schema import FigureSpec
from tests.factories import arm, claim_verdict, diverge, judged, rising

CLASSES = {"lr=0.01": "too_low", "lr=0.5": "right", "lr=2": "jumps", "lr=9": "diverges"}
ENDS = {"lr=0.01": 2.0, "lr=0.5": 0.1, "lr=2": 0.5, "lr=9": 0.9}
ARMS = [arm(name, lr=float(name[3:])) for name in ENDS]


def words(fig: Figure) -> str:
    return "\n".join(text.get_text() for text in fig.findobj(Text) if isinstance(text, Text))


def drawn(params: dict[str, Any] | None = None, *, details: bool = True, **fields: Any) -> Figure:
    rows = tuple(Detail(f"{n}: {word}", 1.0, None, None, None) for n, word in CLASSES.items())
    criterion = judged(id="order", kind="regimes", metric="loss", details=rows if details else ())
    frame = diverge(rising(ENDS, start=2.3, metric="loss"), "lr=9", range(8), after=4)
    given: dict[str, Any] = {"arms": ARMS, "frame": frame, "criteria": [criterion], **fields}
    return figures.draw(claim_verdict(FigureSpec("regimes", params or {}), **given))


def colours(fig: Figure) -> dict[str, str]:
    """Colour of the thick line of each arm, in the order of the arms."""
    thick = [line for line in fig.axes[0].get_lines() if line.get_linewidth() > 1.5]
    thick = [line for line in thick if line.get_linestyle() == "-"]
    return dict(zip(ENDS, (to_hex(line.get_color()) for line in thick), strict=True))


def test_lines_have_the_colours_of_the_source() -> None:
    expected = [SHADES[name] for name in ("blue", "green", "red", "yellow")]
    assert list(colours(drawn()).values()) == expected


def test_another_source_may_have_other_colours() -> None:
    found = colours(drawn({"colours": {"right": "red", "jumps": "green"}}))
    assert (found["lr=0.5"], found["lr=2"]) == (SHADES["red"], SHADES["green"])


def test_classes_are_named_with_their_rates() -> None:
    said = words(drawn())
    assert "right (LR 0.5)" in said
    assert "too high: diverges (LR 9)" in said
    assert "between two classes" not in said


def test_a_run_that_diverges_ends_with_a_cross() -> None:
    crosses = [line for line in drawn().axes[0].get_lines() if line.get_marker() == "x"]
    assert len(crosses) == 1
    assert list(crosses[0].get_xdata()) == [4.0]


@pytest.mark.parametrize("criteria", [True, False])
def test_what_is_not_judged_is_not_sorted(criteria: bool) -> None:
    fig = drawn(details=False) if criteria else drawn({"metric": "loss"}, criteria=[])
    said = words(fig)
    assert "not sorted into classes" in said
    assert "right (" not in said
    assert len(set(colours(fig).values())) == 4
