"""Recorded evidence: what is kept, and what counts as a change."""

from __future__ import annotations

import copy
import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from bench_lr import recorded
from bench_lr.recorded import RecordError, changes
from bench_lr.schema import FigureSpec, Profile
from bench_lr.verdict import ClaimVerdict, Judged, Provenance
from tests.factories import QUICK, arm, claim_verdict, judged, rising

CLAIM = "ai_edu/best_lr_batch_128"
STANDARD = Profile("standard", 10, True, False, "hours")
FULL = Profile("full", 32, True, True, "a day")
MINE = Profile("mine", 8, True, False, "own")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "reproductions"


@pytest.fixture
def figure(tmp_path: Path) -> Path:
    path = tmp_path / "drawn.png"
    path.write_bytes(b"a picture")
    return path


def estimated(estimate: float = 0.0012, **fields: Any) -> Judged:
    """Return a criterion on 8 seeds with a between-seed SD of 0.001."""
    given: dict[str, Any] = {"sd": 0.001, "seeds": 8, "ci": (0.0004, 0.002), **fields}
    return judged(given.pop("verdict", "reproduced"), estimate=estimate, **given)


def exact(value: float = 7.0, **fields: Any) -> Judged:
    """Return a criterion about an exact number."""
    return judged(
        "reproduced",
        **{"id": "exact", "estimate": value, "ci": (value, value), "sd": 0.0, **fields},
    )


def verdict(*criteria: Judged, word: str = "reproduced", **fields: Any) -> ClaimVerdict:
    return claim_verdict(verdict=word, criteria=criteria or (estimated(),), **fields)


def told(found: ClaimVerdict, root: Path) -> list[tuple[str, str]]:
    return [(change.criterion, change.what) for change in changes([found], root)]


def half_width(sd: float = 0.001, seeds: int = 8) -> float:
    """Half the 95 % prediction interval for the mean of as many seeds again, from the record."""
    return float(scipy_stats.t.ppf(0.975, seeds - 1)) * sd * float(np.sqrt(2 / seeds))


# --- round trip -------------------------------------------------------------------------------


def test_what_was_just_recorded_is_no_change(root: Path, figure: Path) -> None:
    found = verdict(estimated(), exact(), judged("refuted", id="control", role="control"))
    recorded.write(found, "the page", figure, root)
    assert changes([found], root) == []
    assert recorded.verdict_of(found.claim, root) == "reproduced"
    folder = root / CLAIM
    assert (folder / "README.md").read_text() == "the page"
    assert (folder / "figure.png").read_bytes() == b"a picture"


def test_the_entry_keeps_the_numbers_and_where_they_came_from(root: Path, figure: Path) -> None:
    recorded.write(verdict(estimated()), "", figure, root)
    entry = recorded.read(CLAIM, root)["quick"]
    (item,) = entry["criteria"]
    assert (item["estimate"], item["ci"], item["sd"], item["seeds"]) == (
        0.0012,
        [0.0004, 0.002],
        0.001,
        8,
    )
    low, high = item["prediction"]
    assert (low, high) == pytest.approx((0.0012 - half_width(), 0.0012 + half_width()))
    assert entry["versions"]["torch"] == "2.13.0"
    assert entry["commit"] == "0123456789abcdef"


def test_the_environment_says_where_evidence_lies(
    root: Path, figure: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_LR_REPRODUCTIONS", str(root))
    recorded.write(verdict(), "", figure)
    assert (root / CLAIM / "verdict.json").is_file()
    assert recorded.read(CLAIM) == recorded.read(CLAIM, root) != {}
    assert changes([verdict()]) == []


def test_nothing_recorded_is_told_and_reads_as_nothing(root: Path) -> None:
    assert recorded.read(CLAIM, root) == {}
    assert recorded.verdict_of(verdict().claim, root) is None
    (change,) = changes([verdict()], root)
    assert str(change) == f"{CLAIM}: the record was nothing, is reproduced"


def test_each_profile_has_a_record_of_its_own(root: Path, figure: Path) -> None:
    recorded.write(verdict(), "", figure, root)
    assert told(verdict(profile=STANDARD), root) == [("", "the record")]
    recorded.write(verdict(word="refuted", profile=STANDARD), "", figure, root)
    assert told(verdict(), root) == []
    assert recorded.read(CLAIM, root).keys() == {"quick", "standard"}


# --- changes ----------------------------------------------------------------------------------


def test_a_changed_verdict_is_told(root: Path, figure: Path) -> None:
    recorded.write(verdict(), "", figure, root)
    now = verdict(estimated(verdict="refuted"), word="refuted")
    assert told(now, root) == [("", "the verdict"), ("best", "the verdict")]
    assert "was reproduced, is refuted" in str(changes([now], root)[0])


@pytest.mark.parametrize("side", [-1, 1])
def test_a_number_beyond_what_both_samples_allow_is_told(
    side: int, root: Path, figure: Path
) -> None:
    recorded.write(verdict(estimated(0.0012)), "", figure, root)
    # The spread of the new seeds is known too: 14 degrees of freedom, not 7.
    half = float(scipy_stats.t.ppf(0.975, 14)) * 0.001 * float(np.sqrt(2 / 8))
    inside, outside = (0.0012 + side * share * half for share in (0.999, 1.001))
    assert told(verdict(estimated(inside)), root) == []
    assert told(verdict(estimated(outside)), root) == [("best", "the estimate")]


@pytest.mark.parametrize(
    ("now", "same"), [(7.0, True), (7.0 + 1e-12, True), (7.0001, False), (-7.0, False)]
)
def test_an_exact_value_may_not_change_at_all(
    now: float, same: bool, root: Path, figure: Path
) -> None:
    recorded.write(verdict(exact()), "", figure, root)
    assert told(verdict(exact(now)), root) == ([] if same else [("exact", "the exact value")])


def test_an_estimate_that_comes_or_goes_is_told(root: Path, figure: Path) -> None:
    recorded.write(verdict(estimated(), exact()), "", figure, root)
    none: dict[str, Any] = {"estimate": None, "ci": None, "sd": None}
    now = verdict(judged(**none), judged(id="exact", **none))
    assert told(now, root) == [("best", "the estimate"), ("exact", "the estimate")]
    recorded.write(now, "", figure, root)
    assert told(now, root) == []
    assert told(verdict(estimated(), exact()), root) == [
        ("best", "the estimate"),
        ("exact", "the estimate"),
    ]


def test_a_criterion_that_is_new_or_gone_is_told(root: Path, figure: Path) -> None:
    recorded.write(verdict(estimated(id="kept"), estimated(id="old")), "", figure, root)
    now = verdict(estimated(id="kept"), estimated(id="new"))
    assert [(c.criterion, c.old, c.new) for c in changes([now], root)] == [
        ("new", "nothing", "reproduced"),
        ("old", "there", "gone"),
    ]


def test_a_verdict_may_slide_to_undecided_while_no_number_moves(root: Path, figure: Path) -> None:
    two = (estimated(id="one"), estimated(id="two", verdict="refuted"))
    recorded.write(verdict(*two, word="refuted"), "", figure, root)
    slid = (estimated(0.0013, id="one"), estimated(0.0013, id="two", verdict="inconclusive"))
    for word in ("refuted", "inconclusive"):
        assert told(verdict(*slid, word=word), root) == []
    far = (estimated(0.0013, id="one"), estimated(0.1, id="two", verdict="inconclusive"))
    assert told(verdict(*far, word="inconclusive"), root) == [
        ("", "the verdict"),
        ("two", "the verdict"),
        ("two", "the estimate"),
    ]
    turned = (estimated(0.0013, id="one"), estimated(0.0013, id="two", verdict="reproduced"))
    assert told(verdict(*turned, word="refuted"), root) == [("two", "the verdict")]


def test_the_verdict_of_a_reading_may_change_but_not_its_number(root: Path, figure: Path) -> None:
    reading: dict[str, Any] = {"id": "aside", "role": "reading"}
    recorded.write(verdict(estimated(), estimated(**reading)), "", figure, root)
    turned = estimated(verdict="inconclusive", **reading)
    assert told(verdict(estimated(), turned), root) == []
    far = estimated(1.0, **reading)
    assert told(verdict(estimated(), far), root) == [("aside", "the estimate")]


def test_margins_notes_and_times_may_change(root: Path, figure: Path) -> None:
    recorded.write(verdict(estimated()), "", figure, root)
    now = verdict(estimated(margin=0.5, note="other", p_value=0.9), train_seconds=999.0)
    assert told(now, root) == []


def test_changes_of_all_claims_are_told_together(root: Path, figure: Path) -> None:
    for name in ("a/one", "a/two"):
        recorded.write(verdict(id=name), "", figure, root)
    now = [verdict(id=name, word="refuted") for name in ("a/one", "a/two", "a/three")]
    assert [change.claim for change in changes(now, root)] == ["a/one", "a/two", "a/three"]


# --- what is not recorded ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"word": "incomplete", "note": "3 of 8 runs are missing"}, "3 of 8 runs are missing"),
        ({"provenance": Provenance(dirty=True)}, "uncommitted changes"),
        ({"profile": Profile("smoke", 2, False, False, "")}, "smoke judges nothing"),
    ],
)
def test_what_is_not_fit_is_not_recorded(
    fields: dict[str, Any], reason: str, root: Path, figure: Path
) -> None:
    with pytest.raises(RecordError, match=reason):
        recorded.write(verdict(**fields), "", figure, root)
    assert not root.exists()


@pytest.mark.parametrize("order", [[QUICK, STANDARD, FULL], [FULL, QUICK, STANDARD], [MINE, QUICK]])
def test_the_most_faithful_profile_is_the_one_shown(
    order: list[Profile], root: Path, figure: Path
) -> None:
    for profile in order:
        recorded.write(verdict(profile=profile), profile.name, figure, root)
    best = "full" if FULL in order else "quick"
    assert (root / CLAIM / "README.md").read_text() == best
    content = json.loads((root / CLAIM / "verdict.json").read_text())
    assert content["shown"] == best
    assert content["profiles"].keys() == {profile.name for profile in order}


# --- damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b"\xff",
        b"{}",
        b'{"profiles": []}',
        b'{"profiles": {"quick": 3}}',
    ],
)
def test_a_damaged_record_is_named(content: bytes, root: Path) -> None:
    path = root / CLAIM / "verdict.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"verdict\.json is damaged"):
        changes([verdict()], root)


COMPARED = ("id", "kind", "verdict", "estimate", "ci", "sd", "seeds", "margin")
REQUIRED = [("verdict",), ("criteria",), *(("criteria", 0, name) for name in COMPARED)]


@pytest.mark.parametrize("path", REQUIRED, ids=str)
@pytest.mark.parametrize("value", ["gone", 3, "x", [1], {}, [None, None]], ids=str)
def test_a_record_without_what_is_compared_is_damaged(
    path: tuple[Any, ...], value: Any, root: Path, figure: Path
) -> None:
    if path[-1] in ("estimate", "sd", "margin", "seeds") and value == 3:
        pytest.skip("a number is what belongs there")
    if path[-1] in ("id", "kind") and value == "x":
        pytest.skip("any word may stand there")
    file = recorded.write(verdict(), "", figure, root) / "verdict.json"
    content = json.loads(file.read_text())
    node: Any = content["profiles"]["quick"]
    for part in path[:-1]:
        node = node[part]
    if value == "gone":
        del node[path[-1]]
    else:
        node[path[-1]] = copy.deepcopy(value)
    file.write_text(json.dumps(content))
    with pytest.raises(RecordError, match="damaged"):
        changes([verdict()], root)


# --- summary ----------------------------------------------------------------------------------


def test_the_summary_has_mean_and_sd_of_every_arm_at_every_evaluation() -> None:
    arms = [arm("lr=0.5", seeds=4), arm("lr=0.8", seeds=4)]
    frame = rising({"lr=0.5": 0.97, "lr=0.8": 0.96}, seeds=4, evaluations=3)
    text = recorded.summary(verdict(arms=arms, frame=frame))
    found = pd.read_csv(StringIO(text)).set_index(["arm", "epoch"])
    assert len(found) == 2 * 3
    mine = frame[(frame["arm"] == "lr=0.8") & (frame["epoch"] == 1.0)]["value"]
    row = found.xs(("lr=0.8", 1.0))
    assert row["mean"] == pytest.approx(np.mean(mine), rel=1e-5)
    assert row["std"] == pytest.approx(np.std(mine, ddof=1), rel=1e-4)
    assert row["count"] == 4


@pytest.mark.parametrize(("evaluations", "kept"), [(100, 100), (101, 51), (250, 84)])
def test_the_summary_thins_many_evaluations_and_keeps_the_last(evaluations: int, kept: int) -> None:
    arms = [arm("long", seeds=3), arm("short", seeds=3)]
    long = rising({"long": 0.97}, seeds=3, evaluations=evaluations)
    short = rising({"short": 0.97}, seeds=3, evaluations=2)
    frame = pd.concat([long, short], ignore_index=True)
    found = pd.read_csv(StringIO(recorded.summary(verdict(arms=arms, frame=frame))))
    epochs = found[found["arm"] == "long"]["epoch"]
    assert len(epochs) == kept
    assert epochs.max() == long["epoch"].max()
    assert len(set(np.round(np.diff(epochs), 6))) == 1
    assert len(found) == kept + 2


def test_the_summary_is_the_same_whether_words_are_held_once_or_in_every_row() -> None:
    ends = {"lr=0.8": 0.96, "lr=0.10": 0.97, "lr=0.3": 0.95}
    arms = [arm(name, seeds=4) for name in ends]
    loss = rising(ends, seeds=4, metric="loss").assign(split="test")
    frame = pd.concat([rising(ends, seeds=4), loss], ignore_index=True)
    once = frame.astype(dict.fromkeys(("arm", "metric", "split"), "category"))
    assert list(once["arm"].cat.categories) != list(ends)
    text = recorded.summary(verdict(arms=arms, frame=frame))
    assert recorded.summary(verdict(arms=arms, frame=once)) == text


def test_the_summary_of_calculations_is_their_values() -> None:
    found = verdict(figure=FigureSpec("values"), calculations={"rate": np.array([0.1, 0.09])})
    assert recorded.summary(found) == "calculation,index,value\nrate,0,0.1\nrate,1,0.09\n"
