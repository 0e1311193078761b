"""Loading claims: read, validate, resolve; every mistake of every claim is told at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench_lr.claims.files import (
    claim_files,
    conf_roots,
    display,
    group_file,
    group_names,
    matching,
    read_yaml,
)
from bench_lr.claims.problems import ConfigError, Problem, parse, unknown
from bench_lr.claims.settings import Resolver, arm_settings, merged
from bench_lr.schema import Arm, Claim, ClaimFile, Profile, ProfilePatch, Setting


def load_profile(name: str, roots: Sequence[Path] | None = None) -> Profile:
    """Load a profile by name.

    Raises
    ------
    ConfigError
        If there is none of that name, or its file is wrong.
    """
    roots = roots or conf_roots()
    problems: list[Problem] = []
    path = group_file(roots, "profile", name)
    if path is None:
        names = group_names(roots, "profile")
        raise ConfigError([unknown("command line", "profile", name, names)])
    content = read_yaml(path, problems)
    profile = None if problems else parse(Profile, content, display(path), "", problems)
    if not isinstance(profile, Profile):
        raise ConfigError(problems)
    return profile


def load_claims(
    globs: Iterable[str] = (),
    profile: Profile | str = "quick",
    *,
    roots: Sequence[Path] | None = None,
    override: Setting | None = None,
    seeds: int | None = None,
    check: Callable[[Claim], Iterable[Problem]] | None = None,
) -> list[Claim]:
    """Load the claims that match any of `globs` (all without one), resolved for `profile`.

    `override` and `seeds` replace what the claims say, in every arm. `check` looks further into
    each claim that is sound so far (criteria and figures, which training knows nothing of).

    Raises
    ------
    ConfigError
        With every problem of every claim asked for.
    """
    roots = roots or conf_roots()
    if isinstance(profile, str):
        profile = load_profile(profile, roots)
    files = claim_files(roots)
    problems: list[Problem] = []
    profiles = group_names(roots, "profile")
    resolver = Resolver(roots, profile, problems)
    claims = []
    for claim_id in matching(globs, files):
        path = files[claim_id]
        content = read_yaml(path, problems)
        if content is None:
            continue
        spec = parse(ClaimFile, content, display(path), "", problems)
        if isinstance(spec, ClaimFile):
            problems += [
                unknown(display(path), "profiles", name, profiles)
                for name in spec.profiles
                if name not in profiles
            ]
            before = len(problems)
            claim = resolve(claim_id, path, spec, profile, resolver, problems, override, seeds)
            if check is not None and len(problems) == before:
                problems += check(claim)
            claims.append(claim)
    if problems:
        raise ConfigError(problems)
    return claims


def resolve(
    claim_id: str,
    path: Path,
    spec: ClaimFile,
    profile: Profile,
    resolver: Resolver,
    problems: list[Problem],
    override: Setting | None,
    seeds: int | None,
) -> Claim:
    """Resolve one claim; what is wrong with it is added to `problems`."""
    file = display(path)
    patch = spec.profiles.get(profile.name, ProfilePatch())
    mine: list[Problem] = []
    count = seeds or patch.seeds or spec.seeds or profile.seeds
    if profile.max_epochs is not None:
        count = min(count, profile.seeds)
    arms = []
    for name, setting in arm_settings(spec, patch, file, mine).items():
        whole = merged(spec.train, patch.train, setting, override)
        before = len(problems)
        first = resolver.run(whole, 0, file, f"arm {name!r}")
        if first is not None:
            arms.append(Arm(name, tuple(dataclasses.replace(first, seed=s) for s in range(count))))
        elif len(problems) == before:
            mine.append(Problem(file, f"arm {name!r}", "a broken group file", "see above"))
    if not mine and not spec.calculations and not arms and not problems:
        mine.append(
            Problem(file, "", "no grid, arms or calculations", "something to run or compute")
        )
    claim = Claim(claim_id, file, profile, spec, tuple(arms), patch.why)
    problems += mine
    return claim
