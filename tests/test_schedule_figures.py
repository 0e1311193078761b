"""Figures of schedules: what they draw is what the schedules give."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from matplotlib.mathtext import MathTextParser

from bench_lr import figures
from bench_lr.calculations import PlateauRule, ScheduleValues
from bench_lr.claims import claim_files, conf_roots, load_claims
from bench_lr.figures.gallery import ORDER, cards, draw_gallery, formula
from bench_lr.figures.schedules import curve
from bench_lr.figures.style import save
from bench_lr.judge import judge
from bench_lr.schedules import (
    Clock,
    Constant,
    Cyclic,
    Exponential,
    Floats,
    Inverse,
    Linear,
    MultiStep,
    Planned,
    Polynomial,
    RangeTest,
    Registered,
    Segment,
    Step,
    Warmup,
)
from bench_lr.schedules.registered import SCHEDULES
from bench_lr.store import Store
from bench_lr.verdict import ClaimVerdict

EVERY = (
    Constant(),
    Step(0.5, 3),
    MultiStep(0.5, (3,)),
    Exponential(factor=0.9),
    Exponential(factor=0.9, every=4),
    Exponential(rate=0.1),
    Inverse(0.1),
    Inverse(0.1, 1.0),
    Polynomial(5),
    Linear(5),
    Cyclic(0.1, 4),
    Warmup(0.1, steps=3),
    RangeTest((Segment(0.1, 0.2, step=0.1, steps=1),)),
)


@pytest.fixture
def every(monkeypatch: pytest.MonkeyPatch) -> tuple[Planned, ...]:
    """A schedule of every kind; one is registered for the time being."""
    monkeypatch.setitem(SCHEDULES, "flat", flat)
    return (*EVERY, Registered("flat"))


def flat(clock: Clock) -> Floats:
    return np.ones_like(clock.step)


ROOT = conf_roots()[-1]


@cache
def judged(claim_id: str) -> ClaimVerdict:
    (claim,) = load_claims([claim_id], "quick", roots=[ROOT])
    return judge(claim, Store(Path("nowhere")))


def words(figure: object) -> str:
    found = [text.get_text() for text in figure.findobj(match=lambda a: hasattr(a, "get_text"))]
    return "\n".join(found)


def test_every_kind_of_schedule_has_a_formula_and_a_place(every: tuple[Planned, ...]) -> None:
    kinds = set(get_args(get_args(Planned)[0]))
    assert {type(schedule) for schedule in every} == kinds
    assert set(ORDER) == kinds | {PlateauRule}
    parser = MathTextParser("path")
    for schedule in every:
        parser.parse(formula(schedule))


def test_alike_schedules_stand_side_by_side_and_controls_are_left_out() -> None:
    ids = ["raschka/cyclical", "lr_blog/step_decay", "ai_edu/policy_poly", "ai_edu/policy_step"]
    found = cards([judged(claim_id) for claim_id in ids])
    assert [card.verdict.claim.id for card in found] == [ids[1], ids[3], ids[2], ids[0]]
    assert [[line.name for line in card.curves] for card in found] == [
        ["staircase"],
        ["step, every 500"],
        ["p = 1", "p = 2", "p = 0.5"],
        ["triangular"],
    ]


@pytest.mark.parametrize("claim_id", ["ai_edu/policy_inv", "baeldung/gradual_warmup"])
def test_a_line_passes_through_the_values_that_are_judged(claim_id: str) -> None:
    verdict = judged(claim_id)
    for name, calculation in verdict.claim.spec.calculations.items():
        if not isinstance(calculation, ScheduleValues) or max(calculation.at) > 1e6:
            continue
        time, rates = curve(calculation, max(*calculation.at, 1))
        near = np.interp(calculation.at, time, rates)
        steep = np.abs(np.diff(rates)).max()
        np.testing.assert_allclose(near, verdict.calculations[name], atol=steep)


def test_the_gallery_names_each_claim_its_source_and_its_verdict(tmp_path: Path) -> None:
    verdicts = [judged("ai_edu/policy_inv"), judged("lr_blog/plateau"), judged("raschka/halving")]
    figure = draw_gallery(verdicts)
    assert figure is not None
    said = words(figure)
    for text in ("inv", "refuted", "plateau", "reproduced", "halving", "equation 6", "text (below"):
        assert text in said
    assert len(figure.axes) == 3
    png, svg = save(figure, tmp_path / "gallery")
    assert min(png.stat().st_size, svg.stat().st_size) > 10_000


def test_without_schedules_there_is_no_gallery() -> None:
    assert draw_gallery([judged("ai_edu/half_batch_double_iterations")]) is None
    assert draw_gallery([]) is None


@pytest.mark.parametrize("claim_id", claim_files([ROOT]))
def test_figures_of_schedules_are_drawn(claim_id: str) -> None:
    verdict = judged(claim_id)
    if verdict.claim.spec.figure.kind in ("schedules", "plateau_rules", "distances"):
        figure = figures.draw(verdict)
        assert "incomplete" not in words(figure)
        assert any(axes.lines for axes in figure.axes)
