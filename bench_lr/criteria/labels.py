"""How comparisons at several evaluations are called in tables and notes."""

from __future__ import annotations

from collections.abc import Sequence

from bench_lr.criteria.result import CriterionError


def comparison_labels(subject: str, times: Sequence[float | str] | None, count: int) -> list[str]:
    """Label `subject` once per evaluation: by its name in `times`, else by its index from 0.

    A single evaluation without a name leaves the subject as it is.

    Raises
    ------
    CriterionError
        `times` does not name `count` evaluations.
    """
    if times is None:
        return [subject] if count == 1 else [f"{subject} at time {t}" for t in range(count)]
    names = [t if isinstance(t, str) else f"{t:g}" for t in times]
    if len(names) != count:
        raise CriterionError(f"times names {len(names)} evaluations, the arms have {count}")
    return [f"{subject} at {name}" for name in names]
