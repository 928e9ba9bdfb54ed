"""A history keeps what happened, survives a round trip, and draws itself."""

import matplotlib.pyplot as plt
import pytest

from course_lib.errors import CourseError
from course_lib.training.history import History

HISTORY = History(
    train_loss=[3.0, 2.0, 1.5],
    grad_norm=[1.0, 0.5, 0.25],
    lr=[0.1, 0.2, 0.1],
    scored=[64, 64, 60],
    seconds=[0.5, 0.75, 1.5],
    val_steps=[2, 3],
    val_seconds=[0.75, 1.5],
    val_loss=[2.1, 2.2],
    stopped="steps",
)


def test_a_history_is_the_same_after_saving_and_loading(tmp_path):
    HISTORY.save(tmp_path / "history.json")
    assert History.load(tmp_path / "history.json") == HISTORY


@pytest.mark.parametrize("content", ['{"train_loss": [1', "[]", '{"other": 1}', None])
def test_a_file_that_holds_no_history_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "h.json").write_text(content)
    with pytest.raises(CourseError, match=r"h\.json holds no training history"):
        History.load(tmp_path / "h.json")


def test_the_best_evaluation_is_the_lowest():
    assert (HISTORY.best_step, HISTORY.best_loss, HISTORY.steps, HISTORY.elapsed) == (
        2,
        2.1,
        3,
        1.5,
    )
    assert (History().best_step, History().best_loss, History().elapsed) == (None, float("inf"), 0)


def test_the_picture_shows_the_numbers_over_steps_and_over_seconds():
    for by, across, evaluated in (
        ("steps", [1, 2, 3], [2, 3]),
        ("seconds", [0.5, 0.75, 1.5], None),
    ):
        figure = HISTORY.plot(by)
        training, validation, *_ = figure.axes[0].get_lines()
        assert list(training.get_xdata()) == across
        assert list(training.get_ydata()) == HISTORY.train_loss
        assert list(validation.get_xdata()) == (evaluated or HISTORY.val_seconds)
        assert list(figure.axes[1].get_lines()[0].get_ydata()) == HISTORY.grad_norm
        plt.close(figure)
    with pytest.raises(CourseError, match="'days'"):
        HISTORY.plot("days")
