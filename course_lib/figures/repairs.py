"""The picture of a script being mended: what it reported, beside what was true."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from course_lib.figures.style import BLUE, GREY, INK, ORANGE, PLATE, plt


def plot_reported_and_true(
    stages: Sequence[str],
    nats: Sequence[tuple[float, float]],
    right: Sequence[tuple[float, float]],
    levels: Mapping[str, float],
) -> Figure:
    """A row a stage of a repaired script: what it reported (ring) beside what is true (dot).

    Left the loss of hidden tokens, with `levels` drawn down; right the share of pairs that is
    right.
    """
    fig, both = plt.subplots(1, 2, figsize=(8.6, 0.9 + 0.4 * len(stages)), sharey=True)
    rows = range(len(stages))
    for ax, values in zip(both, (nats, right), strict=True):
        for row, pair in zip(rows, values, strict=True):
            ax.plot(pair, (row, row), color=GREY, linewidth=1.2, zorder=1)
        reported, true = zip(*values, strict=True)
        ax.plot(reported, rows, "o", ms=9, mfc=PLATE, mec=ORANGE, mew=1.6, label="reported")
        ax.plot(true, rows, "o", ms=8, color=BLUE, label="true")
        ax.grid(visible=False, axis="y")
    left, shares = both
    for dash, (name, level) in zip(("-", ":"), levels.items(), strict=False):
        left.axvline(level, color=INK, linewidth=1, linestyle=dash, zorder=0, label=name)
    left.set(xscale="log", xlabel="nats a hidden token (log scale)", yticks=rows)
    left.set_yticklabels(stages)
    left.invert_yaxis()
    shares.axvline(0.5, color=GREY, linewidth=1, linestyle=":", zorder=0)
    shares.set(xlabel="share of pairs that is right (dotted: a coin)", xlim=(-0.03, 1.03))
    fig.legend(*left.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return fig
