"""Records of measurements: rates, ratios, tables, the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench_lr.benchmark import measure as measuring
from bench_lr.benchmark import page, record
from bench_lr.benchmark.crew import CrewError
from bench_lr.benchmark.limit import sgemm_gflops
from bench_lr.benchmark.record import Measurement, Record
from bench_lr.benchmark.ways import WAYS
from bench_lr.benchmark.workloads import WORKLOADS, flops_per_epoch
from bench_lr.cli import bench as verb
from bench_lr.cli import main
from bench_lr.cohort.grouping import arrange
from bench_lr.schema import Phase


def measured() -> Record:
    return Record(
        processor="a processor",
        cores=2,
        versions={"torch": "2.0"},
        sgemm_gflops=120.0,
        gflop={"ae16": 12.0},
        measurements=(
            Measurement("ae16", "loop", 1, 1, (2.0,), 8.0),
            Measurement("ae16", "cohort", 32, 32, (4.0, 5.0, 100.0), 16.0),
        ),
        skipped={"jax": "jax is not installed"},
    )


def test_rates_are_of_the_median_fit_and_of_a_fresh_process() -> None:
    loop, cohort = measured().measurements
    assert (loop.rate, loop.rate_with_startup) == (0.5, 0.125)
    assert (cohort.rate, cohort.rate_with_startup) == (6.4, 2.0)


def test_ratios_and_the_limit_follow_from_the_rates() -> None:
    assert measured().over("ae16", "loop") == pytest.approx(12.8)
    assert measured().over("ae16", "jax") is None
    assert measured().limit("ae16") == 10.0


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "speed.json"
    record.write(measured(), path)
    assert record.read(path) == measured()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4722222.2, "4,720,000"),
        (12345.6, "12,300"),
        (345.6, "346"),
        (34.56, "34.6"),
        (0.1234, "0.123"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert record.number(value) == text


def test_the_page_keeps_what_is_around_the_table() -> None:
    text = f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n"
    made = page.put(text, page.markdown(measured()))
    assert made.startswith("before\n")
    assert made.endswith("after\n")
    assert "old" not in made
    assert "12.8 x" in made
    assert page.put(made, page.markdown(measured())) == made
    with pytest.raises(ValueError, match="begin"):
        page.put("no markers", "x")


def test_the_figure_has_a_panel_a_workload_and_a_bar_a_way() -> None:
    (axis,) = page.draw(measured()).axes
    texts = [text.get_text() for text in axis.texts]
    assert sum("not measured" in text for text in texts) == len(WAYS) - 2
    assert any("12.8" in text for text in texts)
    assert any("limit 10" in text for text in texts)


def test_the_page_and_its_figure_are_written_beside_each_other(tmp_path: Path) -> None:
    record.write(measured(), tmp_path / "speed.json")
    (tmp_path / "performance.md").write_text(f"{page.BEGIN}\n{page.END}\n")
    page.main(str(tmp_path / "speed.json"), str(tmp_path))
    assert "`ae16`" in (tmp_path / "performance.md").read_text()
    assert (tmp_path / "performance.png").stat().st_size > 0
    # The theme leaves mathematical text alone: an exponent would be printed as it is written.
    assert "mathdefault" not in (tmp_path / "performance.svg").read_text()


def test_warnings_name_the_workload_and_never_fail() -> None:
    assert verb.warnings(measured(), None) == []
    assert verb.warnings(measured(), 12.0) == []
    (line,) = verb.warnings(measured(), 13.0)
    assert line.startswith("::warning")
    assert "ae16" in line
    assert "12.8" in line


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_is_one_cohort_of_the_stated_runs(name: str) -> None:
    workload = WORKLOADS[name]
    runs = workload.runs()
    assert len(runs) == len(workload.lrs) * workload.seeds
    assert arrange(runs) == [runs]
    assert {run.evaluation.per_epoch for run in runs} == {2}
    assert all(not run.optimizer.momentum for run in runs)


def test_the_workloads_are_those_of_the_documentation() -> None:
    first = {name: workload.runs()[0] for name, workload in WORKLOADS.items()}
    assert first["ae16"].batches == (Phase(1, 16),)
    assert first["ae128"].batches == (Phase(1, 128),)
    assert (first["cn8"].task.train_size, first["cn8"].batches) == (8000, (Phase(1, 8),))
    assert (first["ra64"].task.split, first["ra64"].drop_last) == ("last", True)
    assert first["r1"].batches == (Phase(200, 10),)
    # 2 (forward) + 2 (weights) of the first layer, 6 of the others, 55,000 images.
    expected = 55_000 * (4 * 784 * 64 + 6 * 64 * 16 + 6 * 16 * 10)
    assert flops_per_epoch(first["ae16"]) == expected == flops_per_epoch(first["ae128"])


def test_fewer_and_more_runs_of_a_workload() -> None:
    scaled = WORKLOADS["ae16"].scaled(16, train_size=5500)
    assert len(scaled.runs()) == 16
    assert {run.task.train_size for run in scaled.runs()} == {5500}
    assert len(WORKLOADS["ae16"].scaled(1, train_size=5500).runs()) == 1


def test_the_limit_is_a_plausible_rate() -> None:
    assert 1 < sgemm_gflops() < 1e5


@pytest.mark.parametrize("option", ["--workload", "--way"])
def test_an_unknown_name_is_told_with_the_nearest(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", option, "chort" if option == "--way" else "ae1"]) == 2
    said = capsys.readouterr().err
    assert ("cohort" if option == "--way" else "ae16") in said


def test_a_file_that_cannot_be_written_is_told_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["bench", "--json", str(tmp_path / "file" / "speed.json")]) == 2
    assert "--json" in capsys.readouterr().err


def test_every_measurement_is_kept_as_soon_as_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "speed.json"

    def first_works(workload: str, way: str) -> Measurement:
        if way == "cohort":
            raise CrewError("Traceback: it broke")
        return Measurement(workload, way, 1, 1, (2.0,), 8.0)

    monkeypatch.setattr(measuring, "measure", first_works)
    monkeypatch.setattr(measuring, "sgemm_gflops", lambda: 100.0)
    options = ["--workload", "ae16", "--way", "loop", "--way", "cohort", "--json", str(path)]
    assert main(["bench", *options]) == 3
    assert "it broke" in capsys.readouterr().err
    (kept,) = record.read(path).measurements
    assert (kept.way, kept.rate) == ("loop", 0.5)


def test_a_measurement_ends_with_a_table_and_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    by_name = {m.way: m for m in measured().measurements}
    monkeypatch.setattr(measuring, "measure", lambda workload, way: by_name[way])
    monkeypatch.setattr(measuring, "sgemm_gflops", lambda: 120.0)
    path = tmp_path / "new" / "speed.json"
    options = ["--workload", "ae16", "--way", "loop", "--way", "cohort", "--json", str(path)]
    assert main(["bench", *options, "--warn-below", "13"]) == 0
    said = capsys.readouterr().out
    assert "12.8x" in said
    assert "::warning" in said
    assert record.read(path).over("ae16", "loop") == pytest.approx(12.8)
