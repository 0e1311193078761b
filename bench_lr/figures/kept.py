"""Which figures need not be drawn again: a PNG says what it was drawn from.

Drawing a claim takes the better part of a second, and of a hundred claims that are judged again
most have not changed. The mark stands for everything that a figure can depend on, so that one that
is kept is the one that would be drawn; it lies in the file itself, so that there is nothing else to
keep in step.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from functools import cache
from importlib.metadata import version
from pathlib import Path

from bench_lr.figures.style import SVG_MARK
from bench_lr.identity import run_ids
from bench_lr.verdict import ClaimVerdict

MARK = "bench-lr drawn from"
LIBRARIES = ("matplotlib", "numpy", "pandas", "pillow", "scipy", "seaborn")
"""What draws and what computes what is drawn."""
KINDS = ("png", "svg")
_END = b"\0\0\0\0IEND\xaeB`\x82"


def drawn_from(*verdicts: ClaimVerdict, beside: object = None) -> dict[str, str]:
    """Return the mark of a figure of these verdicts: their whole content, this code, its libraries.

    As for `bench_lr.figures.style.save`.

    Parameters
    ----------
    beside : object
        What else is drawn, if anything; its ``repr`` is its content.
    """
    found = hashlib.sha256(_code().encode())
    found.update(repr(beside).encode())
    for verdict in verdicts:
        _add(found, verdict)
    return {MARK: found.hexdigest()}


def is_kept(path: Path, mark: dict[str, str]) -> bool:
    """Whether ``<path>.png`` and ``<path>.svg`` are whole and were drawn from what `mark` says."""
    from PIL import Image

    try:
        content, svg = (path.with_name(f"{path.name}.{kind}").read_bytes() for kind in KINDS)
        with Image.open(io.BytesIO(content)) as png:
            said = dict(png.info)
            # Every chunk has its checksum; that of the last is not looked at.
            png.verify()
    # A damaged PNG is told in any of these words.
    except (OSError, SyntaxError, ValueError):
        return False
    whole = {**mark, SVG_MARK: hashlib.sha256(svg).hexdigest()}
    return content.endswith(_END) and all(said.get(name) == text for name, text in whole.items())


@cache
def _code() -> str:
    """Stand for the whole package, since judging and numbers are in a figure too."""
    found = hashlib.sha256()
    package = Path(__file__).resolve().parent.parent
    for path in sorted(package.rglob("*.py")):
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return repr([found.hexdigest(), *(version(name) for name in LIBRARIES)])


def _add(found: hashlib._Hash, verdict: ClaimVerdict) -> None:
    from pandas.util import hash_pandas_object

    claim, frame = verdict.claim, verdict.frame
    arms = [(arm.name, run_ids(arm.runs)) for arm in claim.arms]
    values = [
        {name: array.tolist() for name, array in arrays.items()}
        for arrays in (verdict.calculations, verdict.derived)
    ]
    rest = {
        name: value
        for name, value in vars(verdict).items()
        if name not in ("claim", "frame", "calculations", "derived")
    }
    whole = (dataclasses.replace(claim, arms=()), arms, values, rest, list(frame.columns))
    found.update(repr(whole).encode())
    found.update(hash_pandas_object(frame, index=False).to_numpy().tobytes())
