"""The ladder's teacher and the student of chapter 12: shapes, recipe, and how both are measured.

The teacher is the best GPT of the ladder, trained on all plays that are not held out. The student
has two layers instead of four, five eighths of the width, and a fifth of the parameters; it is
trained with the teacher's own recipe. `learn` trains one; `measure` says how it does on the
validation plays, where it loses, and what it writes.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib import evaluation
from course_lib.data import corpora
from course_lib.distillation.diversity import (
    distinct_n,
    loss_by_rarity,
    rare_word_share,
    shared_n_grams,
    unigram_entropy,
    words_of,
)
from course_lib.distillation.losses import reverse_kl
from course_lib.distillation.recorded import train_by
from course_lib.distillation.sequence import WithProjection, divergence_by_place
from course_lib.distillation.writing import continue_texts
from course_lib.evaluation import Score, WindowedModel
from course_lib.evidence import clone_folder
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.training.batches import RandomWindows
from course_lib.training.history import History
from course_lib.training.network_recipes import GPT_QUICK
from course_lib.training.objectives import Objective, causal_lm_loss
from course_lib.training.optimizers import fastest_matmul_dtype

TEACHERS = {"shakespeare": "ladder_gpt", "shakespeare-full": "ladder_gpt_full"}
RARITY = (0, 5, 100)  # how often a word of validation stands in the training text
BLOCK = 500  # characters whose mean loss is one score, as in rungs.py
PROMPT = 32  # real characters before what a model writes

# The rates are the teacher's. Tried for 200 steps, with the loss on SAMPLE blocks of validation
# (Muon, AdamW): without a teacher 0.01 1e-2: 2.009; 0.02 1e-2: 2.041; 0.04 1e-2: 2.134;
# 0.01 2e-2: 2.003; 0.02 2e-2: 2.005. With soft targets, AdamW 1e-2, Muon 0.01, 0.02, 0.04: 1.904,
# 1.937, 2.019.
STUDENT = replace(
    GPT_QUICK,
    name="gpt-student",
    shape=partial(GPTConfig, context=256, n_layers=2, n_heads=4, d_model=80),
)


def load_teacher(text: str = "shakespeare-full") -> GPT:
    """The ladder's GPT that was trained on the corpus `text`, in evaluation mode."""
    return GPT.load(clone_folder() / "experiments" / TEACHERS[text]).float().eval()


def new_student(vocab_size: int, seed: int = 0) -> GPT:
    """An untrained student; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GPT(STUDENT.shape(vocab_size=vocab_size))


def learn(
    model: nn.Module,
    batches: Callable[[int, int], Any],
    objective: Objective = causal_lm_loss,
    *,
    steps: int,
    seed: int = 0,
    evaluate: Callable[[nn.Module], float] | None = None,
    every: int = 100,
    folder: Path | None = None,
) -> History:
    """Train a student (or a `WithProjection`) by the recipe, whatever it learns from.

    `folder` keeps a checkpoint for a run that is interrupted.
    """
    return train_by(
        STUDENT,
        model,
        batches,
        objective,
        steps=steps,
        evaluate=evaluate,
        every=every,
        seed=seed,
        checkpoint=None if folder is None else folder / "checkpoint.safetensors",
        bf16=fastest_matmul_dtype("cpu") == "bfloat16",
    )


def windows_of(
    tokens: Int[np.ndarray, " n"], seed: int = 0, batch_size: int = STUDENT.batch_size
) -> RandomWindows:
    """The batches of the recipe: windows of real text."""
    return RandomWindows(tokens, STUDENT.shape(vocab_size=1).context, batch_size, seed)


def student_of(model: nn.Module) -> GPT:
    """The student without the matrix that it may have been trained with."""
    return model.student if isinstance(model, WithProjection) else model


def score(model: GPT, text: str) -> Score:
    """What each character of the whole validation text costs: `val_loss` of the ladder."""
    corpus = corpora.load(text)
    tokens, validation = map(corpus.tokenizer.encode, (corpus.train, corpus.validation))
    scored = WindowedModel(model, model.config.context)
    return evaluation.evaluate(scored, tokens, validation, corpus.n_bytes("validation"))


def measure(student: GPT, teacher: GPT, text: str, *, n_texts: int = 64, seed: int = 0) -> dict:
    """All that a record keeps of a trained student, in what JSON can hold.

    Losses are nats per character of validation. `written` is about `n_texts` texts that the student
    went on with after real beginnings; `apart_real` and `apart_own` are the reverse KL from the
    teacher, by place, on the real texts and on those the student wrote.
    """
    corpus = corpora.load(text)
    validation = corpus.tokenizer.encode(corpus.validation)
    final = score(student, text)
    scored = WindowedModel(student, student.config.context)
    real, own = real_and_own(student, validation, n_texts, seed)
    return {
        "parameters": student.n_parameters(),
        "val_loss": final.loss,
        "val_loss_blocks": evaluation.evaluate_in_blocks(scored, validation),
        "bits_per_byte": final.bits_per_byte,
        "block_losses": [round(loss, 4) for loss in final.blocks(BLOCK).tolist()],
        "by_rarity": loss_by_rarity(corpus.validation, final.nats, known_words(text), RARITY),
        "written": lacks([corpus.tokenizer.decode(t.numpy()) for t in own[:, PROMPT:]], text),
        "apart_real": by_place(divergence_by_place(student, teacher, real, reverse_kl)),
        "apart_own": by_place(divergence_by_place(student, teacher, own, reverse_kl)),
        "teacher_on_real": by_place(nats_by_place(teacher, real)),
        "teacher_on_own": by_place(nats_by_place(teacher, own)),
    }


def real_and_own(
    student: GPT, tokens: Int[np.ndarray, " n"], n_texts: int, seed: int = 0
) -> tuple[Int[Tensor, "texts window"], Int[Tensor, "texts window"]]:
    """Windows of real text, and the same beginnings as the student goes on with them."""
    window = student.config.context + 1
    starts = np.linspace(0, len(tokens) - window, n_texts).astype(int)
    real = torch.from_numpy(tokens[starts[:, None] + np.arange(window)].astype(np.int64))
    written = continue_texts(student, real[:, :PROMPT], window - PROMPT, seed=seed)
    return real, torch.cat([real[:, :PROMPT], written], dim=1)


def nats_by_place(
    model: GPT, windows: Int[Tensor, "texts window"]
) -> Float[Tensor, "texts places"]:
    """What each next character of the windows costs the model."""
    with torch.no_grad():
        log_probs = model(windows[:, :-1]).log_softmax(-1)
    return -log_probs.gather(2, windows[:, 1:, None])[..., 0]


def by_place(values: Float[Tensor, "texts places"], width: int = 32) -> list[float]:
    """Means over the texts and over stretches of `width` places after the prompt."""
    after = values[:, PROMPT - 1 :].mean(0)
    return [round(float(part.mean()), 4) for part in after.split(width) if len(part) == width]


def lacks(texts: list[str], text: str) -> dict[str, float]:
    """How varied written texts are, and how many of their words the training text has."""
    words = [words_of(t) for t in texts]
    rare, unknown = rare_word_share([w for ws in words for w in ws], known_words(text))
    return {
        "distinct_words": distinct_n(words, 1),
        "distinct_pairs": distinct_n(words, 2),
        "shared_pairs": shared_n_grams(words, 2),
        "word_entropy": unigram_entropy(words),
        "rare_words": rare,
        "unknown_words": unknown,
    }


@cache
def known_words(text: str) -> Counter:
    """How often the training text of a corpus has each word."""
    return Counter(words_of(corpora.load(text).train))
