"""Tapes: room for ones, and the same step on other memory."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from bench_lr.cohort.tape import Strip, Tape, address, dense, moved


def test_a_room_has_ones_behind_the_features_of_every_run() -> None:
    tape = Tape()
    x = tape.room((2, 3, 4, 5), torch.zeros(0), one=7.0)
    x.copy_(torch.arange(120.0).view(2, 3, 4, 5))
    whole = tape.with_ones(x, 7.0)
    assert not tape, "nothing to copy"
    assert torch.equal(whole[:, :, :4], x)
    assert (whole[:, :, 4] == 7).all()


def test_images_keep_the_ones_when_they_become_features() -> None:
    tape = Tape()
    x = tape.room((2, 1, 3, 4, 4, 5), torch.zeros(0)).normal_()
    features = dense(x, (2, 1, 48, 5), tape)
    whole = tape.with_ones(features)
    assert not tape
    assert torch.equal(whole[:, :, :48], x.flatten(2, 4))
    assert (whole[:, :, 48] == 1).all()


def test_features_without_room_are_copied_at_every_replay() -> None:
    tape = Tape()
    x = torch.zeros(2, 3, 4, 5)
    whole = tape.with_ones(x)
    x.normal_()
    for operation in tape:
        operation()
    assert torch.equal(whole[:, :, :4], x)
    assert (whole[:, :, 4] == 1).all()


def test_a_part_of_a_room_has_no_ones_behind_it() -> None:
    tape = Tape()
    part = tape.room((2, 3, 4, 5), torch.zeros(0)).normal_()[:, :, :2]
    whole = tape.with_ones(part)
    for operation in tape:
        operation()
    assert torch.equal(whole[:, :, :2], part)
    assert (whole[:, :, 2] == 1).all()


def test_a_moved_tape_works_on_the_memory_of_its_own_step() -> None:
    """Arguments, results and the tensor whose method is called all move; the rest stays."""
    strip = Strip(torch.arange(24.0).view(4, 2, 3))
    x, shared = strip.memory[0], torch.ones(3)
    kept = torch.zeros(3)
    results = Strip(torch.zeros(4, 3))
    tape = [
        partial(torch.sum, x.transpose(0, 1), 1, out=kept),
        partial(kept.mul_, shared),
        partial(shared.add_, 1),
        x.zero_,
    ]
    strips = {address(x): strip, address(kept): results}
    before = strip.memory.clone()
    for step in (0, 3):
        for operation in moved(tape, strips, step):
            operation()
    assert torch.equal(results.memory[0], before[0].sum(0))
    assert torch.equal(results.memory[3], before[3].sum(0) * 2)
    assert (strip.memory[[0, 3]] == 0).all()
    assert torch.equal(strip.memory[[1, 2]], before[[1, 2]])
    assert (kept == 0).all(), "the memory of the recording is not used"


def test_an_operation_that_hides_its_tensors_cannot_move() -> None:
    x = torch.zeros(2)
    with pytest.raises(TypeError, match="hides"):
        moved([lambda: x.add_(1)], {}, 0)
