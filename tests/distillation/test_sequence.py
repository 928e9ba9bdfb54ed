"""Distilling token by token: objectives against NumPy, gradients, the k likeliest."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from course_lib.distillation.losses import distillation_loss, forward_kl, reverse_kl
from course_lib.distillation.sequence import (
    WithProjection,
    divergence_by_place,
    from_teacher,
    from_teacher_and_its_states,
    next_token_loss,
    relative_error,
    teacher_logits,
    top_k,
    top_k_kl,
)
from course_lib.distillation.writing import scored_after
from course_lib.errors import CourseError
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.training.loop import train
from course_lib.training.objectives import causal_lm_loss
from course_lib.training.optimizers import adamw

V = 7


def small(seed: int, d_model: int = 8, vocab: int = V) -> GPT:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = {"n_layers": 1, "n_heads": 2, "init_std": 0.5, "zero_init": False}
        return GPT(GPTConfig(vocab, 12, d_model=d_model, **shape))


@pytest.fixture
def student():
    return small(0)


@pytest.fixture
def teacher():
    return small(1, d_model=12).eval()


@pytest.fixture
def windows():
    return torch.randint(0, V, (3, 9), generator=torch.Generator().manual_seed(0))


class Says(torch.nn.Module):
    """A student that says the same logits whatever it reads."""

    def __init__(self, z):
        super().__init__()
        self.z = torch.nn.Parameter(z)

    def forward(self, tokens):
        return self.z


def softmax(z: torch.Tensor, T: float | int = 1) -> np.ndarray:
    e = np.exp(z.detach().double().numpy() / T)
    return e / e.sum(-1, keepdims=True)


def test_without_a_teacher_it_is_the_loss_of_chapter_07(student, windows):
    ours, theirs = next_token_loss(student, windows), causal_lm_loss(student, windows)
    assert_close(ours[0], theirs[0])
    assert ours[1] == theirs[1] == windows[:, 1:].numel()
    alone, _ = from_teacher(small(2), alpha=0)(student, windows)
    assert_close(alone, theirs[0])


def test_a_prompt_is_read_and_not_scored(student, windows):
    loss, count = next_token_loss(student, (windows, scored_after(4, windows)))
    z = student(windows[:, :-1])
    by_hand = -sum(
        z[b, t].log_softmax(-1)[windows[b, t + 1]] for b in range(3) for t in range(8) if t >= 3
    )
    assert count == 3 * 5
    assert_close(loss, by_hand)


@pytest.mark.parametrize("T", [1, 2.5])
def test_soft_targets_over_a_sequence_are_the_sum_p_log_p_over_q(student, teacher, windows, T):
    scored = scored_after(3, windows)
    loss, count = from_teacher(teacher, temperature=T)(student, (windows, scored))
    p, q = (softmax(m(windows[:, :-1]), T) for m in (teacher, student))
    by_hand = T * T * (p * np.log(p / q)).sum(-1)[scored.numpy()].sum()
    assert count == scored.sum()
    assert loss.item() == pytest.approx(by_hand, rel=1e-4)


def test_a_mixture_is_that_of_chapter_10(student, teacher, windows):
    loss, count = from_teacher(teacher, alpha=0.3, temperature=2.0)(student, windows)
    inputs, targets = windows[:, :-1], windows[:, 1:]
    theirs = distillation_loss(student(inputs), teacher(inputs), targets, 0.3, 2.0)
    assert_close(loss / count, theirs)


def test_no_gradient_reaches_the_teacher_and_its_mode_comes_back(student, teacher, windows):
    teacher.train()
    for objective in (from_teacher(teacher), from_teacher(teacher, reverse_kl)):
        objective(student, windows)[0].backward()
    assert teacher.training
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad is not None for p in student.parameters())
    assert not teacher_logits(teacher, windows).requires_grad


def test_the_gradient_by_a_logit_is_q_minus_p(teacher, windows):
    z = torch.randn(3, 8, V, generator=torch.Generator().manual_seed(3))
    says = Says(z)
    from_teacher(teacher)(says, windows)[0].backward()
    p, q = softmax(teacher(windows[:, :-1])), softmax(z)
    np.testing.assert_allclose(says.z.grad.numpy(), q - p, atol=1e-5)


def test_as_T_grows_the_gradient_tends_to_the_difference_of_centred_logits(teacher, windows):
    z = torch.randn(3, 8, V, generator=torch.Generator().manual_seed(3))
    says = Says(z)
    from_teacher(teacher, temperature=1000.0)(says, windows)[0].backward()
    theirs = teacher(windows[:, :-1]).detach()
    gap = (z - z.mean(-1, keepdim=True)) - (theirs - theirs.mean(-1, keepdim=True))
    assert_close(says.z.grad, gap.detach() / V, atol=5e-3, rtol=0)


def test_a_student_with_its_teachers_weights_has_nothing_to_learn(teacher, windows):
    for objective in (from_teacher(teacher), from_teacher(teacher, reverse_kl)):
        assert abs(objective(teacher, windows)[0].item()) < 1e-4


def test_alpha_and_vocabularies_are_checked(student, windows):
    with pytest.raises(CourseError, match="α is 2"):
        from_teacher(student, alpha=2)
    with pytest.raises(CourseError, match="tokenizer"):
        from_teacher(small(1, vocab=V + 1))(student, windows)


def test_a_student_comes_nearer_to_its_teacher_under_train(student, teacher, windows):
    before = divergence_by_place(student, teacher, windows).mean()
    train(
        student, lambda *_: windows, adamw(student, 1e-2), objective=from_teacher(teacher), steps=30
    )
    assert divergence_by_place(student, teacher, windows).mean() < 0.5 * before


# --- the k likeliest ---------------------------------------------------------------------------


def rows(seed: int) -> torch.Tensor:
    return 2 * torch.randn(4, 5, V, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("k", [1, 3, 6])
def test_top_k_with_its_tail_is_the_kl_of_k_plus_one_outcomes(k):
    z_s, z_t = rows(0), rows(1)
    ours = top_k_kl(z_s, *top_k(z_t, k))
    p, q = softmax(z_t), softmax(z_s)
    for place in np.ndindex(4, 5):
        order = np.argsort(-p[place])
        groups = [[i] for i in order[:k]] + [order[k:]]
        by_hand = sum(
            p[place][g].sum() * math.log(p[place][g].sum() / q[place][g].sum()) for g in groups
        )
        assert ours[place].item() == pytest.approx(by_hand, rel=1e-4, abs=1e-5)


def test_top_k_never_asks_more_than_all_logits_and_all_k_ask_the_same():
    z_s, z_t = rows(0), rows(1)
    full = forward_kl(z_s, z_t)
    for k in range(1, V):
        assert (top_k_kl(z_s, *top_k(z_t, k)) <= full + 1e-5).all()
    for tail in (True, False):
        assert_close(top_k_kl(z_s, *top_k(z_t, V), tail=tail), full, atol=1e-5, rtol=0)


def test_without_its_tail_the_k_probabilities_are_scaled_up():
    z_s, z_t = rows(0), rows(1)
    ours = top_k_kl(z_s, *top_k(z_t, 2), tail=False)
    p, q = softmax(z_t), softmax(z_s)
    for place in np.ndindex(4, 5):
        best = np.argsort(-p[place])[:2]
        scaled = p[place][best] / p[place][best].sum()
        by_hand = (scaled * np.log(scaled / q[place][best])).sum()
        assert ours[place].item() == pytest.approx(by_hand, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("tail", [True, False])
def test_the_gradient_of_top_k_is_right(tail):
    z_s, z_t = rows(0)[:1, :2].requires_grad_(), rows(1)[:1, :2]
    best = top_k(z_t, 3)
    top_k_kl(z_s, *best, tail=tail).sum().backward()
    for place in np.ndindex(2, V):
        step = torch.zeros_like(z_s)
        step[(0, *place)] = 1e-2
        up, down = (top_k_kl(z_s.detach() + s, *best, tail=tail).sum() for s in (step, -step))
        assert z_s.grad[(0, *place)].item() == pytest.approx((up - down).item() / 2e-2, abs=2e-3)


def test_a_certain_teacher_has_no_tail_and_gives_finite_gradients():
    z_t = torch.tensor([[60.0, 0, 0, 0]])
    z_s = torch.zeros(1, 4, requires_grad=True)
    loss = top_k_kl(z_s, *top_k(z_t, 2))
    loss.sum().backward()
    assert loss.item() == pytest.approx(math.log(4), abs=1e-4)
    assert torch.isfinite(z_s.grad).all()


def test_top_k_in_training_takes_the_temperature(student, teacher, windows):
    full = from_teacher(teacher, temperature=2.0)(student, windows)
    most = from_teacher(teacher, temperature=2.0, k=V)(student, windows)
    assert_close(full[0], most[0], rtol=1e-4, atol=1e-5)
    with pytest.raises(CourseError, match="cannot be kept"):
        from_teacher(teacher, k=V + 1)(student, windows)


# --- hidden states -----------------------------------------------------------------------------


def test_the_relative_error_by_hand():
    ours, theirs = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    assert relative_error(ours, theirs).tolist() == pytest.approx([4.0, 1.0])


def test_the_gradient_of_the_relative_error_points_at_the_teacher_and_stays_out_of_it():
    ours, theirs = torch.randn(2, 3, 5, requires_grad=True), torch.randn(2, 3, 5)
    theirs.requires_grad_()
    relative_error(ours, theirs).sum().backward()
    squares = theirs.detach().square().sum(-1, keepdim=True)
    torch.testing.assert_close(ours.grad, 2 * (ours - theirs).detach() / squares)
    assert theirs.grad is None


def test_soft_and_hidden_is_the_sum_of_both(student, teacher, windows):
    model = WithProjection(student, 12)
    scored = scored_after(5, windows)
    loss, count = from_teacher_and_its_states(teacher, weight=0.7, alpha=0.6)(
        model, (windows, scored)
    )
    inputs, targets = windows[:, :-1], windows[:, 1:]
    soft, _ = from_teacher(teacher, alpha=0.6)(student, (windows, scored))
    projected = student.states(inputs) @ model.projection.weight.T
    theirs = teacher.states(inputs)
    apart = ((projected - theirs) ** 2).sum(-1) / (theirs**2).sum(-1)
    assert count == scored.sum()
    assert_close(loss, soft + 0.7 * apart[scored].sum(), rtol=1e-4, atol=1e-4)
    loss.backward()
    assert model.projection.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in teacher.parameters())
    assert_close(model(inputs)[0], student(inputs))
    assert F.cross_entropy(model(inputs)[0].mT, targets).isfinite()


def test_divergence_by_place_has_one_number_a_target(student, teacher, windows):
    apart = divergence_by_place(student, teacher, windows, reverse_kl)
    assert apart.shape == (3, 8)
    q, p = softmax(student(windows[:, :-1])), softmax(teacher(windows[:, :-1]))
    np.testing.assert_allclose(apart.numpy(), (q * np.log(q / p)).sum(-1), atol=1e-4)
