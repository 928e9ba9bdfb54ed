"""One training for all ways to teach: without a teacher it is fine-tuning, with one it imitates."""

import numpy as np
import pytest
import torch

from course_lib.distillation.classifier import (
    TEACHING,
    Pupil,
    TaughtExamples,
    Teaching,
    distil,
    joined,
    layers_needed,
    teaching_loss,
    without_layers,
)
from course_lib.distillation.losses import IGNORE, distillation_loss
from course_lib.distillation.students import copied_student, narrow_student
from course_lib.distillation.teachers import teacher_outputs
from course_lib.errors import CourseError
from course_lib.models.bert import Bert, BertConfig
from course_lib.models.bert_heads import BertForSequenceClassification
from course_lib.tokenization.encoder_inputs import SpecialTokens
from course_lib.training.fine_tuning import Examples, Recipe


@pytest.fixture(scope="module")
def teacher():
    torch.manual_seed(0)
    bert = Bert(BertConfig(20, context=16, n_layers=4, n_heads=2, d_model=8, init_std=0.3))
    return BertForSequenceClassification.on(bert).eval()


@pytest.fixture(scope="module")
def taught(teacher, tmp_path_factory):
    random = np.random.default_rng(0)
    tokens = tuple(random.integers(4, 20, size=random.integers(1, 9)) for _ in range(24))
    examples = Examples(tokens, np.arange(24) % 2, SpecialTokens(0, 1, 2, 3))
    folder = tmp_path_factory.mktemp("teachers")
    outputs = teacher_outputs(teacher, examples, layers=range(5), folder=folder)
    return TaughtExamples(examples, outputs)


def for_method(taught, teaching, student, teacher):
    layers = layers_needed(teaching, student.bert.config, teacher.bert.config)
    return TaughtExamples(taught.examples, without_layers(taught.outputs, layers))


@pytest.mark.parametrize("method", TEACHING)
def test_every_method_moves_the_student_and_not_the_teacher(method, taught, teacher):
    before = {name: p.clone() for name, p in teacher.state_dict().items()}
    student = copied_student(teacher.bert, (0, 2))
    start = student.bert.embeddings.tokens.weight.clone()
    lesson = for_method(taught, TEACHING[method], student, teacher)
    distilled, histories = distil(student, lesson, TEACHING[method], teacher, steps=4)
    assert not torch.equal(distilled.bert.embeddings.tokens.weight, start)
    assert not distilled.training
    assert sum(h.steps for h in histories) == 4
    assert all(torch.equal(p, before[name]) for name, p in teacher.state_dict().items())


def test_the_same_call_gives_the_same_student(taught, teacher):
    def made(seed):
        student = narrow_student(teacher.bert, 2, 4, seed=0)
        return distil(student, taught, TEACHING["TinyBERT"], teacher, steps=4, seed=seed)[0]

    one, same, other = made(1), made(1), made(2)
    weights = [m.bert.blocks[0].mlp.up.weight for m in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_fused_optimizer_takes_the_steps_of_the_plain_one(taught, teacher, monkeypatch):
    def made():
        student = copied_student(teacher.bert, (0, 2))
        return distil(student, taught, TEACHING["soft"], steps=6)[0].state_dict()

    def plain(*args, fused, **options):
        return torch.optim.AdamW(*args, foreach=False, **options)

    fused = made()
    monkeypatch.setattr("course_lib.training.fine_tuning.AdamW", plain)
    torch.testing.assert_close(fused, made(), atol=1e-5, rtol=1e-5)


def test_without_matching_the_loss_is_that_of_losses_py(taught, teacher):
    student = copied_student(teacher.bert, (0, 2)).eval()
    batch = taught.batch(range(8))
    loss, n = teaching_loss(Pupil(student), batch, Teaching(alpha=0.3, temperature=3.0))
    wanted = distillation_loss(student(*batch.inputs), batch.teacher_logits, batch.labels, 0.3, 3.0)
    assert n == 8
    torch.testing.assert_close(loss / n, wanted)


def test_unlabelled_text_is_read_for_the_teacher_alone(taught, teacher, tmp_path):
    student = copied_student(teacher.bert, (0, 2)).eval()
    e = taught.examples
    both = joined(e.take([0, 1]), e.take([2, 3]), labelled=False)
    assert both.labels.tolist() == [0, 1, IGNORE, IGNORE]
    outputs = teacher_outputs(teacher, both, folder=tmp_path)
    lesson = TaughtExamples(both, outputs)
    for teaching, counted in ((TEACHING["hard"], False), (TEACHING["soft"], True)):
        loss, _ = teaching_loss(Pupil(student), lesson.batch([2, 3]), teaching)
        assert (loss.item() > 0) == counted


def test_hard_alone_reads_no_teacher(taught, teacher):
    def made(outputs):
        lesson = TaughtExamples(taught.examples, outputs)
        student = copied_student(teacher.bert, (0, 2))
        return distil(student, lesson, TEACHING["hard"], steps=3)[0].classifier.weight

    nonsense = type(taught.outputs)(-taught.outputs.logits, {}, taught.outputs.ends, 0.0)
    assert torch.equal(made(without_layers(taught.outputs, ())), made(nonsense))


def test_soft_labels_bring_the_student_to_its_teacher(taught, teacher):
    student = copied_student(teacher.bert, (0, 1, 2, 3), seed=1)
    recipe = Recipe(lr=1e-3, head_lr=1e-1, warmup=0.0)
    taught = TaughtExamples(taught.examples, without_layers(taught.outputs, ()))
    teaching = Teaching(alpha=1.0, temperature=1.0)
    distilled, _ = distil(student, taught, teaching, steps=60, recipe=recipe, dropout=0.0)
    loss, n = teaching_loss(Pupil(distilled), taught.batch(range(24)), teaching)
    assert loss.item() / n < 0.01


def test_a_lesson_has_outputs_for_all_its_examples(taught):
    with pytest.raises(CourseError):
        TaughtExamples(taught.examples.take([0]), taught.outputs)


def test_an_epoch_reads_every_text_once_with_its_own_teacher(taught):
    batches = taught.shuffled(batch_size=5, seed=3)
    logits = np.concatenate([batches(step).teacher_logits for step in range(5)])
    assert sorted(map(tuple, logits)) == sorted(map(tuple, taught.outputs.logits))
    batch = batches(0)
    assert batch.teacher_states[4].shape[:2] == batch.inputs.ids.shape
