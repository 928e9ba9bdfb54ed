"""LoRA starts as the identity, learns little, merges without a trace, and is peft's."""

import copy

import peft
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from course_lib.errors import CourseError
from course_lib.models.bert import Bert, BertConfig
from course_lib.models.bert_heads import BertForSequenceClassification, ClassifierConfig
from course_lib.models.lora import (
    ALL_MATRICES,
    LoRALinear,
    add_lora,
    merge,
    n_trainable,
    trainable,
)
from course_lib.models.pretrained_bert import load_minilm

IDS = torch.tensor([[1, 5, 7, 2], [1, 9, 2, 0]])


def small_bert(seed=0):
    torch.manual_seed(seed)
    return Bert(BertConfig(vocab_size=11, context=8, n_layers=2, n_heads=2, d_model=8)).eval()


def randomised(model, seed=1):
    """The corrections as if trained."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, LoRALinear):
            module.B.data = torch.randn(module.B.shape, generator=generator) * 0.3
    return model


def states(model):
    with torch.no_grad():
        return model.eval()(IDS).last_hidden_state


def test_it_starts_as_the_identity():
    bert = small_bert()
    before = states(bert)
    assert add_lora(bert, rank=2) == 2 * len(ALL_MATRICES)
    assert torch.equal(states(bert), before)


def test_merged_equals_unmerged():
    bert = small_bert()
    names = list(bert.state_dict())
    add_lora(bert, rank=2)
    before = states(randomised(bert))
    assert merge(bert) == 8
    assert_close(states(bert), before, atol=1e-5, rtol=0)
    assert list(bert.state_dict()) == names
    assert all(p.requires_grad for p in bert.parameters())


@settings(max_examples=20)
@given(rank=st.integers(1, 5), alpha=st.sampled_from([1, 8.0, 16]))
def test_a_layer_is_its_formula(rank, alpha):
    layer = randomised(nn.Sequential(LoRALinear(nn.Linear(6, 4), rank, alpha)))[0]
    x = torch.randn(3, 6)
    whole = layer.base.weight + alpha / rank * layer.B @ layer.A
    assert_close(layer(x), x @ whole.T + layer.base.bias, atol=1e-5, rtol=0)


def test_it_is_pefts():
    ours, theirs = small_bert(), small_bert()
    add_lora(ours, rank=3, alpha=6)
    randomised(ours)
    config = peft.LoraConfig(r=3, lora_alpha=6, target_modules=list(ALL_MATRICES), lora_dropout=0)
    theirs = peft.get_peft_model(theirs, config)
    weights = theirs.state_dict()
    for name, module in ours.named_modules():
        if isinstance(module, LoRALinear):
            for part in "AB":
                weights[f"base_model.model.{name}.lora_{part}.default.weight"].copy_(
                    getattr(module, part)
                )
    assert n_trainable(ours) == n_trainable(theirs)
    for model in (ours, theirs):
        model.eval()(IDS).last_hidden_state.square().sum().backward()
    assert_close(states(ours), states(theirs), atol=1e-5, rtol=0)
    gradients = {
        name.replace("base_model.model.", "").replace("lora_", "").replace(".default.weight", ""): p
        for name, p in theirs.named_parameters()
    }
    for name, p in ours.named_parameters():
        if p.requires_grad:
            assert_close(p.grad, gradients[name].grad, atol=1e-4, rtol=1e-4)


def test_only_the_corrections_and_the_head_learn():
    torch.manual_seed(0)
    model = BertForSequenceClassification(ClassifierConfig(small_bert().config))
    add_lora(model.bert, rank=2)
    before = copy.deepcopy(model.state_dict())
    optimiser = torch.optim.SGD(trainable(model), lr=0.5)
    for _ in range(2):  # A moves once B is no longer zero
        model(IDS).square().sum().backward()
        optimiser.step()
    moved = {name for name, t in model.state_dict().items() if not torch.equal(t, before[name])}
    assert moved == {
        name for name in before if name.endswith((".A", ".B")) or name.startswith("classifier")
    }


def test_of_minilm_less_than_two_percent_learn():
    model = BertForSequenceClassification.on(load_minilm().model)
    everything = n_trainable(model)
    add_lora(model.bert, rank=8)
    assert n_trainable(model) == 6 * 8 * (384 + 1152 + 384 + 384 + 2 * (384 + 1536)) + 770
    assert n_trainable(model) < 0.02 * everything


@pytest.mark.parametrize(
    "do",
    [
        lambda bert: add_lora(bert, rank=0),
        lambda bert: add_lora(bert, targets=["query"]),
        lambda bert: (add_lora(bert), add_lora(bert)),
    ],
)
def test_what_cannot_be_is_said_in_a_line(do):
    with pytest.raises(CourseError):
        do(small_bert())
