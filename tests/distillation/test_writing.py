"""Texts that models write: drawn from what the model believes, and put where they belong."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from course_lib.distillation.losses import reverse_kl
from course_lib.distillation.sequence import from_teacher
from course_lib.distillation.writing import (
    OnPolicy,
    WrittenTexts,
    continue_texts,
    scored_after,
    teachers_texts,
)
from course_lib.errors import CourseError
from course_lib.generation import generate
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.training.batches import RandomWindows
from course_lib.training.loop import train
from course_lib.training.optimizers import adamw

V, CONTEXT = 5, 8
TEXT = np.random.default_rng(0).integers(V, size=200)


def small(seed: int = 0) -> GPT:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = {"n_layers": 1, "n_heads": 2, "d_model": 8, "init_std": 0.5, "zero_init": False}
        return GPT(GPTConfig(V, CONTEXT, **shape)).eval()


def test_at_temperature_zero_each_text_is_written_as_if_alone():
    model, prompts = small(), torch.tensor([[1, 2, 3], [4, 0, 1]])
    together = continue_texts(model, prompts, 6, temperature=0)
    for prompt, text in zip(prompts, together, strict=True):
        alone = generate(model, prompt, 6, temperature=0)
        assert text.tolist() == alone.tolist()


def test_what_is_drawn_has_the_models_frequencies():
    model = small()
    prompts = torch.tensor([[1, 2]]).repeat(6000, 1)
    for T in (1.0, 0.5):
        drawn = continue_texts(model, prompts, 2, temperature=T, seed=1)
        with torch.no_grad():
            first = (model(prompts[:1])[0, -1] / T).softmax(-1)
            after = (model(torch.tensor([[1, 2, 3]]))[0, -1] / T).softmax(-1)
        assert_close(torch.bincount(drawn[:, 0], minlength=V) / 6000, first, atol=0.025, rtol=0)
        second = drawn[drawn[:, 0] == 3, 1]
        frequency = torch.bincount(second, minlength=V) / len(second)
        assert_close(frequency, after, atol=0.08, rtol=0)


def test_the_same_seed_writes_the_same_and_the_context_is_a_limit():
    model, prompts = small(), torch.tensor([[1, 2]])
    write = partial(continue_texts, model, prompts, CONTEXT - 1)
    assert write(seed=3).tolist() == write(seed=3).tolist()
    assert any(write(seed=3).tolist() != write(seed=s).tolist() for s in range(4, 8))
    with pytest.raises(CourseError, match="context of 8"):
        continue_texts(model, prompts, CONTEXT)
    with pytest.raises(CourseError, match="one of each"):
        continue_texts(model, prompts, 0)


def test_scored_are_the_targets_after_the_prompt():
    windows = torch.zeros(2, 6, dtype=torch.long)
    assert scored_after(1, windows).all()
    assert scored_after(4, windows)[0].tolist() == [False] * 3 + [True] * 2


def test_the_teachers_texts_begin_with_real_ones():
    windows = teachers_texts(small(), TEXT, 9, prompt=4, length=5, together=4, seed=2)
    assert windows.shape == (9, 9)
    real = {tuple(TEXT[i : i + 4]) for i in range(len(TEXT))}
    assert {tuple(w[:4].tolist()) for w in windows} <= real
    again = teachers_texts(small(), TEXT, 9, prompt=4, length=5, together=4, seed=2)
    assert again.tolist() == windows.tolist()


def test_written_texts_are_batches_with_their_prompts_unscored():
    windows = torch.arange(30).reshape(5, 6)
    batches = WrittenTexts(windows, prompt=2, batch_size=3, seed=1)
    batch, scored = batches(7)
    assert batch.shape == (3, 6)
    assert {tuple(row) for row in batch.tolist()} <= {tuple(row) for row in windows.tolist()}
    assert scored[:, 0].tolist() == [False] * 3
    assert scored[:, 1:].all()
    assert batches(7)[0].tolist() == batch.tolist()
    assert any(batches(s)[0].tolist() != batch.tolist() for s in range(8, 12))


# --- on policy ---------------------------------------------------------------------------------


def on_policy(student: GPT, **choices) -> OnPolicy:
    return OnPolicy(student, RandomWindows(TEXT, CONTEXT, 2, seed=1), prompt=3, **choices)


def test_without_own_texts_it_is_the_real_text():
    batches = on_policy(small(), mix=0)
    for step in range(5):
        windows, scored = batches(step)
        assert windows.tolist() == batches.real(step).tolist()
        assert scored.all()


def test_own_texts_begin_with_the_steps_real_prompt_and_go_on_as_the_student_writes():
    student = small()
    batches = on_policy(student, mix=1, refresh=4, temperature=0)
    for step in range(6):
        windows, scored = batches(step)
        assert windows[:, :3].tolist() == batches.real(step)[:, :3].tolist()
        written = continue_texts(student, windows[:, :3], CONTEXT - 2, temperature=0)
        assert windows[:, 3:].tolist() == written.tolist()
        assert scored[0].tolist() == [False] * 2 + [True] * (CONTEXT - 2)


def test_the_share_of_own_texts_is_mix():
    batches = on_policy(small(), mix=0.3)
    assert np.mean([batches.on_own_text(s) for s in range(2000)]) == pytest.approx(0.3, abs=0.04)


def test_texts_are_rewritten_after_refresh_steps_by_the_student_of_then():
    student = small()
    batches = on_policy(student, mix=1, refresh=2)
    batches(0)
    before = batches(1)[0].tolist()
    with torch.no_grad():
        student.embedding.weight.mul_(-3)
    assert batches(1)[0].tolist() == before  # written two steps ago, and kept
    own, _ = batches(2)
    fresh = on_policy(student, mix=1, refresh=2)(2)[0]
    assert own.tolist() == fresh.tolist()  # a run resumed at 2 reads the same


def test_a_student_learns_from_its_own_texts_under_train():
    student, teacher = small(0), small(5)
    batches = on_policy(student, mix=1, refresh=4)
    history = train(
        student,
        batches,
        adamw(student, 1e-2, weight_decay=0.0),
        objective=from_teacher(teacher, reverse_kl),
        steps=40,
    )
    assert np.mean(history.train_loss[-5:]) < 0.6 * np.mean(history.train_loss[:5])


def test_impossible_choices_are_refused():
    for wrong in ({"mix": 1.5}, {"refresh": 0}):
        with pytest.raises(CourseError):
            on_policy(small(), **wrong)
    with pytest.raises(CourseError, match="one share"):
        on_policy(small(), mix=1)(0, 1)
