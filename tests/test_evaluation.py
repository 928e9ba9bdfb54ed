"""Losses, their units, and how much history each place has."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.errors import CourseError
from course_lib.evaluation import Score, evaluate, evaluate_in_blocks
from course_lib.models.ngram import AddK, KneserNey, NGramCounts, Uniform


def slow_block_loss(model, tokens, block):
    """nanoGPT's way, one place at a time: x = tokens[s : s + block], y = x shifted by one."""
    losses = []
    for s in range(0, len(tokens) - block, block):
        x, y = tokens[s : s + block], tokens[s + 1 : s + block + 1]
        for j in range(block):
            losses.append(-math.log(model.next_token_probs(x[None, : j + 1])[0, y[j]]))
    return sum(losses) / len(losses)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=2, max_size=40), st.integers(1, 8))
def test_blocks_are_nanogpts(tokens, block):
    tokens = np.array(tokens)
    model = KneserNey(NGramCounts.of(np.array([0, 1, 2, 0, 1, 1, 2, 0, 0, 1]), 3, 3), 3)
    expected = slow_block_loss(model, tokens, min(block, len(tokens) - 1))
    assert evaluate_in_blocks(model, tokens, block) == pytest.approx(expected, abs=1e-12)


def test_a_uniform_model_loses_ln_v_and_hesitates_among_v_symbols():
    score = evaluate(Uniform(8), np.array([1, 2]), np.array([0, 7, 3, 3]), n_bytes=12)
    assert score.loss == pytest.approx(math.log(8), abs=1e-12)
    assert score.perplexity == pytest.approx(8, abs=1e-9)
    assert score.bits_per_char == pytest.approx(3, abs=1e-12)
    assert score.bits_per_byte == pytest.approx(1, abs=1e-12)


def test_the_first_token_sees_the_history():
    """After 0 comes 1, always: with the history 0 the first token is sure, without it is not."""
    model = AddK(NGramCounts.of(np.array([0, 1] * 50), 2, 2), 2, 0.01)
    text = np.array([1, 0, 1])
    with_history = evaluate(model, np.array([0]), text, 3)
    without = evaluate(model, np.array([], np.int64), text, 3)
    assert with_history.nats[0] < 0.001 < 0.6 < without.nats[0]
    np.testing.assert_array_equal(with_history.nats[1:], without.nats[1:])


def test_an_impossible_token_costs_infinitely_much():
    score = Score(np.array([1.0, math.inf]), 2)
    assert score.loss == score.perplexity == math.inf


def test_block_means_leave_out_the_rest():
    np.testing.assert_array_equal(Score(np.arange(8.0), 8).blocks(3), [1, 4])
    with pytest.raises(CourseError, match="fill no block"):
        Score(np.arange(2.0), 2).blocks(3)


def test_nothing_to_score_is_an_error():
    nothing = np.array([], np.int64)
    with pytest.raises(CourseError, match="no tokens to score"):
        evaluate(Uniform(2), nothing, nothing, 0)
    with pytest.raises(CourseError, match="one token"):
        evaluate_in_blocks(Uniform(2), np.array([1]))
