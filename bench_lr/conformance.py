"""Do claims, and what they use, behave as the rest relies on? For the user's own as for ours.

Nothing is trained: results are made up, with the rows that training would have recorded, and
judged, drawn and reported: as they are, in another order of seeds, with diverged runs, and with
runs missing.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bench_lr.budget import steps_per_epoch
from bench_lr.claims.probing import evaluated, probed_metrics
from bench_lr.identity import config_dict, run_id
from bench_lr.judge import judge
from bench_lr.plan import make_plan
from bench_lr.schema import Claim, RunConfig
from bench_lr.store import COLUMNS, Commit, Store
from bench_lr.tables import encode
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    import pandas as pd

WORDS = ("reproduced", "refuted", "inconclusive", "incomplete")
_ALIKE = 1e-9

Content = Callable[[RunConfig], "pd.DataFrame | None"]


class MadeUp(Store):
    """A store that has every run of a claim, by a function of the run; None: it is missing."""

    def __init__(self, claim: Claim, content: Content) -> None:
        super().__init__("made up")
        runs = [run for arm in claim.arms for run in arm.runs]
        self._made = {run_id(run): run for run in runs}
        self._content = content

    def content(self, run_id: str) -> tuple[Commit, bytes] | None:
        """Return what is made up for a run."""
        run = self._made[run_id]
        table = self._content(run)
        if table is None:
            return None
        return Commit(run_id, "complete", config_dict(run), {"device_kind": "cpu"}), encode(table)

    def commit_of(self, run_id: str) -> Commit | None:
        """Return None: nothing has failed."""
        return None


def faults(claim: Claim) -> Iterator[str]:
    """Yield what is wrong with a claim that has been loaded and checked, in words."""
    try:
        make_plan([claim], Store("nothing there"), 16)
        yield from _schedule_faults(claim)
        cases = _cases(claim)
        verdicts = {name: judge(claim, MadeUp(claim, content)) for name, content in cases.items()}
        for name, verdict in verdicts.items():
            yield from (f"{name}: {fault}" for fault in _verdict_faults(verdict))
            yield from (f"{name}: {fault}" for fault in _drawing_faults(verdict))
        if claim.arms and claim.profile.may_judge and not claim.out_of_profile:
            if _needs_runs(claim) and verdicts["runs missing"].verdict != "incomplete":
                yield "runs missing: a verdict all the same"
            yield from _order_faults(verdicts["as they are"], verdicts["seeds in another order"])
    # Whatever a plugin raises is what is to be told.
    except Exception as error:
        yield f"{type(error).__name__}: {error}"


def _cases(claim: Claim) -> dict[str, Content]:
    def turned(run: RunConfig) -> pd.DataFrame:
        last = max(other.seed for arm in claim.arms for other in arm.runs)
        return made_up(dataclasses.replace(run, seed=last - run.seed))

    return {
        "as they are": made_up,
        "seeds in another order": turned,
        "all diverged": lambda run: made_up(run, lost=True),
        "runs missing": lambda run: None if run.seed == 0 else made_up(run),
    }


def _needs_runs(claim: Claim) -> bool:
    return any(spec.measure is not None for spec in claim.spec.criteria if spec.role == "claim")


def _schedule_faults(claim: Claim) -> Iterator[str]:
    import numpy as np

    from bench_lr.schedules import Clock, Plateau

    for arm in claim.arms:
        run = arm.runs[0]
        if isinstance(run.schedule, Plateau):
            continue
        size, batch = run.task.train_size, run.batches[0].batch_size
        an_epoch = steps_per_epoch(size, batch, run.drop_last)
        clock = Clock.steady(np.arange(an_epoch * run.epochs, dtype=np.float64), an_epoch)
        found = run.schedule.multiplier(clock)
        if not np.array_equal(found, run.schedule.multiplier(clock)):
            yield f"arm {arm.name}: its schedule is not the same when asked twice"


def _verdict_faults(verdict: ClaimVerdict) -> Iterator[str]:
    if verdict.verdict not in WORDS:
        yield f"a verdict of {verdict.verdict!r}"
    for judged in verdict.criteria:
        result, where = judged.result, f"criterion {judged.spec.id}"
        if result.verdict not in WORDS:
            yield f"{where}: a verdict of {result.verdict!r}"
        if result.ci is not None and result.estimate is not None:
            low, high = result.ci
            if low > high:
                yield f"{where}: an interval from {low:g} to {high:g}"
        if result.verdict == "incomplete" and not result.note:
            yield f"{where}: incomplete without a reason"


def _drawing_faults(verdict: ClaimVerdict) -> Iterator[str]:
    from bench_lr import figures
    from bench_lr.report.markdown import as_markdown

    with tempfile.TemporaryDirectory() as folder:
        figures.save(figures.draw(verdict), Path(folder) / "figure")
    if not as_markdown([verdict], verdict.claim.profile.name):
        yield "the report is empty"


def _order_faults(one: ClaimVerdict, other: ClaimVerdict) -> Iterator[str]:
    """What hangs on the order of seeds, which means nothing."""
    for first, second in zip(one.criteria, other.criteria, strict=True):
        before, after = first.result, second.result
        same = before.verdict == after.verdict and _near(before.estimate, after.estimate)
        if not same:
            yield (
                f"criterion {first.spec.id}: {before.verdict}, {before.estimate} becomes "
                f"{after.verdict}, {after.estimate} when the seeds come in another order"
            )


def _near(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= _ALIKE * max(1.0, abs(one)) or (one != one and other != other)


def made_up(config: RunConfig, seed: int = 0, lost: bool = False) -> pd.DataFrame:
    """Return made-up results with the rows that training would have recorded.

    Parameters
    ----------
    seed : int
        Of the numbers, beside the run itself.
    lost : bool
        Whether the run diverged at once.
    """
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng([seed, int(run_id(config)[:8], 16)])
    step = examples = 0
    ends = {round(epoch, 6): None for epoch in (0.0, *evaluated(config))}
    sizes = [p.batch_size for p in config.batches for _ in range(p.epochs)]
    starts = [(0, 0)]
    for batch in sizes:
        steps = steps_per_epoch(config.task.train_size, batch, config.drop_last)
        step, examples = step + steps, examples + min(steps * batch, config.task.train_size)
        starts.append((step, examples))
    rows: list[tuple[int, float, int, str, str]] = []
    for epoch in ends:
        done = int(epoch)
        part = (np.array(starts[min(done + 1, len(sizes))]) - starts[done]) * (epoch - done)
        at = (np.array(starts[done]) + part).astype(int).tolist()
        kinds: list[tuple[str, str]] = []
        if epoch > 0:
            kinds += [("loss", split) for split in config.evaluation.splits]
            kinds += [("loss_sd", "train"), ("loss", "train")]
            kinds += [("seconds", "train")] if config.timed else []
            if config.task.loss != "half_mse":
                kinds += [("accuracy", split) for split in config.evaluation.splits]
        probed = probed_metrics(config).items()
        kinds += [(name, "train") for name, when in probed if not when or epoch in when]
        rows += [(at[0], epoch, at[1], metric, split) for metric, split in kinds]
    frame = pd.DataFrame(rows, columns=list(COLUMNS[1:-1]))
    values = rng.random(len(frame)) * rng.choice([0.01, 1, 3])
    if lost or rng.random() < 0.1:
        values[0 if lost else int(rng.integers(len(frame))) :] = np.nan
    return frame.assign(run_id=run_id(config), value=values)[list(COLUMNS)]
