"""Loading claims: read, validate, resolve; every mistake of every claim is told at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bench_lr.claims.files import (
    PLACE,
    claim_files,
    conf_roots,
    display,
    group_file,
    group_names,
    matching,
    read_yaml,
    stray_files,
)
from bench_lr.claims.problems import ConfigError, Problem, parse, under, unknown
from bench_lr.claims.settings import Resolver, arm_settings, merged
from bench_lr.schema import (
    Arm,
    Claim,
    ClaimFile,
    CriterionSpec,
    FigureSpec,
    Profile,
    ProfilePatch,
    Setting,
)


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
    if isinstance(profile, Profile) and profile.name != path.stem:
        problems.append(Problem(display(path), "name", repr(profile.name), f"the file's, {name}"))
    if problems or not isinstance(profile, Profile):
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
    each claim (criteria and figures, which training knows nothing of); a claim with mistakes is
    given to it without arms.

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
    strays = stray_files(roots)
    for claim_id in matching(globs, [*files, *strays]):
        if claim_id in strays:
            problems.append(Problem(display(strays[claim_id]), "", "a claim there", PLACE))
            continue
        path = files[claim_id]
        content = read_yaml(path, problems)
        if content is None:
            continue
        mine: list[Problem] = []
        spec = parse(ClaimFile, content, display(path), "", mine)
        if isinstance(spec, ClaimFile):
            mine += [
                unknown(display(path), "profiles", name, profiles)
                for name in spec.profiles
                if name not in profiles
            ]
            claim = resolve(claim_id, path, spec, profile, resolver, mine, override, seeds)
            claims.append(claim)
        else:
            spec = sound_part(content)
            claim = Claim(claim_id, display(path), profile, spec, ())
        if check is not None:
            mine += check(without_arms(claim) if mine else claim)
        problems += mine
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
    layers = {
        "command line": override,
        f"profiles.{profile.name}.train": patch.train,
        "train": spec.train,
    }
    count = seeds or patch.seeds or spec.seeds or profile.seeds
    if profile.max_epochs is not None:
        count = min(count, profile.seeds)
    arms = []
    wrong: dict[str, list[Problem]] = {}
    before = len(problems)
    for name, setting in arm_settings(spec, patch, file, problems).items():
        whole = merged(spec.train, patch.train, setting, override)
        wrong[name] = []
        first = resolver.run(whole, 0, file, wrong[name])
        if first is not None:
            arms.append(Arm(name, tuple(dataclasses.replace(first, seed=s) for s in range(count))))
    problems += _located(wrong, layers)
    if not wrong and not spec.calculations and len(problems) == before:
        problems.append(
            Problem(file, "", "no grid, arms or calculations", "something to run or compute")
        )
    claim = Claim(claim_id, file, profile, spec, tuple(arms), patch.why)
    return claim if len(arms) == len(wrong) else without_arms(claim)


def _located(
    wrong: Mapping[str, Sequence[Problem]], layers: Mapping[str, Setting | None]
) -> Iterator[Problem]:
    """Yield the problems of arms; one that all of them have is told once, where it comes from."""
    override = layers["command line"]

    def commanded(problem: Problem) -> bool:
        return getattr(override, problem.key.partition(".")[0], None) is not None

    # What the command line says goes for every arm of every claim: told once.
    for problem in (p for found in wrong.values() for p in found if commanded(p)):
        yield dataclasses.replace(problem, file="command line")
    wrong = {name: [p for p in found if not commanded(p)] for name, found in wrong.items()}
    shared = set.intersection(*(set(found) for found in wrong.values())) if wrong else set()
    for problem in dict.fromkeys(p for found in wrong.values() for p in found if p in shared):
        word = problem.key.partition(".")[0]
        origins = [n for n, s in layers.items() if s is not None and getattr(s, word, None)]
        yield under(problem, origins[0] if origins and len(wrong) > 1 else _arms_name(wrong))
    for name, found in wrong.items():
        yield from (under(p, f"arm {name!r}") for p in found if p not in shared)


def _arms_name(wrong: Mapping[str, object]) -> str:
    return "every arm" if len(wrong) > 1 else f"arm {next(iter(wrong))!r}"


def sound_part(content: object) -> ClaimFile:
    """Return what of a faulty claim file can still be looked at: its criteria and its figure."""
    given = content if isinstance(content, Mapping) else {}
    items = given.get("criteria")
    listed = items if isinstance(items, list) else []
    criteria = [parse(CriterionSpec, item, "", "", []) for item in listed]
    figure = parse(FigureSpec, given.get("figure"), "", "", []) or FigureSpec("curves")
    sound = tuple(item for item in criteria if item is not None)
    return ClaimFile("-", "-", "-", "-", "s", sound, figure)


def without_arms(claim: Claim) -> Claim:
    """Return a claim whose arms are not known."""
    return dataclasses.replace(
        claim, arms=(), spec=dataclasses.replace(claim.spec, calculations={}, derived={})
    )
