"""The figures of chapter 09: accuracies with intervals, few labels, overfitting, calibration."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from course_lib.figures.style import BLUE, GREY, INK, LINES, ORANGE, figure, plt
from course_lib.statistics import wilson

Scores = Sequence[float] | np.ndarray


def plot_accuracies(correct: Mapping[str, Scores], chance: float = 0.5) -> Figure:
    """A row a method: its accuracy, from 0 or 1 for each test example, with a 95 % interval."""
    fig, ax = figure(7, 0.9 + 0.42 * len(correct))
    for row, scores in enumerate(reversed(correct.values())):
        accuracy = float(np.mean(scores))
        low, high = wilson(accuracy, len(scores))
        ax.plot([low, high], [row, row], color=BLUE, linewidth=3, alpha=0.5)
        ax.plot(accuracy, row, "o", color=BLUE, markersize=7)
        ax.annotate(
            f"{accuracy:.1%}", (high, row), (8, 0), textcoords="offset points", va="center", size=10
        )
    ax.axvline(chance, color=GREY, linestyle=":")
    top = len(correct) - 0.45
    ax.annotate("guessing", (chance, top), (4, 0), textcoords="offset points", color=GREY, size=10)
    ax.set_ylim(-0.5, len(correct) - 0.1)
    ax.set_yticks(range(len(correct)), list(reversed(correct)))
    ax.set_xlabel("accuracy on the test sentences, with 95 % interval")
    ax.xaxis.set_major_formatter(PercentFormatter(1, 0))
    ax.set_xlim(right=ax.get_xlim()[1] + 0.04)
    ax.grid(visible=False, axis="y")
    return fig


def plot_few_labels(
    labels: Sequence[int], accuracies: Mapping[str, Float[np.ndarray, "sizes draws"]]
) -> Figure:
    """Accuracy against the number of labelled examples: a line a method, the mean over the draws of
    which examples they are; the band goes from the worst of the draws to the best."""
    fig, ax = figure(7.5, 3.8)
    for style, (name, drawn) in zip(LINES, accuracies.items(), strict=False):
        ax.plot(labels, drawn.mean(1), label=name, **style)
        ax.fill_between(
            labels, drawn.min(1), drawn.max(1), color=style["color"], alpha=0.15, linewidth=0
        )
    ax.set(
        xscale="log", xlabel="labelled sentences (log scale)", ylabel="accuracy on the test part"
    )
    ax.set_xticks(labels, [f"{n:,}" for n in labels])
    ax.minorticks_off()
    ax.yaxis.set_major_formatter(PercentFormatter(1, 0))
    fig.legend(loc="outside right upper")
    return fig


def plot_overfitting(
    steps: Sequence[int], training: Scores, validation: Mapping[str, Scores]
) -> Figure:
    """The training loss of the uncured run, and the validation loss of each, over the steps."""
    fig, ax = figure(8, 3.9)
    ax.plot(steps, training, color=GREY, linestyle=":", label="training, uncured")
    for style, (name, y) in zip(LINES, validation.items(), strict=False):
        ax.plot(steps, y, label=name, **style)
    ax.set(xlabel="steps", ylabel="loss (nats per sentence)")
    fig.legend(loc="outside right upper")
    return fig


def plot_drift(steps: Sequence[int], moved: Mapping[str, Scores]) -> Figure:
    """How far the weights went from where they were, over the steps of training."""
    fig, ax = figure(7, 3.4)
    for style, (name, y) in zip(LINES, moved.items(), strict=False):
        ax.plot(steps, y, label=name, **{**style, "marker": None})
    ax.set(xlabel="steps", ylabel="distance of the encoder's weights\nfrom where they started")
    ax.legend()
    return fig


def plot_reliability(
    bins: Mapping[str, tuple[Scores, Scores, Scores]], ece: Mapping[str, float]
) -> Figure:
    """Reliability diagrams side by side: how often the model is right, by how sure it says it is.

    Each entry holds the mean confidence, the accuracy and the number of examples of its bins.
    """
    fig, axes = plt.subplots(
        1, len(bins), figsize=(3.6 * len(bins), 3.6), sharex=True, sharey=True, squeeze=False
    )
    for ax, (name, (confidence, accuracy, count)) in zip(axes[0], bins.items(), strict=True):
        ax.plot([0.5, 1], [0.5, 1], color=GREY, linestyle=":", label="honest")
        sizes = 250 * np.asarray(count) / max(1, np.sum(count)) + 8
        ax.plot(confidence, accuracy, color=ORANGE, linewidth=1)
        ax.scatter(confidence, accuracy, s=sizes, color=ORANGE, edgecolor=INK, linewidth=0.5)
        ax.set_title(f"{name}\nECE {ece[name]:.1%}")
        ax.set_xlabel("how sure it says it is")
        ax.xaxis.set_major_formatter(PercentFormatter(1, 0))
        ax.yaxis.set_major_formatter(PercentFormatter(1, 0))
    axes[0][0].set_ylabel("how often it is right")
    axes[0][0].legend(loc="upper left")
    return fig
