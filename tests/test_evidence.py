"""Writing the evidence of judged claims, and reading it back for the scoreboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import pytest

from bench_lr import evidence, recorded
from bench_lr.claims import load_claims
from bench_lr.claims.sources import load_sources
from bench_lr.judge import judge
from bench_lr.report.markdown import escape
from bench_lr.store import Store
from bench_lr.verdict import ClaimVerdict
from tests.stored import fill

mpl.use("Agg")

CALCULATED, COUNTED = "ai_edu/step_decay_table", "ai_edu/half_batch_double_iterations"
TRAINED = "ai_edu/best_lr_batch_16"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Whatever forgets to pass the folder on must not write to the project's own.
    monkeypatch.setenv("BENCH_LR_REPRODUCTIONS", str(tmp_path / "elsewhere"))
    return tmp_path / "reproductions"


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., ClaimVerdict]:
    """Return a function that judges a claim of the suite on made-up results."""

    def one(claim_id: str, profile: str = "quick", **fields: object) -> ClaimVerdict:
        (claim,) = load_claims([claim_id], profile)
        store = Store(tmp_path / "store")
        fill(store, claim, **fields)  # type: ignore[arg-type]
        return judge(claim, store)

    return one


def test_evidence_is_written_for_readers_and_for_check(
    root: Path, judged: Callable[..., ClaimVerdict]
) -> None:
    verdicts = [judged(CALCULATED), judged(COUNTED)]
    assert [v.verdict for v in verdicts] == ["reproduced", "reproduced"]
    assert evidence.record(verdicts, root) == []
    assert recorded.changes(verdicts, root) == []
    for claim_id in (CALCULATED, COUNTED):
        names = {path.name for path in (root / claim_id).iterdir()}
        assert names == {"README.md", "figure.png", "verdict.json", "summary.csv"}
        page = (root / claim_id / "README.md").read_text()
        assert page.startswith("# ") or "\n# " in page
        assert "figure.png" in page
        assert f"bench-lr run {claim_id} --profile quick" in page
        assert (root / claim_id / "figure.png").read_bytes().startswith(b"\x89PNG")
    board = (root / "README.md").read_text()
    for claim_id in (CALCULATED, COUNTED):
        assert f"]({claim_id}/README.md)" in board
    assert "2 claims: 2 reproduced; " in board
    assert "\n## ai\\_edu: " in board
    told = [item for source in load_sources().values() for item in source.not_testable]
    assert f"{len(told)} statements are not testable" in board
    assert all(escape(item.reason) in board for item in told)
    assert (root / "scoreboard.png").is_file()
    assert not (root.parent / "elsewhere").exists()


def test_what_is_unfit_is_left_out_and_said(
    root: Path, judged: Callable[..., ClaimVerdict]
) -> None:
    left_out = evidence.record(
        [
            judged(CALCULATED),
            judged(TRAINED, provenance={"dirty": True}),
            judged("ai_edu/fast_start_0p8", skip=[("lr=0.5", 0)]),
        ],
        root,
    )
    assert len(left_out) == 2
    assert TRAINED in left_out[0]
    assert "uncommitted" in left_out[0]
    assert "1 of 20 runs are missing" in left_out[1]
    assert (root / CALCULATED).is_dir()
    assert not (root / TRAINED).exists()
    assert not (root / "ai_edu" / "fast_start_0p8").exists()


def test_a_recorded_claim_is_restored_with_its_numbers(
    root: Path, judged: Callable[..., ClaimVerdict]
) -> None:
    given = judged(TRAINED)
    picture = root.parent / "drawn.png"
    picture.write_bytes(b"a picture")
    recorded.write(given, "", picture, root)
    found = evidence.restore(TRAINED, root)
    assert found is not None
    assert given.runs > 0
    assert any(item.result.estimate is not None for item in given.criteria)
    assert (found.verdict, found.recorded, found.runs) == (given.verdict, given.verdict, given.runs)
    for was, now in zip(given.criteria, found.criteria, strict=True):
        assert was.spec == now.spec
        for name in ("verdict", "estimate", "ci", "margin", "seeds", "single_run_ci", "sd"):
            assert getattr(was.result, name) == getattr(now.result, name)


def test_the_most_faithful_profile_is_restored(
    root: Path, judged: Callable[..., ClaimVerdict]
) -> None:
    picture = root.parent / "drawn.png"
    picture.write_bytes(b"a picture")
    for profile in ("standard", "quick"):
        recorded.write(judged(CALCULATED, profile), profile, picture, root)
    found = evidence.restore(CALCULATED, root)
    assert found is not None
    assert found.claim.profile.name == "standard"
    assert (root / CALCULATED / "README.md").read_text() == "standard"


def test_nothing_recorded_restores_nothing_and_draws_no_scoreboard(root: Path) -> None:
    root.mkdir()
    assert evidence.restore(CALCULATED, root) is None
    evidence.write_scoreboard(root)
    assert list(root.iterdir()) == []
