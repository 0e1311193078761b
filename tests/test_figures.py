"""Figures: every kind draws whatever it is given, and says in words what it shows."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from pydantic import TypeAdapter, ValidationError

from bench_lr import figures
from bench_lr.figures.series import positions, trajectories
from bench_lr.schema import FigureSpec
from bench_lr.verdict import ClaimVerdict
from tests.factories import arm, claim_verdict, diverge, empty, judged, rising

ENDS = {"lr=0.2": 0.97, "lr=0.5": 0.975, "lr=0.8": 0.974}
ARMS = [arm(name, lr=float(name[3:])) for name in ENDS]
GRID = {(lr, size): f"lr={lr},batch_size={size}" for lr in (0.1, 0.2, 0.4) for size in (16, 32)}
GRID_ARMS = [arm(name, lr=lr, batch_size=size) for (lr, size), name in GRID.items()]
KINDS: dict[str, dict[str, Any]] = {
    "curves": {},
    "difference": {"treatment": "lr=0.5", "control": "lr=0.8", "mark_epoch": 10, "sustained": 5},
    "phase_diagram": {"second_metric": "loss"},
    "values": {"printed": [0.1, 0.09], "x": [0, 50]},
    "counts": {},
    "schedules": {"log": "y"},
    "plateau_rules": {},
    "distances": {},
    "sweep": {"mark_x": {0.5: "source: 0.5"}},
    "trajectories": {"metric": "accuracy", "target": 0.96, "window": (5, 10)},
    "regimes": {"metric": "accuracy", "split": "validation"},
    "range_test": {"metric": "accuracy", "split": "validation", "printed": {0.3: "source"}},
    "bars": {"controls": ["lr=0.2"], "mark": {97.0: "source"}},
    "double_well": {"paths": ["noisy"]},
    "line_fits": {"panels": ["3 points"]},
    "paths": {"lrs": [0.01, 0.1]},
    "quotes": {},
}


def words(fig: Figure) -> str:
    return "\n".join(text.get_text() for text in fig.findobj(Text) if isinstance(text, Text))


def made(kind: str, frame: pd.DataFrame, **fields: Any) -> ClaimVerdict:
    params = {**KINDS[kind], **fields.pop("params", {})}
    arms = GRID_ARMS if kind == "phase_diagram" else ARMS
    return claim_verdict(FigureSpec(kind, params), frame=frame, **{"arms": arms, **fields})


def frame_of(kind: str) -> pd.DataFrame:
    if kind != "phase_diagram":
        return rising(ENDS)
    return rising({name: 0.97 - 0.01 * i for i, name in enumerate(GRID.values())}, evaluations=6)


def test_every_kind_is_covered_here() -> None:
    assert set(KINDS) == set(figures.FIGURES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_names_its_claim_its_source_and_its_verdict(kind: str) -> None:
    verdict = made(kind, frame_of(kind), shortened="half the epochs", verdict="refuted")
    said = words(figures.draw(verdict)).replace("\n", " ")
    assert "best learning rate is 0.5" in said
    assert "0.5 works best" in said
    assert "refuted" in said
    assert "ai_edu/best_lr_batch_128" in said
    assert "Profile quick, shortened: half the epochs" in said


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_frame_draws_and_says_incomplete(kind: str) -> None:
    verdict = made(kind, empty(), verdict="incomplete", runs=24, missing=24)
    said = words(figures.draw(verdict))
    assert "incomplete" in said
    assert "24 missing" in said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seeds", [[3], range(8)])
def test_diverged_runs_draw(kind: str, seeds: list[int], tmp_path: Path) -> None:
    frame = frame_of(kind)
    for name in frame["arm"].unique():
        frame = diverge(frame, name, list(seeds), after=1.0)
    figures.save(figures.draw(made(kind, frame)), tmp_path / kind)


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_and_missing_arms_draw(kind: str, tmp_path: Path) -> None:
    frame = frame_of(kind)
    first = frame["arm"].iloc[0]
    frame = frame[(frame["seed"] == 0) & (frame["arm"] != first)]
    figures.save(figures.draw(made(kind, frame)), tmp_path / kind)


@pytest.mark.parametrize("kind", KINDS)
def test_no_arms_at_all_draw(kind: str) -> None:
    assert "incomplete" in words(figures.draw(made(kind, empty(), arms=())))


def test_curves_count_diverged_runs_beside_the_line() -> None:
    frame = diverge(rising(ENDS), "lr=0.8", [1, 4], after=3)
    assert "LR 0.8 (2 of 8 diverged)" in words(figures.draw(made("curves", frame)))


def test_curves_mark_the_arm_that_the_source_expects() -> None:
    expected = judged(params={"expected": "lr=0.5"})
    fig = figures.draw(made("curves", rising(ENDS), criteria=[expected]))
    assert "★ LR 0.5" in words(fig)
    assert "★" not in words(figures.draw(made("curves", rising(ENDS))))


def test_curves_label_lines_in_the_order_of_their_ends() -> None:
    fig = figures.draw(made("curves", rising(ENDS, noise=0.0), params={"tail_epochs": None}))
    texts = [t for t in fig.axes[0].texts if t.get_text().startswith("LR ")]
    heights = {t.get_text(): t.xyann[1] for t in texts}  # type: ignore[attr-defined]
    assert heights["LR 0.5"] > heights["LR 0.8"] > heights["LR 0.2"]


def test_curves_take_other_clocks_and_logarithmic_axes() -> None:
    frame = rising({"lr=0.2": 0.1, "lr=0.5": 0.05}, start=1.0, metric="loss", noise=0.0)
    params = {"metric": "loss", "x": "examples", "log_x": True, "log_y": True}
    axes = figures.draw(made("curves", frame, params=params)).axes[0]
    assert axes.get_xlabel() == "training examples"
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    np.testing.assert_allclose(axes.get_lines()[0].get_xdata(), 27_500 * np.arange(1, 31))
    low, high = axes.get_ylim()
    assert low < 0.05
    assert high > 0.9


def test_a_single_evaluation_has_room_on_a_logarithmic_axis() -> None:
    frame = rising(ENDS)
    verdict = made("curves", frame[frame["epoch"] == 1.0], params={"log_x": True})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        low, high = figures.draw(verdict).axes[0].get_xlim()
    assert low < 1.0 <= high


def test_curves_over_seconds_stand_at_the_mean_time() -> None:
    frame = rising({"lr=0.5": 0.97}, seeds=2)
    clock = frame.assign(
        metric="seconds", split="train", value=frame["epoch"] * (2 + 2 * frame["seed"])
    )
    found = positions(pd.concat([frame, clock]), "lr=0.5", np.array([0.5, 1.0, 99.0]), "seconds")
    np.testing.assert_allclose(found, [1.5, 3.0, np.nan])
    assert "no runs" in words(figures.draw(made("curves", frame, params={"x": "seconds"})))


def test_curves_give_ratios_of_the_ends() -> None:
    frame = rising({"lr=0.2": 0.1, "lr=0.5": 0.05}, start=1.0, metric="loss", noise=0.0)
    params = {"metric": "loss", "ratio_to": "lr=0.5"}
    said = words(figures.draw(made("curves", frame, params=params)))
    ends = frame[frame["epoch"] == 15].groupby("arm")["value"].mean()
    assert f"LR 0.2  ×{ends['lr=0.2'] / ends['lr=0.5']:.2f}" in said


def test_curves_show_the_sources_numbers_at_their_places() -> None:
    params = {"printed": {"lr=0.5": [(1, 95.2), (2, 96.8)]}}
    fig = figures.draw(made("curves", rising(ENDS), params=params))
    (diamonds,) = [line for line in fig.axes[0].lines if line.get_marker() == "D"]
    np.testing.assert_allclose(diamonds.get_xydata(), [[1, 95.2], [2, 96.8]])
    assert "source's numbers" in words(fig)


def test_epochs_are_marked_on_an_axis_of_epochs_only() -> None:
    with pytest.raises(ValueError, match="epochs"):
        figures.draw(made("curves", rising(ENDS), params={"x": "step", "mark_epoch": 3}))


def test_a_run_that_ends_early_is_told_from_one_that_diverged() -> None:
    frame = diverge(rising(ENDS), "lr=0.5", [2], after=5)
    frame = frame[~((frame["arm"] == "lr=0.5") & (frame["seed"] == 1) & (frame["epoch"] > 4))]
    found = trajectories(frame, "lr=0.5", "accuracy", "validation")
    assert (found.ended, found.diverged) == (1, 1)
    assert found.ends is not None
    assert found.ends.tolist() == [15, 4, *[15] * 6]
    own = found.own()
    assert np.isfinite(own[1]).sum() == 8
    assert np.isfinite(own[2]).sum() == 10
    assert np.isfinite(own[3:]).all()
    said = words(figures.draw(made("curves", frame)))
    assert "keeps its last value" in said
    assert "(1 of 8 diverged)" in said


def test_curves_take_panels_and_controls() -> None:
    params = {"panels": {"one": ["lr=0.2", "lr=0.5"], "two": ["lr=0.8"]}, "controls": ["*0.8"]}
    fig = figures.draw(made("curves", rising(ENDS), params=params))
    assert [axes.get_title(loc="left") for axes in fig.axes] == ["one", "two"]
    assert len(fig.axes[0].get_lines()) == 2


def test_an_arm_far_below_the_others_does_not_set_the_scale() -> None:
    frame = rising({**ENDS, "lr=8.0": 0.2})
    arms = [*ARMS, arm("lr=8.0", lr=8.0)]
    fig = figures.draw(made("curves", frame, arms=arms))
    low, high = fig.axes[0].get_ylim()
    assert low > 90
    assert high < 98.5
    assert "↓ LR 8.0" in words(fig)


def test_accuracy_is_shown_in_percent() -> None:
    fig = figures.draw(made("curves", rising(ENDS)))
    assert fig.axes[0].get_ylabel() == "validation accuracy, %"
    assert 90 < fig.axes[0].get_ylim()[1] < 100


def test_the_loss_is_called_by_its_name() -> None:
    frame = rising({"lr=0.5": 0.1}, start=1.0, metric="loss")
    fig = figures.draw(made("curves", frame, params={"metric": "loss"}))
    assert fig.axes[0].get_ylabel() == "validation cross-entropy, nats"


def test_text_from_a_claim_is_never_read_as_formula(tmp_path: Path) -> None:
    verdict = claim_verdict(
        FigureSpec("curves"), title="costs $5 and $\\frac{1", source_says="a_b ^ {$", arms=ARMS
    )
    figures.save(figures.draw(verdict), tmp_path / "figure")


@pytest.mark.parametrize("kind", ["curves", "phase_diagram"])
def test_saving_again_gives_the_same_files(kind: str, tmp_path: Path) -> None:
    # The layout is solved in a random order of constraints: two times would seldom show it.
    contents = set()
    for _ in range(6):
        png, svg = figures.save(figures.draw(made(kind, frame_of(kind))), tmp_path / "a")
        contents.add((png.read_bytes(), svg.read_bytes()))
    assert len(contents) == 1
    assert png.read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in svg.read_bytes()
    assert b"<dc:date>" not in svg.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.svg"]


def test_drawing_leaves_the_callers_style_alone() -> None:
    before = dict(mpl.rcParams)
    figures.draw(made("curves", rising(ENDS)))
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_can_be_checked_before_drawing(kind: str) -> None:
    allowed = figures.parameters(kind)
    for name, value in KINDS[kind].items():
        TypeAdapter(allowed[name].annotation).validate_python(value)
    required = {n for n, p in allowed.items() if p.default is inspect.Parameter.empty}
    assert required == ({"treatment", "control"} if kind == "difference" else set())
    assert "verdict" not in allowed


def test_a_wrong_parameter_type_is_told() -> None:
    annotation = figures.parameters("counts")["metric"].annotation
    with pytest.raises(ValidationError):
        TypeAdapter(annotation).validate_python("stepz")


def test_registering_a_kind_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        figures.figure("curves")(lambda verdict: Figure())
