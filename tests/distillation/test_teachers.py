"""Kept outputs are those the teacher gives, and belong to it and to the texts."""

import numpy as np
import pytest
import torch

from course_lib.distillation.teachers import logits_and_states, teacher_outputs
from course_lib.errors import CourseError
from course_lib.models.bert import Bert, BertConfig
from course_lib.models.bert_heads import BertForSequenceClassification
from course_lib.tokenization.encoder_inputs import SpecialTokens
from course_lib.training.fine_tuning import Examples


@pytest.fixture
def teacher():
    torch.manual_seed(0)
    bert = Bert(BertConfig(20, context=16, n_layers=2, n_heads=2, d_model=8))
    return BertForSequenceClassification.on(bert)


@pytest.fixture
def examples():
    random = np.random.default_rng(0)
    tokens = tuple(random.integers(4, 20, size=n) for n in (3, 7, 1, 5))
    return Examples(tokens, np.array([0, 1, 0, 1]), SpecialTokens(0, 1, 2, 3))


def test_outputs_are_what_the_teacher_gives_without_dropout(teacher, examples, tmp_path):
    teacher.train()
    kept = teacher_outputs(teacher, examples, layers=(2, 0), folder=tmp_path, batch_size=3)
    assert teacher.training
    teacher.eval()
    places = [3, 0]
    inputs, _ = examples.batch(places)
    with torch.no_grad():
        logits, states = logits_and_states(teacher, inputs)
    np.testing.assert_allclose(kept.logits[places], logits, atol=1e-6)
    batch = kept.batch_states(places)
    assert batch.keys() == {0, 2}
    for layer, ours in batch.items():
        wanted = states[layer] * inputs.attention_mask[..., None]
        torch.testing.assert_close(ours, wanted, atol=2e-3, rtol=2e-3)  # kept in 16 bits


def test_the_same_question_is_asked_once_and_another_anew(teacher, examples, tmp_path, monkeypatch):
    first = teacher_outputs(teacher, examples, folder=tmp_path)
    with monkeypatch.context() as m:
        m.setattr(teacher, "forward", None)
        m.setattr(teacher.bert, "forward", None)
        again = teacher_outputs(teacher, examples, folder=tmp_path)
    assert np.array_equal(first.logits, again.logits)
    assert first.seconds == again.seconds > 0
    with torch.no_grad():
        teacher.classifier.bias += 1
    moved = teacher_outputs(teacher, examples, folder=tmp_path)
    np.testing.assert_allclose(moved.logits, first.logits + 1, atol=1e-5)
    assert len(teacher_outputs(teacher, examples.take([0]), folder=tmp_path).logits) == 1
    assert len(list(tmp_path.iterdir())) == 3


def test_layers_that_are_not_there_are_refused(teacher, examples, tmp_path):
    with pytest.raises(CourseError):
        teacher_outputs(teacher, examples, layers=(3,), folder=tmp_path)
