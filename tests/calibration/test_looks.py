"""Calibration of verdicts that are reached look by look."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench_lr.calibration import page, record
from bench_lr.calibration.calibrate import calibrate
from bench_lr.calibration.record import Rate
from bench_lr.calibration.simulate import InLooks
from bench_lr.cli import main
from bench_lr.looks import levels

LOOKS = (8, 12, 18, 27, 40)


def test_the_error_of_all_looks_together_is_kept() -> None:
    """At most 2.5 % a side; and not much less: the levels would be wasteful."""
    found = calibrate(("superior",), trials=2000, looks=LOOKS)
    assert not list(found.broken())
    (boundary,) = (t for t in found.tallies if t.noise == "gaussian" and t.truth.side == "boundary")
    rate = Rate(boundary.wrong, boundary.trials)
    assert rate.interval[0] < 0.05
    assert rate.value > 0.03


def test_looking_without_sharing_the_error_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench_lr.looks.levels", lambda looks: (0.025,) * len(looks))
    found = calibrate(("superior",), trials=1000, looks=LOOKS)
    assert {"gaussian"} <= {tally.noise for tally in found.broken()}


def test_clear_cases_take_few_seeds_and_close_ones_many() -> None:
    found = calibrate(("non_inferior",), trials=200, looks=LOOKS)
    used = [found.seeds_used("non_inferior", effect) for effect in (0.0, 0.5, 1.0, 2.0)]
    assert used == sorted(used, reverse=True)
    assert LOOKS[0] <= used[-1] < 9
    assert 35 < used[0] <= LOOKS[-1]


def test_a_judge_in_looks_is_a_value() -> None:
    """It travels to other processes, and counts what one process counts."""
    assert InLooks(LOOKS) == InLooks(LOOKS)
    one = calibrate(("superior",), trials=60, looks=LOOKS)
    two = calibrate(("superior",), trials=60, looks=LOOKS, processes=2)
    assert one.tallies == two.tallies
    assert levels(LOOKS)[0] < 0.025


def test_its_record_and_its_table_say_what_was_found(tmp_path: Path) -> None:
    found = calibrate(("superior", "overtakes"), trials=40, looks=LOOKS)
    record.write(found, tmp_path / "looks.json")
    assert record.read(tmp_path / "looks.json") == found
    (tmp_path / "verdicts.md").write_text(
        f"{page.BEGIN}\nkept\n{page.END}\n{page.LOOKS_BEGIN}\n{page.LOOKS_END}\n"
    )
    page.write(found, tmp_path)
    text = (tmp_path / "verdicts.md").read_text()
    assert f"{page.BEGIN}\nkept\n{page.END}" in text
    assert "Looks at 8, 12, 18, 27, 40 seeds" in text
    assert f"{found.seeds_used('superior', 2.0):.1f}" in text
    assert not (tmp_path / "verdicts.png").exists()


def test_the_command_line_calibrates_the_looks_of_the_profile(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["calibrate", "--looks", "--kind", "superior", "--trials", "40"]) == 0
    said = capsys.readouterr().out
    assert "looks at 8, 12, 18, 27, 40 seeds" in said
    assert "superior" in said
