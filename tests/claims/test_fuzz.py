"""Claims as nobody would write them: each is refused in words, or planned, judged and reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench_lr.claims import ConfigError, conf_roots
from bench_lr.conformance import WORDS, MadeUp, made_up
from bench_lr.design import remarks
from bench_lr.judge import judge
from bench_lr.plan import make_plan
from bench_lr.report.markdown import as_markdown
from bench_lr.store import Store
from tests.claims.samples import load, write
from tests.mutations import mutated

CLAIMS = sorted((conf_roots()[-1] / "claim").glob("*/*.yaml"))
TEXTS = [path.read_bytes() for path in CLAIMS]
CONTENTS = [yaml.safe_load(text) for text in TEXTS]
FUZZ = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def few_seeds(content: Any) -> Any:
    """Return a claim with as many seeds as may judge and no more, which is quicker."""
    if isinstance(content.get("profiles"), dict):
        for patch in content["profiles"].values():
            if isinstance(patch, dict) and isinstance(patch.get("seeds"), int):
                patch["seeds"] = min(patch["seeds"], 6)
    return content


@settings(FUZZ, max_examples=150)
@given(content=mutated(CONTENTS).map(few_seeds), profile=st.sampled_from(["quick", "standard"]))
def test_a_mutated_claim_that_loads_can_be_planned_judged_and_reported(
    content: dict[str, Any], profile: str, tmp_path: Path
) -> None:
    write(tmp_path, {"me/one": yaml.safe_dump(content, allow_unicode=True)})
    try:
        claims = load(tmp_path, profile, seeds=6)
    except ConfigError:
        return
    plan = make_plan(claims, Store(tmp_path / "nothing"), 16)
    assert plan.runs == plan.distinct
    (claim,) = claims
    verdict = judge(claim, MadeUp(claim, made_up))
    assert verdict.verdict in WORDS
    assert all(str(remark) for remark in remarks(claim, {}))
    as_markdown([verdict], profile)
