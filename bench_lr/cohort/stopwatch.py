"""Time that passes while training, without what is not training."""

from __future__ import annotations

import time


class Stopwatch:
    """Seconds of wall-clock time, by a clock that never goes back, over any number of stretches."""

    def __init__(self) -> None:
        self._before = 0.0
        self._since: float | None = None

    def go_on(self) -> None:
        """Start, or start again; nothing where it is going."""
        if self._since is None:
            self._since = time.perf_counter()

    def pause(self) -> None:
        """Stop; nothing where it is not going."""
        if self._since is not None:
            self._before += time.perf_counter() - self._since
            self._since = None

    @property
    def seconds(self) -> float:
        """Time so far."""
        going = 0.0 if self._since is None else time.perf_counter() - self._since
        return self._before + going
