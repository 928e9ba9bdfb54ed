"""Answers go into a record and come back; their scores are scikit-learn's."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, log_loss

from course_lib.training.answers import packed, scored, unpacked


@given(right=st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=40))
def test_answers_come_back_from_their_digits(right):
    assert unpacked(packed(np.array(right)), len(right)).tolist() == right


@given(
    logits=arrays(np.float32, (7, 3), elements=st.floats(-9, 9, width=32), unique=True),
    labels=arrays(np.int64, 7, elements=st.integers(0, 2)),
)
def test_scores_are_scikit_learns(logits, labels):
    results = json.loads(json.dumps(scored(logits, labels)))
    exp = np.exp(logits.astype(float))
    shares = exp / exp.sum(1, keepdims=True)
    assert results["accuracy"] == accuracy_score(labels, logits.argmax(1))
    assert results["nats"] == pytest.approx(log_loss(labels, shares, labels=[0, 1, 2]), abs=1e-4)
    right = unpacked(results["right"], results["n"])
    assert (right == (logits.argmax(1) == labels)).all()
