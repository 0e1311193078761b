"""evaluate, parameters, problems: what every kind has in common."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, Literal

import numpy as np
import pytest

from bench_lr.criteria import KINDS, CriterionError, criterion, evaluate, parameters, problems
from bench_lr.criteria.comparison import conclude
from bench_lr.criteria.registry import Arms
from bench_lr.criteria.result import CriterionResult

from .samples import base, pair, sample

ARMS = {"lr_0.1": base(), "lr_0.5": base() + 1, "lr_0.8": base() - 1}
TC = {"treatment": "lr_0.5", "control": "lr_0.1"}

EVERY_KIND = {
    "best_arm",
    "superior",
    "non_inferior",
    "equivalent",
    "curves_match",
    "overtakes",
    "ordered",
    "ratio",
    "slope",
    "table",
    "diverges",
    "stays_within",
    "share",
    "interior_optimum",
    "regimes",
    "contradicts",
}


def test_all_kinds_are_registered():
    assert set(KINDS) == EVERY_KIND


@pytest.mark.parametrize("kind", sorted(EVERY_KIND))
def test_every_kind_states_its_hypothesis_test_error_control_and_source(kind):
    text = inspect.getdoc(KINDS[kind].function) or ""
    for heading in ("Hypothesis:", "Test:", "Error control:", "Source:", "Parameters\n---"):
        assert heading in text
    listed = text.partition("Parameters\n")[2]
    assert [name for name in parameters(kind) if name not in listed] == []


@pytest.mark.parametrize("kind", sorted(EVERY_KIND))
def test_parameters_say_which_are_required_and_which_name_arms(kind):
    known = parameters(kind)
    assert "arms" not in known
    assert set(KINDS[kind].arm_params) <= set(known)
    required = {n for n, p in known.items() if p.default is inspect.Parameter.empty}
    assert all(not isinstance(p.annotation, str) for p in known.values())
    assert {f"{kind}: missing parameter {name!r}" for name in required} == set(problems(kind, {}))


def test_the_contract_parameters_of_superior():
    known = parameters("superior")
    assert known["margin"].default == 0.0
    assert known["margin"].annotation is float
    assert known["larger_is_better"].default is True
    assert KINDS["superior"].arm_params == ("treatment", "control")


@pytest.mark.parametrize(
    ("kind", "near"), [("superiour", "superior"), ("BestArm", "best_arm"), ("tabel", "table")]
)
def test_an_unknown_kind_names_the_nearest(kind, near):
    with pytest.raises(CriterionError, match=f"unknown criterion kind '{kind}'.*nearest: '{near}'"):
        evaluate(kind, ARMS)
    with pytest.raises(CriterionError, match=near):
        parameters(kind)
    assert near in problems(kind, {})[0]


def test_an_unknown_word_without_a_neighbour_still_lists_what_is_allowed():
    with pytest.raises(CriterionError) as caught:
        evaluate("zzz", ARMS)
    assert "nearest" not in str(caught.value)
    assert all(kind in str(caught.value) for kind in EVERY_KIND)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({**TC, "margn": 1}, "superior: unknown parameter 'margn' .nearest: 'margin'"),
        ({"treatment": "lr_0.5"}, "missing parameter 'control'"),
        ({**TC, "control": "lr_0.11"}, "control names an unknown arm 'lr_0.11' .nearest: 'lr_0.1'"),
        ({**TC, "margin": "0.1"}, "margin must be float, not '0.1'"),
        ({**TC, "margin": float("nan")}, "margin must be float"),
        ({**TC, "margin": float("inf")}, "margin must be float"),
        ({**TC, "margin": True}, "margin must be float"),
        ({**TC, "margin": None}, "margin must be float"),
        ({**TC, "relative": 1}, "relative must be bool"),
        ({**TC, "treatment": 0.5}, "treatment must be str"),
        ({**TC, "control": "lr_0.5"}, "treatment and control are the same arm"),
        ({**TC, "relative": True, "margin": -1.5}, "relative margin must exceed -1"),
    ],
)
def test_bad_parameters_are_named(params, message):
    with pytest.raises(CriterionError, match=message):
        evaluate("superior", ARMS, **params)


def test_every_problem_is_reported_at_once():
    found = problems("superior", {"treatmnt": "a", "control": "lr_9", "margin": "x"}, ARMS)
    assert len(found) == 4  # unknown name, missing treatment, margin, unknown arm
    with pytest.raises(CriterionError) as caught:
        evaluate("superior", ARMS, treatmnt="a", control="lr_9", margin="x")
    assert all(problem in str(caught.value) for problem in found)


def test_arms_are_not_checked_before_they_are_known():
    assert problems("superior", {"treatment": "x", "control": "y"}) == ()
    assert len(problems("superior", {"treatment": "x", "control": "y"}, ["x"])) == 1


def test_numpy_numbers_are_numbers():
    result = evaluate("superior", ARMS, **TC, margin=np.float64(0.5), relative=np.bool_(False))
    assert result.verdict == "reproduced"
    assert evaluate("superior", ARMS, **TC, margin=np.int64(0)).verdict == "reproduced"


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ({}, "at least one arm"),
        ([1.0, 2.0], "must be a mapping"),
        ({"lr_0.5": [], "lr_0.1": []}, "'lr_0.5' is empty"),
        ({"lr_0.5": np.zeros((8, 0)), "lr_0.1": np.zeros(8)}, "'lr_0.5' is empty"),
        ({"lr_0.5": 3.0, "lr_0.1": 1.0}, r"shape \(seeds,\) or \(seeds, times\), not \(\)"),
        ({"lr_0.5": ["a"] * 8, "lr_0.1": base()}, "'lr_0.5' is not an array of numbers"),
        ({"lr_0.5": base(8), "lr_0.1": base(7)}, "not seed-paired.*'lr_0.5': 8, 'lr_0.1': 7"),
        ({"lr_0.5": np.zeros((8, 3)), "lr_0.1": np.zeros((8, 2))}, "different numbers of times"),
        ({"lr_0.5": np.zeros((8, 3)), "lr_0.1": np.zeros(8)}, "different numbers of times"),
        ({"lr_0.5": [np.nan] * 8, "lr_0.1": [np.inf] * 8}, "all runs diverged"),
    ],
)
def test_unusable_arms_are_refused(arms, message):
    with pytest.raises(CriterionError, match=message):
        evaluate("superior", arms, **TC)


def test_a_kind_about_numbers_per_seed_refuses_curves():
    arms = {"a": np.zeros((8, 3)), "b": np.ones((8, 3))}
    with pytest.raises(CriterionError, match=r"one number per seed; 'a' has shape \(8, 3\)"):
        evaluate("best_arm", arms, expected="b", margin=0.1)
    column = {"a": np.zeros((8, 1)), "b": np.ones((8, 1))}
    assert evaluate("best_arm", column, expected="b", margin=0.1).verdict == "reproduced"


def test_the_callers_arrays_are_left_alone():
    arms = {name: values.copy() for name, values in pair(1.0, 1.0).items()}
    arms["c"][0] = np.inf
    before = {name: values.copy() for name, values in arms.items()}
    evaluate("superior", arms, treatment="t", control="c")
    for name, values in before.items():
        np.testing.assert_array_equal(arms[name], values)


def test_arms_that_the_parameters_do_not_name_do_not_matter():
    few = evaluate("superior", {n: ARMS[n] for n in ("lr_0.5", "lr_0.1")}, **TC)
    assert evaluate("superior", ARMS, **TC) == few


def test_results_are_frozen():
    result = evaluate("superior", ARMS, **TC)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.verdict = "refuted"  # type: ignore[misc]


@pytest.fixture
def own_kind():
    @criterion("own", arm_params=("arm",), min_seeds=3)
    def own(
        arms: Arms, *, arm: str, threshold: float = 0.0, side: Literal["up"] = "up", extra: Any = 1
    ) -> CriterionResult:
        from bench_lr.criteria.comparison import Region, compare

        region = Region(low=threshold)
        satisfied = region.contains(arms[arm])
        return conclude([compare(arm, arms[arm], region)], margin=None, satisfied=satisfied)

    yield
    del KINDS["own"]


@pytest.mark.usefixtures("own_kind")
def test_a_new_kind_is_one_registered_function():
    arms = {"a": sample(5.0, 1.0, 3)}
    assert evaluate("own", arms, arm="a").verdict == "reproduced"
    assert evaluate("own", {"a": [1.0, 2.0]}, arm="a").verdict == "incomplete"
    assert "nearest: 'threshold'" in problems("own", {"arm": "a", "treshold": 1})[0]
    assert problems("own", {"arm": "a", "side": "up", "extra": object()}) == ()
    assert "side must be" in problems("own", {"arm": "a", "side": "down"})[0]
    with pytest.raises(ValueError, match="registered twice"):
        criterion("own")(lambda arms: None)


def test_a_kind_cannot_mark_a_parameter_that_it_does_not_have():
    with pytest.raises(ValueError, match="no such parameters: arn"):
        criterion("other", arm_params=("arn",))(lambda arms, *, arm: None)
    assert "other" not in KINDS
