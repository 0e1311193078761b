"""The parts that figures are made of: series, colours, labels, numbers."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench_lr import figures
from bench_lr.claims.sources import NotTestable, Source
from bench_lr.figures.difference import first_sustained, paired
from bench_lr.figures.labels import spread
from bench_lr.figures.numbers import detail, in_margins, number, shown
from bench_lr.figures.phase_diagram import grid, slope
from bench_lr.figures.scoreboard import draw_scoreboard, leading
from bench_lr.figures.series import band, select, trajectories
from bench_lr.figures.style import LOOKS, colours, numeric_scale, readable
from bench_lr.figures.values import last_digit
from bench_lr.schema import FigureSpec
from tests.factories import arm, claim_verdict, diverge, judged, many, rising

ARMS = [arm(f"lr={lr}", lr=lr) for lr in (0.2, 0.5, 0.8)]
GRID = {(lr, size): f"lr={lr},batch_size={size}" for lr in (0.1, 0.2, 0.4) for size in (16, 32)}
GRID_ARMS = [arm(name, lr=lr, batch_size=size) for (lr, size), name in GRID.items()]


def words(fig: Figure) -> str:
    return "\n".join(text.get_text() for text in fig.findobj(Text) if isinstance(text, Text))


def test_band_is_the_t_interval_of_what_is_left() -> None:
    values = np.array([[1.0, 1.0], [2.0, np.nan], [3.0, 3.0], [6.0, np.nan]])
    result = band(values)
    np.testing.assert_allclose(result.mean, [3.0, 2.0])
    # t(0.975; 3) = 3.18245, s = 2.1602 over 4 seeds; t(0.975; 1) = 12.7062, s = 1.41421 over 2.
    np.testing.assert_allclose(result.high - result.mean, [3.43743, 12.7062], rtol=1e-4)
    assert np.isnan(band(np.array([[1.0]])).low).all()


def test_trajectories_pair_seeds_and_take_the_last_epochs() -> None:
    frame = rising({"lr=0.5": 0.97}, seeds=3, evaluations=8).sample(frac=1, random_state=0)
    found = trajectories(frame, "lr=0.5", "accuracy", "validation")
    assert found.seeds == (0, 1, 2)
    assert found.values.shape == (3, 8)
    np.testing.assert_allclose(found.last(2), found.values[:, 4:].mean(axis=1))
    np.testing.assert_allclose(found.last(None), found.values[:, -1])


def test_a_run_that_ended_earlier_keeps_its_last_value_and_has_not_diverged() -> None:
    frame = rising({"a": 0.97}, seeds=3, evaluations=6)
    whole = trajectories(frame, "a", "accuracy", "validation").values
    frame = diverge(frame, "a", [2], after=1.5)
    # Seed 1 reached its target at epoch 2; seed 2 ended when it was found to have diverged.
    frame = frame[~((frame["seed"] == 1) & (frame["epoch"] > 2))]
    frame = frame[~((frame["seed"] == 2) & (frame["epoch"] > 2))]
    found = trajectories(frame, "a", "accuracy", "validation")
    np.testing.assert_array_equal(found.values[0], whole[0])
    np.testing.assert_array_equal(found.values[1], [*whole[1, :4], whole[1, 3], whole[1, 3]])
    assert np.isnan(found.values[2]).tolist() == [False] * 3 + [True] * 3
    assert found.diverged == 1


def test_paired_differences_use_common_seeds_and_epochs() -> None:
    frame = rising({"a": 0.97, "b": 0.96}, seeds=4, evaluations=6)
    frame = frame[~((frame["arm"] == "b") & (frame["seed"] == 2))]
    frame = frame[~((frame["arm"] == "a") & (frame["epoch"] == 1.0))]
    left, right = (trajectories(frame, name, "accuracy", "validation") for name in "ab")
    epochs, treatment, control = paired(left, right)
    np.testing.assert_allclose(epochs, [0.5, 1.5, 2.0, 2.5, 3.0])
    assert treatment.shape == control.shape == (3, 5)
    np.testing.assert_allclose(control[2], right.values[2][[0, 2, 3, 4, 5]])


@pytest.mark.parametrize(
    ("ahead", "length", "when"),
    [("0110111", 3, 5.0), ("111", 3, 1.0), ("0110", 3, np.inf), ("1", 2, np.inf)],
)
def test_first_sustained_lead(ahead: str, length: int, when: float) -> None:
    flags = np.array([letter == "1" for letter in ahead])
    assert first_sustained(flags, np.arange(1.0, flags.size + 1), length) == when


def test_phase_diagram_finds_the_slope_of_the_ridge() -> None:
    arms, ends = [], {}
    for size in (8, 32, 128):
        for lr in (0.05, 0.1, 0.2, 0.4, 0.8):
            name = f"{lr} at {size}"
            arms.append(arm(name, lr=lr, batch_size=size, seeds=2))
            # The best LR doubles when the batch is four times as large: slope 1/2.
            ends[name] = 0.97 - 0.002 * abs(np.log2(lr / (0.1 * (size / 8) ** 0.5)))
    frame = rising(ends, seeds=2, evaluations=4, start=0.97, noise=0.0, speeds={n: 9 for n in ends})
    cells = grid(claim_verdict(arms=arms, frame=frame), "accuracy", "validation", 2)
    assert cells.values.shape == (5, 3, 2)
    assert slope(cells, larger=True)[0] == pytest.approx(0.5)


def test_phase_diagram_never_calls_a_diverged_cell_best() -> None:
    frame = rising({name: 0.97 - 0.01 * i for i, name in enumerate(GRID.values())}, evaluations=6)
    frame = diverge(frame, GRID[(0.1, 16)], [0], after=1)
    cells = grid(claim_verdict(arms=GRID_ARMS, frame=frame), "accuracy", "validation", 2)
    assert np.isnan(cells.means[0, 0])
    assert cells.best(larger=True)[0, 0] == 1
    assert cells.best(larger=True)[0, 1] == 0


def test_counts_are_exact() -> None:
    arms = [arm("B 16", batch_size=16, epochs=1), arm("B 32", batch_size=32, epochs=1)]
    said = words(figures.draw(claim_verdict(FigureSpec("counts"), arms=arms)))
    assert "3,438" in said
    assert "1,719" in said


def test_values_flag_what_rounding_does_not_explain() -> None:
    computed = 0.1 * 0.9 ** np.arange(7)
    params = {"printed": [0.1, 0.09, 0.081, 0.073, 0.065, 0.059, 0.053]}
    spec = FigureSpec("values", params)
    fig = figures.draw(claim_verdict(spec, calculations={"schedule": computed}))
    bold = [t.get_text() for t in fig.axes[0].texts if t.get_fontweight() == "bold"]
    assert bold == ["0.065\n−0.00061"]


@pytest.mark.parametrize(("value", "unit"), [(0.073, 0.001), (2.0, 1), (1e-05, 1e-05), (120, 1)])
def test_last_printed_digit(value: float, unit: float) -> None:
    assert last_digit(value) == pytest.approx(unit)


def test_arms_of_one_number_get_a_sequence_of_colours() -> None:
    assert numeric_scale(ARMS) == (0.2, 0.5, 0.8)
    scaled = [arm(f"k={k}", lr=0.001 * k, batch_size=8 * k) for k in (1, 2, 4)]
    assert numeric_scale(scaled) == (8, 16, 32)
    assert numeric_scale(GRID_ARMS) is None
    assert numeric_scale([arm("a"), arm("b")]) is None
    light = [sum(colour) for colour in colours([ARMS[2], ARMS[0], ARMS[1]]).values()]
    assert light[0] > light[2] > light[1]


def test_labels_can_be_read_on_white() -> None:
    assert readable("#b04500") == pytest.approx((0xB0 / 255, 0x45 / 255, 0))
    assert max(readable("#fbafe4")) < 0.7


def test_places_are_spread_without_changing_their_order() -> None:
    places = spread([0.99, 0.98, 0.5, 0.49, 0.48, 0.0], 0.1)
    assert places == sorted(places, reverse=True)
    assert min(np.diff(places[::-1])) >= 0.1 - 1e-9
    assert places[0] <= 1
    assert places[-1] >= 0
    assert spread([0.9, 0.1], 0.1) == pytest.approx([0.9, 0.1])


def test_arms_are_selected_by_name_before_glob() -> None:
    arms = [arm("k=4"), arm("k=4, rate not scaled"), arm("base")]
    assert [a.name for a in select(arms, ["k=4"])] == ["k=4"]
    assert [a.name for a in select(arms, ["base", "k=*"])] == [a.name for a in arms]


def test_verdicts_are_told_apart_by_more_than_colour() -> None:
    assert len({look.mark for look in LOOKS.values()}) == 4
    assert len({look.point for look in LOOKS.values()}) == 4


def test_scoreboard_shows_every_claim_and_counts_verdicts(tmp_path: Path) -> None:
    verdicts = [
        claim_verdict(id="ai_edu/one", title="First"),
        claim_verdict(id="ai_edu/two", title="Second", verdict="refuted"),
        claim_verdict(
            id="raschka/three",
            title="Third",
            verdict="incomplete",
            criteria=[judged("incomplete", estimate=None, ci=None, single_run_rate=None)],
        ),
        claim_verdict(
            id="raschka/four", criteria=[judged(estimate=float("inf"), ci=(1.0, float("inf")))]
        ),
    ]
    fig = draw_scoreboard(verdicts)
    said = words(fig)
    for text in ("First", "Second", "Third", "raschka", "✓ 2 reproduced", "✗ 1 refuted"):
        assert text in said
    figures.save(fig, tmp_path / "scoreboard")
    figures.save(draw_scoreboard([]), tmp_path / "none")


def test_scoreboard_of_many_claims_fits_and_tells_what_cannot_be_tested() -> None:
    item = NotTestable("It is nice.", "page 2", "an opinion")
    sources = {
        "ai_edu": Source("A course", "course", "here", (item,)),
        "silent": Source("A poem", "poem", "there", (item,)),
    }
    verdicts = many(90)
    fig = draw_scoreboard(verdicts, sources)
    said = words(fig)
    for verdict in ("reproduced", "refuted", "inconclusive", "incomplete"):
        count = sum(item.verdict == verdict for item in verdicts)
        assert f"{LOOKS[verdict].mark} {count} {verdict}" in said
    texts = [text.get_text() for text in fig.texts]
    assert texts.count("–  not testable") == texts.count("an opinion") == 2
    assert "– 2 not testable" in texts
    assert {"A course", "silent", "A poem"} <= set(texts)
    assert said.count("needs profile full") == sum(v.claim.spec.cost == "G" for v in verdicts)
    # A page is as tall as its rows, and rows do not overlap.
    assert fig.get_figheight() < 40
    rows = [text.get_window_extent() for text in fig.texts if text.get_text().startswith("Claim ")]
    edges = sorted((box.y0, box.y1) for box in rows)
    assert len(edges) == 90
    assert all(below[1] <= above[0] + 1 for below, above in itertools.pairwise(edges))


def test_the_leading_criterion_decides_the_verdict() -> None:
    criteria = [
        judged("reproduced", id="a"),
        judged("refuted", id="control", role="control"),
        judged("refuted", id="b"),
    ]
    found = leading(claim_verdict(verdict="refuted", criteria=criteria))
    assert found is not None
    assert found.spec.id == "b"


def test_numbers_carry_the_units_of_what_was_measured() -> None:
    assert shown(judged()).effect == "+0.12 pp [+0.070, +0.17]"
    assert shown(judged()).margin == "0.1 pp"
    share = judged(kind="overtakes", estimate=0.8, ci=(0.5, 0.95), margin=10)
    assert shown(share).effect == "80 % [50, 95]"
    assert shown(share).margin == "epoch 10"
    share = judged(kind="share", estimate=0.85, ci=(0.62, 0.97), margin=0.8)
    assert (shown(share).effect, shown(share).margin) == ("85 % [62, 97]", "80 %")
    relative = judged(kind="equivalent", metric="loss", params={"relative": True}, margin=0.02)
    assert shown(relative).margin == "2 %"
    assert shown(judged(kind="slope", estimate=0.7, ci=(0.6, 0.8))).effect == "0.70 [0.60, 0.80]"


def test_rows_about_shares_have_no_decimals_either() -> None:
    share = judged(kind="share", estimate=0.85, ci=(0.621, 0.968), margin=0.8)
    assert detail(share, 0.875, (0.4735, 0.9968)) == "88 % [47, 100]"
    assert detail(judged(), 0.0012, (0.0007, 0.0017)) == "+0.12 pp [+0.070, +0.17]"


def test_only_differences_are_measured_in_margins() -> None:
    assert in_margins(judged()) == (pytest.approx(1.2), pytest.approx((0.7, 1.7)))
    assert in_margins(judged(kind="overtakes", margin=10)) is None
    assert in_margins(judged(margin=0.0)) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (-0.0123, "−0.012"), (1234.5, "1,234"), (0.00001, "1.0e−05"), (float("nan"), "—")],
)
def test_numbers_have_few_digits(value: float, text: str) -> None:
    assert number(value) == text
