"""The figures of chapter 05: weights as matrices, saturation, masks, costs, and maps of heads."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from course_lib.figures.style import BLUE, GREY, INK, LINES, PLATE, figure, plt

Curve = Sequence[float] | np.ndarray
SHADES = LinearSegmentedColormap.from_list("weights", [PLATE, "#9cc7e4", BLUE, "#003b5c"])


def _matrix(
    ax: Axes, values: np.ndarray, rows: Sequence[str], columns: Sequence[str], numbers: bool
) -> None:
    """Weights from 0 to 1 as shades, with their numbers if wanted."""
    ax.imshow(values, cmap=SHADES, vmin=0, vmax=1)
    ax.grid(visible=False)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    if numbers:
        for i, j in np.ndindex(values.shape):
            colour = PLATE if values[i, j] > 0.45 else INK
            ax.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", color=colour, size=9)


def plot_weights(
    weights: Mapping[str, Float[np.ndarray, "queries keys"]],
    rows: Sequence[str],
    columns: Sequence[str] | None = None,
) -> Figure:
    """Matrices of attention weights side by side, a row a query, with their numbers."""
    columns = columns or rows
    fig, axes = plt.subplots(
        1, len(weights), figsize=(1.2 + 0.62 * len(columns) * len(weights), 0.9 + 0.5 * len(rows))
    )
    for ax, (name, values) in zip(np.atleast_1d(axes), weights.items(), strict=True):
        _matrix(ax, values, rows, columns, numbers=True)
        ax.set(title=name, xlabel="key")
    np.atleast_1d(axes)[0].set_ylabel("query")
    return fig


def plot_recall(pairs: Sequence[int], right: Mapping[str, Curve]) -> Figure:
    """Share of values that come back right, against how many pairs were stored."""
    fig, ax = figure(7, 3.6)
    for style, (name, shares) in zip(LINES, right.items(), strict=False):
        ax.plot(pairs, shares, label=name, **style)
    ax.set_xscale("log", base=2)
    ax.set_xticks(pairs, [f"{n}" for n in pairs])
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set_ylim(0, 1.05)
    ax.set_xlabel("pairs stored (log scale)")
    ax.set_ylabel("values that come back right")
    ax.legend(loc="lower left")
    return fig


def plot_saturation(
    widths: Sequence[int], entropy: Mapping[str, Curve], slope: Mapping[str, Curve], most: float
) -> Figure:
    """Against d_k: the entropy of the weights (left), and the softmax's slope (right)."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.6))
    for ax, curves in ((left, entropy), (right, slope)):
        for style, (name, y) in zip(LINES, curves.items(), strict=False):
            ax.plot(widths, y, label=name, **style)
        ax.set_xscale("log", base=2)
        ax.set_xlabel("$d_k$, width of queries and keys (log scale)")
    left.axhline(most, color=GREY, linestyle=":", linewidth=1)
    left.annotate("all weights equal", (widths[0], most), va="bottom", color=GREY)
    left.set_ylabel("entropy of the weights (nats)")
    left.set_ylim(0, most * 1.15)
    left.legend(loc="lower left")
    right.set(yscale="log", ylabel="largest slope of a weight\nby its own score (log scale)")
    return fig


def plot_descent(curves: Mapping[str, Curve], unit: str) -> Figure:
    """Losses over the steps of gradient descent, on a logarithmic scale."""
    fig, ax = figure(7, 3.6)
    for style, (name, y) in zip(LINES, curves.items(), strict=False):
        ax.plot(range(len(y)), y, label=name, **{**style, "marker": None})
    ax.set_yscale("log")
    ax.set_xlabel("steps")
    ax.set_ylabel(f"loss ({unit}, log scale)")
    ax.legend()
    return fig


def plot_masks(masks: Mapping[str, Bool[np.ndarray, "queries keys"]]) -> Figure:
    """Masks side by side: a dark cell where the query of the row may look at the column's key."""
    fig, axes = plt.subplots(1, len(masks), figsize=(2.3 * len(masks), 2.7))
    for ax, (name, mask) in zip(axes, masks.items(), strict=True):
        ax.imshow(mask, cmap=SHADES, vmin=0, vmax=1.3)
        ax.set_xticks(np.arange(mask.shape[1] + 1) - 0.5, minor=True)
        ax.set_yticks(np.arange(mask.shape[0] + 1) - 0.5, minor=True)
        ax.grid(visible=False)
        ax.grid(visible=True, which="minor", color=GREY, linewidth=0.5)
        ax.tick_params(which="minor", length=0)
        ax.set_xticks(range(mask.shape[1]))
        ax.set_yticks(range(mask.shape[0]))
        ax.set(title=name, xlabel="key")
    axes[0].set_ylabel("query")
    return fig


def plot_leak(losses: Mapping[str, Curve], bar: float) -> Figure:
    """Training losses, with the loss of the best counting model as a line."""
    fig, ax = figure(7, 3.6)
    for style, (name, y) in zip(LINES, losses.items(), strict=False):
        ax.plot(range(1, len(y) + 1), y, label=name, **{**style, "marker": None})
    ax.axhline(bar, color=INK, linestyle=":", linewidth=1)
    ax.annotate("best counting model", (len(y), bar), ha="right", va="bottom")
    ax.set_ylim(bottom=0)
    ax.set_xlabel("steps")
    ax.set_ylabel("training loss (nats per character)")
    ax.legend(loc="upper right")
    return fig


def plot_costs(
    lengths: Sequence[int], megabytes: Mapping[str, Curve], milliseconds: Mapping[str, Curve]
) -> Figure:
    """Memory (left) and time (right) against the length of the text, both axes logarithmic."""
    fig, axes = plt.subplots(1, 2, figsize=(8.4, 3.8))
    for ax, curves in zip(axes, (megabytes, milliseconds), strict=True):
        for style, (name, y) in zip(LINES, curves.items(), strict=False):
            ax.plot(lengths, y, label=name, **style)
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set_xlabel("length of the text (tokens, log scale)")
    axes[0].set_ylabel("kept for the backward pass\n(megabytes, log scale)")
    axes[1].set_ylabel("processor time, both ways\n(milliseconds, log scale)")
    axes[0].legend()
    return fig


def plot_heads(
    heads: Mapping[str, Float[np.ndarray, "queries keys"]], tokens: Sequence[str]
) -> Figure:
    """Heads on one sentence, each a matrix of shades; a row a query, a column a key."""
    fig, axes = plt.subplots(1, len(heads), figsize=(2.9 * len(heads) + 0.8, 3.6), sharey=True)
    for ax, (name, weights) in zip(np.atleast_1d(axes), heads.items(), strict=True):
        _matrix(ax, weights, tokens, tokens, numbers=False)
        ax.tick_params(labelsize=8)
        ax.tick_params(axis="x", rotation=90)
        ax.set(title=name, xlabel="key: looked at")
    np.atleast_1d(axes)[0].set_ylabel("query: who looks")
    return fig


def plot_head_map(shares: Mapping[str, Float[np.ndarray, "layers heads"]]) -> Figure:
    """A share of attention for every head of a model: a map of layers and heads for each kind."""
    fig, axes = plt.subplots(1, len(shares), figsize=(8.6, 2.8), sharey=True)
    for ax, (name, share) in zip(axes, shares.items(), strict=True):
        image = ax.imshow(share, cmap=SHADES, vmin=0, vmax=1)
        ax.grid(visible=False)
        ax.set_xticks(range(0, share.shape[1], 2), range(1, share.shape[1] + 1, 2))
        ax.set_yticks(range(share.shape[0]), range(1, share.shape[0] + 1))
        ax.set(title=name, xlabel="head")
    axes[0].set_ylabel("layer")
    bar = fig.colorbar(image, ax=axes, shrink=0.8, label="mean weight")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    return fig
