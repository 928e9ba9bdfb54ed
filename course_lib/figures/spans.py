"""The figures of lesson 09.4: where answers start and end, who finds them, what is forgotten."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from course_lib.evidence import Comparison
from course_lib.figures.style import BLUE, GREEN, GREY, ORANGE, figure, plt
from course_lib.statistics import wilson

Scores = Sequence[float] | np.ndarray


def plot_span_logits(
    tokens: Sequence[str],
    start: Float[np.ndarray, " tokens"],
    end: Float[np.ndarray, " tokens"],
    span: tuple[int, int],
) -> Figure:
    """Both logits of every token of a context, and the span that was chosen."""
    fig, ax = figure(9, 3.6)
    place = np.arange(len(tokens))
    ax.axvspan(span[0] - 0.5, span[1] + 0.5, color=GREEN, alpha=0.15, label="best span")
    ax.plot(place, start, color=BLUE, marker="o", label="answer starts here")
    ax.plot(place, end, color=ORANGE, marker="s", linestyle="--", label="answer ends here")
    ax.set_xticks(place, tokens, rotation=90, fontsize=9)
    ax.set_xlim(-0.7, len(tokens) - 0.3)
    ax.set(xlabel="tokens of the context", ylabel="logit")
    fig.legend(loc="outside upper right", ncols=3)
    return fig


def plot_right_answers(panels: Mapping[str, Mapping[str, Scores]]) -> Figure:
    """A panel a kind of question, in it a row a method: how many answers are right, with interval.

    A method's scores are 1 or 0 for each question of the panel.
    """
    n_rows = -(-len(panels) // 2)
    fig, axes = plt.subplots(
        n_rows, 2, figsize=(8.4, 2.3 * n_rows + 0.4), sharex=True, sharey=True, squeeze=False
    )
    for ax, (title, methods) in zip(axes.flat, panels.items(), strict=False):
        _rows_with_intervals(ax, methods)
        ax.set_title(f"{title} ({len(next(iter(methods.values())))} questions)")
        ax.set_xlim(-0.03, 1.03)
        ax.xaxis.set_major_formatter(PercentFormatter(1, 0))
    for ax in axes[-1]:
        ax.set_xlabel("exact matches, with 95 % interval")
    return fig


def plot_forgetting(
    learned: Mapping[str, Scores], changes: Mapping[str, Comparison], new_task: str
) -> Figure:
    """Left what each method learned, right how much worse (or better) it finds texts than before.

    `learned` holds 1 or 0 for each example of the new task, `changes` the mean reciprocal rank
    after training minus before.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.8, 0.95 + 0.5 * len(changes)))
    _rows_with_intervals(left, {name: learned[name] for name in changes})
    left.set_xlabel(f"accuracy on {new_task}")
    left.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))  # whole percents
    left.xaxis.set_major_formatter(PercentFormatter(1, 0))
    for row, change in enumerate(reversed(changes.values())):
        right.plot([change.low, change.high], [row, row], color=ORANGE, linewidth=3, alpha=0.5)
        right.plot(change.difference, row, "s", color=ORANGE)
    right.axvline(0, color=GREY, linestyle=":")
    right.set_xlabel("change of the mean reciprocal rank")
    right.set_yticks(range(len(changes)), [])
    right.set_ylim(-0.5, len(changes) - 0.5)
    for ax in (left, right):
        ax.grid(visible=False, axis="y")
    return fig


def _rows_with_intervals(ax: Axes, methods: Mapping[str, Scores]) -> None:
    """A row a method, the first on top: the mean of its zeros and ones, with its 95 % interval."""
    for row, scores in enumerate(reversed(methods.values())):
        share = float(np.mean(scores))
        ax.plot(wilson(share, len(scores)), [row, row], color=BLUE, linewidth=3, alpha=0.5)
        ax.plot(share, row, "o", color=BLUE)
    ax.set_yticks(range(len(methods)), list(reversed(methods)))
    ax.set_ylim(-0.5, len(methods) - 0.5)
    ax.grid(visible=False, axis="y")
