"""One look for every figure: colours that colour-blind readers tell apart, on a light plate.

The plate is light in the book's dark mode too, so that a figure is the same picture everywhere.
"""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe & Ito (2008), darkened where needed for 3 : 1 contrast on the plate.
BLUE, ORANGE, GREEN, PINK, SKY, RED = (
    "#0072b2",
    "#c46a00",
    "#00795b",
    "#b5508a",
    "#3a8fc4",
    "#c14a09",
)
GREY, INK, PLATE = "#6b6b6b", "#222222", "#fcfcfa"
# Lines also differ in marker and dash, for print and for those who see no colour at all.
LINES = (
    {"color": BLUE, "marker": "o", "linestyle": "-"},
    {"color": ORANGE, "marker": "s", "linestyle": "--"},
    {"color": GREEN, "marker": "^", "linestyle": "-."},
    {"color": PINK, "marker": "D", "linestyle": ":"},
    {"color": INK, "marker": "v", "linestyle": "-"},
    {"color": SKY, "marker": "P", "linestyle": "--"},
)

# Set for the whole process on import, so that a learner's own plots look like the book's.
plt.rcParams.update(
    {
        "figure.facecolor": PLATE,
        "axes.facecolor": PLATE,
        "savefig.facecolor": PLATE,
        "figure.dpi": 110,
        "figure.constrained_layout.use": True,
        "font.size": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": GREY,
        "axes.labelcolor": INK,
        "axes.titlesize": 12,
        "axes.titlelocation": "left",
        "axes.grid": True,
        "grid.color": "#e2e2de",
        "grid.linewidth": 0.8,
        "lines.linewidth": 1.8,
        "lines.markersize": 5,
        "xtick.color": INK,
        "ytick.color": INK,
        "legend.frameon": False,
        "svg.hashsalt": "course",  # the same SVG from the same figure
    }
)


def figure(width: float | int = 7, height: float | int = 3.8) -> tuple[Figure, Axes]:
    """A figure of `width` × `height` inches in the book's style, with its axes."""
    return plt.subplots(figsize=(width, height))
