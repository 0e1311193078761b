"""What the verbs that judge have in common: claims, plan, live progress, report, exit code."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from bench_lr import cluster, drive, recorded
from bench_lr.changes import Comparison
from bench_lr.checkpoint import sweep
from bench_lr.claims import ConfigError, claim_files, conf_roots, load_claims
from bench_lr.claims.check import check_claim
from bench_lr.claims.sources import Source, load_sources, wholly_shown
from bench_lr.cli import moved, planned
from bench_lr.cli.live import progress
from bench_lr.cli.refusals import expecting_problems, launching_problems
from bench_lr.design import Remark, remarks
from bench_lr.failures import words_of
from bench_lr.identity import run_ids
from bench_lr.judge import judge
from bench_lr.looks import first_look, next_look
from bench_lr.multiruns import multiruns
from bench_lr.overrides import Overrides, of_ones_own
from bench_lr.plan import (
    CLUSTER_JOB_SECONDS,
    CLUSTER_JOBS,
    GPU_RUNS_PER_COHORT,
    JOB_SECONDS,
    Plan,
    make_plan,
    runs_on_cpu,
)
from bench_lr.progress import Status
from bench_lr.provenance import cores
from bench_lr.schema import Claim, Imported, RunConfig
from bench_lr.shapes import example_of
from bench_lr.store import Store
from bench_lr.verdict import ClaimVerdict

if TYPE_CHECKING:
    from bench_lr.report import Expect

STYLES = {
    "reproduced": "green",
    "refuted": "red",
    "inconclusive": "yellow",
    "incomplete": "dim",
}


FORMS = {
    "lockstep": "is a chain of layers: its runs train in lockstep",
    "vmap": "is no chain of layers that can be lifted: its runs train under torch.func.vmap, which "
    "was 3 to 10 times slower than lockstep in our benchmarks on MNIST",
    "one by one": "can neither be lifted nor vmapped: its runs train one by one; an ordinary loop "
    "was 6 to 31 times slower than lockstep in our benchmarks on MNIST",
}


@dataclass
class Session:
    """One call of a verb that judges."""

    claims: list[Claim]
    store: Store
    out: Path
    profile: str
    launcher: str = "joblib"
    device: str = "auto"
    expect: Expect = "none"
    overrides: Overrides = field(default_factory=Overrides)
    in_looks: bool = False
    sources: dict[str, Source] = field(default_factory=dict)
    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))

    @classmethod
    def of(cls, options: argparse.Namespace) -> Session:
        """Load what the options ask for.

        Raises
        ------
        ConfigError
            With every mistake.
        """
        seeds: str = getattr(options, "seeds", "")
        in_looks = seeds == "auto"
        given = [f"seeds={seeds}"] if seeds and not in_looks else []
        own = of_ones_own(getattr(options, "model", ""), getattr(options, "data", ""))
        # What is said after -- counts more.
        overrides = Overrides.parse([*own, *given, *options.overrides])
        launcher = getattr(options, "launcher", "joblib")
        device = getattr(options, "device", "auto")
        expect: Expect = getattr(options, "expect", "none")
        if problems := [
            *launching_problems(launcher, device, detach=getattr(options, "detach", False)),
            *expecting_problems(expect, overrides, in_looks),
        ]:
            raise ConfigError(problems)
        claims = load_claims(
            options.claims,
            options.profile,
            override=overrides.setting,
            seeds=overrides.seeds,
            check=check_claim,
        )
        if overrides.changes_training:
            note = f"with {' '.join(overrides.settings)} on the command line"
            claims = [
                dataclasses.replace(c, shortened="; ".join(filter(None, [c.shortened, note])))
                for c in claims
            ]
        if in_looks:
            claims = [first_look(claim) for claim in claims]
        return cls(
            claims=claims,
            store=Store(options.store),
            out=options.out,
            profile=options.profile,
            launcher=launcher,
            device=device,
            expect=expect,
            overrides=overrides,
            in_looks=in_looks,
            sources=wholly_shown(
                load_sources(), (claim.id for claim in claims), claim_files(conf_roots())
            ),
        )

    def say(self, text: str, style: str = "") -> None:
        """Print one line."""
        self.console.print(Text(text, style=style))

    # --- plan ---------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """Plan what is missing and print it with its cost."""
        trainable = [claim for claim in self.claims if not claim.out_of_profile]
        seconds = CLUSTER_JOB_SECONDS if self._on_cluster else JOB_SECONDS
        plan = make_plan(trainable, self.store, self._runs_per_cohort, self._jobs_at_once, seconds)
        for line in planned.summary(plan, self.claims, self.profile, self.launcher):
            self.say(line)
        for words in self._forms() if plan.jobs else ():
            self.say(words)
        for remark in self._remarks() if plan.jobs else ():
            self.say(f"design: {remark}", "yellow")
        return plan

    def _forms(self) -> Iterator[str]:
        """How networks of the user's own will train, and what that costs."""
        arms = [arm.runs[0] for claim in self.claims for arm in claim.arms]
        for model, data, loss in dict.fromkeys((r.model, r.task.data, r.task.loss) for r in arms):
            layer = model.layers[0]
            if isinstance(layer, Imported):
                # Takes seconds to import, and most claims have no such network.
                from bench_lr import models
                from bench_lr.cohort.fallback import form_of

                example, _ = example_of(data)
                form = form_of(models.build(model, example, 0), loss, example)
                yield f"{layer.target} {FORMS[form]}"

    def _remarks(self) -> list[Remark]:
        """What makes the claims hard to decide, as far as recorded deviations tell."""
        return [r for claim in self.claims for r in remarks(claim, recorded.deviations(claim))]

    @property
    def _on_cluster(self) -> bool:
        return self.launcher in cluster.LAUNCHERS

    def _runs_per_cohort(self, run: RunConfig) -> int:
        return GPU_RUNS_PER_COHORT if self._on_gpu else runs_on_cpu(run)

    @cached_property
    def _on_gpu(self) -> bool:
        if self.device == "cpu":
            return False
        # Takes seconds to import, and is asked for only where there is something to train.
        import torch

        return torch.cuda.is_available()

    def _jobs_at_once(self) -> int:
        if self._on_cluster:
            return CLUSTER_JOBS
        if self.launcher != "joblib":
            return 1
        return min(cores(), self.overrides.jobs_at_once or self._gpus or cores())

    @cached_property
    def _gpus(self) -> int:
        """GPUs of this machine that are to be used."""
        if not self._on_gpu:
            return 0
        import torch

        return torch.cuda.device_count()

    def tidy(self) -> None:
        """Finish what killed processes have left in the store, as far as it can be written."""
        self.store.recover()
        sweep(self.store)

    # --- train --------------------------------------------------------------------------------

    def wait_for_earlier(self) -> None:
        """Wait for jobs that an earlier call has handed to a cluster for the same store."""
        if not self._on_cluster:
            return
        root = self.store.root.resolve()
        earlier = [it for it in multiruns(self.out) if it.on_cluster and it.store == root]
        ids = [name for multirun in earlier for name in cluster.submitted(multirun.folder)]
        before = 0
        while left := cluster.alive(ids):
            if left != before:
                self.say(f"waiting for {left} jobs that an earlier run has on the cluster")
            before = left
            time.sleep(drive.CLUSTER_SECONDS)

    def submit(self, plan: Plan) -> int:
        """Hand the jobs of a plan over to a cluster; return the exit code."""
        if not plan.jobs:
            return self.exit_code(self.judge_all())
        driver = drive.Driver(plan, self.store, self._new_folder(), self.launcher, self._for_jobs())
        ids = driver.submit()
        if len(ids) < len(plan.jobs):
            cluster.cancel(ids)
            self.say(f"the jobs could not be handed over; see {driver.log}", "red")
            self._say_last_words(driver.log)
            return 3
        arrays = ", ".join(sorted({name.partition("_")[0] for name in ids}))
        self.say(f"handed over: {len(ids)} jobs, {arrays} to SLURM")
        self.say("bench-lr status shows how far they are; run again, or report, for the verdicts")
        return 0

    def _new_folder(self) -> Path:
        return new_folder(self.out / "jobs", time.strftime("%Y-%m-%d_%H-%M-%S"))

    def _for_jobs(self) -> list[str]:
        words = [f"device={self.device}", *self.overrides.launcher]
        if self.launcher == "joblib" and self._gpus and not self.overrides.names_jobs_at_once:
            words.append(f"hydra.launcher.n_jobs={self._gpus}")
        return words

    def train(self, plan: Plan) -> list[ClaimVerdict]:
        """Train the plan with progress on the screen; judge each claim when its runs are there."""
        fallen: dict[str, ClaimVerdict] = {}
        waiting = {
            c.id: set(run_ids(run for arm in c.arms for run in arm.runs)) & plan.run_ids
            for c in self.claims
            if not c.out_of_profile
        }
        if not plan.jobs:
            self._judge_ready(waiting, fallen)
        else:
            folder = self._new_folder()
            with progress(self.console, self.say) as show:
                drawn: set[str] = set()

                def watch(status: Status) -> None:
                    show(status)
                    for lacking in waiting.values():
                        lacking -= status.arrived
                    self._judge_ready(waiting, fallen)
                    self._draw_one(fallen, drawn)

                log = drive.train(
                    plan,
                    self.store,
                    folder,
                    launcher=self.launcher,
                    overrides=self._for_jobs(),
                    watch=watch,
                )
            self._tell_failures(plan, log)
        for claim in self.claims:
            if claim.id not in fallen:
                fallen[claim.id] = self._judge(claim)
                self._tell(fallen[claim.id])
        return [fallen[claim.id] for claim in self.claims]

    def train_in_looks(self, plan: Plan) -> list[ClaimVerdict]:
        """Train the first look, then go on with the claims that are not decided."""
        found = {verdict.claim.id: verdict for verdict in self.train(plan)}
        order = list(found)
        while going_on := list(filter(None, map(_another_look, found.values()))):
            self.say(f"another look: {len(going_on)} claims are not decided yet")
            later = dataclasses.replace(self, claims=going_on)
            found |= {verdict.claim.id: verdict for verdict in later.train(later.plan())}
        return [found[claim] for claim in order]

    def _judge(self, claim: Claim) -> ClaimVerdict:
        known = None if self.overrides.changes_training else recorded.verdict_of(claim)
        return judge(claim, self.store, known)

    def judge_all(self) -> list[ClaimVerdict]:
        """Judge every claim on what is stored."""
        verdicts = [self._judge(claim) for claim in self.claims]
        for verdict in verdicts:
            self._tell(verdict)
        return verdicts

    def _judge_ready(self, waiting: dict[str, set[str]], fallen: dict[str, ClaimVerdict]) -> None:
        """Judge the claims that wait for no run any more."""
        for claim in self.claims:
            if claim.id in waiting and not waiting[claim.id]:
                del waiting[claim.id]
                fallen[claim.id] = self._judge(claim)
                self._tell(fallen[claim.id])

    def _draw_one(self, fallen: Mapping[str, ClaimVerdict], drawn: set[str]) -> None:
        """Draw the figure of a claim while others train: the report then finds it done."""
        from bench_lr.report import draw_figure, figures_of

        name = next((name for name in fallen if name not in drawn), None)
        if name is not None:
            drawn.add(name)
            # What cannot be written now is said when the report is written, after the training.
            with suppress(OSError):
                draw_figure(fallen[name], figures_of(self.out), keep=True)

    def _tell(self, verdict: ClaimVerdict) -> None:
        line = Text(f"{verdict.verdict:<12}", style=STYLES[verdict.verdict])
        line.append(f" {verdict.claim.id}", style="bold")
        if verdict.note:
            line.append(f"  {verdict.note}", style="dim")
        self.console.print(line)

    def _tell_failures(self, plan: Plan, log: Path) -> None:
        lacking = self.store.lacking(i for job in plan.jobs for i in job.run_ids)
        if not lacking:
            return
        failures = list(self.store.failures(lacking))
        self.say(f"{len(lacking)} runs are missing, {len(failures)} of them failed", "red")
        for error in dict.fromkeys(commit.error for commit in failures):
            self.say(words_of(error))
        if not failures:
            self._say_last_words(log)
        self.say(f"the jobs' output is in {log}; run again to train what is missing")

    def _say_last_words(self, log: Path) -> None:
        self.say("\n".join(log.read_text(errors="replace").splitlines()[-8:]), "dim")

    # --- report -------------------------------------------------------------------------------

    def compared(self, verdicts: Sequence[ClaimVerdict]) -> Comparison | None:
        """Compare with what is recorded, when that is expected."""
        return recorded.compared(verdicts) if self.expect == "recorded" else None

    def report(self, verdicts: Sequence[ClaimVerdict]) -> None:
        """Write the report and say where it is."""
        from bench_lr.report import write_report

        comparison = self.compared(verdicts)
        write_report(
            verdicts,
            self.out,
            profile=self.profile,
            expect=self.expect,
            failures=None if comparison is None else moved.failures(comparison),
            sources=self.sources,
        )
        words = [v.verdict for v in verdicts]
        counts = ", ".join(f"{words.count(word)} {word}" for word in STYLES if word in words)
        self.say(f"{len(verdicts)} verdicts: {counts}")
        self.say(f"report: {self.out / 'report' / 'index.html'}")

    def exit_code(self, verdicts: Sequence[ClaimVerdict]) -> int:
        """0 done, 1 an expectation failed, 3 runs failed or are missing."""
        from bench_lr.report import unmet

        comparison = self.compared(verdicts)
        if comparison is None:
            lines = [f"{u.claim} {u.criterion}: {u.text}" for u in unmet(verdicts, self.expect)]
        else:
            moved.tell(comparison, ("recorded", "now"))
            lines = [str(change) for change in comparison.moved]
        for line in lines:
            self.say(f"expected otherwise: {line}", "red")
        if comparison is not None and lines:
            self.say(moved.ADVICE.format("*"))
        if lines:
            return 1
        if any(v.missing or v.failed for v in verdicts if not v.claim.out_of_profile):
            return 3
        return 0


def new_folder(parent: Path, name: str) -> Path:
    """Make and return a folder that no other session has, even one started the same second."""
    parent.mkdir(parents=True, exist_ok=True)
    for suffix in itertools.chain([""], (f"_{number}" for number in itertools.count(2))):
        with suppress(FileExistsError):
            (parent / f"{name}{suffix}").mkdir()
            return parent / f"{name}{suffix}"
    raise AssertionError("unreachable")


def _another_look(verdict: ClaimVerdict) -> Claim | None:
    """Return a claim at its next look if more seeds could decide it."""
    return next_look(verdict.claim) if verdict.verdict == "inconclusive" else None
