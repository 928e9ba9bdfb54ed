"""The student of chapter 12: its size, its runs, and what is measured of it."""

import json

import numpy as np
import pytest
import torch

from course_lib.data import corpora
from course_lib.distillation import ladder_student
from course_lib.distillation.ladder_student import (
    by_place,
    learn,
    load_teacher,
    measure,
    new_student,
    score,
    student_of,
    windows_of,
)
from course_lib.distillation.sequence import (
    WithProjection,
    from_teacher,
    from_teacher_and_its_states,
)

TEXT = "shakespeare-full"


@pytest.fixture(scope="module")
def corpus():
    return corpora.load(TEXT)


@pytest.fixture(scope="module")
def teacher():
    return load_teacher()


def test_the_student_has_at_most_a_quarter_of_its_teachers_parameters(corpus, teacher):
    student = new_student(corpus.tokenizer.vocab_size)
    assert student.n_parameters() <= teacher.n_parameters() / 4
    assert teacher.config.vocab_size == corpus.tokenizer.vocab_size
    again = new_student(corpus.tokenizer.vocab_size)
    assert torch.equal(student.embedding.weight, again.embedding.weight)


def test_a_run_begins_at_ln_V_and_learns_from_either(corpus, teacher):
    tokens = corpus.tokenizer.encode(corpus.train)[:20_000]
    V = corpus.tokenizer.vocab_size
    hard = learn(new_student(V), windows_of(tokens), steps=3)
    assert hard.train_loss[0] == pytest.approx(np.log(V), abs=0.1)
    soft = learn(new_student(V), windows_of(tokens), from_teacher(teacher), steps=3)
    assert soft.train_loss[0] < hard.train_loss[0]  # by the teacher's entropy
    model = WithProjection(new_student(V), teacher.config.d_model)
    both = learn(model, windows_of(tokens), from_teacher_and_its_states(teacher), steps=3)
    assert both.train_loss[0] > soft.train_loss[0]
    assert student_of(model) is model.student
    assert student_of(model.student) is model.student


def test_what_is_measured_can_be_written_down(corpus, teacher, monkeypatch):
    small = {"train": corpus.train[:30_000], "validation": corpus.validation[:3_000], "test": ""}
    few = corpora.Corpus("few", **small, alphabet=corpus.alphabet, source="", rights="")
    monkeypatch.setattr(corpora, "load", lambda name: few)
    ladder_student.known_words.cache_clear()
    student = new_student(corpus.tokenizer.vocab_size)
    results = json.loads(json.dumps(measure(student, teacher, "few", n_texts=4)))
    ladder_student.known_words.cache_clear()
    assert results["val_loss"] == pytest.approx(np.log(68), abs=0.1)
    assert len(results["block_losses"]) == 6
    assert len(results["apart_own"]) == len(results["teacher_on_real"]) == 7
    assert results["by_rarity"].keys() <= {"0", "1–5", "6–100", "over 100"}
    assert 0 <= results["written"]["shared_pairs"] <= 1


def test_places_are_averaged_after_the_prompt():
    values = torch.zeros(2, 31 + 64)
    values[:, 31:63] = 1.0
    assert by_place(values) == [1.0, 0.0]


def test_the_teacher_loses_what_its_record_says_on_a_stretch(corpus, teacher, monkeypatch):
    few = corpora.Corpus(
        "few", corpus.train[:300], corpus.validation[:8_000], "", corpus.alphabet, "", ""
    )
    monkeypatch.setattr(corpora, "load", lambda name: few)
    assert 1.3 < score(teacher, "few").loss < 1.8
