"""Pairs and hidden tokens: what is chosen, what is seen, what is a negative, what is averaged."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from course_lib.errors import CourseError
from course_lib.models.bert import BertConfig, BertForPreTraining
from course_lib.tokenization.encoder_inputs import SpecialTokens, encoder_inputs
from course_lib.training.loop import train
from course_lib.training.objectives import mean_loss
from course_lib.training.optimizers import muon_and_adamw
from course_lib.training.pretraining import (
    DOES_NOT,
    FOLLOWS,
    IGNORE,
    HiddenTokens,
    Masking,
    SentencePairs,
    mlm_loss,
    nsp_loss,
    pretraining_loss,
)

SPECIAL = SpecialTokens(pad=0, cls=2, sep=3, mask=4)
VOCAB = 60
MASKING = Masking(SPECIAL, VOCAB)
BERT = BertConfig(VOCAB, context=32, n_layers=1, n_heads=2, d_model=16, dropout=0.0)


def documents(n=4, sentences=6, seed=0):
    """Documents whose sentences all differ: token 5 + d opens those of document d."""
    random = np.random.default_rng(seed)
    return [
        [
            np.array([5 + d, 10 + i, *random.integers(20, VOCAB, random.integers(1, 9))])
            for i in range(sentences)
        ]
        for d in range(n)
    ]


def parts(batch, row):
    """The two texts of a row, with the labels put back."""
    n = int(batch.attention_mask[row].sum())
    ids = torch.where(batch.labels == IGNORE, batch.ids, batch.labels)[row, :n].tolist()
    first, second = " ".join(map(str, ids[1:-1])).split(" 3 ")
    return [[int(t) for t in text.split()] for text in (first, second)]


# --- hiding ------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 30), min_size=1, max_size=5))
def test_what_is_chosen_is_labelled_and_the_rest_is_untouched(seed, lengths):
    random = np.random.default_rng(seed)
    rows = [(random.integers(5, VOCAB, n), random.integers(5, VOCAB, 3)) for n in lengths]
    inputs = encoder_inputs(rows, SPECIAL)
    batch = MASKING(inputs, random)
    chosen = batch.labels != IGNORE
    ordinary = inputs.ids >= 5
    assert int(chosen.sum()) == round(0.15 * int(ordinary.sum()))
    assert not chosen[~ordinary].any()  # neither special tokens nor padding
    assert torch.equal(batch.labels[chosen], inputs.ids[chosen])
    assert torch.equal(batch.ids[~chosen], inputs.ids[~chosen])
    seen = batch.ids[chosen]
    assert ((seen == SPECIAL.mask) | (seen >= 5)).all()


def test_of_the_chosen_eight_in_ten_are_masked_and_one_in_ten_random_or_kept():
    random = np.random.default_rng(0)
    inputs = encoder_inputs([random.integers(5, VOCAB, 50_000)], SPECIAL)
    batch = MASKING(inputs, random)
    chosen = batch.labels != IGNORE
    seen, true = batch.ids[chosen], batch.labels[chosen]
    masked = (seen == SPECIAL.mask).float().mean().item()
    kept = (seen == true).float().mean().item()
    assert masked == pytest.approx(0.8, abs=0.02)
    assert kept == pytest.approx(0.1 + 0.1 / (VOCAB - 5), abs=0.015)
    replaced = seen[(seen != SPECIAL.mask) & (seen != true)]
    assert (replaced.min(), replaced.max()) == (5, VOCAB - 1)


def test_both_segments_and_every_place_are_hidden_now_and_then():
    pairs = SentencePairs(documents(), MASKING, 32)
    counts = torch.zeros(2)
    first = 0
    for step in range(30):
        batch = pairs(step)
        chosen = batch.labels != IGNORE
        counts += torch.tensor([(chosen & (batch.segments == s)).sum() for s in (0, 1)])
        first += int(chosen[:, 1].sum())
    assert (counts / counts.sum() - 0.5).abs().max() < 0.1
    assert first > 0


def test_a_batch_in_which_nothing_was_chosen_costs_nothing():
    torch.manual_seed(0)
    model = BertForPreTraining(BERT)
    batch = Masking(SPECIAL, VOCAB, rate=0)(
        encoder_inputs([([7], [8])], SPECIAL), np.random.default_rng(0)
    )
    loss, scored = mlm_loss(model, batch)
    assert (loss.item(), scored) == (0, 0)
    loss, pairs = pretraining_loss(model, batch._replace(next_label=torch.tensor([1])))
    loss.backward()
    assert pairs == 1
    assert loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_shares_that_are_none_are_refused():
    for wrong in ({"rate": 1.5}, {"to_mask": -0.1}, {"to_mask": 0.8, "to_random": 0.3}):
        with pytest.raises(CourseError, match="are shares"):
            Masking(SPECIAL, VOCAB, **wrong)


# --- pairs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("negatives", ["same", "other", "swapped"])
def test_every_pair_is_what_its_label_says(negatives):
    docs = documents()
    pairs = SentencePairs(docs, MASKING, 32, negatives=negatives)
    follows = {(tuple(a), tuple(b)) for d in docs for a, b in itertools.pairwise(d)}
    labels = []
    for step in range(10):
        batch = pairs(step)
        for row, label in enumerate(batch.next_label.tolist()):
            a, b = parts(batch, row)
            labels.append(label)
            assert ((tuple(a), tuple(b)) in follows) == (label == FOLLOWS)
            assert a != b
            if label == DOES_NOT:
                assert (a[0] == b[0]) == (negatives != "other")
                if negatives == "swapped":
                    assert (tuple(b), tuple(a)) in follows
    assert 0.4 < np.mean(labels) < 0.6


def test_a_negative_never_reads_like_the_true_next_sentence_or_the_first():
    thanks, other = np.array([7, 8]), np.array([9, 10])
    docs = [[thanks, other, thanks, other, np.array([11]), thanks]]
    pairs = SentencePairs(docs, MASKING, 200)
    follows = {(tuple(a), tuple(b)) for a, b in itertools.pairwise(docs[0])}
    drawn, labels = pairs.draw(np.random.default_rng(0), 200)
    for (a, b), label in zip(drawn, labels, strict=True):
        assert not np.array_equal(a, b)
        if label == FOLLOWS:
            assert (tuple(a), tuple(b)) in follows


@given(st.integers(8, 30))
@settings(deadline=None, max_examples=20)
def test_long_pairs_meet_at_the_end_of_a_sentence(max_tokens):
    random = np.random.default_rng(max_tokens)
    docs = [[random.integers(5, VOCAB, random.integers(1, 40)) for _ in range(6)]]
    pairs = SentencePairs(docs, MASKING, 8, max_tokens)
    sentences = [list(s) for s in docs[0]]
    batch = pairs(0)
    assert batch.ids.size(1) <= max_tokens
    for row in range(8):
        a, b = parts(batch, row)
        assert any(s[len(s) - len(a) :] == a for s in sentences)
        assert any(s[: len(b)] == b for s in sentences)
        if len(a) + len(b) < max_tokens - 3:  # nothing was cut without need
            assert a in sentences
            assert b in sentences


@pytest.mark.parametrize("make", [SentencePairs, HiddenTokens])
def test_batches_are_a_pure_function_of_seed_step_and_share(make):
    data = documents() if make is SentencePairs else list(itertools.chain(*documents()))
    asked = [(0, 1, 2), (0, 1, 2), (1, 1, 2), (0, 2, 2), (0, 1, 1)]
    batches = [make(data, MASKING, 4, seed=seed)(step, share) for seed, step, share in asked]
    assert all(torch.equal(a, b) for a, b in zip(*batches[:2], strict=True) if a is not None)
    assert all(not torch.equal(batches[0].ids, other.ids) for other in batches[2:])
    counts = {int((b.labels != IGNORE).sum()) for b in batches}
    assert len(counts) == 1  # every share has the same number of labels


def test_documents_that_cannot_be_used_are_refused():
    with pytest.raises(CourseError, match="no document has"):
        SentencePairs([[np.array([7])]], MASKING, 4)
    with pytest.raises(CourseError, match="need two"):
        SentencePairs(documents(1), MASKING, 4, negatives="other")
    with pytest.raises(CourseError, match="again and again"):
        SentencePairs([[np.array([7])] * 5], MASKING, 30)(0)
    with pytest.raises(CourseError, match="there are no texts"):
        HiddenTokens([], MASKING, 4)


# --- losses ------------------------------------------------------------------------------------


def test_the_joint_loss_is_the_sum_of_two_means():
    torch.manual_seed(0)
    model = BertForPreTraining(BERT).eval()
    batch = SentencePairs(documents(), MASKING, 8)(0)
    output = model(batch.ids, batch.segments, batch.attention_mask)
    mlm = F.cross_entropy(output.mlm_logits.flatten(0, 1), batch.labels.flatten())
    nsp = F.cross_entropy(output.nsp_logits, batch.next_label)
    total, pairs = pretraining_loss(model, batch, nsp_weight=2)
    assert_close(total / pairs, mlm + 2 * nsp)
    assert mean_loss(model, [batch], mlm_loss) == pytest.approx(float(mlm), rel=1e-5)
    assert mean_loss(model, [batch], nsp_loss) == pytest.approx(float(nsp), rel=1e-5)
    theirs = model.to_hf()(
        batch.ids,
        token_type_ids=batch.segments,
        attention_mask=batch.attention_mask.long(),
        labels=batch.labels,
        next_sentence_label=batch.next_label,
    )
    assert_close(theirs.loss, mlm + nsp, atol=1e-5, rtol=0)


def test_it_learns_what_a_neighbour_gives_away():
    """Texts in which token x is always followed by x + 20."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    texts = [np.stack([x := random.integers(20, 40, 4), x + 20], 1).ravel() for _ in range(200)]
    batches = HiddenTokens(texts, MASKING, 32)
    model = BertForPreTraining(BERT)
    history = train(
        model, batches, muon_and_adamw(model, 0.02, 0.01), objective=mlm_loss, steps=250
    )
    assert history.train_loss[0] == pytest.approx(math.log(VOCAB), abs=0.3)
    assert np.mean(history.train_loss[-20:]) < 1.6  # both of a pair hidden: ln 20 = 3.0
