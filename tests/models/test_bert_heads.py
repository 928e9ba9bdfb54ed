"""The heads are Hugging Face's, padding changes nothing, and a folder gives the model back."""

import pytest
import torch
import transformers
from torch.testing import assert_close

from course_lib.errors import CourseError
from course_lib.models.bert import Bert, BertConfig
from course_lib.models.bert_heads import (
    BertForQuestionAnswering,
    BertForSequenceClassification,
    ClassifierConfig,
    mean_pool,
)

CONFIG = BertConfig(vocab_size=30, context=12, n_layers=2, n_heads=2, d_model=8)
IDS = torch.tensor([[1, 5, 7, 2, 8, 9, 2], [1, 9, 2, 6, 2, 0, 0]])
SEGMENTS = torch.tensor([[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 0, 0]])
MASK = IDS != 0


def bert():
    torch.manual_seed(0)
    return Bert(CONFIG).eval()


@torch.no_grad()
def test_the_classifier_on_cls_is_hugging_faces():
    ours = BertForSequenceClassification.on(bert(), 3, pooling="cls").eval()
    theirs = transformers.BertForSequenceClassification(bert().to_hf().config)
    theirs.classifier = torch.nn.Linear(8, 3)
    theirs.bert = bert().to_hf()
    theirs.classifier.load_state_dict(ours.classifier.state_dict())
    theirs.num_labels = 3
    expected = theirs.eval()(IDS, token_type_ids=SEGMENTS, attention_mask=MASK).logits
    assert_close(ours(IDS, SEGMENTS, MASK), expected, atol=1e-6, rtol=0)


@torch.no_grad()
def test_the_question_answerer_is_hugging_faces_where_an_answer_may_be():
    ours = BertForQuestionAnswering.on(bert()).eval()
    theirs = transformers.BertForQuestionAnswering(bert().to_hf().config)
    theirs.bert = bert().to_hf()
    theirs.qa_outputs.load_state_dict(ours.qa_outputs.state_dict())
    expected = theirs.eval()(IDS, token_type_ids=SEGMENTS, attention_mask=MASK)
    expected = torch.stack([expected.start_logits, expected.end_logits], dim=1)
    got = ours(IDS, SEGMENTS, MASK)
    allowed = torch.tensor([[4, 5], [3, 3]])  # the tokens of the second text
    for row, (first, last) in enumerate(allowed.tolist()):
        inside = slice(first, last + 1)
        assert_close(got[row, :, inside], expected[row, :, inside], atol=1e-6, rtol=0)
        assert torch.isfinite(got[row]).sum() == 2 * (last + 1 - first)


def test_the_mean_leaves_padding_out():
    states = torch.tensor([[[1.0], [3.0], [100.0]]])
    assert mean_pool(states, torch.tensor([[True, True, False]])).item() == 2


@torch.no_grad()
def test_padding_changes_nothing():
    model = BertForSequenceClassification.on(bert()).eval()
    alone = model(IDS[1:, :5], SEGMENTS[1:, :5], MASK[1:, :5])
    assert_close(model(IDS, SEGMENTS, MASK)[1:], alone, atol=1e-6, rtol=0)


@torch.no_grad()
def test_a_folder_gives_the_classifier_back(tmp_path):
    model = BertForSequenceClassification.on(bert(), 3).eval()
    model.save(tmp_path)
    again = BertForSequenceClassification.load(tmp_path).eval()
    assert again.config == model.config
    assert torch.equal(again(IDS), model(IDS))


@pytest.mark.parametrize("wrong", [{"n_classes": 1}, {"pooling": "max"}])
def test_a_shape_that_cannot_be_is_refused(wrong):
    with pytest.raises((CourseError, TypeError)):
        ClassifierConfig(CONFIG, **wrong)
