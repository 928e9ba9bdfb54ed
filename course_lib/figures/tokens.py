"""The figures of chapter 02: lengths of texts in tokens, two languages, numbers, vocabularies."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from course_lib.figures.style import BLUE, GREY, INK, LINES, ORANGE, figure

Curve = Sequence[float] | np.ndarray


def plot_text_length(vocab_sizes: Sequence[int], bytes_per_token: Mapping[str, Curve]) -> Figure:
    """Bytes that a token stands for on average, against the size of the vocabulary."""
    fig, ax = figure()
    for style, (name, y) in zip(LINES, bytes_per_token.items(), strict=False):
        ax.plot(vocab_sizes, y, label=name, **style)
    _vocab_axis(ax, vocab_sizes)
    ax.set_ylabel("bytes per token")
    ax.set_ylim(bottom=0)
    ax.legend()
    return fig


def plot_two_languages(
    tokenizers: Sequence[str], english: Curve, chinese: Curve, unit: str
) -> Figure:
    """Length of the same sentences in two languages, a pair of bars for each tokenizer."""
    fig, ax = figure(width=7.6, height=4)
    x = np.arange(len(tokenizers))
    bars = (
        (x - 0.2, english, "English", {"color": BLUE}),
        (x + 0.2, chinese, "Chinese", {"color": ORANGE, "hatch": "//", "edgecolor": "white"}),
    )
    for places, lengths, name, look in bars:
        ax.bar(places, lengths, width=0.4, label=name, **look)
        for place, length in zip(places, lengths, strict=True):
            ax.annotate(
                f"{length:.1f}",
                (place, length),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
    ax.set_xticks(x, tokenizers)
    ax.set_ylabel(unit)
    ax.set_ylim(top=1.15 * max(*english, *chinese))
    ax.set_axisbelow(True)
    ax.grid(axis="x", visible=False)
    ax.legend()
    return fig


def plot_numbers(tokens: Int[np.ndarray, " numbers"]) -> Figure:
    """How many tokens each number from 0 on is cut into, in rows of one hundred numbers."""
    fig, ax = figure(width=6.8, height=5.4)
    most = int(tokens.max())
    colours = ListedColormap(["#f2efe2", "#b9d3e6", "#6ea6cf", "#2f6fa3", "#12385c"][:most])
    image = ax.imshow(
        tokens.reshape(-1, 100), cmap=colours, vmin=0.5, vmax=most + 0.5, aspect="auto"
    )
    rows = np.arange(0, len(tokens) // 100 + 1, 10)
    ax.set_yticks(rows - 0.5, [f"{100 * row:,}" for row in rows])
    ax.set_xlabel("last two digits of the number")
    ax.set_ylabel("number, to the hundred below")
    ax.grid(visible=False)
    bar = fig.colorbar(image, ticks=range(1, most + 1))
    bar.set_label("tokens")
    return fig


def plot_vocabulary_size(
    vocab_sizes: Sequence[int], losses: Mapping[str, Curve], level: tuple[str, float]
) -> Figure:
    """Loss per character against the size of the vocabulary, a line a model, and one to beat."""
    fig, ax = figure(height=4.2)
    for style, (name, y) in zip(LINES, losses.items(), strict=False):
        ax.plot(vocab_sizes, y, label=name, **style)
    ax.axhline(level[1], color=INK, linewidth=1.2, linestyle=":", label=level[0])
    _vocab_axis(ax, vocab_sizes)
    ax.set_ylabel("loss (nats per character)")
    ax.legend()
    return fig


def plot_segmentations(ways: Sequence[str], shares: Curve, own: int) -> Figure:
    """Share of a string's probability that each way to cut it has; `own` is the tokenizer's."""
    fig, ax = figure(width=7.2, height=0.9 + 0.34 * len(ways))
    colours = [BLUE if i == own else GREY for i in range(len(ways))]
    ax.barh(ways, shares, color=colours, height=0.65)
    ax.set_axisbelow(True)
    for i, share in enumerate(shares):
        ax.annotate(
            f"{share:.2g}", (share, i), xytext=(4, 0), textcoords="offset points", va="center"
        )
    ax.set_xscale("log")
    ax.set_xlim(right=20)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set_xlabel("share of the probability of the string (log scale)")
    return fig


def _vocab_axis(ax, vocab_sizes: Sequence[int]) -> None:
    ax.set_xscale("log")
    ax.set_xticks(list(vocab_sizes), [f"{size:,}" for size in vocab_sizes])
    ax.minorticks_off()
    ax.set_xlabel("size of the vocabulary (tokens, log scale)")
