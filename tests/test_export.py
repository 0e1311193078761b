"""Results for other tools: one table, and Lightning's loggers."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path

import duckdb
import pandas as pd
import pytest
import yaml

from bench_lr import cli
from bench_lr.claims import conf_roots, load_claims
from bench_lr.data import load
from bench_lr.run_logs import log_runs
from bench_lr.schema import Claim
from bench_lr.store import Store
from bench_lr.trainer import tables, train_and_store, train_cohort
from tests import tiny
from tests.stored import fill

COLUMNS = ["claim", "arm", "seed", "step", "epoch", "examples", "metric", "split", "value"]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Claim:
    conf = tiny.folder(tmp_path / "conf")
    monkeypatch.setenv("BENCH_LR_CONF", str(conf))
    monkeypatch.chdir(tmp_path)
    (found,) = load_claims(["me/true"], roots=[conf, *conf_roots()])
    return found


def stored(claim: Claim, **fields: object) -> Store:
    store = Store("store")
    levels = {"lr=0.5": 0.9, "lr=1e-06": 0.1}
    fill(store, claim, accuracy=lambda arm, epoch, seed: levels[arm] + seed / 1000, **fields)  # type: ignore[arg-type]
    return store


def test_every_evaluation_of_every_run_is_a_row(claim: Claim, capsys: Capture) -> None:
    stored(claim)
    assert cli.main(["export", "me/true"]) == 0
    found = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(found.columns) == COLUMNS
    # Two arms of six seeds, one evaluation of two metrics.
    assert len(found) == 2 * 6 * 2
    best = found[(found.arm == "lr=0.5") & (found.metric == "accuracy")]
    assert best.sort_values("seed").value.to_numpy() == pytest.approx(
        [0.9 + s / 1000 for s in range(6)]
    )
    assert set(found.claim) == {"me/true"}


def test_parquet_is_read_by_pandas_and_duckdb(claim: Claim) -> None:
    stored(claim)
    assert cli.main(["export", "me/*", "--to", "out/runs.parquet"]) == 3
    found = pd.read_parquet("out/runs.parquet")
    assert list(found.columns) == COLUMNS
    query = (
        "select claim, count(distinct arm || seed) from 'out/runs.parquet' group by 1 order by 1"
    )
    # The two claims that share all their runs; the third has some of them only.
    assert [row for row in duckdb.sql(query).fetchall() if row[0] != "me/counted"] == [
        ("me/false", 12),
        ("me/true", 12),
    ]


def test_verdicts_are_a_row_a_criterion(claim: Claim) -> None:
    stored(claim)
    assert cli.main(["export", "me/true", "me/false", "--what", "verdicts", "--to", "v.csv"]) == 0
    found = pd.read_csv("v.csv").set_index("claim")
    assert found.claim_verdict.to_dict() == {"me/false": "refuted", "me/true": "reproduced"}
    assert found.loc["me/true", "estimate"] == pytest.approx(0.8)
    assert (found.ci_low <= found.estimate).all()


def test_what_is_missing_is_told_and_the_rest_written(claim: Claim, capsys: Capture) -> None:
    stored(claim, skip=[("lr=0.5", 0), ("lr=0.5", 3)])
    assert cli.main(["export", "me/true", "--to", "some.csv"]) == 3
    assert "2 runs are missing" in capsys.readouterr().err
    assert len(pd.read_csv("some.csv")) == 10 * 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--to", "runs.txt"], "runs.txt; allowed: a name that ends in .csv or .parquet"),
        (["--format", "parquet"], "--to FILE"),
        (["--to", "runs"], "or --format"),
    ],
)
def test_a_format_that_is_not_clear_is_refused(
    words: list[str], told: str, claim: Claim, capsys: Capture
) -> None:
    assert cli.main(["export", "me/true", *words]) == 2
    assert told in capsys.readouterr().err


def test_a_format_may_be_said(claim: Claim) -> None:
    stored(claim)
    assert cli.main(["export", "me/true", "--to", "runs.txt", "--format", "csv"]) == 0
    assert len(pd.read_csv("runs.txt")) == 24


# --- loggers ---------------------------------------------------------------------------------


def test_a_run_is_logged_as_lightning_logs(claim: Claim, tmp_path: Path) -> None:
    runs = claim.arms[0].runs[:2]
    store = Store("store")
    train_and_store(
        runs,
        load("synthetic"),
        store,
        device="cpu",
        log_runs=lambda them, found: log_runs(them, found, "csv", tmp_path / "logs"),
    )
    identities = sorted(store.known())
    assert sorted(it.name for it in (tmp_path / "logs" / "csv").iterdir()) == identities
    for identity in identities:
        folder = tmp_path / "logs" / "csv" / identity
        logged = pd.read_csv(folder / "metrics.csv").set_index("step")
        found = store.read(identity)
        assert found is not None
        for row in found[1].itertuples():
            value = logged.loc[row.step, f"{row.metric}/{row.split}"]
            assert value == pytest.approx(row.value, nan_ok=True)
        said = yaml.safe_load((folder / "hparams.yaml").read_text())
        assert said["optimizer.lr"] == found[0].config["optimizer"]["lr"]
        assert said["seed"] == found[0].config["seed"]


@pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed"
)
def test_tensorboard_is_written(claim: Claim, tmp_path: Path) -> None:
    runs = claim.arms[0].runs[:1]
    cohort = train_cohort(runs, load("synthetic"), device="cpu")
    log_runs(runs, tables(cohort), "tensorboard", tmp_path)
    assert list(tmp_path.glob("tensorboard/*/events.out.tfevents.*"))


def test_a_run_of_the_command_line_logs_where_it_is_told(claim: Claim, tmp_path: Path) -> None:
    words = ["run", "me/true", "--launcher", "local", "--", "logger=csv", "log_dir=my logs"]
    assert cli.main(words) == 0
    assert len(list((tmp_path / "my logs" / "csv").glob("*/metrics.csv"))) == 12


@pytest.mark.parametrize("word", ["logger=wandb", "logger=1", "logger=csv,tensorboard"])
def test_a_logger_that_there_is_not_is_refused(word: str, claim: Claim, capsys: Capture) -> None:
    assert cli.main(["run", "me/true", "--dry-run", "--", word]) == 2
    assert "logger" in capsys.readouterr().err
