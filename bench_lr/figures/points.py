"""The points of a figure with what they stand for, so that a page can tell them.

`tell` names what is drawn; `points_of` finds where the named points came to lie. An SVG carries
them in its ``<metadata id="bench-lr-points">``, as JSON: a list of panels, each with its ``box``
(left, top, right, bottom), the labels of its axes, ``x`` and ``y``, and ``series``: each a
``name``, a ``colour``, and ``points`` of four: where they lie, and the two numbers (of a ``row``
only the first says anything). Places are ten-thousandths of the figure's width and height, from the
top left.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import numpy as np

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike

METADATA = "bench-lr-points"
MOST = 160
"""Points of a line that are kept: a pixel or two apart."""
WHOLE = 10_000
_NAME, _X, _ONLY_X = "_bench_lr_name", "_bench_lr_x", "_bench_lr_only_x"


def tell(
    drawn: Artist | Iterable[Artist],
    name: str,
    x: ArrayLike | None = None,
    *,
    only_x: bool = False,
) -> None:
    """Name lines, dots or bars; what has no name is not told.

    Parameters
    ----------
    x : array, shape (points,), optional
        What is told of the horizontal place, where that is a function of it.
    only_x : bool
        Whether the height says nothing, as that of a row.
    """
    for artist in drawn if isinstance(drawn, Iterable) else [drawn]:
        setattr(artist, _NAME, name)
        setattr(artist, _X, x)
        setattr(artist, _ONLY_X, only_x)


def points_of(fig: Figure) -> list[dict[str, Any]]:
    """Return the named points of a figure that has been laid out, panel by panel."""
    panels = []
    for axes in fig.axes:
        series = [one for artist in axes.get_children() for one in _series(axes, artist)]
        if series:
            box = axes.get_position().bounds
            panels.append(
                {
                    "box": [
                        round(WHOLE * it)
                        for it in (box[0], 1 - box[1] - box[3], box[0] + box[2], 1 - box[1])
                    ],
                    "x": axes.get_xlabel(),
                    "y": axes.get_ylabel(),
                    "series": series,
                }
            )
    return panels


def with_points(svg: bytes, panels: list[dict[str, Any]]) -> bytes:
    """Return an SVG that carries the points of its figure."""
    if not panels:
        return svg
    text = escape(json.dumps(panels, ensure_ascii=False, separators=(",", ":"), allow_nan=False))
    head, end, tail = svg.rpartition(b"</svg>")
    return b"".join([head, f'<metadata id="{METADATA}">{text}</metadata>\n'.encode(), end, tail])


def _series(axes: Axes, artist: Artist) -> Iterator[dict[str, Any]]:
    from matplotlib.collections import PathCollection
    from matplotlib.colors import to_hex
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    name = getattr(artist, _NAME, None)
    if name is None or not artist.get_visible():
        return
    if isinstance(artist, Line2D):
        data = np.column_stack([np.ravel(artist.get_xdata()), np.ravel(artist.get_ydata())])
        colour: Any = artist.get_color()
        transform: Any = artist.get_transform()
        if artist.get_linestyle() == "None":
            colour = artist.get_markeredgecolor()
    elif isinstance(artist, PathCollection):
        data, transform = np.asarray(artist.get_offsets()), artist.get_offset_transform()
        colour = artist.get_edgecolor()[0] if len(artist.get_edgecolor()) else "black"
    elif isinstance(artist, Rectangle):
        # The end of a bar.
        across = artist.get_x() + artist.get_width(), artist.get_y() + artist.get_height() / 2
        data, transform = np.array([across]), axes.transData
        colour = artist.get_facecolor()
    else:
        return
    data = np.asarray(data, float)
    x = getattr(artist, _X, None)
    told = data if x is None else np.column_stack([np.ravel(x), data[:, 1]])
    points = _placed(axes, data, told, transform)
    if points:
        row = {"row": True} if getattr(artist, _ONLY_X) else {}
        yield {"name": name, "colour": to_hex(colour), "points": points, **row}


def _placed(axes: Axes, data: Any, told: Any, transform: Any) -> list[list[float]]:
    """Where points lie in the figure, with what is told; those that are not seen left out."""
    fig = axes.figure
    known = np.isfinite(data).all(1) & np.isfinite(told).all(1)
    data, told = data[known], told[known]
    with np.errstate(all="ignore"):
        places = transform.transform(data)
    box = axes.bbox.padded(6)
    seen = np.isfinite(places).all(1) & np.array([box.contains(*place) for place in places], bool)
    told, places = told[seen], places[seen]
    if len(told) > MOST:
        kept = np.unique(np.linspace(0, len(told) - 1, MOST).round().astype(int))
        told, places = told[kept], places[kept]
    across = WHOLE * places[:, 0] / fig.bbox.width
    down = WHOLE * (1 - places[:, 1] / fig.bbox.height)
    return [
        [round(float(x)), round(float(y)), float(f"{a:.4g}"), float(f"{b:.4g}")]
        for x, y, (a, b) in zip(across, down, told, strict=True)
    ]
