"""Pages of which a part, between two markers, is written by a command."""

from __future__ import annotations

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def put(text: str, table: str, begin_mark: str = BEGIN, end_mark: str = END) -> str:
    """Return a page with what is between its markers replaced.

    Raises
    ------
    ValueError
        If the page does not have both markers, in order.
    """
    head, begin, rest = text.partition(begin_mark)
    _, end, tail = rest.partition(end_mark)
    if not begin or not end:
        raise ValueError(f"the page needs {begin_mark} and, after it, {end_mark}")
    return f"{head}{begin_mark}\n\n{table}\n\n{end_mark}{tail}"
