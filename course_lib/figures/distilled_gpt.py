"""The figures of chapter 12: soft labels, top-k, written text, divergences, places, accounts."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, PercentFormatter

from course_lib.figures.style import BLUE, INK, LINES, ORANGE, figure, plt

Numbers = Sequence[float] | np.ndarray


def plot_soft_labels(contexts: Mapping[str, tuple[Sequence[str], Numbers, str]]) -> Figure:
    """What may come after some texts: the likeliest characters, their probabilities, the true one.

    An entry is the characters, their probabilities and the character that really came.
    """
    fig, axes = plt.subplots(1, len(contexts), figsize=(3.2 * len(contexts), 3.4), sharex=True)
    for ax, (text, (characters, probs, true)) in zip(axes, contexts.items(), strict=True):
        rows = np.arange(len(characters))
        ax.barh(rows, probs, color=[ORANGE if c == true else BLUE for c in characters], height=0.7)
        ax.set_yticks(rows, characters)
        ax.invert_yaxis()
        ax.grid(visible=False, axis="y")
        ax.set_title(f"“{text}”", fontsize=11)
        ax.set_xlabel("probability")
    return fig


def plot_top_k(
    ks: Sequence[int], losses: Mapping[str, Numbers], full: float, outside: Numbers
) -> Figure:
    """Loss of a perfect student of k kept tokens (left); how often the truth is not among them."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
    for style, (name, y) in zip(LINES, losses.items(), strict=False):
        left.plot(ks, y, label=name, **style)
    left.axhline(full, color=INK, linestyle=":", label="all of them")
    left.set(xscale="log", xlabel="tokens kept, k (log scale)")
    left.set_ylabel("loss on real text\n(nats per character)")
    left.legend()
    right.plot(ks, outside, **LINES[2])
    right.set(xscale="log", xlabel="tokens kept, k (log scale)")
    right.set_ylabel("real next characters\nthat are not among the k")
    right.yaxis.set_major_formatter(PercentFormatter(1, 0))
    for ax in (left, right):
        ax.set_xticks(ks, [str(k) for k in ks])
        ax.minorticks_off()
    return fig


def plot_written(
    temperatures: Sequence[float], written: Mapping[str, Numbers], real: Mapping[str, float]
) -> Figure:
    """Measures of written text against the temperature; a dotted line is the same of real text."""
    fig, axes = plt.subplots(1, len(written), figsize=(3.1 * len(written), 3.3))
    for ax, style, (name, y) in zip(axes, LINES, written.items(), strict=False):
        ax.plot(temperatures, y, **style)
        ax.axhline(real[name], color=INK, linestyle=":")
        ax.annotate(
            "real text",
            (temperatures[0], real[name]),
            xytext=(0, 4),
            textcoords="offset points",
            size=10,
        )
        ax.set_xlabel("temperature of the writer")
        ax.set_ylabel(name)
    return fig


def plot_by_place(
    places: Numbers, values: Mapping[str, Numbers], ylabel: str = "nats per character"
) -> Figure:
    """Something measured along texts, against the place after the prompt; a line each."""
    fig, ax = figure(7.5, 3.6)
    for style, (name, y) in zip(LINES, values.items(), strict=False):
        ax.plot(places, y, label=name, **style)
    ax.set(xlabel="characters after the prompt", ylabel=ylabel)
    fig.legend(loc="outside right upper")
    return fig


def plot_validation(
    curves: Mapping[str, tuple[Numbers, Numbers]],
    xlabel: str,
    ylabel: str,
    teacher: float,
    xscale: Literal["linear", "log"] = "linear",
) -> Figure:
    """Validation loss on the way, a line a method; the teacher's loss dotted."""
    fig, ax = figure(8, 4)
    for style, (name, (x, losses)) in zip(LINES, curves.items(), strict=False):
        ax.plot(x, losses, label=name, **style)
    ax.axhline(teacher, color=INK, linestyle=":", label="the teacher")
    ax.set(xscale=xscale, xlabel=xlabel, ylabel=ylabel)
    if xscale == "log":
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.minorticks_off()
    fig.legend(loc="outside right upper")
    return fig


def plot_rarity(
    losses: Mapping[str, Mapping[str, float]],
    of: str,
    what: str = "word",
    ylabel: str = "nats per character of the word",
) -> Figure:
    """Loss inside words (or `what`), by how often the text `of` has them; a line a model."""
    fig, ax = figure(7.5, 3.6)
    classes = list(next(iter(losses.values())))
    for style, (name, values) in zip(LINES, losses.items(), strict=False):
        ax.plot(range(len(classes)), [values[c] for c in classes], label=name, **style)
    ax.set_xticks(range(len(classes)), classes)
    ax.set(xlabel=f"how often {of} has the {what}", ylabel=ylabel)
    fig.legend(loc="outside right upper")
    return fig
