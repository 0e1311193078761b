"""Signals wait until training can be put down, and then do what they would have done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from bench_lr.interruptions import Interruptions


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Signals that the handlers that were there before have got."""
    got: list[int] = []
    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGUSR2, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda number, frame: got.append(number))
    yield got
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2, signal.SIGINT])
def test_a_signal_waits_and_is_passed_on_once(number: signal.Signals, heard: list[int]) -> None:
    with Interruptions() as interruptions:
        assert not interruptions.pending
        os.kill(os.getpid(), number)
        assert interruptions.pending
        assert heard == []
        interruptions.pass_on()
        assert heard == [number]
        assert not interruptions.pending
        # Whoever handled it may let us go on; the next one waits again.
        os.kill(os.getpid(), number)
        assert heard == [number]
    assert heard == [number, number]
    os.kill(os.getpid(), number)
    assert heard == [number] * 3


def test_who_presses_twice_does_not_wait(heard: list[int]) -> None:
    with Interruptions():
        os.kill(os.getpid(), signal.SIGINT)
        assert heard == []
        os.kill(os.getpid(), signal.SIGINT)
        assert heard == [signal.SIGINT]


def test_other_signals_that_come_twice_wait(heard: list[int]) -> None:
    with Interruptions():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == []
    assert heard == [signal.SIGTERM]


def test_handlers_are_as_before_after_an_error(heard: list[int]) -> None:
    with pytest.raises(ValueError), Interruptions():
        raise ValueError
    os.kill(os.getpid(), signal.SIGTERM)
    assert heard == [signal.SIGTERM]


def test_another_thread_holds_no_signals() -> None:
    found: list[bool] = []

    def work() -> None:
        with Interruptions() as interruptions:
            found.append(interruptions.pending)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert found == [False]
    assert signal.getsignal(signal.SIGTERM) is before


SCRIPT = """
import os, signal, sys
from bench_lr.interruptions import Interruptions
# Whoever started the tests may have had interrupts ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
with Interruptions() as interruptions:
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    print("kept", flush=True)
    interruptions.pass_on()
    print("went on", flush=True)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR2"])
def test_a_signal_that_nobody_handles_ends_the_process_as_it_would_have(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, name], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "kept\n"
    assert done.returncode == -getattr(signal, name)
