"""The figures of chapter 06: positions, gradients through depth, tasks by length, alignments."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from course_lib.figures.style import GREY, INK, LINES, PLATE, SKY, figure, plt

Curve = Sequence[float] | np.ndarray


def plot_position_table(table: Float[np.ndarray, "positions d_model"]) -> Figure:
    """The vectors of positions, a column each: dark is −1, light is 1."""
    fig, ax = figure(8, 3.2)
    image = ax.imshow(np.asarray(table).T, cmap="cividis", vmin=-1, vmax=1, aspect="auto")
    ax.set_xlabel("position in the text (tokens)")
    ax.set_ylabel("number of the vector")
    ax.grid(visible=False)
    fig.colorbar(image, label="value")
    return fig


def plot_products(products: Mapping[str, Curve], offsets: Sequence[int]) -> Figure:
    """Inner products of vectors of two positions, against their distance; a line a first one."""
    fig, ax = figure(7, 3.4)
    for style, (name, y) in zip(LINES, products.items(), strict=False):
        ax.plot(offsets, y, label=name, **{**style, "markersize": 3})
    ax.set_xlabel("distance to the other position (tokens)")
    ax.set_ylabel("inner product")
    ax.legend()
    return fig


def plot_accuracy_by_place(
    accuracy: Mapping[str, Curve], first: int, trained: int, chance: float
) -> Figure:
    """Share of right answers at each place of a text; up to `trained` tokens were seen before."""
    fig, ax = figure(8, 3.6)
    for style, (name, y) in zip(LINES, accuracy.items(), strict=False):
        places = range(first, first + len(y))
        ax.plot(places, y, label=name, **{**style, "markersize": 3})
    ax.axvline(trained + 0.5, color=GREY, linestyle="--", linewidth=1.2)
    ax.annotate(
        "longest text\nin training",
        (trained + 0.5, 0.5),
        xytext=(5, 0),
        textcoords="offset points",
        color=INK,
        va="center",
    )
    ax.axhline(chance, color=GREY, linestyle=":", linewidth=1.2)
    ax.set_xlabel("place in the text (tokens)")
    ax.set_ylabel("right answers")
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set_ylim(0, 1.03)
    fig.legend(loc="outside right upper")
    return fig


def plot_gradient_by_layer(norms: Mapping[str, Curve]) -> Figure:
    """The norm of the gradient of one matrix in each block, from the first to the last."""
    fig, ax = figure(7, 3.6)
    for style, (name, y) in zip(LINES, norms.items(), strict=False):
        ax.plot(range(1, len(y) + 1), y, label=name, **style)
    ax.set_yscale("log")
    ax.set_xlabel("block (1 is nearest to the input)")
    ax.set_ylabel("norm of the gradient (log scale)")
    ax.legend()
    return fig


def draw_encoder_decoder() -> Figure:
    """The two stacks and what flows between them, from the bottom up."""
    fig, ax = figure(7, 4.6)
    ax.set(xlim=(0, 10), ylim=(0, 7.4))
    ax.axis("off")
    encoder = ["source tokens", "embedding + position", "attention, both ways", "MLP", "norm"]
    decoder = ["target so far", "embedding + position", "attention, backwards only"]
    decoder += ["cross-attention", "MLP", "norm, head: next token"]
    boxes = {}
    for x, names in ((2.4, encoder), (7.6, decoder)):
        for y, name in enumerate(names):
            look = "round,pad=0.35" if 0 < y < len(names) - 1 else "square,pad=0.3"
            inside = name in ("attention, both ways", "MLP", "attention, backwards only")
            colour = "#e3eef6" if inside or name == "cross-attention" else "#f0f0ec"
            boxes[x, name] = (x, 0.6 + 1.2 * y)
            box = {"boxstyle": look, "facecolor": colour, "edgecolor": GREY}
            ax.text(*boxes[x, name], name, ha="center", va="center", bbox=box, color=INK)
            if y:
                _arrow(ax, (x, 0.6 + 1.2 * y - 0.83), (x, 0.6 + 1.2 * y - 0.37))
    top, across = boxes[2.4, "norm"], boxes[7.6, "cross-attention"]
    _arrow(ax, (top[0] + 0.6, top[1]), (across[0] - 1.35, across[1]))
    ax.text(4.55, 5.15, "keys, values", ha="center", color=INK)
    ax.text(0.15, 3.6, "×N", color=INK)
    ax.text(9.55, 4.2, "×N", color=INK)
    return fig


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": INK})


def plot_losses_and_accuracies(
    losses: Mapping[str, Curve], by_length: Mapping[str, Mapping[int, float]], trained: int
) -> Figure:
    """Training losses by step (left); whole texts that are right, by length (right)."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6))
    for style, (name, y) in zip(LINES, losses.items(), strict=False):
        left.plot(range(1, len(y) + 1), y, label=name, **{**style, "marker": None})
    left.set(xlabel="steps", ylabel="training loss (nats per token)")
    for style, (name, accuracy) in zip(LINES, by_length.items(), strict=False):
        right.plot(list(accuracy), list(accuracy.values()), label=name, **style)
    right.axvline(trained + 0.5, color=GREY, linestyle="--", linewidth=1.2)
    right.set(xlabel="length of the text (tokens)", ylabel="texts right in every token")
    right.yaxis.set_major_formatter(PercentFormatter(1))
    right.set_ylim(-0.02, 1.03)
    left.legend()
    return fig


def plot_scores(scores: Mapping[str, Mapping[str, float]], unit: str = "chrF") -> Figure:
    """A group of bars for each pair of languages, a bar for each way to translate."""
    fig, ax = figure(7.6, 3.8)
    names = list(next(iter(scores.values())))
    width = 0.8 / len(names)
    for i, (style, name) in enumerate(zip(LINES, names, strict=False)):
        x = np.arange(len(scores)) + (i - (len(names) - 1) / 2) * width
        heights = [of_pair[name] for of_pair in scores.values()]
        bars = ax.bar(x, heights, width * 0.92, color=style["color"], label=name)
        ax.bar_label(bars, fmt="%.0f", padding=2, fontsize=9)
    ax.grid(visible=False, axis="x")
    ax.set_xticks(range(len(scores)), list(scores))
    ax.set_ylabel(f"{unit} on held-out sentences (0 to 100)")
    fig.legend(loc="outside upper center", ncols=len(names))
    return fig


def _shade(weight: float) -> np.ndarray:
    """From the plate to a blue on which dark letters can still be read."""
    plate, blue = np.array(to_rgb(PLATE)), np.array(to_rgb(SKY))
    return plate + 0.75 * weight * (blue - plate)


@dataclass(frozen=True)
class Alignment:
    """Attention of one sentence to another, as a table that a browser shows in any script.

    Rows are the tokens written, columns the tokens read; a cell's shade is its weight, and weights
    of a tenth or more are printed, so that the table can also be read without its colours.
    """

    written: Sequence[str]
    read: Sequence[str]
    weights: Float[np.ndarray, "written read"]

    def _repr_html_(self) -> str:
        def cell(weight: float) -> str:
            look = f"background: {to_hex(_shade(weight))}; color: {INK}"
            shown = f".{round(100 * weight):02d}" if 0.1 <= weight < 0.995 else ""
            shown = "1" if weight >= 0.995 else shown
            return f'<td style="{look}; text-align: center; min-width: 2.6em">{shown}</td>'

        head = "".join(f'<th scope="col">{html.escape(token)}</th>' for token in self.read)
        rows = "".join(
            f'<tr><th scope="row">{html.escape(token)}</th>{"".join(map(cell, row))}</tr>'
            for token, row in zip(self.written, np.asarray(self.weights).tolist(), strict=True)
        )
        return (
            '<div style="overflow-x: auto"><table><caption>Rows: tokens written; columns: tokens '
            f"read; share of the attention in hundredths</caption><tr><td></td>{head}</tr>{rows}"
            "</table></div>"
        )

    def __repr__(self) -> str:
        best = np.asarray(self.weights).argmax(1)
        pairs = zip(self.written, best, strict=True)
        return "; ".join(f"{token} ← {self.read[i]}" for token, i in pairs)
