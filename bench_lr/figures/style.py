"""How every figure of the suite looks: fonts, palettes, and the colours of the verdicts.

matplotlib and seaborn are imported where they are used: reading a claim file asks for the
parameters of a figure and should not wait for a drawing library.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench_lr.atomic import write_atomically
from bench_lr.figures.points import points_of, with_points
from bench_lr.schema import Arm, RunConfig

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 160
SVG_MARK = "bench-lr svg sha256"
INK = "#1f2328"
MUTED = "#5b6470"
FAINT = "#c3c9d0"
CONTROL = "#8a929c"
EXPECTED = "#c2185b"
BLUE = "#0173b2"

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Look:
    """Colour and mark of a verdict; always shown with the word, never colour alone."""

    colour: str
    mark: str
    point: str


LOOKS = {
    "reproduced": Look("#00735c", "✓", "o"),
    "refuted": Look("#b04500", "✗", "X"),
    "inconclusive": Look("#5a4fa3", "?", "D"),
    "incomplete": Look("#6b7280", "…", "s"),
}


@contextmanager
def theme() -> Iterator[None]:
    """Apply the suite's style inside the context and leave the caller's settings alone."""
    import matplotlib as mpl
    import seaborn as sns

    settings = {
        **sns.axes_style("ticks"),
        **sns.plotting_context("notebook", font_scale=0.85),
        "font.family": "DejaVu Sans",
        "font.sans-serif": ["DejaVu Sans"],
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.grid": True,
        "axes.formatter.useoffset": False,
        "grid.color": "#e6e9ed",
        "grid.linewidth": 0.7,
        "text.color": INK,
        "text.parse_math": False,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.major.size": 3.5,
        "ytick.major.size": 3.5,
        "legend.frameon": False,
        "figure.autolayout": False,
        "figure.constrained_layout.use": False,
        "figure.facecolor": "white",
        "svg.hashsalt": "bench-lr",
        "svg.fonttype": "path",
    }
    with mpl.rc_context(settings):
        yield


def save(fig: Figure, path: Path, marks: Mapping[str, str] | None = None) -> tuple[Path, Path]:
    """Write `fig` as ``<path>.png`` and ``<path>.svg``; the same figure gives the same SVG.

    Parameters
    ----------
    path : Path
        Target without suffix; the folder must exist.
    marks : mapping of str to str, optional
        What the PNG says of itself, in its text, beside the SHA-256 of the SVG under `SVG_MARK`.

    Returns
    -------
    (Path, Path)
        The PNG and the SVG.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    png, svg = (path.with_name(f"{path.name}.{suffix}") for suffix in ("png", "svg"))
    with theme():
        _settle(fig)
        drawn, written, vectors = io.BytesIO(), io.BytesIO(), io.BytesIO()
        fig.savefig(vectors, format="svg", metadata={"Date": None})
        fig.savefig(drawn, format="png", dpi=DPI, pil_kwargs={"compress_level": 1})
        whole = with_points(vectors.getvalue(), points_of(fig))
    said = PngInfo()
    if marks is not None:
        digest = hashlib.sha256(whole).hexdigest()
        for name, text in {**marks, SVG_MARK: digest}.items():
            said.add_text(name, text)
    # A palette of 256 colours makes the file three times smaller; nobody sees the difference.
    image = Image.open(drawn).convert("RGB")
    small = image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small.save(written, "png", optimize=True, dpi=(DPI, DPI), pnginfo=said)
    write_atomically(svg, whole)
    write_atomically(png, written.getvalue())
    return png, svg


def _settle(fig: Figure) -> None:
    """Lay out once, and round the places: the solver's last bits differ from call to call."""
    fig.draw_without_rendering()
    # "none" would leave an engine that does nothing, for which saving draws everything once more.
    fig.set_layout_engine(None)
    for axes in fig.axes:
        left, bottom, width, height = axes.get_position(original=True).bounds
        place = (round(left, 5), round(bottom, 5), round(width, 5), round(height, 5))
        axes.set_position(place, which="both")


def colours(arms: Sequence[Arm]) -> dict[str, Colour]:
    """Give each arm its colour: sequential when the arms are steps of one number."""
    import seaborn as sns

    if not arms:
        return {}
    scale = numeric_scale(arms)
    if scale is None or len(arms) < 3:
        palette = sns.color_palette("colorblind", len(arms))
        chosen = list(palette)
    else:
        shades = sequence(len(arms))
        rank = sorted(range(len(arms)), key=lambda index: scale[index])
        chosen = [shades[rank.index(index)] for index in range(len(arms))]
    return {
        arm.name: (float(r), float(g), float(b))
        for arm, (r, g, b) in zip(arms, chosen, strict=True)
    }


def sequence(count: int) -> list[Colour]:
    """Colours for `count` steps of one number, from the smallest to the largest."""
    import seaborn as sns

    # The light end of viridis cannot be read as text on white.
    found = sns.color_palette("viridis", 100)
    places = [round(78 * step / max(count - 1, 1)) for step in range(count)]
    return [(float(r), float(g), float(b)) for r, g, b in (found[place] for place in places)]


def readable(colour: Colour | str) -> Colour:
    """Darken a colour until text in it can be read on white (contrast 4.5, WCAG 2.1)."""
    from matplotlib.colors import to_rgb

    r, g, b = to_rgb(colour)
    while 1.05 / (_luminance((r, g, b)) + 0.05) < 4.5:
        r, g, b = 0.95 * r, 0.95 * g, 0.95 * b
    return r, g, b


def _luminance(colour: Colour) -> float:
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])


def numeric_scale(arms: Sequence[Arm]) -> tuple[float, ...] | None:
    """Return the number in which the arms differ, if that is all: LR, batch size, or both at once.

    Both at once counts when the LR rises with the batch size, as under a scaling rule; the batch
    size is returned then.
    """
    firsts = [arm.runs[0] for arm in arms if arm.runs]
    if len(firsts) < 2 or len(firsts) < len(arms):
        return None
    if len({_rest(run) for run in firsts}) > 1:
        return None
    lrs = tuple(run.optimizer.lr for run in firsts)
    sizes = tuple(float(run.batches[0].batch_size) for run in firsts)
    if len(set(sizes)) == len(arms):
        rising = [lr for _, lr in sorted(zip(sizes, lrs, strict=True))]
        return sizes if rising == sorted(rising) else None
    return lrs if len(set(lrs)) == len(arms) and len(set(sizes)) == 1 else None


def shared_but_grid(arms: Sequence[Arm]) -> bool:
    """Whether arms differ in learning rate and batch size alone."""
    return len({_rest(arm.runs[0]) for arm in arms if arm.runs}) == 1


def _rest(run: RunConfig) -> str:
    plan = len(run.batches)
    optimizer = replace(run.optimizer, lr=1.0)
    return repr((run.task, run.model, optimizer, plan, run.schedule))
