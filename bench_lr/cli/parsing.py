"""Parsers whose errors name the nearest word, and whose help has examples."""

from __future__ import annotations

import argparse
import difflib
import re
from typing import Any, NoReturn

CHOICE = re.compile(r"invalid choice: '(?P<word>[^']*)' \(choose from (?P<words>.*)\)")
UNKNOWN = re.compile(r"unrecognized arguments: (?P<words>.*)")


class Parser(argparse.ArgumentParser):
    """An argument parser that helps who mistypes.

    Parameters
    ----------
    examples : str
        Lines of commands and what they do, shown below the options.
    """

    def __init__(self, *arguments: Any, examples: str = "", **settings: Any) -> None:
        if examples:
            lines = examples.strip("\n")
            settings["epilog"] = f"examples:\n{lines}"
            settings["formatter_class"] = argparse.RawDescriptionHelpFormatter
        super().__init__(*arguments, **settings)

    def error(self, message: str) -> NoReturn:
        """Exit with 2 and the message, with the word that was meant where one is near."""
        super().error(f"{message}{self._hint(message)}")

    def _hint(self, message: str) -> str:
        if found := CHOICE.search(message):
            words = [word.strip(" '") for word in found["words"].split(",")]
            return _meant(found["word"], words)
        if found := UNKNOWN.search(message):
            word = next(iter(found["words"].split()), "").partition("=")[0]
            return _meant(word, self._flags()) if word.startswith("-") else ""
        return ""

    def _flags(self) -> list[str]:
        """Options of this parser and of its verbs."""
        found: list[str] = []
        for action in self._actions:
            found += action.option_strings
            if isinstance(action, argparse._SubParsersAction):
                for parser in action.choices.values():
                    found += parser._flags() if isinstance(parser, Parser) else []
        return found


def _meant(word: str, words: list[str]) -> str:
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
