"""Distilling a language model token by token: what `train` makes small, its teacher beside it.

Each function here makes an objective for `course_lib.training.train`. A batch is windows of text,
or a pair (windows, scored): `scored` is True where a window's next token counts, so that a prompt
can stand before what is learned from. The teacher reads the same windows, in evaluation mode and
without gradients; nothing about the text is stored.

    train(student, windows, optimizers, objective=from_teacher(teacher))

`top_k` keeps what one would store of a teacher whose vocabulary is large; `divergence_by_place`
measures how far two models are from each other after each place of a text.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_lib.distillation.losses import forward_kl
from course_lib.errors import CourseError
from course_lib.models.gpt import GPT
from course_lib.training.objectives import Objective, evaluating

Number = float | int
Windows = Int[Tensor, "batch window"]
Scored = Bool[Tensor, "batch places"]  # places = window - 1: one for each target
Batch = Windows | tuple[Windows, Scored]
# (student's logits, teacher's logits, temperature) → nats of each row: one of losses.py
Divergence = Callable[[Tensor, Tensor, Number], Tensor]


def teacher_logits(
    teacher: GPT, tokens: Int[Tensor, "batch tokens"]
) -> Float[Tensor, "batch tokens vocab"]:
    """What the teacher says comes after each token: evaluation mode, no gradient."""
    with evaluating(teacher):
        return teacher(tokens)


def next_token_loss(model: nn.Module, batch: Batch) -> tuple[Float[Tensor, ""], int]:
    """`causal_lm_loss` that scores only what a batch says is scored: learning from a text.

    Sequence-level distillation is this objective on texts that the teacher wrote (writing.py).
    Kim & Rush (2016), "Sequence-Level Knowledge Distillation", section 3.2.
    """
    inputs, targets, scored = parts_of(batch)
    return _nats_of(model(inputs), targets)[scored].sum(), int(scored.sum())


def from_teacher(
    teacher: GPT,
    divergence: Divergence = forward_kl,
    *,
    alpha: Number = 1.0,
    temperature: Number = 1.0,
    k: int | None = None,
) -> Objective:
    """α T² · divergence from the teacher + (1 − α) · nats of the next token, for each place.

    The forward KL on real text is "word-level" distillation (Kim & Rush 2016, section 3.1). With
    `k` only the teacher's k likeliest tokens at each place are learned from, and the tail's sum
    (`top_k_kl`; the divergence is then the forward KL).

    Raises CourseError when α is not from 0 to 1 or the two models do not share a vocabulary.
    """
    if not 0 <= alpha <= 1:
        raise CourseError(f"α is {alpha}; it is the teacher's share: give a number from 0 to 1")

    def objective(student: nn.Module, batch: Batch) -> tuple[Float[Tensor, ""], int]:
        inputs, targets, scored = parts_of(batch)
        z_student, z_teacher = student(inputs), teacher_logits(teacher, inputs)
        _same_vocabulary(z_student, z_teacher)
        if k is None:
            soft = divergence(z_student, z_teacher, temperature)
        else:
            soft = top_k_kl(z_student, *top_k(z_teacher, k, temperature), temperature=temperature)
        loss = soft_and_hard(temperature**2 * soft, z_student, targets, alpha)
        return loss[scored].sum(), int(scored.sum())

    return objective


def soft_and_hard(
    soft: Float[Tensor, "batch places"],
    logits: Float[Tensor, "batch places vocab"],
    targets: Int[Tensor, "batch places"],
    alpha: Number,
) -> Float[Tensor, "batch places"]:
    """α · soft + (1 − α) · nats of the next token, for each place; with α = 1 no text is needed."""
    if alpha == 1:
        return soft
    return alpha * soft + (1 - alpha) * _nats_of(logits, targets)


# ---------------------------------------------------------------------------------------------
# The teacher's hidden states
# ---------------------------------------------------------------------------------------------


class WithProjection(nn.Module):
    """A student, and the matrix that carries its hidden states into its teacher's space.

    The matrix is trained with the student and thrown away after it: `model.student` is what stays.
    Jiao et al. (2020), "TinyBERT", equation 8, has one for every layer that is matched.
    """

    def __init__(self, student: GPT, d_teacher: int) -> None:
        super().__init__()
        self.student = student
        self.projection = nn.Linear(student.config.d_model, d_teacher, bias=False)

    def forward(
        self, tokens: Int[Tensor, "batch tokens"]
    ) -> tuple[Float[Tensor, "batch tokens vocab"], Float[Tensor, "batch tokens d_teacher"]]:
        """The student's logits, and its last hidden states in the teacher's space."""
        states = self.student.states(tokens)
        return self.student.head(states), self.projection(states)


def from_teacher_and_its_states(
    teacher: GPT, *, weight: Number = 1.0, alpha: Number = 1.0, temperature: Number = 1.0
) -> Objective:
    """`from_teacher` with the forward KL, plus `weight` · `relative_error` of the hidden states.

    The states are those that the heads read. The model in training is a `WithProjection`.
    """

    def objective(model: nn.Module, batch: Batch) -> tuple[Float[Tensor, ""], int]:
        inputs, targets, scored = parts_of(batch)
        z_student, projected = model(inputs)
        with evaluating(teacher):
            states = teacher.states(inputs)
            z_teacher = teacher.head(states)
        _same_vocabulary(z_student, z_teacher)
        soft = temperature**2 * forward_kl(z_student, z_teacher, temperature)
        loss = soft_and_hard(soft, z_student, targets, alpha)
        loss = loss + weight * relative_error(projected, states)
        return loss[scored].sum(), int(scored.sum())

    return objective


def relative_error(
    ours: Float[Tensor, "*rows d"], theirs: Float[Tensor, "*rows d"]
) -> Float[Tensor, "*rows"]:
    """‖ours − theirs‖² / ‖theirs‖² of each row: 0 for equal vectors, 1 for a zero of ours."""
    theirs = theirs.detach().float()
    squares = theirs.square().sum(-1).clamp(min=1e-12)
    return (ours.float() - theirs).square().sum(-1) / squares


# ---------------------------------------------------------------------------------------------
# What is kept of a teacher: the k likeliest tokens
# ---------------------------------------------------------------------------------------------


def top_k(
    logits: Float[Tensor, "*rows vocab"], k: int, temperature: Number = 1.0
) -> tuple[Float[Tensor, "*rows k"], Int[Tensor, "*rows k"]]:
    """The log-probabilities of the teacher's k likeliest tokens, and which tokens they are.

    They are those of the whole distribution at `temperature`: their sum is less than one by the
    tail. Raises CourseError when the vocabulary has fewer than k tokens.
    """
    if not 1 <= k <= logits.size(-1):
        raise CourseError(f"the vocabulary has {logits.size(-1)} tokens; {k} cannot be kept")
    kept = (logits.float() / temperature).log_softmax(-1).topk(k, dim=-1)
    return kept.values, kept.indices


def top_k_kl(
    student_logits: Float[Tensor, "*rows vocab"],
    log_probs: Float[Tensor, "*rows k"],
    tokens: Int[Tensor, "*rows k"],
    *,
    temperature: Number = 1.0,
    tail: bool = True,
) -> Float[Tensor, "*rows"]:
    """KL(teacher ‖ student) where of the teacher only the k likeliest tokens are known.

    With the `tail` all other tokens are one more outcome, whose probability is what is left:
    Σ_k p log(p / q) + p_rest log(p_rest / q_rest), at most the full KL. Without it the k
    probabilities are scaled up to sum to one, and the student is taught that nothing else ever
    comes.
    """
    log_q = (student_logits.float() / temperature).log_softmax(-1)
    log_q_kept = log_q.gather(-1, tokens)
    log_p = log_probs.detach().float()
    if not tail:
        log_p = log_p - log_p.logsumexp(-1, keepdim=True)
    nats = (log_p.exp() * (log_p - log_q_kept)).sum(-1)
    if not tail or tokens.size(-1) == student_logits.size(-1):
        return nats
    p_rest = 1 - log_p.exp().sum(-1)
    known = torch.zeros_like(log_q, dtype=torch.bool).scatter(-1, tokens, True)
    log_q_rest = log_q.masked_fill(known, -torch.inf).logsumexp(-1)
    smallest = torch.finfo(p_rest.dtype).eps  # where the k are all there is, up to rounding
    p_rest = p_rest.clamp(min=smallest)
    return nats + p_rest * (p_rest.log() - log_q_rest)


# ---------------------------------------------------------------------------------------------
# How far two models are apart, along a text
# ---------------------------------------------------------------------------------------------


@torch.no_grad()
def divergence_by_place(
    student: GPT, teacher: GPT, windows: Windows, divergence: Divergence = forward_kl
) -> Float[Tensor, "batch places"]:
    """The divergence of the two next-token distributions after each place of each window."""
    inputs = windows[:, :-1]
    with evaluating(student):
        return divergence(student(inputs), teacher_logits(teacher, inputs), 1.0)


# ---------------------------------------------------------------------------------------------


def parts_of(batch: Batch) -> tuple[Int[Tensor, "b n"], Int[Tensor, "b n"], Bool[Tensor, "b n"]]:
    """Inputs, targets, and which targets are scored (all, where the batch does not say)."""
    windows, scored = batch if isinstance(batch, tuple | list) else (batch, None)
    inputs, targets = windows[:, :-1], windows[:, 1:]
    return inputs, targets, torch.ones_like(targets, dtype=torch.bool) if scored is None else scored


def _nats_of(
    logits: Float[Tensor, "batch tokens vocab"], targets: Int[Tensor, "batch tokens"]
) -> Float[Tensor, "batch tokens"]:
    return F.cross_entropy(logits.float().mT, targets, reduction="none")


def _same_vocabulary(student: Tensor, teacher: Tensor) -> None:
    if student.size(-1) != teacher.size(-1):
        raise CourseError(
            f"the student has {student.size(-1)} tokens and its teacher {teacher.size(-1)}; "
            "probabilities can be compared token by token only under one tokenizer"
        )
