"""One picture for all comparisons: differences with their intervals, beside zero."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from course_lib.evidence import Comparison
from course_lib.figures.style import BLUE, GREY, INK, PLATE, figure

Interval = tuple[float, float, float]  # middle, low, high


def plot_differences(
    rows: Mapping[str, Comparison | Interval], xlabel: str, *, scale: int = 1, number: str = "+.3f"
) -> Figure:
    """A row a comparison; hollow and grey where the interval holds zero: a tie.

    `scale` is 100 for shares that are shown as percentage points. Above each mark stands the
    difference, formatted as `number` says.
    """
    lines = max(name.count("\n") for name in rows) + 1
    fig, ax = figure(7.6, 1.1 + (0.36 + 0.13 * lines) * len(rows))
    for row, found in enumerate(rows.values()):
        if isinstance(found, Comparison):
            found = found.difference, found.low, found.high
        middle, low, high = (scale * x for x in found)
        sure = low > 0 or high < 0
        colour = BLUE if sure else GREY
        ax.plot([low, high], [row, row], color=colour, linewidth=2)
        ax.plot(middle, row, "o" if sure else "D", color=colour, mfc=colour if sure else PLATE)
        ax.annotate(
            format(middle, number),
            (middle, row),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    ax.axvline(0, color=INK, linewidth=1, linestyle=":")
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set_ylim(len(rows) - 0.5, -0.75)
    ax.set_xlabel(xlabel)
    ax.grid(visible=False, axis="y")
    return fig
