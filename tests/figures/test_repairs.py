"""The picture of a script being mended: a ring where it reported, a dot where the truth is."""

import numpy as np

from course_lib.figures.repairs import plot_reported_and_true


def test_each_stage_is_a_row_with_its_reported_and_true_value():
    nats, right = [(0.01, 9.0), (1.5, 1.6)], [(0.6, 0.4), (0.9, 1.0)]
    fig = plot_reported_and_true(["sent", "mended"], nats, right, {"floor": 1.1})
    left, shares = fig.axes
    for ax, values in ((left, nats), (shares, right)):
        drawn = {line.get_label(): line for line in ax.lines}
        for name, column in zip(("reported", "true"), zip(*values, strict=True), strict=True):
            np.testing.assert_array_equal(drawn[name].get_xdata(), column)
            np.testing.assert_array_equal(drawn[name].get_ydata(), [0, 1])
    assert [t.get_text() for t in left.get_yticklabels()] == ["sent", "mended"]
    assert left.yaxis_inverted()  # the first stage on top
