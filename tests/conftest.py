"""What all tests share."""

import dataclasses
import os
import sys
from collections.abc import Iterator

import pytest

# Tests compute on tensors of a few hundred numbers, where threads only wait for each other. Set
# before torch is imported, and inherited by the processes that tests start. Benchmarks take what
# the machine has.
if "--benchmark-only" not in sys.argv:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MKL_NUM_THREADS", "1")


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


@pytest.fixture
def faults() -> Iterator[Faults]:
    """Count faults; the counts stand before the summary of the tests."""
    yield FAULTS
    assert FAULTS.runs_lost == FAULTS.wrong_verdicts == 0


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many faults there were."""
    if FAULTS.injected:
        terminalreporter.write_line(str(FAULTS))
