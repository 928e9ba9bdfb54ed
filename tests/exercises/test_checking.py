"""What a learner sees: points, the smallest counter-example, the mistake's sentence, a hint."""

import ast
import re
import time

import numpy as np
import pytest
from hypothesis import strategies as st

from course_lib.errors import CourseError
from course_lib.exercises import checking
from course_lib.exercises.ch01_language_models import (
    add_k,
    decode_in_dict_order,
    encode_in_dict_order,
    without_vocabulary_size,
)
from course_lib.exercises.checking import WrongAnswer, check, draw, hint, judge
from course_lib.exercises.exercise import Exercise, find


def total(numbers, start):
    return start + sum(numbers)


def forgets_start(numbers, start):
    return sum(numbers)


SUM = Exercise(
    id="90.1",
    title="Sum",
    objective="You can add.",
    points=3,
    minutes=5,
    difficulty=1,
    reference=total,
    inputs=st.tuples(st.lists(st.integers(0, 9), max_size=5), st.integers(0, 9)),
    without=("sorted",),
    mistakes={forgets_start: "Begin at start."},
    hints=("Add.",),
)


def test_a_right_answer_prints_full_marks(capsys):
    check("01.3", add_k)
    assert capsys.readouterr().out == "01.3 correct, 2/2\n"


def test_a_blank_stub_is_not_answered_yet(capsys):
    def stub(counts, k):
        raise NotImplementedError

    check("01.3", stub)
    assert capsys.readouterr().out == "01.3 not answered yet, 0/2\n"


def test_a_wrong_answer_raises_one_line_with_the_smallest_case_its_mistake_and_a_hint():
    with pytest.raises(WrongAnswer) as raised:
        check("01.3", without_vocabulary_size)
    message = str(raised.value)
    assert message.startswith(
        "01.3 wrong, 0/2: for counts = [0, 0], k = 0.5 you returned [1, 1], expected [0.5, 0.5]."
    )
    assert "the denominator grows by k·V" in message
    assert message.endswith('Stuck? hint("01.3")')
    assert "\n" not in message
    assert raised.value._render_traceback_() == [message]


def test_the_message_is_the_same_each_time():
    messages = {judge(SUM, forgets_start).message for _ in range(3)}
    assert len(messages) == 1
    assert (
        "for numbers = [], start = 1 you returned 0, expected 1. Begin at start." in messages.pop()
    )


def test_an_answer_that_handles_a_special_case_still_gets_its_mistake_named():
    def forgets_start_of_empty_lists_only(numbers, start):
        return start + sum(numbers) if not numbers else sum(numbers)

    assert "Begin at start." in judge(SUM, forgets_start_of_empty_lists_only).message


def test_an_answer_that_matches_no_mistake_gets_a_diagnosis():
    assert "always 2 times" in judge(SUM, lambda n, s: 2 * total(n, s)).message


def weights_outside_the_share(probs, weights):
    return (probs / probs.sum(axis=1, keepdims=True) * weights).mean(axis=0)


def gamma_divided_by_the_vocabulary(counts, lower, discount):
    total = counts.sum()
    if total == 0:
        return lower
    gamma = discount * (counts > 0).sum() / total / len(counts)
    return np.maximum(counts - discount, 0) / total + gamma * lower


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [("01.4", weights_outside_the_share), ("01.7", gamma_divided_by_the_vocabulary)],
)
def test_a_diagnosis_that_says_here_speaks_of_the_case_that_is_shown(exercise, answer):
    message = judge(find(exercise), answer).message
    returned = re.search(r"you returned \[(.*?)\]", message)[1]
    said = float(re.search(r"yours sum to (\S+) here", message)[1])
    assert said == pytest.approx(sum(map(float, returned.split(", "))), rel=1e-3)


def test_nan_is_called_nan():
    def mixed(counts, lower, discount):
        total = counts.sum()
        return np.maximum(counts - discount, 0) / total + discount * lower

    message = judge(find("01.7"), mixed).message
    assert "you returned [nan, nan]" in message
    assert "Your result holds NaN here: look for 0/0" in message


def test_the_part_of_a_result_that_is_always_wrong_is_named():
    def no_y_in_the_third(counts):
        n1, n2, n3, n4 = ((counts == r).sum() for r in (1, 2, 3, 4))
        y = n1 / (n1 + 2 * n2)
        return 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * n4 / n3

    message = judge(find("01.8"), no_y_in_the_third).message
    assert "Only the third of the three is wrong." in message


def test_the_input_that_is_shown_reproduces_the_mistake():
    message = judge(find("01.10"), (encode_in_dict_order, decode_in_dict_order)).message
    counts = ast.literal_eval(re.search(r"counts = (\{.*?\})", message)[1])
    letter = ast.literal_eval(re.search(r"message = ('\w+')", message)[1])
    exercise = find("01.10")
    wrong = exercise.as_function((encode_in_dict_order, decode_in_dict_order))
    assert wrong(letter, counts) != exercise.as_function(exercise.reference)(letter, counts)


def test_an_answer_that_raises_is_shown_with_its_input():
    message = judge(SUM, lambda numbers, start: total(numbers, start) // len(numbers)).message
    assert "for numbers = [], start = 0 your answer raised ZeroDivisionError" in message


def test_an_answer_that_changes_its_input_is_wrong():
    def greedy(numbers, start):
        numbers.append(start)
        return sum(numbers)

    assert "changed its input numbers" in judge(SUM, greedy).message


def test_an_endless_loop_is_stopped_and_shown_with_its_input(monkeypatch):
    monkeypatch.setattr(checking, "SECONDS", 0.2)

    def endless(numbers, start):
        while len(numbers) > 2:
            try:
                time.sleep(0.01)
            except Exception:
                continue
        return total(numbers, start)

    begin = time.monotonic()
    message = judge(SUM, endless).message
    assert "still running after 0.2 seconds" in message
    assert time.monotonic() - begin < 10


def test_an_answer_that_prints_and_warns_says_nothing_on_the_page(capsys):
    def loud(numbers, start):
        print("here")
        np.log(-1)
        return total(numbers, start)

    assert judge(SUM, loud).status == "correct"
    assert capsys.readouterr() == ("", "")


def test_what_an_exercise_rules_out_is_named():
    def lazy(numbers, start):
        return start + sum(sorted(numbers))

    assert "uses sorted, which this exercise rules out" in judge(SUM, lazy).message


@pytest.mark.parametrize("answer", [(None,), (), (total, total), ("def f(:",)])
def test_what_is_no_answer_at_all_is_wrong_with_a_reason(answer):
    verdict = judge(SUM, answer)
    assert verdict.status == "wrong"
    assert "\n" not in verdict.message


def test_hints_say_more_level_by_level(capsys):
    hint("01.3")
    hint("01.3", 3)
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("Hint 1 of 3:")
    assert 'hint("01.3", 2)' in first
    assert "len(counts)" in last
    with pytest.raises(CourseError, match="hints 1 to 3"):
        hint("01.3", 4)


def test_an_exercise_that_does_not_exist_is_a_clear_error():
    with pytest.raises(CourseError, match=r"this chapter has 01\.1, 01\.2"):
        check("01.99", add_k)
    with pytest.raises(CourseError, match="no exercises for chapter '77'"):
        check("77.1", add_k)


def test_inputs_are_drawn_the_same_whatever_the_global_seeds():
    first = draw(SUM.inputs, 50)
    np.random.seed(7)  # noqa: NPY002 (the very state that must not matter)
    assert draw(SUM.inputs, 50) == first
    assert len(first) == 50
