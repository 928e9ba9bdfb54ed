"""The figures of chapter 00: errors of finite differences, loss curves, noise, distributions."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from course_lib.figures.style import BLUE, GREY, INK, LINES, ORANGE, figure

Curve = Sequence[float] | np.ndarray


def plot_difference_errors(steps: Curve, errors: Mapping[str, Curve]) -> Figure:
    """Largest error of a finite-difference gradient against its step, a line a precision."""
    fig, ax = figure()
    for style, (name, error) in zip(LINES, errors.items(), strict=False):
        ax.plot(steps, error, label=name, **style)
    ax.set(xscale="log", yscale="log")
    ax.set_xlabel("step ε (logit units, log scale)")
    ax.set_ylabel("largest error of a slope\n(nats per logit unit, log scale)")
    ax.legend()
    return fig


def plot_loss_curves(
    curves: Mapping[str, Curve],
    levels: Mapping[str, float],
    top: float | None = None,
    bottom: float | None = None,
    every: int = 1,
) -> Figure:
    """Loss against step, a line a run (with a point each `every` steps).

    `levels` are up to two losses to compare with: the first is labelled below its line.
    """
    fig, ax = figure(height=4.2)
    for style, (name, curve) in zip(LINES, curves.items(), strict=False):
        marks = max(1, len(curve) // 12)
        ax.plot(every * np.arange(len(curve)), curve, label=name, markevery=marks, **style)
    for dash, below, (name, level) in zip("-:", (True, False), levels.items(), strict=False):
        ax.axhline(level, color=GREY if dash == "-" else INK, linewidth=1.2, linestyle=dash)
        ax.annotate(
            name,
            (1, level),
            xycoords=("axes fraction", "data"),
            xytext=(-4, -4 if below else 3),
            textcoords="offset points",
            ha="right",
            va="top" if below else "bottom",
            fontsize=9.5,
        )
    ax.set_ylim(bottom=bottom, top=top)
    ax.set_xlabel("step")
    ax.set_ylabel("loss (nats per character)")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(curves))
    return fig


def plot_noise(batch_sizes: Sequence[int], spread: Curve, expected: Curve) -> Figure:
    """Spread of the loss over batches of each size, beside what 1/√B predicts."""
    fig, ax = figure(width=6.2)
    ax.plot(batch_sizes, spread, label="measured", **LINES[0])
    ax.plot(batch_sizes, expected, color=INK, linewidth=1.2, linestyle=":", label="σ / √B")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_xlabel("batch size B (characters, log scale)")
    ax.set_ylabel("standard deviation of the\nloss (nats per character, log scale)")
    ax.legend()
    return fig


def plot_two_distributions(
    symbols: Sequence[str], p: Curve, q: Curve, names: tuple[str, str]
) -> Figure:
    """Two distributions over the same symbols, a pair of bars each."""
    fig, ax = figure(width=7.4)
    x = np.arange(len(symbols))
    ax.bar(x - 0.2, p, width=0.4, color=BLUE, label=names[0])
    ax.bar(x + 0.2, q, width=0.4, color=ORANGE, label=names[1], hatch="//", edgecolor="white")
    ax.set_xticks(x, symbols)
    ax.set_xlabel("next character")
    ax.set_ylabel("probability")
    ax.grid(axis="x", visible=False)
    ax.legend()
    return fig


def plot_floor(sizes: Sequence[int], losses: Mapping[str, Curve], entropy: float) -> Figure:
    """Losses of tables counted on samples of each size, and the entropy of the source."""
    fig, ax = figure()
    for style, (name, loss) in zip(LINES, losses.items(), strict=False):
        ax.plot(sizes, loss, label=name, **style)
    ax.axhline(entropy, color=INK, linewidth=1.2, linestyle=":", label="entropy of the source")
    ax.set_xscale("log")
    ax.set_xlabel("size of the sample (characters, log scale)")
    ax.set_ylabel("loss (nats per character)")
    ax.legend()
    return fig
