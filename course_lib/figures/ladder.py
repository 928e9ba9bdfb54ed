"""The ladder: every language model of the book on one scale, drawn from what the chapters recorded.

A chapter hands its rungs on with `record(rungs=[…])`; `write_ladder` draws them all into the
picture that the README and the landing page show.
"""

import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.evidence import RESULTS
from course_lib.figures.style import BLUE, GREEN, GREY, INK, ORANGE, PINK, figure
from course_lib.files import write_atomically

COLOURS = {
    "counting": BLUE,
    "network": PINK,
    "adaptive": GREEN,
    "compressor": ORANGE,
    "guess": GREY,
}
MARKERS = {"counting": "o", "network": "^", "adaptive": "D", "compressor": "s", "guess": "v"}


# columns beside the rungs, and how many points right of the axes they end
COLUMNS = {"above the bar, 95 %": 130, "seconds": 178, "stored": 236, "MB": 268}


@dataclass(frozen=True)
class Rung:
    """One model on the ladder, scored on the validation plays."""

    name: str
    kind: str  # "guess", "counting", "network", "adaptive" (learns as it reads), "compressor"
    nats: float  # per character
    bits_per_byte: float
    seconds: float  # to fit and to score, on the machine that made the page
    stored: int  # counts or parameters that the model keeps
    megabytes: float
    # nats above the bar with the paired interval: (difference, low, high); None: not compared
    from_bar: Sequence[float] | None = None


def draw_ladder(rungs: list[Rung], *, beside: bool = False) -> Figure:
    """Rungs from the worst at the top to the best at the foot; nats below, bits above.

    With `beside` there stand, right of each, its distance from the bar with the interval, and what
    it takes: more words than a page's picture may hold, so a page prints them as a table.
    """
    rungs = sorted(rungs, key=lambda rung: -rung.nats)
    fig, ax = figure(9.6 if beside else 8, 0.8 + 0.3 * len(rungs))
    best = min(rung.nats for rung in rungs)
    if counted := [rung.nats for rung in rungs if rung.kind == "counting"]:
        ax.axvline(min(counted), color=INK, linewidth=1, linestyle=":")
        ax.annotate("the bar", (min(counted), 0), xytext=(4, 0), textcoords="offset points")
    for kind, colour in COLOURS.items():
        rows = [i for i, rung in enumerate(rungs) if rung.kind == kind]
        nats = [rungs[i].nats for i in rows]
        if rows:
            ax.plot(nats, rows, MARKERS[kind], color=colour, label=kind, markersize=7)
    for i, rung in enumerate(rungs):
        ax.annotate(
            f"{rung.nats:.3f}",
            (rung.nats, i),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    if beside:
        _write_columns(ax, rungs)
    ax.set_yticks(range(len(rungs)), [rung.name for rung in rungs])
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("loss on the validation plays (nats per character)")
    ax.set_xlim(min(1.2, best - 0.2), rungs[0].nats * 1.08)
    bits = ax.secondary_xaxis(
        "top", functions=(lambda nats: nats / math.log(2), lambda bits: bits * math.log(2))
    )
    bits.set_xlabel("bits per character")
    ax.legend(loc="lower right")
    return fig


def _write_columns(ax: Axes, rungs: list[Rung]) -> None:
    """A row of words right of each rung, under a row of their names."""
    rows = [list(COLUMNS)]
    for r in rungs:
        distance = "" if r.from_bar is None else "{:+.3f} [{:+.3f}, {:+.3f}]".format(*r.from_bar)
        seconds = f"{r.seconds:.1f}" if r.seconds < 10 else f"{r.seconds:.0f}"
        rows.append([distance, seconds, f"{r.stored:,}", f"{r.megabytes:.1f}"])
    for i, row in enumerate(rows, start=-1):
        for place, text in zip(COLUMNS.values(), row, strict=True):
            ax.annotate(
                text,
                (1, i),
                xycoords=ax.get_yaxis_transform(),
                xytext=(place, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=9,
            )


def recorded_rungs(root: Path) -> list[Rung]:
    """Every rung that a chapter has recorded, in the chapters' order."""
    rungs = []
    for file in sorted((root / "chapters").glob(f"*/{RESULTS}")):
        for page in json.loads(file.read_text("utf-8")).values():
            rungs += [Rung(**rung) for rung in page.get("results", {}).get("rungs", [])]
    return rungs


def ladder_svg(root: Path) -> str:
    """The picture as SVG text, the same text for the same records."""
    if not (rungs := recorded_rungs(root)):
        return ""
    fig = draw_ladder(rungs, beside=True)
    buffer = io.StringIO()
    fig.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(fig)
    return buffer.getvalue()


def write_ladder(root: Path) -> None:
    """Write book/_static/ladder.svg, once there is a rung to draw."""
    if svg := ladder_svg(root):
        write_atomically(root / "book" / "_static" / "ladder.svg", svg)
