"""Pictures of the climb: what each rung costs, and how networks come down as they read."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from course_lib.figures.ladder import COLOURS, MARKERS, Rung
from course_lib.figures.runs import draw_level
from course_lib.figures.style import LINES, plt


def plot_price(rungs: Sequence[Rung], named: Mapping[str, str]) -> Figure:
    """The loss of each rung against its seconds (left) and its megabytes (right), log scales.

    `named` gives some rungs a short name beside their marks. A rung that takes nothing is left out.
    """
    fig, both = plt.subplots(1, 2, figsize=(8.6, 4), sharey=True)
    prices = {"seconds": "seconds to fit and to score", "megabytes": "megabytes to keep"}
    for ax, (price, label) in zip(both, prices.items(), strict=True):
        for kind, colour in COLOURS.items():
            of_kind = [r for r in rungs if r.kind == kind and getattr(r, price) > 0]
            x = [getattr(r, price) for r in of_kind]
            ax.plot(x, [r.nats for r in of_kind], MARKERS[kind], color=colour, label=kind)
        for rung in rungs:
            if rung.name in named:
                left = rung.kind == "network"  # the others have their names below
                ax.annotate(
                    named[rung.name],
                    (getattr(rung, price), rung.nats),
                    xytext=(-7, 0) if left else (0, -7),
                    textcoords="offset points",
                    ha="right" if left else "center",
                    va="center" if left else "top",
                    fontsize=9,
                )
        ax.set_xscale("log")
        ax.margins(x=0.16, y=0.1)
        ax.set_xlabel(f"{label} (log scale)")
    both[0].set_ylabel("loss (nats per character)")
    fig.legend(*both[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(COLOURS))
    return fig


def plot_reading(methods: Mapping[str, Sequence[Mapping[str, Any]]], bar: float) -> Figure:
    """Validation loss against what was read (left) and how long it took (right); `bar` across.

    A thin line a seed, a thick one their mean. Each run has "val_losses", the "steps" and "seconds"
    of its evaluations (training alone), and the "tokens" of all its steps.
    """
    fig, both = plt.subplots(1, 2, figsize=(8.6, 4), sharey=True)
    prices = {"characters read in training (millions)": _read, "minutes on one core": _minutes}
    for ax, (label, price) in zip(both, prices.items(), strict=True):
        for style, (name, runs) in zip(LINES, methods.items(), strict=False):
            for run in runs:
                ax.plot(price(run), run["val_losses"], color=style["color"], lw=0.6, alpha=0.6)
            x = np.mean([price(run) for run in runs], axis=0)
            ax.plot(x, np.mean([run["val_losses"] for run in runs], axis=0), label=name, **style)
        draw_level(ax, bar, "modified Kneser–Ney")
        ax.margins(y=0.12)
        ax.set_xlabel(label)
    both[0].set_ylabel("validation loss (nats per character)")
    both[1].legend()
    return fig


def _read(run: Mapping[str, Any]) -> np.ndarray:
    """Millions of characters read at each evaluation; all steps read as many."""
    return np.array(run["steps"]) / run["steps"][-1] * run["tokens"] / 1e6


def _minutes(run: Mapping[str, Any]) -> np.ndarray:
    return np.array(run["seconds"]) / 60
