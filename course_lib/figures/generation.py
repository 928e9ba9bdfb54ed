"""The figures of chapter 07: a run, what may come next, text measured, work, memory, blocks."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from course_lib.figures.style import BLUE, GREEN, GREY, INK, LINES, ORANGE, PINK, figure, plt
from course_lib.training.history import History

Curve = Sequence[float] | np.ndarray


def plot_training(history: History, bar: float, untrained: float) -> Figure:
    """Losses of a run with the bar and the untrained loss; below, learning rate and gradients."""
    fig, (losses, rates, norms) = plt.subplots(
        3, 1, figsize=(7, 6.6), sharex=True, height_ratios=[3, 1, 1]
    )
    steps = range(1, history.steps + 1)
    losses.plot(steps, history.train_loss, color=BLUE, linewidth=1, label="training batches")
    losses.plot(
        history.val_steps, history.val_loss, color=ORANGE, marker="s", label="validation sample"
    )
    losses.axhline(bar, color=INK, linestyle="--", linewidth=1.2, label="the bar: Kneser–Ney")
    losses.axhline(untrained, color=GREY, linestyle=":", linewidth=1.4, label="ln V: no knowledge")
    losses.set_ylabel("loss\n(nats per character)")
    losses.legend()
    rates.plot(steps, history.lr, color=GREEN)
    rates.set_ylabel("learning rate")
    norms.plot(steps, history.grad_norm, color=PINK, linewidth=1)
    norms.set(yscale="log", ylabel="gradient norm\n(log scale)", xlabel="steps")
    fig.align_ylabels()
    return fig


def plot_boundary(losses: Mapping[str, Curve]) -> Figure:
    """Loss against the place after a boundary; a line for each kind of text before it."""
    fig, ax = figure(7, 3.6)
    for style, (name, y) in zip(LINES, losses.items(), strict=False):
        ax.plot(range(1, len(y) + 1), y, label=name, **{**style, "marker": None})
    ax.set_xlabel("characters after the boundary")
    ax.set_ylabel("loss (nats per character)")
    ax.legend()
    return fig


def plot_temperatures(probs: Mapping[str, Curve]) -> Figure:
    """Probabilities of the likeliest tokens in order, a line for each temperature."""
    fig, ax = figure(7, 3.6)
    for style, (name, y) in zip(LINES, probs.items(), strict=False):
        ax.plot(range(1, len(y) + 1), y, label=name, **style)
    ax.set(yscale="log", xlabel="token, by rank", ylabel="probability (log scale)")
    ax.legend()
    return fig


def plot_rules(
    contexts: Sequence[tuple[str, Sequence[str], Curve, Mapping[str, Bool[np.ndarray, " tokens"]]]],
) -> Figure:
    """For each context: the likeliest tokens, their probabilities, and which rule keeps which.

    A context is its text, its tokens, their probabilities, and for each rule what it keeps of them.
    """
    fig, axes = plt.subplots(1, len(contexts), figsize=(4.6 * len(contexts), 5.4))
    for ax, (text, tokens, probs, rules) in zip(np.atleast_1d(axes), contexts, strict=True):
        y = np.arange(len(tokens))
        ax.barh(y, probs, color=BLUE, height=0.7)
        ax.set_yticks(y, tokens)
        ax.invert_yaxis()
        right = 1.05 * max(probs)
        for i, (style, (name, kept)) in enumerate(zip(LINES[1:], rules.items(), strict=False)):
            x = right * (1.06 + 0.13 * i)
            ax.plot(
                np.full(kept.sum(), x),
                y[kept],
                linestyle="none",
                marker=style["marker"],
                color=style["color"],
            )
            ax.annotate(name, (x, -0.9), rotation=60, ha="left", va="bottom", annotation_clip=False)
        ax.set_xlim(0, right * (1.12 + 0.13 * len(rules)))
        ticks = [0, max(probs) / 2, max(probs)]
        ax.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
        ax.set_xlabel(f"probability after “{text}”")
        ax.grid(visible=False)
    return fig


def plot_two_texts(log_probs: Mapping[str, Curve]) -> Figure:
    """The model's log-probability of each token of some texts, token by token."""
    fig, ax = figure(8, 3.6)
    for style, (name, y) in zip(LINES, log_probs.items(), strict=False):
        ax.plot(range(1, len(y) + 1), y, label=name, **style)
    ax.set_xlabel("token of the continuation")
    ax.set_ylabel("log-probability (nats)")
    fig.legend(loc="outside upper center", ncols=len(log_probs))
    return fig


def plot_likelihood_and_repetition(
    measured: Mapping[str, tuple[float, float]], human: str = "human"
) -> Figure:
    """Of each way of writing: mean log-probability (left), share of repeated pairs (right).

    A dotted line goes through both values of human text.
    """
    fig, axes = plt.subplots(1, 2, figsize=(8, 0.8 + 0.4 * len(measured)), sharey=True)
    colours = [ORANGE if name == human else BLUE for name in measured]
    for ax, values in zip(axes, zip(*measured.values(), strict=True), strict=True):
        ax.barh(range(len(measured)), values, color=colours, height=0.65)
        ax.axvline(dict(zip(measured, values, strict=True))[human], color=INK, linestyle=":")
        ax.grid(visible=False, axis="y")
        ax.set_axisbelow(True)
    axes[0].set_yticks(range(len(measured)), list(measured))
    axes[0].invert_yaxis()
    axes[0].set_xlabel("mean log-probability of a token (nats)")
    axes[1].set_xlabel("pairs of tokens that occurred before")
    axes[1].xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return fig


def plot_work(lengths: Sequence[int], operations: Mapping[str, Curve]) -> Figure:
    """Operations of writing a text, against its length, on two logarithmic axes."""
    fig, ax = figure(7, 3.8)
    for style, (name, y) in zip(LINES, operations.items(), strict=False):
        ax.plot(lengths, y, label=name, **style)
    ax.set(xscale="log", yscale="log", xlabel="tokens written (log scale)")
    ax.set_ylabel("multiplications and additions\n(log scale)")
    ax.legend()
    return fig


def plot_cache_memory(tokens: Sequence[int], megabytes: Mapping[str, Curve]) -> Figure:
    """Megabytes of a cache against the tokens in it, a line for each number of heads."""
    fig, ax = figure(7, 3.8)
    for style, (name, y) in zip(LINES, megabytes.items(), strict=False):
        ax.plot(tokens, y, label=name, **style)
    ax.set(xlabel="tokens in the cache", ylabel="memory (MB)")
    ax.legend()
    return fig


def plot_block(weights: Float[np.ndarray, " 32"], levels: Float[np.ndarray, " 16"]) -> Figure:
    """The 32 weights of a block on the 16 values that its 4 bits can say."""
    fig, ax = figure(7, 3.8)
    for level in levels:
        ax.axhline(level, color=GREY, linewidth=0.6)
    ax.plot(range(len(weights)), weights, linestyle="none", marker="o", color=BLUE)
    ax.grid(visible=False)
    ax.set(xlabel="weight in the block", ylabel="value (lines: what 4 bits can say)")
    return fig


def plot_shots(rows: Mapping[str, tuple[float, float, float]], chance: float = 0.0) -> Figure:
    """Accuracies with their intervals (low, value, high), one row each."""
    fig, ax = figure(7, 0.7 + 0.55 * len(rows))
    for i, (low, value, high) in enumerate(rows.values()):
        ax.plot([low, high], [i, i], color=BLUE, linewidth=3, alpha=0.4)
        ax.plot(value, i, color=BLUE, marker="o")
    if chance:
        ax.axvline(chance, color=INK, linestyle=":")
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.invert_yaxis()
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.set_xlabel("right answers (95 % intervals)")
    return fig
