"""How far training is, on a terminal as a bar, elsewhere as a line now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from bench_lr.progress import Status

PLAIN_SECONDS = 15.0
"""Between progress lines where there is no terminal."""

Show = Callable[[Status], None]


@contextmanager
def progress(console: Console, say: Callable[[str], None]) -> Iterator[Show]:
    """Give a function that shows how far training is, until the context ends."""
    if not console.is_terminal:
        yield _Lines(say)
        return
    bar = Progress(BarColumn(), TextColumn("{task.description}"), console=console, transient=True)
    with bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda status: bar.update(
            task, completed=status.share, description=progress_text(status)
        )


class _Lines:
    """A line now and then."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._last = say, 0.0

    def __call__(self, status: Status) -> None:
        if status.elapsed - self._last >= PLAIN_SECONDS:
            self._last = status.elapsed
            self._say(progress_text(status))


def progress_text(status: Status) -> str:
    """Return one line: jobs and runs done of all, share, time left."""
    left = "" if status.seconds_left is None else f", about {duration(status.seconds_left)} left"
    return (
        f"{status.share:4.0%}  jobs {status.jobs_done}/{status.jobs}, "
        f"runs {status.runs_done}/{status.runs}{_queue(status)}{left}"
    )


def _queue(status: Status) -> str:
    queue = status.queue
    if queue is None:
        return ""
    why = f" ({queue.reasons[0]})" if queue.reasons and not queue.running else ""
    return f", {queue.running} running, {queue.queued} queued{why}"


def duration(seconds: float) -> str:
    """Return a time as a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
