"""Muon is torch's Muon; schedules have the values their formulas give."""

from functools import partial

import pytest
import torch
from tiny_model import tiny_lm
from torch import nn
from torch.testing import assert_close

from course_lib.training.optimizers import (
    Muon,
    adamw,
    fastest_matmul_dtype,
    muon_and_adamw,
    orthogonalise,
    split_parameters,
)
from course_lib.training.schedules import constant, cosine, trapezoid

SHAPES = [(16, 16), (16, 16), (48, 16), (16, 48), (40, 24)]


def after_steps(make, steps=4):
    """The matrices after some steps with the same random gradients."""
    random = torch.Generator().manual_seed(0)
    weights = [nn.Parameter(torch.randn(*shape, generator=random) * 0.1) for shape in SHAPES]
    optimizer = make(weights)
    for _ in range(steps):
        for p in weights:
            p.grad = torch.randn(p.shape, generator=random)
        optimizer.step()
    return [p.detach() for p in weights]


# A step of lr 0.02 moves weights of 0.1 by about 0.005; bfloat16 keeps 8 bits of it.
@pytest.mark.parametrize(("dtype", "atol"), [("bfloat16", 3e-4), ("float32", 1e-3)])
def test_muon_is_torchs_muon(dtype, atol):
    """torch works in bfloat16: ours agrees to its rounding, and in float32 to a little more."""
    settings = {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.1}
    ours = after_steps(lambda weights: Muon(weights, dtype=dtype, **settings))
    torchs = after_steps(lambda weights: torch.optim.Muon(weights, **settings))
    assert_close(ours, torchs, atol=atol, rtol=0)


def test_muon_in_float32_is_the_formula_in_float64():
    def by_hand(weights):
        momenta = [torch.zeros_like(p, dtype=torch.float64) for p in weights]

        class ByHand:
            def step(self):
                for p, m in zip(weights, momenta, strict=True):
                    gradient = p.grad.double()
                    m.mul_(0.95).add_(0.05 * gradient)
                    x = 0.05 * gradient + 0.95 * m
                    x = x / x.norm()
                    for _ in range(5):
                        x = 3.4445 * x - 4.775 * x @ x.T @ x + 2.0315 * x @ x.T @ x @ x.T @ x
                    p.data -= (0.02 * max(1, p.size(0) / p.size(1)) ** 0.5 * x).float()

        return ByHand()

    ours = after_steps(lambda weights: Muon(weights, lr=0.02, dtype="float32"))
    assert_close(ours, after_steps(by_hand), atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_orthogonalise_brings_the_singular_values_near_one_and_keeps_the_singular_vectors(dtype):
    matrices = torch.randn(3, 12, 20, generator=torch.Generator().manual_seed(0))
    found = orthogonalise(matrices.to(dtype)).float()
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6
    assert values.max() < 1.3
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    diagonal = u.mT @ found @ vh.mT
    off_diagonal = diagonal - torch.diag_embed(diagonal.diagonal(dim1=-2, dim2=-1))
    assert off_diagonal.abs().max() < (1e-4 if dtype == torch.float32 else 0.05)


def test_muon_refuses_vectors():
    with pytest.raises(ValueError, match="matrices only"):
        Muon([nn.Parameter(torch.zeros(3))])


def test_the_fastest_dtype_is_one_of_two_and_is_decided_once():
    assert fastest_matmul_dtype() in ("float32", "bfloat16")
    assert fastest_matmul_dtype() == fastest_matmul_dtype()


def test_matrices_inside_go_to_muon_and_embeddings_head_norms_and_biases_to_adamw():
    model = tiny_lm()
    matrices, rest = split_parameters(model)
    assert {id(p) for p in matrices} == {id(model.up.weight), id(model.down.weight)}
    assert {id(p) for p in matrices + rest} == {id(p) for p in model.parameters()}
    assert len(matrices) + len(rest) == len(list(model.parameters()))


def test_a_head_tied_to_the_embedding_is_counted_once_and_frozen_weights_are_left_out():
    model = tiny_lm()
    model.head.weight = model.embedding.weight
    model.up.weight.requires_grad = False
    matrices, rest = split_parameters(model)
    assert [id(p) for p in matrices] == [id(model.down.weight)]
    assert sum(p is model.embedding.weight for p in rest) == 1


def test_a_model_without_inner_matrices_gets_adamw_alone():
    assert [type(o).__name__ for o in muon_and_adamw(nn.Embedding(4, 2))] == ["AdamW"]


def test_adamw_decays_matrices_only():
    decayed, kept = adamw(tiny_lm(), weight_decay=0.3).param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.3, 0.0)
    assert {p.ndim for p in decayed["params"]} == {2}
    assert {p.ndim for p in kept["params"]} == {1}


@pytest.mark.parametrize(
    ("schedule", "values"),  # at progress 0, 0.05, 0.1, 0.55, 1
    [
        (constant, [1, 1, 1, 1, 1]),
        (partial(constant, warmup=0.1), [0, 0.5, 1, 1, 1]),
        (partial(cosine, warmup=0.1), [0, 0.5, 1, 0.5, 0]),
        (partial(cosine, warmup=0.1, final=0.2), [0, 0.5, 1, 0.6, 0.2]),
        (partial(cosine, warmup=0.0), [1, 0.9938442, 0.9755283, 0.4217828, 0]),
        (partial(trapezoid, warmup=0.1, decay=0.9), [0, 0.5, 1, 0.5, 0]),
        (partial(trapezoid, warmup=0.1, decay=0.5, final=0.1), [0, 0.5, 1, 0.91, 0.1]),
        (partial(trapezoid, warmup=0.0, decay=0.0), [1, 1, 1, 1, 1]),
    ],
)
def test_schedules_have_the_values_of_their_formulas(schedule, values):
    assert [schedule(p) for p in (0.0, 0.05, 0.1, 0.55, 1.0)] == pytest.approx(values, abs=1e-6)
