"""The losses against formulas written again in NumPy, their gradients, and their limits."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from course_lib.distillation.losses import (
    IGNORE,
    distillation_loss,
    forward_kl,
    hard_loss,
    jensen_shannon,
    reverse_kl,
    soft_loss,
    soft_targets,
)
from course_lib.errors import CourseError

TEMPERATURES = [0.5, 1, 2.0, 7.5]


def logits(*shape: int, seed: int = 0, scale: float | int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def probabilities(z: torch.Tensor, T: float | int) -> np.ndarray:
    """The softmax by its definition, in NumPy."""
    e = np.exp(z.detach().numpy() / T)
    return e / e.sum(-1, keepdims=True)


PAIRS = st.tuples(st.integers(0, 10_000), st.integers(1, 4), st.integers(2, 6)).map(
    lambda c: (logits(c[1], c[2], seed=c[0]), logits(c[1], c[2], seed=c[0] + 1))
)
POSITIVE = st.floats(0.3, 10)


# --- against NumPy ----------------------------------------------------------------------------


@given(PAIRS, POSITIVE)
def test_soft_targets_are_the_softmax_of_z_over_T(pair, T):
    np.testing.assert_allclose(soft_targets(pair[0], T).numpy(), probabilities(pair[0], T), 1e-10)


@given(PAIRS, POSITIVE)
def test_soft_loss_is_T_squared_times_the_sum_p_log_p_over_q(pair, T):
    student, teacher = pair
    p, q = probabilities(teacher, T), probabilities(student, T)
    by_hand = T * T * np.mean([np.sum(a * np.log(a / b)) for a, b in zip(p, q, strict=True)])
    assert soft_loss(student, teacher, T).item() == pytest.approx(by_hand, rel=1e-9, abs=1e-12)


@given(PAIRS, POSITIVE)
def test_reverse_kl_weighs_by_the_student(pair, T):
    student, teacher = pair
    p, q = probabilities(teacher, T), probabilities(student, T)
    np.testing.assert_allclose(
        reverse_kl(student, teacher, T).numpy(), (q * np.log(q / p)).sum(-1), 1e-8, 1e-12
    )


@given(PAIRS, st.floats(0.05, 0.95))
def test_jensen_shannon_by_its_definition(pair, beta):
    student, teacher = pair
    p, q = probabilities(teacher, 1), probabilities(student, 1)
    m = beta * p + (1 - beta) * q
    by_hand = beta * (p * np.log(p / m)).sum(-1) + (1 - beta) * (q * np.log(q / m)).sum(-1)
    np.testing.assert_allclose(jensen_shannon(student, teacher, beta).numpy(), by_hand, 1e-7, 1e-12)


@given(PAIRS, st.floats(0, 1), POSITIVE, st.integers(0, 99))
def test_distillation_loss_by_hand(pair, alpha, T, seed):
    student, teacher = pair
    labels = np.random.default_rng(seed).integers(student.size(1), size=len(student))
    p, q = probabilities(teacher, T), probabilities(student, T)
    soft = T * T * (p * np.log(p / q)).sum(-1).mean()
    hard = -np.log(probabilities(student, 1)[np.arange(len(labels)), labels]).mean()
    got = distillation_loss(student, teacher, torch.from_numpy(labels), alpha, T)
    assert got.item() == pytest.approx(alpha * soft + (1 - alpha) * hard, rel=1e-9, abs=1e-12)


def test_pytorchs_kl_div_gives_the_same_with_batchmean():
    student, teacher = logits(5, 4), logits(5, 4, seed=1)
    theirs = F.kl_div(
        (student / 3).log_softmax(-1), (teacher / 3).softmax(-1), reduction="batchmean"
    )
    assert_close(soft_loss(student, teacher, 3), 9 * theirs)


# --- gradients --------------------------------------------------------------------------------


@pytest.mark.parametrize("T", TEMPERATURES)
def test_gradient_of_the_soft_loss_is_T_times_q_minus_p_over_rows(T):
    student, teacher = logits(6, 5).requires_grad_(), logits(6, 5, seed=1)
    soft_loss(student, teacher, T).backward()
    by_hand = T * (soft_targets(student, T) - soft_targets(teacher, T)) / 6
    assert_close(student.grad, by_hand.detach())


@pytest.mark.parametrize("T", TEMPERATURES)
@pytest.mark.parametrize("loss", [forward_kl, reverse_kl, jensen_shannon, soft_loss])
def test_gradients_are_those_of_finite_differences(loss, T):
    student, teacher = logits(3, 4).requires_grad_(), logits(3, 4, seed=1)
    assert torch.autograd.gradcheck(lambda z: loss(z, teacher, temperature=T), student)


def test_gradients_of_the_mixture_with_masked_rows():
    student, teacher = logits(2, 3, 4).requires_grad_(), logits(2, 3, 4, seed=1)
    labels = torch.tensor([[1, IGNORE, 0], [3, 2, IGNORE]])
    assert torch.autograd.gradcheck(
        lambda z: distillation_loss(z, teacher, labels, 0.7, 2.0), student
    )
    distillation_loss(student, teacher, labels, 0.7, 2.0).backward()
    assert (student.grad[labels == IGNORE] == 0).all()


@pytest.mark.parametrize("loss", [forward_kl, reverse_kl, jensen_shannon])
def test_no_gradient_flows_into_the_teacher(loss):
    student, teacher = logits(3, 4).requires_grad_(), logits(3, 4, seed=1).requires_grad_()
    loss(student, teacher).sum().backward()
    assert student.grad is not None
    assert teacher.grad is None


# --- limits -----------------------------------------------------------------------------------


@given(PAIRS)
def test_at_T_1_it_is_cross_entropy_less_the_teachers_entropy(pair):
    student, teacher = pair
    p = probabilities(teacher, 1)
    cross = F.cross_entropy(student, soft_targets(teacher))
    entropy = -(p * np.log(p)).sum(-1).mean()
    assert soft_loss(student, teacher).item() == pytest.approx(cross.item() - entropy, abs=1e-9)


@pytest.mark.parametrize("T", [1e3, 1e4])
def test_at_a_high_T_it_is_half_the_mean_squared_difference_of_centred_logits(T):
    student, teacher = logits(6, 5).requires_grad_(), logits(6, 5, seed=1)
    apart = (student - student.mean(-1, keepdim=True)) - (teacher - teacher.mean(-1, keepdim=True))
    limit = 0.5 * apart.square().mean(-1).mean()  # the mean over 5 classes is the 1/K
    loss = soft_loss(student, teacher, T)
    assert loss.item() == pytest.approx(limit.item(), rel=20 / T)
    (gradient,) = torch.autograd.grad(loss, student)
    assert_close(gradient, (apart / 5 / 6).detach(), rtol=0, atol=5 / T)


def test_at_a_low_T_the_target_is_the_largest_class():
    assert_close(soft_targets(torch.tensor([1.0, 3.0, 2.0]), 0.01), torch.tensor([0.0, 1.0, 0.0]))


@given(PAIRS)
def test_jensen_shannon_tends_to_the_forward_and_to_the_reverse_kl(pair):
    forward, reverse = jensen_shannon(*pair, 1e-6) / 1e-6, jensen_shannon(*pair, 1 - 1e-6) / 1e-6
    assert_close(forward, forward_kl(*pair), rtol=1e-2, atol=1e-4)
    assert_close(reverse, reverse_kl(*pair), rtol=1e-2, atol=1e-4)


def test_a_certain_teacher_makes_the_soft_loss_the_hard_one():
    student, labels = logits(4, 3), torch.tensor([0, 2, 1, 1])
    certain = torch.full((4, 3), -math.inf, dtype=torch.float64)
    certain[torch.arange(4), labels] = 0.0
    assert_close(soft_loss(student, certain), hard_loss(student, labels))


# --- properties -------------------------------------------------------------------------------


@given(PAIRS, POSITIVE, st.floats(-50, 50))
def test_zero_exactly_when_the_logits_differ_by_a_constant(pair, T, shift):
    student, teacher = pair
    for loss in (forward_kl, reverse_kl, jensen_shannon):
        assert loss(teacher + shift, teacher, temperature=T).abs().max() < 1e-9
        assert (loss(student, teacher, temperature=T) > 0).all()


@given(PAIRS, POSITIVE)
def test_temperature_only_divides_both(pair, T):
    assert_close(forward_kl(*pair, T), forward_kl(pair[0] / T, pair[1] / T))


@given(PAIRS, st.floats(1, 5), st.floats(1.1, 4))
def test_a_higher_temperature_has_more_entropy(pair, T, factor):
    def entropy(p: torch.Tensor) -> torch.Tensor:
        return -(p * p.log()).sum(-1)

    cooler, hotter = soft_targets(pair[0], T), soft_targets(pair[0], T * factor)
    assert (entropy(hotter) > entropy(cooler) - 1e-12).all()


@given(PAIRS)
def test_the_half_jensen_shannon_is_symmetric_and_below_ln_2(pair):
    one_way, other_way = jensen_shannon(*pair), jensen_shannon(*reversed(pair))
    assert_close(one_way, other_way)
    assert (one_way <= math.log(2)).all()


# --- zeros, masks, precision ------------------------------------------------------------------


def test_a_distribution_with_zeros_can_teach():
    p = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    student = logits(2, 3).requires_grad_()
    soft_loss(student, p.log()).backward()
    assert_close(student.grad, ((student.softmax(-1) - p) / 2).detach())
    assert jensen_shannon(student, p.log()).isfinite().all()
    assert reverse_kl(student, p.log()).isinf().all()


def test_only_scored_rows_count():
    student, teacher = logits(2, 3, 4), logits(2, 3, 4, seed=1)
    labels = torch.tensor([[1, IGNORE, 0], [3, IGNORE, IGNORE]])
    scored = labels != IGNORE
    assert_close(
        soft_loss(student, teacher, 2, scored), soft_loss(student[scored], teacher[scored], 2)
    )
    assert_close(hard_loss(student, labels), F.cross_entropy(student[scored], labels[scored]))
    assert_close(
        distillation_loss(student, teacher, labels, 0.3, 2),
        distillation_loss(student[scored], teacher[scored], labels[scored], 0.3, 2),
    )


def test_a_mask_lets_unlabelled_rows_teach():
    student, teacher = logits(3, 4), logits(3, 4, seed=1)
    labels = torch.tensor([1, IGNORE, IGNORE])
    everything = torch.ones(3, dtype=torch.bool)
    loss = distillation_loss(student, teacher, labels, 0.5, 2, everything)
    hard = F.cross_entropy(student[:1], labels[:1])
    assert_close(loss, 0.5 * soft_loss(student, teacher, 2) + 0.5 * hard)


def test_nothing_scored_is_zero_with_zero_gradient():
    student = logits(2, 3).requires_grad_()
    labels = torch.tensor([IGNORE, IGNORE])
    loss = distillation_loss(student, logits(2, 3, seed=1), labels, 0.5, 2)
    assert loss.item() == 0
    loss.backward()
    assert (student.grad == 0).all()


def test_a_single_row_needs_no_batch():
    student, teacher, label = logits(4), logits(4, seed=1), torch.tensor(2)
    assert_close(
        distillation_loss(student, teacher, label, 0.5, 2),
        distillation_loss(student[None], teacher[None], label[None], 0.5, 2),
    )


def test_large_logits_and_bfloat16_stay_finite():
    student, teacher = torch.tensor([[1e4, -1e4, 0.0]]), torch.tensor([[-1e4, 1e4, 0.0]])
    assert soft_loss(student, teacher).item() == pytest.approx(2e4)
    student.requires_grad_()
    jensen_shannon(student, teacher).sum().backward()
    assert student.grad.isfinite().all()
    half = soft_loss(student.bfloat16(), teacher.bfloat16(), 2)
    assert half.dtype == torch.float32
    assert half.isfinite()


@pytest.mark.parametrize("T", [0, -1.0])
def test_a_temperature_must_be_positive(T):
    with pytest.raises(CourseError, match="above zero"):
        soft_targets(logits(2, 3), T)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_shares_are_from_0_to_1(share):
    with pytest.raises(CourseError, match="from 0 to 1"):
        distillation_loss(logits(1, 2), logits(1, 2), torch.tensor([0]), share, 1)
    with pytest.raises(CourseError, match="between 0 and 1"):
        jensen_shannon(logits(1, 2), logits(1, 2), share)
