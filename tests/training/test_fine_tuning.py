"""Each way to fine-tune moves what it should, at its rate, and can be run again."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from course_lib.errors import CourseError
from course_lib.models.bert import Bert, BertConfig
from course_lib.models.bert_heads import BertForSequenceClassification
from course_lib.models.pretrained_bert import load_minilm
from course_lib.tokenization.encoder_inputs import SpecialTokens
from course_lib.training.fine_tuning import (
    RECIPES,
    Examples,
    Recipe,
    ShuffledExamples,
    correct,
    features,
    fine_tune,
    freeze,
    linear_probe,
    parameter_groups,
    predicted_logits,
    set_dropout,
)

SPECIAL = SpecialTokens(pad=0, cls=1, sep=2, mask=3)


@pytest.fixture(scope="module")
def bert():
    torch.manual_seed(0)
    return Bert(BertConfig(vocab_size=20, context=16, n_layers=3, n_heads=2, d_model=16))


@pytest.fixture(scope="module")
def examples():
    """The class is whether token 7 is in the text."""
    random = np.random.default_rng(0)
    tokens = [random.integers(8, 20, size=random.integers(1, 9)) for _ in range(120)]
    labels = np.arange(120) % 2
    for text, label in zip(tokens, labels, strict=True):
        if label:
            text[random.integers(len(text))] = 7
    return Examples(tuple(text.tolist() for text in tokens), labels, SPECIAL)


def test_few_are_balanced_and_nested(examples):
    few, more = (examples.few(n, seed=3) for n in (10, 31))
    assert few.labels.sum() == 5
    assert {*map(tuple, few.tokens)} <= {*map(tuple, more.tokens)}
    assert examples.few(10, seed=4).tokens != few.tokens
    with pytest.raises(CourseError):
        examples.few(121)


def test_an_epoch_reads_every_example_once(examples):
    batches = ShuffledExamples(examples, batch_size=16, seed=1)
    read = [tuple(row[m].tolist()) for i in range(8) for row, m in rows_of(batches(i))]
    assert sorted(read) == sorted((1, *map(int, text), 2) for text in examples.tokens)
    again = ShuffledExamples(examples, 16, 1)(5)
    assert torch.equal(again[0].ids, batches(5)[0].ids)
    assert not all(torch.equal(batches(i)[1], batches(i + 8)[1]) for i in range(8))


def rows_of(batch):
    inputs, _ = batch
    return zip(inputs.ids, inputs.attention_mask, strict=True)


def test_logits_come_in_the_order_of_the_examples(bert, examples):
    model = BertForSequenceClassification.on(bert).eval()
    one_by_one = [model(*examples.batch([i])[0])[0].detach().numpy() for i in range(7)]
    logits = predicted_logits(model, examples.take(range(7)), batch_size=3)
    np.testing.assert_allclose(logits, one_by_one, atol=1e-5)
    assert correct(logits, examples.take(range(7))).shape == (7,)


def test_frozen_layers_stay_and_the_rest_moves(bert, examples):
    recipe = Recipe(lr=1e-2, frozen_layers=2)
    model, _ = fine_tune(bert, recipe, examples, steps=3)
    before, after = bert.state_dict(), model.bert.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(name.startswith("blocks.2") for name in moved)  # the mean does not read the pooler


def test_each_layer_has_its_rate(bert):
    model = BertForSequenceClassification.on(bert)
    freeze(model, 0)
    groups = parameter_groups(
        model.bert, model.classifier, Recipe(lr=1e-3, head_lr=1e-2, layer_decay=0.5)
    )
    rate = {p: group["lr"] for group in groups for p in group["params"]}
    assert len(rate) == len(list(model.parameters()))
    expected = {"embeddings": 1.25e-4, "blocks.0": 2.5e-4, "blocks.1": 5e-4, "blocks.2": 1e-3}
    for name, p in model.bert.named_parameters():
        part = next((part for part in expected if name.startswith(part)), None)
        assert rate[p] == pytest.approx(expected.get(part, 1e-3))
    assert rate[model.classifier.weight] == 1e-2
    decayed = {p for g in groups if g["weight_decay"] for p in g["params"]}
    assert decayed == {p for p in model.parameters() if p.ndim >= 2}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_learns_and_its_run_can_be_repeated(name, bert, examples):
    model, history = fine_tune(bert, RECIPES[name], examples, examples, steps=10, every=5, seed=2)
    again, repeated = fine_tune(bert, RECIPES[name], examples, examples, steps=10, every=5, seed=2)
    assert history.steps == 10
    assert history.train_loss == repeated.train_loss
    for p, q in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(p, q)
        assert p.requires_grad
    assert model.state_dict().keys() == BertForSequenceClassification.on(bert).state_dict().keys()


def test_full_fine_tuning_learns_what_a_probe_of_random_weights_does_not(bert, examples):
    recipe = Recipe(lr=3e-3, head_lr=3e-3)
    model, _ = fine_tune(bert, recipe, examples, examples, steps=150, every=50)
    assert correct(predicted_logits(model, examples), examples).mean() > 0.95


def test_bfloat16_learns_about_the_same(bert, examples):
    exact, rounded = (
        fine_tune(bert, RECIPES["full"], examples, steps=4, bf16=bf16)[1].train_loss
        for bf16 in (False, True)
    )
    assert rounded != exact
    assert rounded == pytest.approx(exact, abs=0.05)


def test_the_encoder_given_is_not_changed(bert, examples):
    before = {name: t.clone() for name, t in bert.state_dict().items()}
    fine_tune(bert, RECIPES["LoRA"], examples, steps=2)
    assert all(torch.equal(t, before[name]) for name, t in bert.state_dict().items())


def test_features_are_the_mean_of_the_tokens(bert, examples):
    few = examples.take([3, 4])
    got = features(bert, few)
    states = bert.eval()(*few.batch([0])[0]).last_hidden_state.detach()
    assert_close(torch.from_numpy(got[0]), states[0].mean(0), atol=1e-5, rtol=0)


def test_a_probe_chooses_its_strength_on_validation():
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 5)).astype(np.float32)
    y = (x[:, 0] + 0.1 * random.normal(size=60) > 0).astype(int)
    assert linear_probe(x[:40], y[:40], x[40:], y[40:]).score(x[40:], y[40:]) > 0.9


def test_dropout_can_be_set_everywhere(bert):
    model = BertForSequenceClassification.on(bert).train()
    ids = torch.tensor([[1, 8, 9, 2]])
    assert not torch.equal(model(ids), model(ids))
    set_dropout(model, 0.0)
    assert torch.equal(model(ids), model(ids))


def test_examples_are_cut_to_what_may_be_read():
    minilm = load_minilm()
    split = {"text": ["a film", "a very very very long film"], "label": [0, 1]}
    made = Examples.of(split, minilm, max_tokens=5)
    assert [len(tokens) for tokens in made.tokens] == [2, 3]
    assert made.batches()[0][0].ids.shape == (2, 5)
