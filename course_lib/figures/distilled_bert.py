"""Figures of chapter 11: what a model is made of, which layer teaches which, what is gained."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from course_lib.evidence import Comparison
from course_lib.figures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LINES,
    ORANGE,
    PINK,
    SKY,
    figure,
    plt,
)

MARKS = [  # of models in one plot
    {"color": colour, "marker": marker}
    for colour, marker in zip(
        (INK, GREY, BLUE, SKY, GREEN, ORANGE, PINK, GREY), "os^vDP*X", strict=True
    )
]
PARTS = {  # colours of the parts of a model
    "token table": BLUE,
    "positions, segments": SKY,
    "layers": ORANGE,
    "pooler and head": GREEN,
}


def plot_parts(models: Mapping[str, Mapping[str, int]]) -> Figure:
    """A bar a model, cut into its parts, in millions of parameters; what is left of the first."""
    fig, ax = figure(8, 1.1 + 0.5 * len(models))
    first = sum(next(iter(models.values())).values())
    for row, (_, parts) in enumerate(reversed(models.items())):
        left = 0.0
        for part, n in parts.items():
            label = part if row == len(models) - 1 else None
            ax.barh(row, n / 1e6, left=left, color=PARTS[part], height=0.6, label=label)
            left += n / 1e6
        share = sum(parts.values()) / first
        said = f"{left:.1f} M" + (f" (−{1 - share:.0%})" if share < 1 else "")
        ax.annotate(said, (left, row), (6, 0), textcoords="offset points", va="center", size=10)
    ax.set_yticks(range(len(models)), list(reversed(models)))
    ax.set_xlabel("parameters (millions)")
    ax.set_xlim(right=first / 1e6 * 1.22)
    ax.grid(visible=False, axis="y")
    ax.set_axisbelow(True)
    ax.legend(loc="lower right", fontsize=9)
    return fig


def plot_learning(losses: Mapping[str, Sequence[float]], window: int = 5) -> Figure:
    """Training loss over the steps, a line a student, each the mean of the last few steps."""
    fig, ax = figure(7, 3.4)
    for style, (name, y) in zip(LINES, losses.items(), strict=False):
        smooth = [np.mean(y[max(0, i - window + 1) : i + 1]) for i in range(len(y))]
        ax.plot(range(1, len(y) + 1), smooth, label=name, **{**style, "marker": None})
    ax.axhline(np.log(2), color=GREY, linestyle=":")
    steps = max(map(len, losses.values()))
    ax.annotate(
        "guessing: ln 2",
        (steps, np.log(2)),
        (0, 5),
        textcoords="offset points",
        ha="right",
        color=GREY,
        size=10,
    )
    ax.set(xlabel="steps", ylabel=f"training loss\n(nats a sentence, mean of {window} steps)")
    ax.legend(loc="lower left")
    return fig


def plot_layer_maps(
    maps: Mapping[str, Mapping[int, int]], n_student: int, n_teacher: int
) -> Figure:
    """Side by side: which layer of the student (left) learns from which of its teacher (right)."""
    fig, axes = plt.subplots(1, len(maps), figsize=(2.1 * len(maps), 3.6), sharey=True)
    for ax, colour, (name, pairs) in zip(
        np.atleast_1d(axes), (BLUE, ORANGE, GREEN, PINK, INK), maps.items(), strict=False
    ):
        for n, x in ((n_student, 0), (n_teacher, 1)):
            ax.scatter([x] * (n + 1), range(n + 1), s=170, color="white", edgecolor=INK, zorder=3)
            for layer in range(n + 1):
                ax.annotate(
                    "e" if layer == 0 else str(layer),
                    (x, layer),
                    ha="center",
                    va="center",
                    size=9,
                    zorder=4,
                )
        for ours, theirs in pairs.items():
            ax.plot([0, 1], [ours, theirs], color=colour, linewidth=2.5)
        ax.set_title(name, fontsize=11)
        ax.set_xticks([0, 1], ["student", "teacher"])
        ax.set_xlim(-0.4, 1.4)
        ax.set_yticks([])
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
    return fig


def plot_cost_and_accuracy(
    points: Mapping[str, tuple[float, float, float, float, float]],
) -> Figure:
    """Accuracy of models against their size and their wait: millions of parameters, milliseconds
    for one sentence, mean, low and high of each, by name."""
    fig, axes = plt.subplots(1, 2, figsize=(9.5, 4), sharey=True)
    costs = ("parameters (millions)", "one sentence (milliseconds)")
    for column, (ax, cost) in enumerate(zip(axes, costs, strict=True)):
        for (name, (*prices, mean, low, high)), look in zip(points.items(), MARKS, strict=False):
            ax.plot([prices[column]] * 2, [low, high], color=look["color"], alpha=0.4, linewidth=2)
            ax.plot(prices[column], mean, linestyle="none", markersize=8, label=name, **look)
        ax.set_xlabel(cost)
        ax.set_xlim(left=0)
    axes[0].set_ylabel("accuracy")
    axes[0].yaxis.set_major_formatter(PercentFormatter(1, 0))
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    return fig


def plot_map(
    gains: Mapping[str, Mapping[tuple[int, str], Comparison]],
    labels: Sequence[int],
    texts: Sequence[str],
) -> Figure:
    """Panels (by name) of cells, labels across and unlabelled text upwards: what a teacher adds.

    Each cell has the difference in points and its verdict; a cell that was not run stays empty.
    """
    fig, axes = plt.subplots(
        1, len(gains), figsize=(0.6 + 3.6 * len(gains), 3.4), sharey=True, squeeze=False
    )
    for ax, (name, cells) in zip(axes[0], gains.items(), strict=True):
        grid = np.full((len(texts), len(labels)), np.nan)
        for (n, text), gain in cells.items():
            row, column = texts.index(text), labels.index(n)
            grid[row, column] = 100 * gain.difference
            ax.text(
                column,
                row,
                f"{100 * gain.difference:+.1f}\n{gain.verdict}",
                ha="center",
                va="center",
                size=9,
                color=INK,
            )
        ax.imshow(grid, cmap="PuOr_r", vmin=-15, vmax=15, origin="lower", aspect="auto", alpha=0.7)
        ax.set_xticks(range(len(labels)), [f"{n:,}" for n in labels])
        ax.set_yticks(range(len(texts)), texts)
        ax.set_title(name, fontsize=11)
        ax.set_xlabel("labels")
        ax.grid(visible=False)
    axes[0][0].set_ylabel("text without labels")
    return fig


def plot_lead_and_gain(points: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """What a teacher added against how far it was ahead of the student alone, in points; a colour
    a kind of setting. On the diagonal the student has become as good as its teacher."""
    fig, ax = figure(7, 4.2)
    for style, (name, found) in zip(LINES, points.items(), strict=False):
        leads, gains = np.array(found).T
        ax.plot(100 * leads, 100 * gains, **{**style, "linestyle": ""}, label=name)
    ends = np.array(ax.get_xlim())
    ax.plot(ends, ends, color=GREY, linestyle=":")
    ax.annotate(
        "as good as\nits teacher",
        (ends[1], ends[1]),
        (-10, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        color=GREY,
        size=10,
    )
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.set_xlabel("teacher minus student alone (percentage points)")
    ax.set_ylabel("student with the teacher\nminus student alone (points)")
    fig.legend(loc="outside right upper", fontsize=9)
    return fig
