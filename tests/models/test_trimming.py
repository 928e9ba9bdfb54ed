"""A trimmed model is the same model on the text it was trimmed for, and can spell the rest."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.errors import CourseError
from course_lib.models.bert import Bert, BertConfig
from course_lib.models.bert_heads import BertForSequenceClassification
from course_lib.models.pretrained_bert import PretrainedBert
from course_lib.models.trimming import trim, trimming
from course_lib.tokenization.wordpiece import SPECIAL, WordPieceTokenizer

TEXTS = ["a good film", "no good at all", "the film was long and long"]
SEEN = TEXTS[:2]


@pytest.fixture(scope="module")
def whole():
    torch.manual_seed(0)
    tokenizer = WordPieceTokenizer.train(TEXTS, 80)
    config = BertConfig(tokenizer.vocab_size, context=32, n_layers=2, n_heads=2, d_model=8)
    return PretrainedBert(Bert(config).eval(), tokenizer)


def test_on_its_texts_the_trimmed_model_is_the_model(whole):
    small = trim(whole, SEEN, context=16)
    assert small.tokenizer.vocab_size < whole.tokenizer.vocab_size
    for text in SEEN:
        ours = small.model(*small.inputs([text])).last_hidden_state
        assert torch.equal(ours, whole.model(*whole.inputs([text])).last_hidden_state)


def test_a_trimmed_classifier_gives_the_same_logits(whole):
    classifier = BertForSequenceClassification.on(whole.model).eval()
    kept = trimming(whole.tokenizer, SEEN)
    small = kept.classifier(classifier)
    pieces = PretrainedBert(small.bert, kept.tokenizer)
    assert not small.training
    assert torch.equal(small(*pieces.inputs(SEEN)), classifier(*whole.inputs(SEEN)))


def test_new_ids_name_the_same_pieces(whole):
    kept = trimming(whole.tokenizer, SEEN)
    old = whole.tokenizer.encode(SEEN[0])
    assert np.array_equal(kept.new_ids(old), kept.tokenizer.encode(SEEN[0]))
    gone = sorted(set(range(whole.tokenizer.vocab_size)) - set(kept.kept.tolist()))
    for token in (gone[0], gone[-1]):
        with pytest.raises(CourseError):
            kept.new_ids(np.array([old[0], token]))


@settings(max_examples=50, deadline=None)
@given(text=st.text(alphabet=sorted(set("".join(TEXTS))), max_size=20))
def test_what_could_be_spelt_can_be_spelt(whole, text):
    kept = trimming(whole.tokenizer, SEEN)
    unknown = [tokenizer.tokens.index("[UNK]") for tokenizer in (whole.tokenizer, kept.tokenizer)]
    before = (whole.tokenizer.encode(text) == unknown[0]).sum()
    assert (kept.tokenizer.encode(text) == unknown[1]).sum() == before
    assert set(SPECIAL) <= set(kept.tokenizer.tokens)
