"""The figures of chapter 10: what soft labels say, what the losses do, what a teacher is worth."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from course_lib.figures.style import BLUE, GREY, INK, LINES, ORANGE, PLATE, figure, plt


def plot_soft_labels(
    picture: Float[np.ndarray, "height width"], answers: Mapping[str, Sequence[float | int]]
) -> Figure:
    """A picture, and beside it the probabilities of the ten digits by each kind of answer."""
    fig, axes = plt.subplots(
        1, 1 + len(answers), figsize=(9.4, 2.6), width_ratios=[1, *[1.7] * len(answers)]
    )
    axes[0].imshow(picture, cmap="gray_r")
    axes[0].set_xticks([])
    axes[0].set_yticks([])
    axes[0].grid(visible=False)
    for ax, (name, p) in zip(axes[1:], answers.items(), strict=True):
        ax.bar(range(len(p)), p, color=BLUE)
        ax.set_axisbelow(True)
        ax.set_ylim(0, 1)
        ax.set_xticks(range(len(p)))
        ax.set_xlabel("digit")
        ax.set_title(name)
        ax.grid(visible=False, axis="x")
    axes[1].set_ylabel("probability")
    return fig


def plot_dark_knowledge(
    shares: Float[np.ndarray, "classes classes"], names: Sequence[str]
) -> Figure:
    """A square for each pair: what a teacher gives the class of the column, where the row is true.

    `shares` are probabilities of the wrong classes; the diagonal is left out.
    """
    fig, ax = figure(5.6, 4.8)
    values = 100 * np.where(np.eye(len(shares), dtype=bool), np.nan, shares)
    image = ax.imshow(values, cmap="Blues", vmin=0)
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names)
    ax.set_xlabel("digit that is given a share")
    ax.set_ylabel("digit that it is")
    ax.grid(visible=False)
    bar = fig.colorbar(image, ax=ax, shrink=0.85)
    bar.set_label("mean probability (%)")
    return fig


def plot_entropy(
    temperatures: Sequence[float | int],
    curves: Mapping[str, Sequence[float | int]],
    highest: float | int,
) -> Figure:
    """Mean entropy of the answers against the temperature; `highest` is that of knowing nothing."""
    fig, ax = figure(7, 3.4)
    for style, (name, nats) in zip(LINES, curves.items(), strict=False):
        ax.plot(temperatures, nats, label=name, **style)
    ax.axhline(highest, color=GREY, linewidth=1.2, linestyle=":")
    ax.text(temperatures[0], highest, "all classes alike", va="bottom", fontsize=9, color=INK)
    ax.set_xscale("log")
    ax.set_xticks(temperatures, [f"{T:g}" for T in temperatures])
    ax.minorticks_off()
    ax.set_ylim(0, 1.15 * highest)
    ax.set_xlabel("temperature T (log scale)")
    ax.set_ylabel("mean entropy (nats)")
    if len(curves) > 1:
        ax.legend(loc="lower right")
    return fig


def plot_by_seed(
    methods: Mapping[str, Sequence[float | int]],
    unit: str,
    levels: Mapping[str, float | int] | None = None,
) -> Figure:
    """A row a method: a ring for each seed, a bar through their mean; `levels` drawn down."""
    fig, ax = figure(7.6, 0.9 + 0.38 * len(methods))
    for row, values in enumerate(methods.values()):
        ax.plot(values, [row] * len(values), "o", ms=5.5, mfc=PLATE, mec=BLUE, mew=1.1, alpha=0.8)
        ax.plot([np.mean(values)] * 2, [row - 0.3, row + 0.3], color=ORANGE, linewidth=2.4)
    for dash, (name, level) in zip((":", "-."), (levels or {}).items(), strict=False):
        ax.axvline(level, color=GREY, linewidth=1.2, linestyle=dash, label=name)
    ax.set_yticks(range(len(methods)), list(methods))
    ax.invert_yaxis()
    ax.set_xlabel(unit)
    ax.grid(visible=False, axis="y")
    if levels:
        ax.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=2, fontsize=9)
    return fig


def plot_gradient_sizes(
    temperatures: Sequence[float | int],
    norms: Mapping[str, Sequence[float | int]],
    limit: float | int,
) -> Figure:
    """Norm of the gradient against T, both on log scales; `limit` is that of matching logits."""
    fig, ax = figure(7, 3.6)
    for style, (name, values) in zip(LINES, norms.items(), strict=False):
        ax.plot(temperatures, values, label=name, **style)
    ax.axhline(limit, color=GREY, linewidth=1.2, linestyle=":", label="matching centred logits")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(temperatures, [f"{T:g}" for T in temperatures])
    ax.minorticks_off()
    ax.set_xlabel("temperature T (log scale)")
    ax.set_ylabel("norm of the gradient (log scale)")
    ax.legend(loc="lower left")
    return fig


def plot_cover_and_seek(
    x: Float[np.ndarray, " points"],
    teacher: Float[np.ndarray, " points"],
    students: Mapping[str, Float[np.ndarray, " points"]],
    ylabel: str = "density",
) -> Figure:
    """A teacher's distribution, filled, and those of students fitted to it."""
    fig, ax = figure(7.4, 3.4)
    ax.fill_between(x, teacher, color="#dcdcd6", label="teacher: two modes")
    for style, (name, density) in zip(LINES, students.items(), strict=False):
        ax.plot(x, density, label=name, color=style["color"], linestyle=style["linestyle"])
    ax.set_xlabel("outcome x")
    ax.set_ylabel(ylabel)
    ax.set_ylim(bottom=0)
    ax.legend(loc="upper right", fontsize=9)
    return fig


def plot_excess(
    tokens: Sequence[int], methods: Mapping[str, Sequence[Sequence[float | int]]], unit: str
) -> Figure:
    """Excess over the floor against the amount of text, both on log scales: one line a method.

    Each method has, for every amount of text, the values of its seeds: dots beside the line of
    their means.
    """
    fig, ax = figure(7.6, 4.4)
    for style, (name, runs) in zip(LINES, methods.items(), strict=False):
        ax.plot(tokens, [np.mean(values) for values in runs], label=name, **style)
        for n, values in zip(tokens, runs, strict=True):
            ax.plot([n] * len(values), values, ".", ms=5, color=style["color"], alpha=0.5)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(tokens, [f"{n:,}" for n in tokens])
    low, high = ax.get_ylim()
    ticks = [t for t in (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3) if low <= t <= high]
    ax.set_yticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.set_xlabel("tokens of text (log scale)")
    ax.set_ylabel(f"{unit} (log scale)")
    ax.legend(loc="upper right", fontsize=9)
    return fig


def plot_map(
    values: Float[np.ndarray, "alphas temperatures"],
    alphas: Sequence[float | int],
    temperatures: Sequence[float | int],
    unit: str,
    marked: Sequence[tuple[int, int]] = (),
) -> Figure:
    """A cell for each α and T with its value; cells in `marked` (row, column) are framed."""
    fig, ax = figure(6.6, 0.7 + 0.55 * len(alphas))
    image = ax.imshow(values, cmap="Blues", aspect="auto")
    middle = (values.min() + values.max()) / 2
    for (i, j), value in np.ndenumerate(values):
        ax.text(
            j, i, f"{value:+.1f}", ha="center", va="center", color=PLATE if value > middle else INK
        )
    for i, j in marked:
        frame = plt.Rectangle(
            (j - 0.47, i - 0.47), 0.94, 0.94, fill=False, edgecolor=ORANGE, lw=2.5
        )
        ax.add_patch(frame)
    ax.set_xticks(range(len(temperatures)), [f"{T:g}" for T in temperatures])
    ax.set_yticks(range(len(alphas)), [f"{a:g}" for a in alphas])
    ax.set_xlabel("temperature T")
    ax.set_ylabel("α, share of the soft term")
    ax.grid(visible=False)
    fig.colorbar(image, ax=ax).set_label(unit)
    return fig
