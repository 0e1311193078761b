"""What all tests share."""

import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Tests compute on tensors of a few hundred numbers, where threads only wait for each other. Set
# before torch is imported, and inherited by the processes that tests start. Benchmarks take what
# the machine has.
if "--benchmark-only" not in sys.argv:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", "1")


# The same inputs every time: a test that fails has found what is new in the code, and no new input.
# --hypothesis-profile=default thinks of others.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")


@dataclasses.dataclass
class Faults:
    """What was done to training on purpose, and what became of it."""

    injected: int = 0
    survived: int = 0
    runs_lost: int = 0
    wrong_verdicts: int = 0

    def __str__(self) -> str:
        return (
            f"faults injected: {self.injected}, survived: {self.survived}, "
            f"runs lost: {self.runs_lost}, wrong verdicts: {self.wrong_verdicts}"
        )


FAULTS = Faults()

BUSY = ("test_slurm", "test_faults", "test_drive")
"""Files whose tests start many processes: one after another, where tests run side by side."""


@pytest.fixture
def faults() -> Iterator[Faults]:
    """Count faults; the counts stand before the summary of the tests."""
    yield FAULTS
    assert FAULTS.runs_lost == FAULTS.wrong_verdicts == 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first, so that nobody waits for it at the end."""
    items.sort(key=lambda item: [*BUSY, item.path.stem].index(item.path.stem))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file together, as they share what is costly, and the busy files."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "busy" if Path(file).stem in BUSY else str(file)

    return ByFile(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that started this one how many faults there were."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["faults"] = dataclasses.asdict(FAULTS)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Add up the faults of the processes that ran tests."""
    for name, count in getattr(node, "workeroutput", {}).get("faults", {}).items():
        setattr(FAULTS, name, getattr(FAULTS, name) + count)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many faults there were."""
    if FAULTS.injected:
        terminalreporter.write_line(str(FAULTS))
