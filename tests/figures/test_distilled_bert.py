"""The figures of chapter 11 show what they are given."""

import pytest

from course_lib.evidence import Comparison
from course_lib.figures.distilled_bert import (
    plot_cost_and_accuracy,
    plot_layer_maps,
    plot_lead_and_gain,
    plot_learning,
    plot_map,
    plot_parts,
)
from course_lib.figures.style import plt


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def gain(difference, verdict):
    names = ("with", "alone")
    return Comparison(
        difference, difference - 0.02, difference + 0.02, verdict, names, 500, (1, 1), 0.95
    )


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_parts_say_what_is_left_of_the_first_model():
    whole = {"token table": 6_000_000, "layers": 4_000_000}
    small = {"token table": 3_000_000, "layers": 1_000_000}
    (ax,) = plot_parts({"teacher": whole, "student": small}).axes
    assert texts(ax) == ["4.0 M (−60%)", "10.0 M"]


def test_the_map_shows_the_cells_that_were_run():
    cells = {(50, "none"): gain(0.051, "win"), (200, "rest"): gain(-0.01, "tie")}
    (ax,) = plot_map({"copied": cells}, [50, 200], ["none", "rest"]).axes
    assert texts(ax) == ["+5.1\nwin", "-1.0\ntie"]


def test_layer_maps_draw_a_line_for_each_pair():
    first, second = plot_layer_maps({"skip": {1: 2, 2: 4}, "last": {2: 5}}, 3, 6).axes
    assert [len(first.lines), len(second.lines)] == [2, 1]


def test_learning_is_a_running_mean():
    (ax,) = plot_learning({"a": [1.0, 0.0, 0.5]}, window=2).axes
    assert ax.lines[0].get_ydata().tolist() == [1.0, 0.5, 0.25]


def test_leads_and_gains_are_points_of_a_hundred_with_a_diagonal():
    ax = plot_lead_and_gain({"some": [(0.1, 0.05), (0.2, 0.1)]}).axes[0]
    points, diagonal, _ = ax.get_lines()
    assert points.get_xydata().tolist() == [[10, 5], [20, 10]]
    assert (diagonal.get_xdata() == diagonal.get_ydata()).all()


def test_models_stand_at_what_they_cost_with_their_intervals():
    fig = plot_cost_and_accuracy(
        {"teacher": (22.7, 14.0, 0.83, 0.81, 0.85), "small": (7.9, 4.4, 0.8, 0.78, 0.82)}
    )
    by_size, by_wait = fig.axes
    for ax, costs in ((by_size, [22.7, 7.9]), (by_wait, [14.0, 4.4])):
        bars, marks = ax.lines[::2], ax.lines[1::2]
        assert [bar.get_ydata().tolist() for bar in bars] == [[0.81, 0.85], [0.78, 0.82]]
        assert [mark.get_xdata()[0] for mark in marks] == costs
        assert [mark.get_label() for mark in marks] == ["teacher", "small"]
        assert ax.get_xlim()[0] == 0
