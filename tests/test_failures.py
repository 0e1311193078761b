"""What is told of a run that failed."""

from __future__ import annotations

import traceback

import pytest

from bench_lr.data import DataError
from bench_lr.failures import BEGIN, words_of


def test_all_of_an_errors_message_is_told_and_nothing_else() -> None:
    message = "it is not complete\n  expected SHA-256 abc\n    found def\nor set BENCH_LR_DATA"
    try:
        try:
            raise KeyError("x")
        except KeyError as error:
            raise DataError(message) from error
    except DataError:
        text = traceback.format_exc()
    assert words_of(text) == f"bench_lr.data.files.DataError: {message}"


@pytest.mark.parametrize(
    "text", ["job 3 ended without an error, as if killed", "", "one\n two", "Traceback"]
)
def test_what_is_no_traceback_is_told_whole(text: str) -> None:
    assert words_of(text) == text


def test_an_error_without_a_message_is_named() -> None:
    lines = (BEGIN, '  File "a.py", line 1, in <module>', "    f()", "MemoryError", "")
    text = "\n".join(lines)
    assert words_of(text) == "MemoryError"
