"""Pictures of recorded training runs: the loss after so many steps, and after so many seconds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from course_lib.figures.style import GREY, INK, LINES, PLATE, plt

Curve = Mapping[str, Any]  # "steps", "seconds", "val_losses": equally long lists


def plot_runs(methods: Mapping[str, Sequence[Curve]], levels: Mapping[str, float]) -> Figure:
    """Validation loss against steps (left) and against seconds of training (right).

    Each method has a curve for each of its seeds, thin, and through their means a line with marks.
    `levels` are up to two losses to compare with, drawn across.
    """
    fig, both = plt.subplots(1, 2, figsize=(8.6, 4), sharey=True)
    for ax, by, label in zip(
        both, ("steps", "seconds"), ("steps", "seconds of training"), strict=True
    ):
        for style, (name, curves) in zip(LINES, methods.items(), strict=False):
            for curve in curves:
                ax.plot(curve[by], curve["val_losses"], color=style["color"], lw=0.6, alpha=0.6)
            x = np.mean([curve[by] for curve in curves], axis=0)
            y = np.mean([curve["val_losses"] for curve in curves], axis=0)
            ax.plot(x, y, label=name, **style)
        for dash, (name, level) in zip("-:", levels.items(), strict=False):
            draw_level(ax, level, name if by == "steps" else "", dash)
        ax.set_xlabel(label)
    both[0].margins(y=0.12)  # for the names below the levels
    both[0].set_ylabel("validation loss (nats per character)")
    fig.legend(*both[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(methods))
    return fig


def draw_level(ax: Axes, level: float, name: str, dash: str = "-") -> None:
    """A loss to compare with, drawn across the axes, its name at the right end."""
    ax.axhline(level, color=GREY if dash == "-" else INK, linewidth=1.2, linestyle=dash)
    ax.annotate(
        name,
        (1, level),
        xycoords=("axes fraction", "data"),
        xytext=(-3, -3),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=9,
        bbox={"facecolor": PLATE, "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
    )
