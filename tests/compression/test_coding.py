"""The coder gives back every text, and its file is as long as the loss says."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.compression.coding import (
    TOTAL,
    Decoder,
    compress,
    decompress,
    edges_from_probs,
    encode,
)
from course_lib.errors import CourseError
from course_lib.models.ngram import AddK, Backoff, KneserNey, NGramCounts, Uniform


@st.composite
def skewed_rows(draw):
    """Distributions, one for each symbol to be written: flat, steep, and almost certain."""
    vocab, n = draw(st.integers(1, 6)), draw(st.integers(0, 60))
    weight = st.sampled_from([0.0, 1e-300, 1e-12, 1e-6, 0.5, 1.0, 1e6])
    rows = draw(st.lists(st.lists(weight, min_size=vocab, max_size=vocab), min_size=n, max_size=n))
    probs = np.array(rows, float).reshape(n, vocab)
    probs[probs.sum(axis=1) == 0] = 1
    symbols = draw(st.lists(st.integers(0, vocab - 1), min_size=n, max_size=n))
    return probs / probs.sum(axis=1, keepdims=True), symbols


@settings(max_examples=150, deadline=None)
@given(skewed_rows())
def test_every_string_comes_back_whatever_the_distributions(case):
    probs, symbols = case
    edges = edges_from_probs(probs)
    data = encode((int(e[w]), int(e[w + 1])) for e, w in zip(edges, symbols, strict=True))
    decoder = Decoder(data)
    assert [decoder.read(row) for row in edges] == symbols
    ideal = sum(-math.log2((e[w + 1] - e[w]) / TOTAL) for e, w in zip(edges, symbols, strict=True))
    assert 8 * len(data) <= ideal * 1.001 + 2 + 8  # two bits to end, then whole bytes


@given(skewed_rows())
def test_edges_cut_the_whole_and_leave_a_part_for_every_symbol(case):
    edges = edges_from_probs(case[0])
    assert (np.diff(edges, axis=1) >= 1).all()
    assert (edges[:, 0] == 0).all()
    assert (edges[:, -1] == TOTAL).all()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([0, TOTAL // 2 - 1, TOTAL - 2]), max_size=80),
    st.integers(1, 2),
)
def test_narrow_parts_around_the_middle_come_back(starts, width):
    """The hard case of carries: parts that straddle the half, again and again."""
    decoder = Decoder(encode((s, s + width) for s in starts))
    for s in starts:
        edges = np.array(sorted({0, s, s + width, TOTAL}))
        assert edges[decoder.read(edges)] == s


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 3), max_size=50),
    st.lists(st.integers(0, 3), max_size=30),
    st.lists(st.integers(0, 3), max_size=6),
)
def test_every_text_comes_back_through_every_model(train, tokens, history):
    counts = NGramCounts.of(np.array(train, np.int64), 4, 3)
    tokens, history = np.array(tokens, np.int64), np.array(history, np.int64)
    for model in (Uniform(4), AddK(counts, 2, 0), Backoff(counts, 3), KneserNey(counts, 3)):
        data = compress(model, tokens, history)
        assert decompress(model, data, len(tokens), history).tolist() == tokens.tolist()


def test_the_empty_text_and_the_alphabet_of_one_symbol_cost_a_byte():
    one = Uniform(1)
    zeros = np.zeros(1000, np.int64)
    assert len(compress(one, zeros)) == len(compress(one, zeros[:0])) == 1
    assert decompress(one, compress(one, zeros), 1000).tolist() == zeros.tolist()
    assert decompress(one, compress(one, zeros[:0]), 0).tolist() == []


def test_the_file_is_as_long_as_the_loss_says():
    """Within 0.1 % and the two bytes that end it; and with a history it is no longer."""
    rng = np.random.default_rng(0)
    steps = rng.choice([1, 2, 3, 11], 60000, p=[0.7, 0.2, 0.09, 0.01])
    text = np.cumsum(steps) % 12
    train, rest = text[:40000], text[40000:]
    model = KneserNey(NGramCounts.of(train, 12, 4), 4)
    bits = -model.token_log_probs(text, start=40000).sum() / math.log(2)
    data = compress(model, rest, history=train)
    assert abs(8 * len(data) - bits) <= 0.001 * bits + 16
    assert decompress(model, data, len(rest), history=train).tolist() == rest.tolist()


def test_rows_that_are_no_distributions_are_refused():
    with pytest.raises(CourseError, match="sum to 1"):
        edges_from_probs(np.array([[0.5, 0.6]]))
    with pytest.raises(CourseError, match="sum to 1"):
        edges_from_probs(np.array([[math.nan, 0.5]]))
