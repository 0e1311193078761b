"""The calendar of a cohort: every step once, evaluations where they are due."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bench_lr.budget import budget, steps_per_epoch
from bench_lr.cohort.timetable import LearningRates, Span, Timetable
from bench_lr.schedules import MultiStep, Step
from bench_lr.schema import (
    EvaluationConfig,
    Linear,
    ModelConfig,
    OptimizerConfig,
    Phase,
    RunConfig,
    TaskConfig,
)

runs = st.builds(
    RunConfig,
    task=st.builds(
        TaskConfig,
        data=st.just("mnist"),
        train_size=st.integers(1, 300),
        validation_size=st.just(0),
    ),
    model=st.just(ModelConfig((Linear(10),))),
    optimizer=st.builds(OptimizerConfig, lr=st.floats(1e-3, 10)),
    batches=st.lists(
        st.builds(Phase, epochs=st.integers(1, 3), batch_size=st.integers(1, 320)),
        min_size=1,
        max_size=3,
    ).map(tuple),
    drop_last=st.booleans(),
    evaluation=st.builds(EvaluationConfig, per_epoch=st.integers(1, 12)),
)
quickly = settings(max_examples=150, deadline=None, derandomize=True)


def epochs_of(run: RunConfig, longest: int) -> Iterator[tuple[int, list[Span]]]:
    """Yield batch size and spans of every epoch."""
    timetable = Timetable.of(run)
    for epoch, size in enumerate(timetable.batch_sizes):
        yield size, list(timetable.spans(epoch, longest))


@quickly
@given(run=runs, longest=st.integers(1, 100))
def test_spans_cover_every_epoch_once_in_order(run: RunConfig, longest: int) -> None:
    before = 0
    for epoch, (size, spans) in enumerate(epochs_of(run, longest)):
        seen: list[int] = []
        step = 0
        for span in spans:
            assert (span.epoch, span.first_step, span.step) == (epoch, step, before + step)
            assert 1 <= span.steps <= longest
            assert span.full_batch_size == size
            seen += range(span.start, span.stop)
            step += span.steps
        steps = steps_per_epoch(run.task.train_size, size, run.drop_last)
        assert step == steps
        wanted = min(steps * size, run.task.train_size)
        assert seen == list(range(wanted))
        before += step


@quickly
@given(run=runs, longest=st.integers(1, 100))
def test_a_partial_batch_is_a_span_of_its_own(run: RunConfig, longest: int) -> None:
    for size, spans in epochs_of(run, longest):
        left = run.task.train_size % size
        partial = [span for span in spans if span.batch_size != size]
        if run.drop_last or not left:
            assert partial == []
        else:
            assert [(s.steps, s.batch_size) for s in partial] == [(1, left)]
            assert partial[0] is spans[-1]


@quickly
@given(run=runs, longest=st.integers(1, 100))
def test_no_span_crosses_an_evaluation(run: RunConfig, longest: int) -> None:
    wanted = run.evaluation.per_epoch
    for size, spans in epochs_of(run, longest):
        steps = steps_per_epoch(run.task.train_size, size, run.drop_last)
        found = [span.first_step + span.steps for span in spans if span.evaluate]
        # Evenly spaced to the nearest step, the end included, as many as there are steps for.
        reach = 0.5 if steps >= wanted else 1.0
        due = [i * steps / wanted for i in range(1, wanted + 1)]
        near = [any(abs(stop - exactly) <= reach for stop in found) for exactly in due]
        if steps:
            assert found[-1] == steps
            assert all(near)
            assert len(found) == min(steps, wanted)


@quickly
@given(run=runs)
def test_the_number_of_steps_is_the_budgets(run: RunConfig) -> None:
    timetable = Timetable.of(run)
    cost = budget(run)
    assert (timetable.epochs, timetable.steps) == (cost.epochs, cost.updates)
    examples = sum(
        span.steps * span.batch_size for _, spans in epochs_of(run, 17) for span in spans
    )
    assert examples == cost.examples


@quickly
@given(run=runs)
def test_the_clock_counts_completed_epochs(run: RunConfig) -> None:
    clock = Timetable.of(run).clock()
    expected = [
        epoch
        for epoch, (_, spans) in enumerate(epochs_of(run, 1000))
        for span in spans
        for _ in range(span.steps)
    ]
    assert clock.epoch.tolist() == expected
    assert clock.step.tolist() == list(range(budget(run).updates))


def test_learning_rates_are_base_rate_times_schedule_at_every_step() -> None:
    base = RunConfig(
        task=TaskConfig("mnist", 10, 0),
        model=ModelConfig((Linear(10),)),
        optimizer=OptimizerConfig(0.5),
        batches=(Phase(2, 4), Phase(1, 10)),
    )
    cohort = [
        base,
        dataclasses.replace(base, schedule=Step(0.1, 2), optimizer=OptimizerConfig(2.0)),
        dataclasses.replace(base, schedule=MultiStep(0.5, (1, 2))),
    ]
    # 3 + 3 + 1 steps.
    expected = np.array(
        [
            [0.5] * 7,
            [2, 2, 0.2, 0.2, 0.02, 0.02, 0.002],
            [0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125],
        ]
    ).T
    np.testing.assert_allclose(LearningRates(cohort).of(0, 7), expected)
    # Whatever is asked for, in any order, and however much is worked out at a time.
    for stretch in (1, 2, 3, 100):
        rates = LearningRates(cohort, stretch)
        for first, steps in [(0, 2), (2, 1), (1, 6), (5, 2), (6, 1), (0, 7)]:
            np.testing.assert_allclose(rates.of(first, steps), expected[first : first + steps])


@quickly
@given(run=runs, every=st.integers(1, 7), longest=st.integers(1, 100))
def test_evaluation_every_so_many_epochs_and_after_the_last(
    run: RunConfig, every: int, longest: int
) -> None:
    run = dataclasses.replace(run, evaluation=EvaluationConfig(every=every))
    found = {}
    for epoch, (_, spans) in enumerate(epochs_of(run, longest)):
        found[epoch + 1] = [span.evaluate for span in spans]
    for epoch, flags in found.items():
        due = bool(flags) and (epoch % every == 0 or epoch == run.epochs)
        # Never before an epoch's last step.
        assert flags == [False] * (len(flags) - 1) + [due] * bool(flags)


@quickly
@given(run=runs, every=st.integers(1, 7), longest=st.integers(1, 100))
def test_joined_epochs_are_the_same_steps_and_evaluations(
    run: RunConfig, every: int, longest: int
) -> None:
    run = dataclasses.replace(run, evaluation=EvaluationConfig(every=every))
    timetable = Timetable.of(run)

    def steps(spans: Iterator[Span]) -> list[tuple[int, int, int, int, bool]]:
        found = []
        for span in spans:
            in_epoch = span.steps // span.epochs
            assert in_epoch * span.epochs == span.steps
            for i in range(span.steps):
                epoch, step = divmod(i, in_epoch)
                start = span.start + step * span.batch_size
                last = span.evaluate and i == span.steps - 1
                found.append((span.epoch + epoch, span.step + i, start, span.batch_size, last))
        return found

    plain = [s for epoch in range(timetable.epochs) for s in timetable.spans(epoch, longest)]
    joined = list(timetable.spans_of(range(timetable.epochs), longest))
    assert steps(iter(joined)) == steps(iter(plain))
    assert all(span.steps <= longest for span in joined)
    assert len(joined) <= len(plain)


def test_whole_epochs_are_joined_up_to_an_evaluation_or_the_length_allowed() -> None:
    run = RunConfig(
        task=TaskConfig("mnist", 12, 0),
        model=ModelConfig((Linear(10),)),
        optimizer=OptimizerConfig(0.5),
        batches=(Phase(6, 4), Phase(3, 6), Phase(2, 5)),
        evaluation=EvaluationConfig(every=4),
    )
    spans = list(Timetable.of(run).spans_of(range(11), 9))
    # Three steps an epoch of batch size 4, two of 6, and two and a partial one of 5.
    assert [(span.epoch, span.epochs, span.steps, span.evaluate) for span in spans] == [
        (0, 3, 9, False),
        (3, 1, 3, True),
        (4, 2, 6, False),
        (6, 2, 4, True),
        (8, 1, 2, False),
        (9, 1, 2, False),
        (9, 1, 1, False),
        (10, 1, 2, False),
        (10, 1, 1, True),
    ]
