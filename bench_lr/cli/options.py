"""Options that several verbs share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench_lr.cli import completion

Verbs = Any
"""The subparsers of argparse (a private class there)."""


COSTS = {"s": "seconds", "m": "minutes", "G": "GPU"}
"""What the costs that claims state stand for, cheapest first."""


def claims(parser: argparse.ArgumentParser) -> None:
    """Add claim globs."""
    named: Any = parser.add_argument(
        "claims",
        nargs="*",
        metavar="CLAIM_GLOB",
        help="claim ids or shell patterns such as 'ai_edu/*'; none: all claims",
    )
    named.completer = completion.claim_ids
    parser.add_argument(
        "--claims-dir",
        type=Path,
        metavar="DIR",
        help="also a folder of your own claims (DIR/<slug>.yaml or DIR/<source>/<slug>.yaml)",
    )
    parser.add_argument(
        "--plugins",
        default="",
        metavar="MODULES",
        help="modules that register criteria, figures and schedules of your own; looked for in DIR "
        "too, and imported, which runs their code",
    )


def where(parser: argparse.ArgumentParser) -> None:
    """Add profile, store and output folder."""
    profile: Any = parser.add_argument(
        "--profile", default="quick", help="smoke, quick, standard or full"
    )
    profile.completer = completion.profiles
    parser.add_argument("--store", type=Path, default=Path("store"), help="folder of results")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of reports")


def asking(parser: argparse.ArgumentParser) -> None:
    """Add whose model and data the claims are asked of."""
    parser.add_argument(
        "--model",
        default="",
        metavar="NAME",
        help="ask of a network of your own: package.module.Name of a torch.nn.Module; claims may "
        "then be names of templates (list --templates), and without any all templates are asked",
    )
    parser.add_argument(
        "--data",
        default="",
        metavar="NAME",
        help="and of data of your own: package.module.Name of what gives two tensors, four, or a "
        "LightningDataModule",
    )


def launching(parser: argparse.ArgumentParser) -> None:
    """Add what decides where runs train."""
    launcher: Any = parser.add_argument(
        "--launcher",
        default="joblib",
        help="joblib (one process a core), local (one process), slurm, or any Hydra launcher",
    )
    launcher.completer = completion.launchers
    parser.add_argument(
        "--seeds",
        default="",
        metavar="auto|N",
        help="auto: add seeds, in looks that the profile declares, until every claim is decided or "
        "the cap is reached; N: so many in every arm",
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")
