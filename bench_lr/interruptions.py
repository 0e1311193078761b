"""Signals that end a job, held back until its training can be put down.

A job is told to end by SIGTERM (a driver that stops, ``scancel``), by SIGINT (Ctrl-C) or by SIGUSR2
(submitit: preemption, or time that runs out). Whoever handled the signal before does so still, a
little later: at the next place where training can be kept, within a span of steps.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR2")


class Interruptions:
    """A context in which signals wait. In another thread than the main one it does nothing."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._pending: list[int] = []

    @property
    def pending(self) -> bool:
        """Whether a signal waits."""
        return bool(self._pending)

    def __enter__(self) -> Interruptions:
        if threading.current_thread() is threading.main_thread():
            for name in SIGNALS:
                number = getattr(signal, name, None)
                if number is not None:
                    self._before[number] = signal.signal(number, self._hold)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
        if error[0] is None:
            self.pass_on()

    def _hold(self, number: int, frame: FrameType | None) -> None:
        # Who asks twice does not want to wait.
        again = number in self._pending
        if not again:
            self._pending.append(number)
        if again and number == signal.SIGINT:
            self.pass_on()

    def pass_on(self) -> None:
        """Let every signal that waits do what it would have done; return if that lets us go on."""
        while self._pending:
            number = self._pending.pop(0)
            handler: Callable[[int, FrameType | None], Any] | int | None
            handler = self._before.get(number, signal.getsignal(number))
            if callable(handler):
                handler(number, None)
            elif handler == signal.SIG_DFL:
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
