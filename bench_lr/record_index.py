"""Where recorded evidence lies, and which verdicts it holds; read fast, compared with nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path

ENVIRONMENT = "BENCH_LR_REPRODUCTIONS"
FIDELITY = ("quick", "standard", "full")
"""Profiles from the least to the most faithful; the best one recorded is shown."""
DAMAGED = "damaged"


def folder() -> Path:
    """Where the evidence lies: ``BENCH_LR_REPRODUCTIONS``, the checkout, or inside the wheel."""
    if given := os.environ.get(ENVIRONMENT):
        return Path(given)
    package = Path(__file__).resolve().parent
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file():
        return checkout / "reproductions"
    return package / "reproductions"


def most_faithful(profiles: Collection[str]) -> str:
    """Return the most faithful of some profiles, "" of none."""
    known = [name for name in FIDELITY if name in profiles]
    return known[-1] if known else ""


def verdict_shown(claim_id: str, root: Path | None = None) -> tuple[str, str]:
    """Return the recorded verdict of the most faithful profile and that profile, "" where none is.

    A record that cannot be read is told as `DAMAGED`; `bench_lr.recorded.read` says what is wrong.
    """
    path = (root or folder()) / claim_id / "verdict.json"
    try:
        profiles = json.loads(path.read_bytes())["profiles"]
        best = most_faithful(profiles)
        return (str(profiles[best]["verdict"]), best) if best else ("", "")
    except FileNotFoundError:
        return "", ""
    except (OSError, ValueError, KeyError, TypeError):
        return DAMAGED, ""
