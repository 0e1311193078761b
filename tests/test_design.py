"""What a design can decide, before anything is trained: against simulation and by example."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench_lr.claims import ConfigError, load_claims
from bench_lr.claims.check import check_claim
from bench_lr.criteria import evaluate
from bench_lr.criteria.share import share_region
from bench_lr.design import chance_to_decide, remarks, seeds_needed, share_in_reach
from bench_lr.looks import first_look
from bench_lr.schema import Claim
from tests import tiny
from tests.claims.samples import write


def loaded(tmp_path: Path, content: dict[str, Any], profile: str = "quick") -> Claim:
    from bench_lr.claims import conf_roots

    root = write(tmp_path, {"me/one": content})
    (claim,) = load_claims(["me/one"], profile, roots=[root, *conf_roots()], check=check_claim)
    return claim


def criterion(kind: str, **fields: Any) -> dict[str, Any]:
    return {"id": kind, "kind": kind, "measure": {"metric": "accuracy"}, **fields}


PAIR = {"treatment": "lr=0.5", "control": "lr=1e-06", "margin": 0.1}


def texts(claim: Claim, sd: float | None = None) -> list[str]:
    known = {} if sd is None else {spec.id: sd for spec in claim.spec.criteria}
    return [remark.text for remark in remarks(claim, known)]


# --- chances --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "two_sided"), [("non_inferior", False), ("equivalent", True)], ids=str
)
@pytest.mark.parametrize(("margin", "seeds"), [(0.8, 8), (1.2, 8), (0.6, 20)])
def test_the_chance_to_decide_is_the_criterions_own(
    kind: str, two_sided: bool, margin: float, seeds: int
) -> None:
    rng = np.random.default_rng(17)
    trials = 1500
    params = {"treatment": "t", "control": "c", "margin": margin}
    found = [
        evaluate(kind, {"t": rng.normal(0, 1, seeds), "c": np.zeros(seeds)}, **params).verdict
        for _ in range(trials)
    ]
    share = found.count("reproduced") / trials
    chance = chance_to_decide(1.0, margin, seeds, two_sided)
    assert chance == pytest.approx(share, abs=4 * np.sqrt(0.25 / trials))


def test_one_sided_chances_are_those_of_the_noncentral_t() -> None:
    """The power of a one-sample t test, here from its definition as an integral over s."""
    df, shift = 9, 1.3 * np.sqrt(10) / 2.0
    s = np.sqrt(stats.chi2.ppf((np.arange(20_000) + 0.5) / 20_000, df) / df)
    expected = stats.norm.sf(stats.t.ppf(0.975, df) * s - shift).mean()
    assert chance_to_decide(2.0, 1.3, 10, two_sided=False) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("margin", [0.2, 0.5, 1.0, 3.0])
def test_the_seeds_needed_are_the_fewest_that_do(margin: float, two_sided: bool) -> None:
    needed = seeds_needed(1.0, margin, two_sided)
    assert needed is not None
    assert chance_to_decide(1.0, margin, needed, two_sided) >= 0.8
    if needed > 6:
        assert chance_to_decide(1.0, margin, needed - 1, two_sided) < 0.8


def test_a_margin_far_below_the_noise_asks_for_more_seeds_than_anyone_has() -> None:
    assert seeds_needed(1.0, 0.001, two_sided=True) is None
    assert chance_to_decide(1.0, 0.001, 8, two_sided=True) == 0.0


# --- remarks --------------------------------------------------------------------------------------


def test_a_weak_design_is_told_with_the_seeds_it_would_take(tmp_path: Path) -> None:
    claim = loaded(
        tmp_path,
        tiny.claim("lr=0.5", "lr=1e-06", criteria=[criterion("non_inferior", params=PAIR)]),
    )
    assert texts(claim) == []
    assert texts(claim, sd=0.01) == []
    (text,) = texts(claim, sd=0.2)
    assert f"{seeds_needed(0.2, 0.1, two_sided=False)} seeds" in text


def test_a_stated_deviation_comes_before_a_recorded_one(tmp_path: Path) -> None:
    stated = criterion("non_inferior", params=PAIR, sd=0.01)
    claim = loaded(tmp_path, tiny.claim("lr=0.5", "lr=1e-06", criteria=[stated]))
    assert texts(claim, sd=0.2) == []


def test_seeds_by_need_count_up_to_the_cap(tmp_path: Path) -> None:
    claim = loaded(
        tmp_path,
        tiny.claim("lr=0.5", "lr=1e-06", criteria=[criterion("non_inferior", params=PAIR)]),
    )
    assert texts(claim, sd=0.15) != []
    assert texts(first_look(claim), sd=0.15) == []


def test_too_few_seeds_are_told(tmp_path: Path) -> None:
    claim = loaded(tmp_path, tiny.claim("lr=0.5", "lr=1e-06", seeds=2))
    (text,) = texts(claim)
    assert "needs 6 seeds, and there are 2" in text
    assert texts(loaded(tmp_path / "exact", {**tiny.counted(), "seeds": 1})) == []


@pytest.mark.parametrize(("expected", "fine"), [(0.1, False), (0.3, True), (0.9, False)])
def test_an_optimum_at_the_edge_of_its_grid_is_told(
    expected: float, fine: bool, tmp_path: Path
) -> None:
    best = criterion("best_arm", params={"expected": f"lr={expected}", "margin": 0.1})
    best["order_by"] = "lr"
    content = tiny.claim("", "", title="t", source_says="s", criteria=[best])
    content["grid"] = {"lr": [0.9, 0.1, 0.3]}
    told = texts(loaded(tmp_path, content))
    assert [("at the edge of the grid" in text) for text in told] == ([] if fine else [True])


def test_a_best_choice_of_two_is_told(tmp_path: Path) -> None:
    best = criterion("slope", by_arm={"x": "batch_size", "choice": "lr"})
    content = tiny.claim("", "", title="t", source_says="s", criteria=[best])
    content["grid"] = {"batch_size": [10, 20], "lr": [0.1, 0.3]}
    (text,) = texts(loaded(tmp_path, content))
    assert text == "at x=10 there are two choices, so that the best is at an edge"


def test_unequal_training_is_told_unless_it_is_what_is_counted(tmp_path: Path) -> None:
    arms = {"short": {"lr": 0.5}, "long": {"lr": 0.5, "epochs": 2}}
    pair = {"treatment": "long", "control": "short", "margin": 0.0}
    content = tiny.claim("long", "short", grid={}, arms=arms)
    content["criteria"] = [criterion("superior", params=pair)]
    (text,) = texts(loaded(tmp_path, content))
    assert text == "unequal training budgets: short sees 200 examples, long 400"
    content["criteria"][0]["measure"]["metric"] = "steps"
    content["criteria"][0]["params"]["exact"] = True
    assert texts(loaded(tmp_path / "counted", content)) == []


def test_unequal_tuning_is_told(tmp_path: Path) -> None:
    arms = {f"{b} {r}": {"batch_size": b, "lr": r} for b in (10, 20) for r in (0.1, 0.3, 0.9)}
    arms["10 2.7"] = {"batch_size": 10, "lr": 2.7}
    best = criterion("slope", by_arm={"x": "batch_size", "choice": "lr"})
    content = tiny.claim("", "", title="t", source_says="s", grid={}, arms=arms, criteria=[best])
    (text,) = texts(loaded(tmp_path, content))
    assert text == "unequal tuning: choices tried are 4 at x=10, 3 at x=20"


def test_the_plumbing_profile_is_not_judged_and_not_remarked_on(tmp_path: Path) -> None:
    claim = loaded(tmp_path, tiny.claim("lr=0.5", "lr=1e-06", seeds=2), profile="smoke")
    assert texts(claim, sd=9.0) == []


# --- mistakes -------------------------------------------------------------------------------------


def refusal(tmp_path: Path, content: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, content)
    return str(error.value)


@pytest.mark.parametrize("kind", ["equivalent", "curves_match"])
def test_a_claim_that_nothing_changes_needs_a_control(kind: str, tmp_path: Path) -> None:
    params = (
        dict(PAIR)
        if kind == "equivalent"
        else {"reference": "lr=0.5", "others": ["lr=1e-06"], "margin": 0.1}
    )
    content = tiny.claim("lr=0.5", "lr=1e-06", criteria=[criterion(kind, params=params)])
    if kind == "curves_match":
        content["criteria"][0]["measure"]["reduce"] = "curve"
    assert "no control" in refusal(tmp_path, content)
    control = {**content["criteria"][0], "id": "control", "role": "control"}
    content["criteria"].append(control)
    assert loaded(tmp_path / "sound", content)
    del content["criteria"][1]
    content["criteria"][0]["params"]["exact"] = True
    assert loaded(tmp_path / "exact", content)


# --- shares of seeds --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claimed", "seeds", "reachable"),
    [
        ({"above": 0.5}, 6, True),
        ({"above": 0.5}, 5, False),
        ({"above": 0.8}, 16, False),
        ({"above": 0.8}, 17, True),
        ({"low": 0.25, "high": 0.75}, 12, False),
        ({"low": 0.25, "high": 0.75}, 40, True),
        ({"high": 0.1}, 20, False),
        ({"high": 0.1}, 40, True),
    ],
)
def test_a_share_is_in_reach_where_some_outcome_would_reproduce_it(
    claimed: dict[str, float], seeds: int, reachable: bool
) -> None:
    words = {
        evaluate(
            "share",
            {"a": np.arange(max(seeds, 6)) < hits},
            conditions={"a": [1, None]},
            **claimed,
        ).verdict
        for hits in range(seeds + 1)
    }
    if seeds >= 6:
        assert ("reproduced" in words) == reachable
    region = share_region(claimed.get("low"), claimed.get("high"), claimed.get("above"))
    assert share_in_reach(region, seeds) == reachable


def test_a_share_out_of_reach_is_told_with_the_seeds_that_could_show_it(tmp_path: Path) -> None:
    def told(**params: Any) -> list[str]:
        spec = criterion("share", params={"conditions": {"lr=0.5": [0.9, None]}, **params})
        return texts(loaded(tmp_path, tiny.claim("lr=0.5", "lr=1e-06", criteria=[spec])))

    assert told(above=0.3) == []
    (text,) = told(above=0.9)
    assert text.startswith("cannot be reproduced: 6 seeds are too few for such a share; ")
    needed = int(text.split("; ")[1].split()[0])
    assert stats.binomtest(needed, needed).proportion_ci(method="exact").low > 0.9
    fewer = stats.binomtest(needed - 1, needed - 1).proportion_ci(method="exact")
    assert fewer.low <= 0.9
    (text,) = told(above=0.9999)
    assert text == "cannot be reproduced: such a share takes over 2,000 seeds"


@pytest.mark.parametrize(
    ("kind", "params", "told"),
    [
        ("diverges", {"arms_named": ["lr=0.5"]}, False),
        ("diverges", {"arms_named": ["lr=0.5"], "expected_share_above": 0.6}, True),
        ("overtakes", {"leader": "lr=0.5", "chaser": "lr=1e-06", "by": 1, "sustained": 1}, False),
    ],
)
def test_the_other_kinds_about_shares_are_asked_too(
    kind: str, params: dict[str, Any], told: bool, tmp_path: Path
) -> None:
    spec = criterion(kind, params=params, measure={"metric": "loss", "reduce": "curve"})
    claim = loaded(tmp_path, tiny.claim("lr=0.5", "lr=1e-06", criteria=[spec]))
    assert ["too few for such a share" in text for text in texts(claim)] == [True] * told


def test_looks_leave_less_to_show_a_share_with(tmp_path: Path) -> None:
    """What the last of several looks may spend is less than 2.5 %."""
    params = {"conditions": {"lr=0.5": [0.9, None]}, "above": 0.9}
    content = tiny.claim("", "", title="t", source_says="s", seeds=36)
    content["criteria"] = [criterion("share", params=params)]
    claim = loaded(tmp_path, content)
    assert texts(claim) == []
    (text,) = texts(dataclasses.replace(claim, looks=(12, 24, 36)))
    assert "too few for such a share" in text


def test_curves_too_short_for_classes_are_told(tmp_path: Path) -> None:
    curve = {"metric": "loss", "reduce": "curve"}
    content = tiny.claim("", "", title="t", source_says="s", grid={"lr": [0.1, 0.3, 0.9, 2.7]})
    content["criteria"] = [{**criterion("regimes", measure=curve), "order_by": "lr"}]
    content["train"]["evaluations_per_epoch"] = 4
    (text,) = texts(loaded(tmp_path, content))
    assert text == "cannot be decided: it needs 8 evaluations, and there are 4"
    content["train"]["epochs"] = 2
    assert texts(loaded(tmp_path / "longer", content)) == []


# --- derived quantities ---------------------------------------------------------------------------


def test_best_values_of_different_numbers_of_arms_are_told(tmp_path: Path) -> None:
    def best(*arms: str) -> dict[str, Any]:
        return {"kind": "best_value", "arms": list(arms), "measure": {"metric": "accuracy"}}

    content = tiny.claim("", "", title="t", source_says="s")
    content["grid"] = {"lr": [0.1, 0.3, 0.9, 2.7, 8.1]}
    content["derived"] = {
        "few": best("lr=0.1", "lr=0.3"),
        "many": best("lr=0.9", "lr=2.7", "lr=8.1"),
        "gain": {"kind": "difference", "of": ["many", "few"]},
    }
    content["criteria"] = [
        {"id": "gain", "kind": "stays_within", "params": {"arm": "gain", "low": 0.0}}
    ]
    (text,) = texts(loaded(tmp_path, content))
    assert text == (
        "unequal tuning: the best is chosen among different numbers of arms (few of 2, many of 3)"
    )
    content["derived"]["few"] = best("lr=0.1", "lr=0.3", "lr=0.9")
    assert texts(loaded(tmp_path / "equal", content)) == []


def test_an_order_with_a_tolerance_is_weak_where_the_noise_is_larger(tmp_path: Path) -> None:
    order = criterion("ordered", params={"order": ["lr=1e-06", "lr=0.5"], "margin": -0.1})
    claim = loaded(tmp_path, tiny.claim("lr=0.5", "lr=1e-06", criteria=[order]))
    assert texts(claim, sd=0.01) == []
    (text,) = texts(claim, sd=0.2)
    assert "an arm that is as good would be called so" in text
