"""Students are what they are said to be: copies, random numbers, principal components."""

import copy

import pytest
import torch
from torch.testing import assert_close

from course_lib.distillation.students import (
    copied_student,
    narrow_student,
    principal_components,
    random_student,
    strongest_neurons,
)
from course_lib.errors import CourseError
from course_lib.models.bert import Bert, BertConfig


@pytest.fixture(scope="module")
def bert():
    torch.manual_seed(0)
    return Bert(BertConfig(30, context=8, n_layers=4, n_heads=2, d_model=8)).eval()


def test_a_copy_of_all_layers_computes_the_same(bert):
    ids = torch.arange(10).view(2, 5)
    whole = copied_student(bert, (0, 1, 2, 3)).eval()
    assert torch.equal(whole.bert(ids).last_hidden_state, bert(ids).last_hidden_state)
    assert whole.bert.pooler is None


def test_copied_layers_are_the_teachers_and_apart_from_them(bert):
    student = copied_student(bert, (0, 3))
    assert torch.equal(student.bert.blocks[1].mlp.up.weight, bert.blocks[3].mlp.up.weight)
    with torch.no_grad():
        student.bert.blocks[1].mlp.up.weight.zero_()
    assert bert.blocks[3].mlp.up.weight.abs().sum() > 0
    with pytest.raises(CourseError):
        copied_student(bert, (0, 4))


def test_neurons_without_weights_are_the_ones_that_go(bert):
    slim = copy.deepcopy(bert)
    with torch.no_grad():
        for block in slim.blocks:  # 32 neurons, of which every other one does nothing
            block.mlp.up.weight[::2] = 0
            block.mlp.up.bias[::2] = 0
    ids = torch.arange(10).view(2, 5)
    student = copied_student(slim, (0, 1, 2, 3), d_ff=16).eval()
    assert student.bert.blocks[0].mlp.up.weight.shape == (16, 8)
    assert_close(student.bert(ids).last_hidden_state, slim(ids).last_hidden_state)
    assert strongest_neurons(slim.blocks[0].mlp, 16).tolist() == list(range(1, 32, 2))
    for n in (0, 33):
        with pytest.raises(CourseError, match="cannot keep"):
            copied_student(bert, (0, 1), d_ff=n)


@pytest.mark.parametrize(
    "make",
    [
        lambda b, seed: random_student(b, 2, seed=seed),
        lambda b, seed: narrow_student(b, 2, 4, seed=seed),
    ],
)
def test_the_seed_decides_what_is_random(make, bert):
    state = torch.random.get_rng_state()
    one, same, other = make(bert, 1), make(bert, 1), make(bert, 2)
    assert torch.equal(state, torch.random.get_rng_state())
    for name, p in one.named_parameters():
        assert torch.equal(p, same.get_parameter(name))
    assert not torch.equal(one.bert.blocks[0].mlp.up.weight, other.bert.blocks[0].mlp.up.weight)


def test_principal_components_keep_the_distances_they_can():
    points = torch.randn(30, 3, generator=torch.Generator().manual_seed(0)) @ torch.randn(3, 8)
    kept = principal_components(points, 3)  # the points lie in three dimensions
    assert_close(torch.pdist(kept), torch.pdist(points), atol=1e-4, rtol=1e-4)
    with pytest.raises(CourseError):
        principal_components(points, 9)


def test_a_narrow_student_has_the_width_and_the_components(bert):
    student = narrow_student(bert, 3, 4)
    config = student.bert.config
    assert (config.n_layers, config.d_model, config.d_ff) == (3, 4, 16)
    table, ours = (
        principal_components(bert.embeddings.tokens.weight.detach(), 4),
        (student.bert.embeddings.tokens.weight.detach()),
    )
    ratio = torch.pdist(ours) / torch.pdist(table)
    assert_close(ratio, ratio.mean().expand_as(ratio), atol=1e-5, rtol=1e-4)
    assert_close(ours.std().item(), config.init_std, atol=1e-3, rtol=0)
