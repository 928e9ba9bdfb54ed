"""What a student is trained on: its teacher's probabilities, the labels, or a mixture of both.

Every function takes the student first and the teacher second, as logits whose last axis is the
classes (or the vocabulary) and whose other axes, if any, are rows: examples, or texts × tokens.
T (`temperature`) divides the logits of both before the softmax.

    loss = distillation_loss(student(x), teacher_logits, labels, alpha=0.9, temperature=4)

The teacher is a constant: no gradient flows into it. Its logits may be log-probabilities, −inf
among them, since softmax(log p) = p: so a known distribution can teach too. Losses are in nats and
means over the rows that are scored; with no such row they are zero.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib.errors import CourseError

IGNORE = -100  # the label of a row that is not scored, as F.cross_entropy has it


def soft_targets(
    logits: Float[Tensor, "*rows classes"], temperature: float | int = 1.0
) -> Float[Tensor, "*rows classes"]:
    """softmax(z / T): the probabilities, nearer to each other the larger T is.

    Raises CourseError when T is not above zero. Hinton et al. (2015), equation 1.
    """
    return _log_softmax(logits, temperature).exp()


# ---------------------------------------------------------------------------------------------
# How far the student is from its teacher, row by row
# ---------------------------------------------------------------------------------------------


def forward_kl(
    student_logits: Float[Tensor, "*rows classes"],
    teacher_logits: Float[Tensor, "*rows classes"],
    temperature: float | int = 1.0,
) -> Float[Tensor, "*rows"]:
    """KL(teacher ‖ student) = Σ_k p_k (log p_k − log q_k), p the teacher's at T, q the student's.

    Large where the teacher says a class is likely and the student does not, so a student that
    cannot be right everywhere covers all that the teacher may say.
    """
    log_q = _log_softmax(student_logits, temperature)
    log_p = _log_softmax(teacher_logits.detach(), temperature)
    return _kl(log_p, log_q)


def reverse_kl(
    student_logits: Float[Tensor, "*rows classes"],
    teacher_logits: Float[Tensor, "*rows classes"],
    temperature: float | int = 1.0,
) -> Float[Tensor, "*rows"]:
    """KL(student ‖ teacher) = Σ_k q_k (log q_k − log p_k): the other direction.

    Large where the student says what the teacher finds unlikely, so a small student keeps to some
    of what the teacher may say; infinite where the teacher's probability is zero.
    Gu et al. (2024), "MiniLLM", section 2.1.
    """
    log_q = _log_softmax(student_logits, temperature)
    log_p = _log_softmax(teacher_logits.detach(), temperature)
    return _kl(log_q, log_p)


def jensen_shannon(
    student_logits: Float[Tensor, "*rows classes"],
    teacher_logits: Float[Tensor, "*rows classes"],
    beta: float | int = 0.5,
    temperature: float | int = 1.0,
) -> Float[Tensor, "*rows"]:
    """β KL(p ‖ m) + (1 − β) KL(q ‖ m) with the mixture m = β p + (1 − β) q: always finite.

    Divided by β it tends to the forward KL as β → 0, divided by 1 − β to the reverse as β → 1.
    Raises CourseError unless 0 < β < 1. Agarwal et al. (2024), "On-Policy Distillation of Language
    Models".
    """
    if not 0 < beta < 1:
        raise CourseError(f"β is {beta}; the mixture needs both: give a number between 0 and 1")
    log_q = _log_softmax(student_logits, temperature)
    log_p = _log_softmax(teacher_logits.detach(), temperature)
    log_m = torch.logaddexp(math.log(beta) + log_p, math.log1p(-beta) + log_q)
    return beta * _kl(log_p, log_m) + (1 - beta) * _kl(log_q, log_m)


# ---------------------------------------------------------------------------------------------
# Losses: one number for all rows
# ---------------------------------------------------------------------------------------------


def soft_loss(
    student_logits: Float[Tensor, "*rows classes"],
    teacher_logits: Float[Tensor, "*rows classes"],
    temperature: float | int = 1.0,
    mask: Bool[Tensor, "*rows"] | None = None,
) -> Float[Tensor, ""]:
    """T² · KL(teacher at T ‖ student at T): the mean over rows, all or those where `mask` is True.

    The gradient by the student's logits is T (q − p) / rows. As T grows, q − p shrinks like 1/T:
    T² keeps the gradient's size. It tends to (z_S − z_T, both centred) / classes / rows, that of
    half the mean squared difference of the centred logits. Hinton et al. (2015), section 2.1.
    """
    nats = forward_kl(student_logits, teacher_logits, temperature)
    return temperature**2 * _mean(nats, mask)


def hard_loss(
    student_logits: Float[Tensor, "*rows classes"], labels: Int[Tensor, "*rows"]
) -> Float[Tensor, ""]:
    """Cross-entropy with the labels at T = 1, the mean over the rows whose label is not IGNORE."""
    z = student_logits.flatten(0, -2) if student_logits.dim() > 1 else student_logits[None]
    z = z.to(torch.promote_types(z.dtype, torch.float32))
    nats = F.cross_entropy(z, labels.flatten(), ignore_index=IGNORE, reduction="sum")
    return nats / (labels != IGNORE).sum().clamp(min=1)


def distillation_loss(
    student_logits: Float[Tensor, "*rows classes"],
    teacher_logits: Float[Tensor, "*rows classes"],
    labels: Int[Tensor, "*rows"],
    alpha: float | int,
    temperature: float | int,
    mask: Bool[Tensor, "*rows"] | None = None,
) -> Float[Tensor, ""]:
    """α · `soft_loss` at T + (1 − α) · `hard_loss`: α = 1 reads the teacher alone, 0 the labels.

    The soft term scores the rows where `mask` is True; without a mask those that have a label, so
    that padding teaches nothing. Where some examples are unlabelled, give a mask that has them in.

    Others put α on the *hard* term, or leave the hard term's weight at 1: read the formula before
    copying a number. Ours is Hinton et al. (2015), section 2, with weights that sum to one.
    """
    if not 0 <= alpha <= 1:
        raise CourseError(f"α is {alpha}; it is the soft term's share: give a number from 0 to 1")
    mask = labels != IGNORE if mask is None else mask
    soft = soft_loss(student_logits, teacher_logits, temperature, mask)
    return alpha * soft + (1 - alpha) * hard_loss(student_logits, labels)


# ---------------------------------------------------------------------------------------------


def _log_softmax(
    logits: Float[Tensor, "*rows classes"], temperature: float | int
) -> Float[Tensor, "*rows classes"]:
    """log softmax(z / T), in float32 at least."""
    if not temperature > 0:
        raise CourseError(f"the temperature is {temperature}; give a number above zero")
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return torch.log_softmax(logits.to(dtype) / temperature, dim=-1)


def _kl(
    log_p: Float[Tensor, "*rows classes"], log_q: Float[Tensor, "*rows classes"]
) -> Float[Tensor, "*rows"]:
    """Σ_k p_k (log p_k − log q_k), where a class of probability p_k = 0 adds nothing."""
    p = log_p.exp()
    return (p * (log_p - log_q).masked_fill(p == 0, 0.0)).sum(-1)


def _mean(nats: Float[Tensor, "*rows"], mask: Bool[Tensor, "*rows"] | None) -> Float[Tensor, ""]:
    """The mean of the rows that the mask lets through; zero when it lets none."""
    if mask is None:
        return nats.sum() / max(1, nats.numel())
    return nats.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)
