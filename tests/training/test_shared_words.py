"""What shared words say about a pair of sentences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.training.shared_words import SharedWords

sentence = st.lists(st.integers(0, 9), min_size=1, max_size=12).map(np.array)
EVEN = SharedWords(np.full(10, 0.1))


def test_the_six_numbers_of_a_pair_counted_by_hand():
    rare = SharedWords(np.array([0.5, 0.4995, 0.0005]))
    a, b = np.array([0, 0, 2, 1]), np.array([2, 0])  # kinds {0, 1, 2} and {0, 2}
    expected = [2 / 3, 2 / 2, 1, 1 / 2, np.log(3), np.log(2)]
    assert rare.of_pair(a, b) == pytest.approx(expected)


@given(sentence, sentence)
def test_what_is_shared_does_not_depend_on_the_order_and_lengths_change_places(a, b):
    there, back = EVEN.of_pair(a, b), EVEN.of_pair(b, a)
    assert there[:4] == back[:4]
    assert there[4:] == back[4:][::-1]


@given(sentence)
def test_a_sentence_shares_all_with_itself(a):
    assert EVEN.of_pair(a, a)[:2] == [1, 1]


def test_frequencies_are_shares_of_the_documents():
    documents = [[np.array([0, 1]), np.array([1])], [np.array([1])]]
    assert SharedWords.of(documents, 3).frequency == pytest.approx([1 / 4, 3 / 4, 0])
    assert SharedWords.of(documents, 3).of_pairs([(np.array([0]), np.array([1]))]).shape == (1, 6)
