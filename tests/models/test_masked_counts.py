"""Counting on both sides: distributions that sum to one, and that know what they should."""

import numpy as np
import pytest

from course_lib.models.masked_counts import MaskedCounts, separated
from course_lib.tokenization.encoder_inputs import SpecialTokens

VOCAB = 12


@pytest.fixture(scope="module")
def counts():
    """A text of the frames 5 a 6 and 7 a 8, in which a is 9 between the first and 10 or 11 between
    the second; 3 separates."""
    random = np.random.default_rng(0)
    frames = [(3, 5, 9, 6) if random.random() < 0.5 else (3, 7, random.integers(10, 12), 8)
              for _ in range(500)]  # fmt: skip
    return MaskedCounts.of(np.array(frames).ravel(), VOCAB)


def every_token(counts, before, after, known=(True, True), gamma=1.0):
    n = VOCAB - 5
    flags = [np.full(n, k) for k in known]
    return counts.log_probs(
        np.arange(5, VOCAB), np.full(n, before), np.full(n, after), *flags, gamma=gamma
    )


@pytest.mark.parametrize("known", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_probabilities_sum_to_one(counts, known, gamma):
    for log_probs in every_token(counts, 5, 6, known, gamma).values():
        assert np.exp(log_probs).sum() == pytest.approx(1)


def test_neighbours_say_what_stands_between_them(counts):
    found = every_token(counts, 7, 8)
    assert np.exp(found["left × right"][[5, 6]]).sum() > 0.98  # tokens 10 and 11
    assert np.exp(every_token(counts, 5, 6)["left × right"][4]) > 0.98  # token 9


def test_a_hidden_neighbour_says_nothing(counts):
    found = every_token(counts, 5, 6, known=(False, False))
    assert np.allclose(found["left"], found["unigram"])
    assert np.allclose(found["left × right"], found["unigram"])
    found = every_token(counts, 5, 6, known=(True, False), gamma=0.3)
    assert np.allclose(found["left × right"], found["left"])


def test_a_batch_is_scored_by_its_visible_neighbours(counts):
    special = SpecialTokens(pad=0, cls=2, sep=3, mask=4)
    ids = np.array([[2, 5, 4, 6, 3, 0], [2, 4, 4, 8, 3, 0]])
    labels = np.array([[-100, -100, 9, -100, -100, -100], [-100, 7, 10, -100, -100, -100]])
    found = counts.nats(ids, labels, special)
    expected = [
        every_token(counts, 5, 6)["left × right"][4],
        every_token(counts, 3, 0, known=(True, False))["left × right"][2],
        every_token(counts, 0, 8, known=(False, True))["left × right"][5],
    ]
    assert np.allclose(found["left × right"], -np.array(expected))


def test_sentences_stand_between_separators():
    assert separated([np.array([7, 8]), np.array([9])], 3).tolist() == [3, 7, 8, 3, 9, 3]
