"""The figures of chapter 01: sparsity, losses by order, discounts, an interval that narrows."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from course_lib.figures.style import BLUE, GREY, INK, LINES, ORANGE, figure

Curve = Sequence[float] | np.ndarray


def plot_sparsity(orders: Sequence[int], new_history: Curve, new_ngram: Curve) -> Figure:
    """Shares of the places in a text whose history, or n-gram, was never counted."""
    fig, ax = figure()
    _lines(ax, orders, {"the n-gram is new": new_ngram, "its history is new": new_history})
    ax.set_ylabel("share of the characters to predict")
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    _order_axis(ax, orders)
    return fig


def plot_table_sizes(orders: Sequence[int], stored: Sequence[int], vocab_size: int) -> Figure:
    """Entries that a full table would have, V to the n, beside the n-grams a text really has."""
    fig, ax = figure()
    possible = [float(vocab_size) ** n for n in orders]
    _lines(ax, orders, {"possible: V to the power n": possible, "found in the text": stored})
    ax.set_yscale("log")
    ax.set_ylabel("number of n-grams (log scale)")
    _order_axis(ax, orders)
    return fig


def plot_losses_by_order(
    orders: Sequence[int], losses: Mapping[str, Curve], top: float | None = None
) -> Figure:
    """Loss against the n-gram's length, a line for each method; where it is infinite, no point."""
    fig, ax = figure(height=4.2)
    _lines(ax, orders, losses)
    ax.set_ylabel("loss (nats per character)")
    if top is not None:
        ax.set_ylim(top=top)
    _order_axis(ax, orders)
    return fig


def plot_discounts(counts: Sequence[int], kept: Curve) -> Figure:
    """How often n-grams counted r times in one text turn up in another text of equal length."""
    fig, ax = figure(width=6.2)
    _lines(ax, counts, {"counted in the other half": kept})
    ax.plot(counts, counts, color=GREY, linewidth=1, label="no discount: the same count")
    r = np.array(counts[1:])
    ax.plot(r, r - 0.75, color=INK, linewidth=1, linestyle=":", label="count − 0.75")
    ax.set_xlabel("times counted in one half of the plays")
    ax.set_ylabel("mean times in the other half")
    ax.legend()
    return fig


def plot_loss_by_text(characters: Sequence[int], losses: Mapping[str, Curve]) -> Figure:
    """Loss against the length of the training text, on a logarithmic scale."""
    fig, ax = figure()
    _lines(ax, characters, losses)
    ax.set_xscale("log")
    ax.set_xlabel("training text (characters, log scale)")
    ax.set_ylabel("loss (nats per character)")
    ax.legend()
    return fig


def plot_intervals(
    symbols: str, probabilities: Sequence[Sequence[float]], text: str
) -> tuple[Figure, tuple[float, float]]:
    """The arithmetic coder's interval as each symbol of `text` narrows it; returns the last one.

    `probabilities[i]` is the distribution over `symbols` before the i-th symbol. Each column is
    the interval so far, stretched to full height, cut in proportion to the probabilities.
    """
    fig, ax = figure(width=7, height=4.4)
    low, width = 0.0, 1.0
    for column, (symbol, p) in enumerate(zip(text, probabilities, strict=True)):
        edges = np.concatenate([[0], np.cumsum(p)])
        for s, start, stop in zip(symbols, edges[:-1], edges[1:], strict=True):
            chosen = s == symbol
            ax.bar(
                column,
                stop - start,
                bottom=start,
                width=0.5,
                color=BLUE if chosen else "#e9e9e4",
                edgecolor=INK,
                linewidth=0.8,
            )
            ink = "white" if chosen else INK
            ax.text(column, (start + stop) / 2, s, ha="center", va="center", color=ink)
        ax.annotate(f"{low:.4f}", (column - 0.28, 0), ha="right", va="bottom", fontsize=9)
        ax.annotate(f"{low + width:.4f}", (column - 0.28, 1), ha="right", va="top", fontsize=9)
        i = symbols.index(symbol)
        if column + 1 < len(text):
            for edge, target in ((edges[i], 0), (edges[i + 1], 1)):
                ax.plot([column + 0.25, column + 0.75], [edge, target], color=ORANGE, linewidth=1)
        low, width = low + width * edges[i], width * p[i]
    ax.set_xticks(range(len(text)), [f"symbol {i + 1}: {s}" for i, s in enumerate(text)])
    ax.set_yticks([])
    ax.set_ylabel("the interval so far, stretched to full height")
    ax.set_xlim(-0.9, len(text) - 0.6)
    ax.grid(visible=False)
    return fig, (low, low + width)


def plot_compressors(names: Sequence[str], bits: Curve, colours: Sequence[str]) -> Figure:
    """Bits per character of each way to store a text, a bar each, the number beside it."""
    fig, ax = figure(height=0.9 + 0.34 * len(names))
    ax.barh(names, bits, color=colours, height=0.65)
    for i, b in enumerate(bits):
        ax.annotate(f"{b:.2f}", (b, i), xytext=(4, 0), textcoords="offset points", va="center")
    ax.invert_yaxis()
    ax.set_xlim(0, max(bits) * 1.12)
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("file size (bits per character)")
    return fig


def _lines(ax: Axes, x: Sequence[float], curves: Mapping[str, Curve]) -> None:
    """A line for each curve, told apart by colour, marker and dash; infinities are left out."""
    for style, (name, y) in zip(LINES, curves.items(), strict=False):
        finite = [value if math.isfinite(value) else math.nan for value in y]
        ax.plot(x, finite, label=name, **style)


def _order_axis(ax: Axes, orders: Sequence[int]) -> None:
    ax.set_xticks(list(orders))
    ax.set_xlabel("n, the length of the n-gram (characters)")
    ax.legend()
