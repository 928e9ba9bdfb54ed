"""A figure of chapter 06 on positions: what a token costs, by where it stands in the window."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from course_lib.figures.style import GREY, INK, LINES, figure


def plot_losses_by_place(
    losses: Mapping[str, Float[np.ndarray, " places"]], trained: int, together: int = 8
) -> Figure:
    """Nats at each place of a window, means of `together` neighbours; training had `trained`."""
    fig, ax = figure(7, 3.8)
    for style, (name, y) in zip(LINES, losses.items(), strict=False):
        means = y[: len(y) // together * together].reshape(-1, together).mean(1)
        places = np.arange(len(means)) * together + (together + 1) / 2
        ax.plot(places, means, label=name, **{**style, "markersize": 3})
    ax.axvline(trained + 0.5, color=GREY, linestyle="--", linewidth=1.2)
    ax.annotate(
        "longest window\nin training",
        (trained + 0.5, 1),
        xycoords=("data", "axes fraction"),
        xytext=(5, -4),
        textcoords="offset points",
        color=INK,
        va="top",
    )
    ax.set_xlabel("place in the window (characters)")
    ax.set_ylabel("loss (nats per character)")
    ax.legend()
    return fig
