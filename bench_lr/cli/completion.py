"""``bench-lr completion SHELL``: let a shell complete verbs, options and claims."""

from __future__ import annotations

import argparse
from typing import Any

EXAMPLES = """
  eval "$(bench-lr completion bash)"       in ~/.bashrc
  eval "$(bench-lr completion zsh)"        in ~/.zshrc, after compinit
  bench-lr completion fish > ~/.config/fish/completions/bench-lr.fish
"""
SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")


def add(verbs: Any) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "completion",
        help="print what lets a shell complete commands and claims",
        examples=EXAMPLES,
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the shell's code."""
    from argcomplete.shell_integration import shellcode

    print(shellcode(["bench-lr"], shell=options.shell))
    return 0


def claim_ids(prefix: str, **_: Any) -> list[str]:
    """Ids of claims that begin with `prefix`."""
    from bench_lr.claims.files import claim_files, conf_roots

    return [name for name in claim_files(conf_roots()) if name.startswith(prefix)]


def profiles(prefix: str, **_: Any) -> list[str]:
    """Names of profiles that begin with `prefix`."""
    from bench_lr.claims.files import conf_roots, group_names

    return [name for name in group_names(conf_roots(), "profile") if name.startswith(prefix)]


def launchers(prefix: str, **_: Any) -> list[str]:
    """Names of launchers that begin with `prefix`, of those that are usual."""
    from bench_lr.claims.files import conf_roots, group_names

    own = group_names(conf_roots()[-1:], "hydra/launcher")
    return [name for name in sorted({*own, "joblib"}) if name.startswith(prefix)]
