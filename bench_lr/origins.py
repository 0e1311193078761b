"""What differs in where two sets of findings came from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench_lr.findings import Finding

UNKNOWN = "not known"


@dataclass(frozen=True)
class Difference:
    """A version, the device, the commit, the engine or the data, where it is not the same."""

    name: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.name} {self.old} -> {self.new}"


def differences(old: Sequence[Finding], new: Sequence[Finding]) -> tuple[Difference, ...]:
    """List what differs; several values on one side stand side by side."""
    before, after = _values(old), _values(new)
    names = dict.fromkeys([*before, *after])
    pairs = {name: (before.get(name, UNKNOWN), after.get(name, UNKNOWN)) for name in names}
    return tuple(Difference(name, *pair) for name, pair in pairs.items() if pair[0] != pair[1])


def _values(findings: Iterable[Finding]) -> dict[str, str]:
    found: dict[str, dict[str, None]] = {}
    for each in findings:
        engine = "" if each.engine is None else str(each.engine)
        for name, value in (
            *each.versions.items(),
            ("device", each.device),
            ("commit", each.commit),
            ("engine version", engine),
            ("data SHA-256", each.data_sha256),
        ):
            if value:
                found.setdefault(name, {})[value] = None
    return {name: ", ".join(sorted(values)) for name, values in found.items()}
