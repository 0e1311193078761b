"""What MkDocs takes into the site beside ``docs/``: the recorded evidence, and the verbs' help."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
EVIDENCE = ROOT / "reproductions"
SHOWN = (".md", ".png")


def on_files(files: Files, config: Any) -> Files:
    """Add the evidence, and a page with every verb's help."""
    for path in sorted(EVIDENCE.rglob("*")):
        if path.suffix in SHOWN:
            place = path.relative_to(ROOT).as_posix()
            content: str | bytes = path.read_bytes()
            if path.suffix == ".md":
                content = path.read_text(encoding="utf-8")
            files.append(File.generated(config, place, content=content))
    files.append(File.generated(config, "commands.md", content=commands()))
    return files


EXAMPLE = ROOT / "examples" / "extend"
INSERTED = {"CLAIM": EXAMPLE / "cosine_beats_step.yaml", "RULES": EXAMPLE / "my_rules.py"}
"""Lines that stand for a file, which is tested where it lies."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Insert files, and keep the words of links that lead out of the site."""
    for word, path in INSERTED.items():
        text = path.read_text(encoding="utf-8").rstrip()
        markdown = markdown.replace(f"\n{word}\n", f"\n{text}\n")
    plain = re.sub(r"\[([^\]]*)\]\((?:\.\./)*(?:README|CONTRIBUTING)\.md[^)]*\)", r"\1", markdown)
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\.ya?ml\)", r"\1", plain)
    return plain.replace("](../reproductions/", "](reproductions/")


def commands() -> str:
    """Return the help of every verb as Markdown."""
    import argparse

    from bench_lr.cli import parser

    whole = parser()
    verbs = next(it for it in whole._actions if isinstance(it, argparse._SubParsersAction))
    parts = ["# Command line", "Every verb, as `bench-lr VERB --help` prints it."]
    for name, verb in verbs.choices.items():
        parts.append(f"## {name}\n\n```text\n{verb.format_help().rstrip()}\n```")
    parts.append(f"Exit codes: {str(whole.epilog).partition('exit codes: ')[2]}.")
    return "\n\n".join(parts) + "\n"
