"""The rectangle that a BERT reads: [CLS], texts, [SEP]s, segments, padding, cuts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.errors import CourseError
from course_lib.tokenization.encoder_inputs import SpecialTokens, encoder_inputs
from course_lib.tokenization.wordpiece import WordPieceTokenizer

SPECIAL = SpecialTokens(pad=0, cls=2, sep=3, mask=4)


def texts(max_size=12):
    return st.lists(st.integers(5, 30), max_size=max_size)


@given(st.lists(texts() | st.tuples(texts(), texts()), min_size=1, max_size=4))
def test_every_row_holds_its_texts_between_special_tokens(rows):
    inputs = encoder_inputs(rows, SPECIAL)
    for row, ids, segments, mask in zip(rows, *(part.tolist() for part in inputs), strict=True):
        a, b = row if isinstance(row, tuple) else (row, None)
        expected = [2, *a, 3] + ([] if b is None else [*b, 3])
        n = len(expected)
        assert ids == expected + [0] * (len(ids) - n)
        assert mask == [True] * n + [False] * (len(ids) - n)
        second = 0 if b is None else len(b) + 1
        assert segments == [0] * (n - second) + [1] * second + [0] * (len(ids) - n)
    assert inputs.attention_mask.any(0).all()  # the rectangle is no wider than it must be


@given(texts(30), texts(30), st.integers(5, 40))
def test_the_longer_text_of_a_pair_loses_its_last_tokens(a, b, max_tokens):
    inputs = encoder_inputs([(a, b)], SPECIAL, max_tokens)
    kept_a, kept_b = list(a), list(b)
    while len(kept_a) + len(kept_b) > max_tokens - 3:
        (kept_a if len(kept_a) > len(kept_b) else kept_b).pop()
    assert inputs.ids.tolist() == [[2, *kept_a, 3, *kept_b, 3]]


def test_a_single_text_is_cut_too():
    assert encoder_inputs([[7, 8, 9]], SPECIAL, 4).ids.tolist() == [[2, 7, 8, 3]]


def test_special_tokens_come_from_the_vocabulary():
    trained = WordPieceTokenizer.train(["a b"], 20)
    assert SpecialTokens.of(trained) == SpecialTokens(pad=0, cls=2, sep=3, mask=4)
    with pytest.raises(CourseError, match="the vocabulary lacks one"):
        SpecialTokens.of(WordPieceTokenizer(("[UNK]", "a")))


def test_what_cannot_be_is_refused():
    with pytest.raises(CourseError, match="no texts"):
        encoder_inputs([], SPECIAL)
    with pytest.raises(CourseError, match="leaves no room"):
        encoder_inputs([([5], [6])], SPECIAL, 4)


def test_the_parts_have_the_kinds_that_models_take():
    ids, segments, mask = encoder_inputs([[7]], SPECIAL)
    assert (ids.dtype, segments.dtype, mask.dtype) == (torch.int64, torch.int64, torch.bool)
