"""The figures of chapter 08: what BERT reads, how its losses fall, what its layers know."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from course_lib.figures.runs import draw_level
from course_lib.figures.style import BLUE, GREY, INK, LINES, ORANGE, PLATE, figure, plt


def plot_input(tokens: Sequence[str], segments: Sequence[int]) -> Figure:
    """The three things that are added for each token: which it is, its position, its segment."""
    fig, ax = figure(9, 1.9)
    colours = {0: BLUE, 1: ORANGE}
    widths = np.array([max(2, len(token)) + 2.2 for token in tokens])  # in letters
    middles = widths.cumsum() - widths / 2
    for i, (token, segment) in enumerate(zip(tokens, segments, strict=True)):
        for row, text in enumerate((token, str(i), "AB"[segment])):
            ax.text(
                middles[i],
                -row,
                text,
                ha="center",
                va="center",
                fontsize=8,
                color=PLATE,
                bbox={"facecolor": colours[segment], "edgecolor": "none", "pad": 3},
            )
    ax.set_xlim(0, widths.sum())
    ax.set_ylim(-2.6, 0.6)
    ax.set_yticks([0, -1, -2], ["token", "position", "segment"])
    ax.set_xticks([])
    ax.grid(visible=False)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    return fig


def plot_descent(
    steps: Sequence[int],
    losses: Mapping[str, Sequence[float]],
    levels: Mapping[str, float],
    unit: str = "nats per hidden token",
) -> Figure:
    """Validation losses against steps, and levels to compare with, drawn across."""
    fig, ax = figure(7.4, 4.2)
    for style, (name, values) in zip(LINES, losses.items(), strict=False):
        ax.plot(steps, values, label=name, **style)
    for name, level in levels.items():
        draw_level(ax, level, name, ":" if name.startswith("exact") else "-")
    ax.margins(y=0.12)
    ax.set_xlim(0, 1.22 * max(steps))  # room for the names of the levels
    ax.set_ylim(bottom=0)
    ax.set_xlabel("steps")
    ax.set_ylabel(f"validation loss ({unit})")
    ax.legend(loc="upper right")
    return fig


def plot_two_tasks(
    steps: Sequence[int],
    mlm: Sequence[float],
    nsp: Sequence[float],
    mlm_levels: Mapping[str, float],
    nsp_levels: Mapping[str, float],
) -> Figure:
    """MLM's loss (left) and the share of right answers of NSP (right) against steps."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.8, 3.9))
    left.plot(steps, mlm, **LINES[0])
    for name, level in mlm_levels.items():
        draw_level(left, level, name)
    left.margins(y=0.15)
    left.set_xlabel("steps")
    left.set_ylabel("hidden tokens: nats per token")
    left.set_xlim(0, 1.45 * max(steps))  # room for the names of the levels
    right.set_xlim(0, 1.45 * max(steps))
    right.plot(steps, nsp, **LINES[1])
    for name, level in nsp_levels.items():
        draw_level(right, level, name)
    right.set_ylim(0.4, 0.8)
    right.set_xlabel("steps")
    right.set_ylabel("next sentence: share right")
    return fig


def plot_guesses(guesses: Mapping[str, Mapping[str, float]], truth: str) -> Figure:
    """The likeliest tokens for one hidden place by each model, the true one in another colour."""
    fig, axes = plt.subplots(1, len(guesses), figsize=(8.8, 2.6), sharex=True)
    for ax, (name, chances) in zip(np.atleast_1d(axes), guesses.items(), strict=True):
        words = list(chances)[::-1]
        colours = [ORANGE if word == truth else GREY for word in words]
        ax.barh(words, [chances[word] for word in words], color=colours)
        ax.set_title(name)
        ax.set_xlabel("probability")
        ax.grid(visible=False, axis="y")
    return fig


def plot_by_layer(accuracy: Mapping[str, Sequence[float]], levels: Mapping[str, float]) -> Figure:
    """Accuracy of a linear probe on the vectors of each layer; layer 0 is the embeddings."""
    fig, ax = figure(7.4, 4)
    for style, (name, values) in zip(LINES, accuracy.items(), strict=False):
        ax.plot(range(len(values)), values, label=name, **style)
    for dash, (name, level) in zip(("-", ":", "-."), levels.items(), strict=False):
        draw_level(ax, level, name, dash)
    last = max(map(len, accuracy.values())) - 1
    ax.margins(y=0.15)
    ax.set_xlim(-0.3, 1.45 * last)  # room for the names of the levels
    ax.set_xticks(range(last + 1))
    ax.set_xlabel("layer (0: embeddings)")
    ax.set_ylabel("share right")
    ax.legend(loc="center right", labelcolor=INK)
    return fig
