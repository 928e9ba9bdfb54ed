"""The figures of chapter 04: what faults cost, rates and cures, seeds, intervals, power, luck."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from course_lib.figures.style import BLUE, GREEN, GREY, INK, LINES, ORANGE, figure

Curve = Sequence[float] | np.ndarray


def plot_alarms(
    faults: Sequence[str], checks: Sequence[str], alarms: np.ndarray, losses: Sequence[str]
) -> Figure:
    """A table of dots: which check speaks up for which fault, and the loss each run reports."""
    fig, ax = figure(width=8.2, height=0.9 + 0.42 * len(faults))
    for row, sounded in enumerate(alarms):
        for column, alarm in enumerate(sounded):
            face = ORANGE if alarm else "none"
            ax.plot(column, row, "o", ms=12, mfc=face, mec=ORANGE if alarm else GREY, mew=1)
        ax.text(len(checks) + 0.15, row, losses[row], va="center", ha="center")
    ax.text(len(checks) + 0.15, -0.85, "reported\nloss (nats)", ha="center", va="bottom")
    ax.set_xticks(range(len(checks)), checks, fontsize=9.5)
    ax.set_yticks(range(len(faults)), faults)
    ax.xaxis.tick_top()
    ax.set(xlim=(-0.6, len(checks) + 0.7), ylim=(len(faults) - 0.4, -0.6))
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    return fig


def plot_range_test(rates: Curve, losses: Curve, chosen: float) -> Figure:
    """The training loss while the learning rate rises from step to step."""
    fig, ax = figure()
    ax.plot(rates, losses, color=BLUE, label="loss, smoothed")
    ax.axvline(chosen, color=ORANGE, linestyle="--", label="a tenth of where it is lowest")
    ax.set(xscale="log")
    ax.set_xlabel("learning rate of the step (log scale)")
    ax.set_ylabel("training loss (nats per character)")
    ax.legend()
    return fig


def plot_sweep(
    rates: Curve, losses: Mapping[str, np.ndarray], xlabel: str = "learning rate (log scale)"
) -> Figure:
    """Validation loss against the rate: a line through the means, a point for each seed.

    `losses[name]` has one row a rate and one column a seed.
    """
    fig, ax = figure(height=4.0)
    for style, (name, grid) in zip(LINES, losses.items(), strict=False):
        ax.plot(rates, grid.mean(1), label=name, **style)
        for column in grid.T:
            ax.plot(rates, column, ".", color=style["color"], alpha=0.5, ms=4)
    ax.set(xscale="log")
    ax.set_xticks(rates, [f"{rate:g}" for rate in rates])
    ax.minorticks_off()
    ax.set_xlabel(xlabel)
    ax.set_ylabel("validation loss (nats per character)")
    ax.legend()
    return fig


def plot_two_losses(steps: Curve, train: Curve, validation: Curve, best: int) -> Figure:
    """Training and validation loss of a run that overfits; the best step is marked."""
    fig, ax = figure()
    ax.plot(steps, train, label="training slice", markevery=2, **LINES[0])
    ax.plot(steps, validation, label="validation", markevery=2, **LINES[1])
    ax.axvline(best, color=GREY, linestyle=":", label=f"lowest at step {best}")
    ax.set_xlabel("step")
    ax.set_ylabel("loss (nats per character)")
    ax.legend()
    return fig


def plot_seeds(losses: Mapping[str, Curve]) -> Figure:
    """The loss of every run of each recipe, a row a recipe, the mean as a bar."""
    fig, ax = figure(height=1.2 + 0.6 * len(losses))
    for row, (style, (name, runs)) in enumerate(zip(LINES, losses.items(), strict=False)):
        spread = np.linspace(-0.16, 0.16, len(runs))
        ax.plot(runs, row + spread, style["marker"], color=style["color"], mfc="none", label=name)
        ax.plot([np.mean(runs)] * 2, [row - 0.3, row + 0.3], color=INK, linewidth=2)
    ax.set_yticks(range(len(losses)), list(losses))
    ax.set_ylim(len(losses) - 0.5, -0.5)
    ax.set_xlabel("validation loss (nats per character)")
    ax.grid(axis="y", visible=False)
    return fig


def plot_pairs(a: Curve, b: Curve, names: tuple[str, str]) -> Figure:
    """The losses of two models on the same blocks, a point a block, with the line of equals."""
    fig, ax = figure(width=4.8, height=4.4)
    ends = [min(*a, *b) - 0.05, max(*a, *b) + 0.05]
    ax.plot(ends, ends, color=GREY, linewidth=1)
    ax.plot(a, b, "o", color=BLUE, mfc="none", ms=4)
    ax.set_xlabel(f"loss of {names[0]} on a block (nats)")
    ax.set_ylabel(f"loss of {names[1]} on it (nats)")
    ax.set_aspect("equal")
    return fig


def plot_coverage(counts: Sequence[int], coverage: Mapping[str, Curve], xlabel: str) -> Figure:
    """How often intervals that promise 95 % hold the truth, against the number of items."""
    fig, ax = figure()
    for style, (name, share) in zip(LINES, coverage.items(), strict=False):
        ax.plot(counts, share, label=name, **style)
    ax.axhline(0.95, color=INK, linewidth=1.2, linestyle=":", label="promised")
    ax.set(xscale="log")
    ax.set_xticks(counts, [str(n) for n in counts])
    ax.minorticks_off()
    ax.set_xlabel(xlabel)
    ax.set_ylabel("share of intervals\nthat hold the truth")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.legend(loc="lower right")
    return fig


def plot_widths(sizes: Sequence[int], widths: Mapping[str, Curve]) -> Figure:
    """Intervals over blocks of each size, relative to those that take characters as independent."""
    fig, ax = figure()
    for style, (name, width) in zip(LINES, widths.items(), strict=False):
        ax.plot(sizes, width, label=name, **style)
    ax.axhline(1, color=INK, linewidth=1.2, linestyle=":", label="independent characters")
    ax.set(xscale="log", ylim=(0, None))
    ax.set_xticks(sizes, [str(n) for n in sizes])
    ax.minorticks_off()
    ax.set_xlabel("characters in a block (log scale)")
    ax.set_ylabel("width of the interval, relative\nto that over characters")
    ax.legend(loc="upper left")
    return fig


def plot_power(counts: Sequence[int], powers: Mapping[str, Curve]) -> Figure:
    """The probability to find a difference against the number of seeds, a line a difference."""
    fig, ax = figure()
    for style, (name, share) in zip(LINES, powers.items(), strict=False):
        ax.plot(counts, share, label=name, **style)
    ax.axhline(0.8, color=INK, linewidth=1.2, linestyle=":", label="80 %, a usual aim")
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("runs of each recipe")
    ax.set_ylabel("probability to find\nthe difference")
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return fig


def plot_best_of(tries: Sequence[int], promised: Curve, kept: Curve) -> Figure:
    """By how much the best of k runs is below the mean: where it was chosen, and elsewhere."""
    fig, ax = figure()
    ax.plot(tries, promised, label="on the blocks it was chosen by", **LINES[0])
    ax.plot(tries, kept, label="the same run, on other blocks", **LINES[1])
    ax.axhline(0, color=INK, linewidth=1.2, linestyle=":", label="the recipe's next run")
    ax.set_xlabel("runs to choose from")
    ax.set_ylabel("gain of the chosen run over the\nmean (nats per character)")
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.1))
    return fig


def plot_reuse(tries: Sequence[int], validation: Curve, test: Curve) -> Figure:
    """The accuracy of a model made only of one validation set's answers, there and on a test."""
    fig, ax = figure()
    ax.plot(tries, validation, label="validation, asked each time", color=BLUE)
    ax.plot(tries, test, label="test, never asked", color=ORANGE, linestyle="--")
    ax.axhline(0.5, color=INK, linewidth=1.2, linestyle=":", label="guessing")
    ax.set_xlabel("times the validation set was asked")
    ax.set_ylabel("accuracy")
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.legend()
    return fig


def plot_gradient_norms(names: Sequence[str], norms: Mapping[str, Curve]) -> Figure:
    """The norm of each parameter's gradient, a bar a parameter and run; zero leaves a gap."""
    fig, ax = figure(height=3.6)
    width = 0.8 / len(norms)
    for place, (colour, (run, values)) in enumerate(
        zip((BLUE, ORANGE, GREEN), norms.items(), strict=False)
    ):
        x = np.arange(len(names)) + (place - (len(norms) - 1) / 2) * width
        hatch = "//" if place else None
        ax.bar(x, values, width, color=colour, label=run, hatch=hatch, edgecolor="white")
    ax.set(yscale="log")
    ax.set_xticks(range(len(names)), names)
    ax.set_xlabel("parameter, from the input to the output")
    ax.set_ylabel("norm of its gradient (log scale)")
    ax.grid(axis="x", visible=False)
    ax.legend()
    return fig
