"""Teachers are kept under what made them."""

import numpy as np
import torch

from course_lib.distillation.reviews import fine_tuned, weights_digest
from course_lib.models.bert import Bert, BertConfig
from course_lib.tokenization.encoder_inputs import SpecialTokens
from course_lib.training.fine_tuning import Examples


def test_a_teacher_is_trained_once_for_the_same_examples(tmp_path, monkeypatch):
    torch.manual_seed(0)
    bert = Bert(BertConfig(20, context=16, n_layers=2, n_heads=2, d_model=8))
    tokens = tuple(np.arange(4, 4 + n) for n in range(1, 13))
    examples = Examples(tokens, np.arange(12) % 2, SpecialTokens(0, 1, 2, 3))
    first = fine_tuned(bert, examples, steps=2, folder=tmp_path)
    with monkeypatch.context() as m:
        m.setattr("course_lib.distillation.reviews.fine_tune", None)
        again = fine_tuned(bert, examples, steps=2, folder=tmp_path)
    assert weights_digest(again) == weights_digest(first)
    assert not again.training
    other = fine_tuned(bert, examples, steps=2, seed=1, folder=tmp_path)
    assert weights_digest(other) != weights_digest(first)
