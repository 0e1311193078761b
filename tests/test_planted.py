"""Changes planted into training are caught by `check`, and other seeds alone are not.

The claims are of the smallest kind that trains on real images: a network with dropout, stopped
after 40 updates, when the loss has fallen about half the way from chance (2.3). There it falls
fastest, and without anything planted the arms tell how fast: 1.61 at learning rate 0.3 and 1.16 at
0.6, with a spread between seeds of 0.08. A rate that is 1.3 times as high is log2(1.3) = 0.38 of
the way from one to the other, or 2.1 spreads. Sixteen seeds find that among the four estimates here
in 999 checks of 1000 (t test with 30 degrees of freedom at 5 % / 4); ten would in 960.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from torch import Tensor

from bench_lr import cli, data, models, provenance, recorded
from bench_lr.claims import load_claims
from bench_lr.cohort import layers, streams
from bench_lr.cohort.grouping import arrange
from bench_lr.cohort.timetable import LearningRates
from bench_lr.judge import judge
from bench_lr.schema import Claim
from bench_lr.store import Store
from bench_lr.trainer import train_and_store
from tests.claims.samples import write

pytestmark = [pytest.mark.data, pytest.mark.slow]

SEEDS, RERUNS = 16, 20
TRAIN: dict[str, Any] = {
    "task": "mnist",
    "model": {
        "layers": [
            {"kind": "flatten"},
            {"kind": "linear", "out_features": 64},
            {"kind": "sigmoid"},
            {"kind": "dropout", "p": 0.5},
            {"kind": "linear", "out_features": 16},
            {"kind": "tanh"},
            {"kind": "linear", "out_features": 10},
        ]
    },
    "batch_size": 50,
    "epochs": 1,
    "train_size": 2000,
    "validation_size": 1000,
}
SLOW, FAST = "lr=0.3", "lr=0.6"


def claim(kind: str, metric: str = "loss", **params: Any) -> dict[str, Any]:
    return {
        "title": f"{kind} of {metric}",
        "statement": "A statement.",
        "place": "page 1",
        "source_says": "so",
        "cost": "s",
        "seeds": SEEDS,
        "train": TRAIN,
        "grid": {"lr": [0.3, 0.6]},
        "criteria": [
            {"id": "it", "kind": kind, "measure": {"metric": metric}, "params": params},
        ],
        "figure": {"kind": "curves"},
    }


CLAIMS = {
    "me/level": claim("stays_within", arm=SLOW, low=0.0, high=10.0),
    "me/gain": claim("superior", treatment=FAST, control=SLOW, margin=0.0, larger_is_better=False),
    "me/right": claim("superior", "accuracy", treatment=FAST, control=SLOW, margin=0.0),
    "me/more": claim("superior", "accuracy", treatment=FAST, control=SLOW, margin=0.2),
    "me/steps": claim("ratio", "steps", numerator=FAST, denominator=SLOW, low=1, high=1),
}
TRAINED = set(CLAIMS) - {"me/steps"}


@pytest.fixture(scope="module")
def mnist() -> data.Dataset:
    return data.load("mnist")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, mnist: data.Dataset) -> Iterator[Path]:
    """A folder with claims, a store of their runs, and their record, made by `record`."""
    folder = tmp_path_factory.mktemp("planted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_LR_CONF", str(write(folder / "conf", CLAIMS)))
        patch.setenv("BENCH_LR_REPRODUCTIONS", str(folder / "reproductions"))
        patch.setattr(provenance, "source_state", lambda: ("the old commit", False))
        patch.setattr("bench_lr.evidence.write_scoreboard", lambda root: None)
        patch.setattr(
            "bench_lr.evidence.draw_figure",
            lambda verdict, to: (to / f"{verdict.claim.id.replace('/', '--')}.png").touch(),
        )
        train(claims(), folder / "store", mnist)
        words = ["--store", str(folder / "store"), "--out", str(folder / "out")]
        assert cli.main(["record", "me/*", *words]) == cli.DONE
        yield folder


@pytest.fixture
def check(
    workshop: Path, mnist: data.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], int]:
    """Train all runs into a new store, with what is planted by then, and check them."""
    monkeypatch.setattr(provenance, "source_state", lambda: ("the new commit", False))
    monkeypatch.setattr("bench_lr.report.draw_figure", lambda *args, **options: None)
    monkeypatch.setattr("bench_lr.figures.save", lambda *args: None)

    def run() -> int:
        train(claims(), tmp_path / "store", mnist)
        words = ["--store", str(tmp_path / "store"), "--out", str(tmp_path / "out")]
        return cli.main(["check", "me/*", *words])

    return run


def claims(first_seed: int = 0) -> list[Claim]:
    """Return the claims with other seeds than from 0 on."""
    return [
        dataclasses.replace(
            each,
            arms=tuple(
                dataclasses.replace(
                    arm,
                    runs=tuple(
                        dataclasses.replace(run, seed=run.seed + first_seed) for run in arm.runs
                    ),
                )
                for arm in each.arms
            ),
        )
        for each in load_claims(["me/*"])
    ]


def train(asked: Sequence[Claim], store: Path, dataset: data.Dataset) -> None:
    runs = dict.fromkeys(run for each in asked for arm in each.arms for run in arm.runs)
    for cohort in arrange(list(runs)):
        train_and_store(cohort, dataset, Store(store), device="cpu")


def named(output: str) -> set[str]:
    """Return the claims that are said to have moved."""
    mark = "expected otherwise: "
    lines = [line for line in output.splitlines() if line.startswith(mark)]
    return {line.removeprefix(mark).split()[0].rstrip(":") for line in lines}


# --- what must pass -----------------------------------------------------------------------------


def test_the_same_seeds_trained_again_pass(
    check: Callable[[], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert check() == cli.DONE
    assert "of 5 claims compared: none moved" in capsys.readouterr().out


def test_other_seeds_pass_at_least_nineteen_times_of_twenty(
    workshop: Path, mnist: data.Dataset, tmp_path: Path
) -> None:
    reruns = [claims(first_seed=100 + SEEDS * i) for i in range(RERUNS)]
    train([each for rerun in reruns for each in rerun], tmp_path / "store", mnist)
    store = Store(tmp_path / "store")
    found = [recorded.compared([judge(each, store) for each in rerun]) for rerun in reruns]
    assert {each.claims for each in found} == {len(CLAIMS)}
    assert sum(not each.moved for each in found) >= RERUNS - 1


# --- what must be caught ------------------------------------------------------------------------


def test_a_higher_learning_rate_is_caught(
    check: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    rates = LearningRates.of
    monkeypatch.setattr(
        LearningRates, "of", lambda self, first, steps: 1.3 * rates(self, first, steps)
    )
    assert check() == cli.EXPECTATION_FAILED
    output = capsys.readouterr().out
    assert "me/level" in named(output)
    assert "me/steps" not in named(output)
    for part in ("the old commit", "the new commit", "adjusted p", "bench-lr record"):
        assert part in output
    cases = list(ElementTree.parse(tmp_path / "out/report/junit.xml").iter("testcase"))
    failed = {case.get("classname"): case.find("failure") for case in cases}
    assert {name for name, found in failed.items() if found is not None} == named(output)
    told = failed["me/level"]
    assert told is not None
    assert told.text is not None
    assert "commit the old commit -> the new commit" in told.text


def test_seeds_that_are_all_alike_are_caught(
    check: Callable[[], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = streams.stream_key
    for module in (streams, models):
        monkeypatch.setattr(module, "stream_key", lambda seed, *rest: key(0, *rest))
    assert check() == cli.EXPECTATION_FAILED
    output = capsys.readouterr().out
    assert named(output) >= TRAINED
    assert "the seeds do not differ" in output


def test_dropout_that_is_not_switched_off_for_evaluation_is_caught(
    check: Callable[[], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    switched_off = layers.Dropout.forward

    def forward(self: layers.Dropout, x: Tensor, tape: Any, masks: Any) -> Tensor:
        if masks is not None:
            return switched_off(self, x, tape, masks)
        mask, out = torch.empty_like(x), tape.room(x.shape, x)
        tape.append(partial(mask.bernoulli_, 1 - self.p))
        tape.append(partial(torch.mul, x, mask, out=out))
        tape.append(partial(torch.div, out, 1 - self.p, out=out))
        return out

    monkeypatch.setattr(layers.Dropout, "forward", forward)
    assert check() == cli.EXPECTATION_FAILED
    assert "me/level" in named(capsys.readouterr().out)


# --- two stores ---------------------------------------------------------------------------------


def test_two_stores_are_compared_by_the_same_rules(
    check: Callable[[], int],
    workshop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rates = LearningRates.of
    monkeypatch.setattr(
        LearningRates, "of", lambda self, first, steps: 0.7 * rates(self, first, steps)
    )
    assert check() == cli.EXPECTATION_FAILED
    capsys.readouterr()
    old, new = str(workshop / "store"), str(tmp_path / "store")
    assert cli.main(["compare", old, old, "me/*"]) == cli.DONE
    capsys.readouterr()
    for pair in ((old, new), (str(workshop / "reproductions"), new)):
        assert cli.main(["compare", *pair, "me/*", "--json"]) == cli.EXPECTATION_FAILED
        told = json.loads(capsys.readouterr().out)
        assert "me/level" in {each["claim"] for each in told["moved"]}
