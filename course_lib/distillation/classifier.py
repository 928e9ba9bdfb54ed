"""Distil a classifier: one student, one teacher whose outputs are known, one way to teach.

    outputs = teacher_outputs(teacher, examples)
    student, histories = distil(
        copied_student(bert, (0, 2, 4)), TaughtExamples(examples, outputs), TEACHING["soft"],
        steps=300)

`Teaching` says what is made small: labels, the teacher's probabilities, what is inside the teacher
(matching.py), in which proportions. `TEACHING` has one of each family. "hard" reads no teacher: it
is the same training without one, so that a difference is due to the teacher alone. Examples
without a label (`IGNORE`) are read for what the teacher says of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.distillation.losses import IGNORE, distillation_loss, hard_loss
from course_lib.distillation.matching import (
    CosineMatching,
    Matching,
    MiniLMMatching,
    PatientMatching,
    TinyBERTMatching,
    View,
    last_map,
    skip_map,
)
from course_lib.distillation.teachers import TeacherOutputs, logits_and_states
from course_lib.errors import CourseError
from course_lib.models.bert import BertConfig
from course_lib.models.bert_heads import BertForSequenceClassification
from course_lib.tokenization.encoder_inputs import EncoderInputs
from course_lib.training.fine_tuning import (
    Examples,
    Recipe,
    ShuffledExamples,
    fused_adamw,
    parameter_groups,
    set_dropout,
)
from course_lib.training.history import History
from course_lib.training.loop import train
from course_lib.training.schedules import cosine

# ---------------------------------------------------------------------------------------------
# How to teach
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Teaching:
    """What the student makes small: α · soft + (1 − α) · hard + weight · matching."""

    alpha: float | int = 0.5  # share of the soft term (distillation/losses.py); 0: labels alone
    temperature: float | int = 2.0
    # What of the inside is compared, from the two models' configs; None: nothing.
    matching: Callable[[BertConfig, BertConfig], Matching] | None = None
    weight: float | int = 1.0  # of the matching term
    inside_first: float | int = 0.0  # share of the steps, at the start, for the matching term alone


def patient(layer_map: Callable[[int, int], tuple[int, ...]]) -> Callable[..., Matching]:
    """BERT-PKD with `skip_map` or `last_map`."""
    return lambda s, t: PatientMatching(s, t, layer_map(s.n_layers, t.n_layers))


TEACHING = {
    "hard": Teaching(alpha=0.0),
    "soft": Teaching(),
    "DistilBERT": Teaching(matching=CosineMatching),
    "PKD-skip": Teaching(matching=patient(skip_map)),
    "PKD-last": Teaching(matching=patient(last_map)),
    # Jiao et al. (2020), section 3.2: first the inside, then the predictions.
    "TinyBERT": Teaching(matching=TinyBERTMatching, inside_first=0.5, weight=0.0),
    "MiniLM": Teaching(matching=MiniLMMatching),
}

# ---------------------------------------------------------------------------------------------
# What is read
# ---------------------------------------------------------------------------------------------


class TaughtBatch(NamedTuple):
    """A batch with what the teacher says of it."""

    inputs: EncoderInputs
    labels: Int[Tensor, " batch"]  # IGNORE where there is none
    teacher_logits: Float[Tensor, "batch classes"]
    teacher_states: dict[int, Float[Tensor, "batch tokens d_model"]]


@dataclass(frozen=True)
class TaughtExamples:
    """Examples, whose labels may be IGNORE, and what their teacher says of them."""

    examples: Examples
    outputs: TeacherOutputs

    def __post_init__(self) -> None:
        if len(self.examples) != len(self.outputs.logits):
            raise CourseError(
                f"{len(self.examples)} examples and outputs for {len(self.outputs.logits)}; ask "
                "the teacher about these examples"
            )

    def batch(self, places: Sequence[int] | Int[np.ndarray, " m"]) -> TaughtBatch:
        """The inputs, labels and teacher's outputs of the examples at these places."""
        inputs, labels = self.examples.batch(places)
        logits = torch.from_numpy(self.outputs.logits[list(places)])
        return TaughtBatch(inputs, labels, logits, self.outputs.batch_states(places))

    def shuffled(self, batch_size: int, seed: int) -> Callable[[int, int], TaughtBatch]:
        """Batches for training, in the order of `ShuffledExamples`."""
        e = self.examples
        numbered = Examples(e.tokens, np.arange(len(e)), e.special)  # "labels" that say which
        batches = ShuffledExamples(numbered, batch_size, seed)

        def batch(step: int, share: int = 0) -> TaughtBatch:
            return self.batch(batches(step, share)[1].numpy())

        return batch


def joined(first: Examples, then: Examples, labelled: bool = True) -> Examples:
    """The examples of both, the second ones without labels if `labelled` is False."""
    labels = then.labels if labelled else np.full(len(then), IGNORE)
    return Examples(
        (*first.tokens, *then.tokens), np.concatenate([first.labels, labels]), first.special
    )


# ---------------------------------------------------------------------------------------------
# Teaching
# ---------------------------------------------------------------------------------------------


class Pupil(nn.Module):
    """The student while it learns: with the projections that only matching needs."""

    def __init__(
        self, student: BertForSequenceClassification, matching: Matching | None = None
    ) -> None:
        super().__init__()
        self.student, self.matching = student, matching


def teaching_loss(
    pupil: Pupil,
    batch: TaughtBatch,
    teaching: Teaching,
    teacher: BertForSequenceClassification | None = None,
    inside_only: bool = False,
) -> tuple[Float[Tensor, ""], int]:
    """What `train` makes small: the loss times the texts of the batch, and their number.

    `teacher` is needed for its projections of queries, keys and values, where attention is
    matched.
    """
    n, student = len(batch.labels), pupil.student
    logits, states = logits_and_states(student, batch.inputs)
    loss = logits.new_zeros(())
    if not inside_only:
        if teaching.alpha:
            every = torch.ones(n, dtype=torch.bool, device=logits.device)
            loss = distillation_loss(
                logits,
                batch.teacher_logits,
                batch.labels,
                float(teaching.alpha),
                float(teaching.temperature),
                every,
            )
        else:
            loss = hard_loss(logits, batch.labels)
    weight = 1.0 if inside_only else teaching.weight
    if pupil.matching is not None and weight:
        mask = batch.inputs.attention_mask
        known = View(teacher.bert, batch.teacher_states, mask)
        own = View(student.bert, dict(enumerate(states)), mask)
        loss = loss + weight * pupil.matching(own, known)
    return loss.float() * n, n


def distil(
    student: BertForSequenceClassification,
    examples: TaughtExamples,
    teaching: Teaching,
    teacher: BertForSequenceClassification | None = None,
    *,
    steps: int,
    recipe: Recipe | None = None,
    dropout: float | int = 0.1,
    seed: int = 0,
    bf16: bool = False,
) -> tuple[BertForSequenceClassification, list[History]]:
    """The student, trained in place and returned in evaluation mode, and how its stages went.

    `examples` carry the outputs of the teacher with the layers that the matching needs; `teacher`
    itself is needed only where attention is matched. The student keeps the weights of its last
    step. Attention has no dropout: its fast kernel has none.
    """
    recipe = recipe or Recipe(lr=1e-4)
    matching = None
    if teaching.matching is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            matching = teaching.matching(student.bert.config, teacher.bert.config)
    if teacher is not None:
        teacher.eval().requires_grad_(False)
    set_dropout(student, dropout)
    for block in student.bert.blocks:
        block.attention.dropout = 0.0
    pupil = Pupil(student, matching)
    batches = examples.shuffled(recipe.batch_size, seed)
    inside = round(teaching.inside_first * steps)
    histories, done = [], 0
    for stage_steps, inside_only in ((inside, True), (steps - inside, False)):
        if not stage_steps:
            continue
        groups = parameter_groups(student.bert, student.classifier, recipe)
        if matching is not None and (projections := list(matching.parameters())):
            groups.append({"params": projections, "lr": recipe.head_lr, "weight_decay": 0.0})
        history = train(
            pupil,
            lambda step, share, done=done: batches(done + step, share),
            fused_adamw(groups),
            objective=partial(
                teaching_loss, teaching=teaching, teacher=teacher, inside_only=inside_only
            ),
            schedule=partial(cosine, warmup=recipe.warmup),
            steps=stage_steps,
            seed=seed,
            bf16=bf16,
        )
        histories.append(history)
        done += stage_steps
    return student.eval(), histories


def layers_needed(teaching: Teaching, student: BertConfig, teacher: BertConfig) -> tuple[int, ...]:
    """The teacher's states to be kept for this way of teaching."""
    return () if teaching.matching is None else teaching.matching(student, teacher).teacher_layers


def without_layers(outputs: TeacherOutputs, layers: Sequence[int]) -> TeacherOutputs:
    """Outputs with the states of these layers alone, so that batches carry no others."""
    return replace(outputs, states={i: outputs.states[i] for i in layers})
