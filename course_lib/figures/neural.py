"""The figures of chapter 03: a map of vectors, gradients over distance, runs, agreement, mixing."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from course_lib.figures.style import BLUE, GREEN, GREY, INK, LINES, ORANGE, PINK, SKY, figure, plt

Curve = Sequence[float] | np.ndarray


def plot_symbols(
    points: Float[np.ndarray, "symbols 2"], symbols: Sequence[str], groups: Mapping[str, str]
) -> Figure:
    """Each symbol at its two coordinates, in its group's colour; `groups` lists the members."""
    fig, ax = figure(7, 5)
    for colour, (name, members) in zip(
        (BLUE, ORANGE, GREEN, GREY, PINK), groups.items(), strict=False
    ):
        chosen = [i for i, symbol in enumerate(symbols) if symbol in members]
        ax.scatter(*points[chosen].T, s=14, color=colour, label=name, alpha=0.5)
        for i in chosen:
            shown = {"\n": "↵", " ": "␣"}.get(symbols[i], symbols[i])
            ax.annotate(
                shown, points[i], color=colour, xytext=(3, 2), textcoords="offset points", size=12
            )
    ax.set_xlabel("first principal component of the vectors")
    ax.set_ylabel("second principal component")
    ax.legend(loc="best")
    return fig


def plot_gradients(distances: Sequence[int], norms: Mapping[str, Curve]) -> Figure:
    """How much of a gradient arrives, against the steps it was carried back; a line a network."""
    fig, ax = figure(8, 3.8)
    for style, (name, y) in zip(LINES, norms.items(), strict=False):
        ax.plot(distances, y, label=name, **{**style, "marker": None})
    ax.set_yscale("log")
    ax.set_ylim(bottom=1e-12)
    ax.set_xlabel("distance (steps back in the text)")
    ax.set_ylabel("norm of the gradient, relative\nto that at distance 1 (log scale)")
    fig.legend(loc="outside right upper")
    return fig


def plot_norms_and_losses(
    norms: Mapping[str, Curve], losses: Mapping[str, Curve], unit: str = "nats per character"
) -> Figure:
    """Gradient norms (left) and training losses (right) of runs, step by step."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6))
    for ax, curves in ((left, norms), (right, losses)):
        for style, (name, y) in zip(LINES, curves.items(), strict=False):
            ax.plot(range(1, len(y) + 1), y, label=name, **{**style, "marker": None})
        ax.set_xlabel("steps")
    left.set(yscale="log", ylabel="norm of the gradient\nbefore clipping (log scale)")
    right.set_ylabel(f"training loss ({unit})")
    right.legend()
    return fig


def plot_loss_by_position(losses: Curve, carried: float) -> Figure:
    """Loss against the place in a window that is read from an empty state."""
    fig, ax = figure(7, 3.6)
    ax.plot(range(1, len(losses) + 1), losses, color=BLUE, label="from an empty state")
    ax.axhline(carried, color=ORANGE, linestyle="--", label="state carried through the whole text")
    ax.set_xlabel("characters read in the window")
    ax.set_ylabel("loss (nats per character)")
    ax.legend()
    return fig


def plot_agreement(accuracy: Mapping[str, Mapping[str, float]], labels: Sequence[str]) -> Figure:
    """Share of minimal pairs told apart, by distance; a group of bars for each, a bar a model."""
    fig, ax = figure(7, 3.8)
    width = 0.8 / len(accuracy)
    for i, (colour, (name, shares)) in enumerate(
        zip((GREY, BLUE, ORANGE, GREEN, SKY), accuracy.items(), strict=False)
    ):
        x = np.arange(len(labels)) + (i - (len(accuracy) - 1) / 2) * width
        ax.bar(x, [shares[label] for label in labels], width * 0.92, color=colour, label=name)
    ax.axhline(0.5, color=INK, linestyle=":", linewidth=1)
    ax.annotate(
        "a coin",
        (1, 0.5),
        xycoords=("axes fraction", "data"),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
    )
    ax.grid(visible=False)
    ax.set_xticks(range(len(labels)), labels)
    ax.set_xlabel("words from the cue to the word that agrees with it")
    ax.set_ylabel("pairs told apart")
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.set_ylim(0, 1.02)
    fig.legend(loc="outside upper center", ncols=len(accuracy))
    return fig


def plot_mixture(weights: Curve, losses: Curve, chosen: float) -> Figure:
    """Loss of a mixture against the network's weight; 0 is counting alone, 1 the network alone."""
    fig, ax = figure(7, 3.6)
    ax.plot(weights, losses, color=BLUE)
    ax.axvline(chosen, color=ORANGE, linestyle="--", linewidth=1.2)
    ax.annotate("fitted on the other half", (chosen, max(losses)), ha="center", va="top")
    ax.set_xlabel("weight of the network in the mixture")
    ax.set_ylabel("loss (nats per character)")
    return fig
