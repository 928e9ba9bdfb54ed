"""A slice of the runs of chapter 11's table: each says what pages read, and costs what it says."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from short_reviews import first_reviews

from course_lib.distillation.advice import within
from course_lib.distillation.reviews import load_reviews, weights_digest
from course_lib.experiments import Experiment
from course_lib.publishing import records
from course_lib.publishing.repository import find_root
from course_lib.training.answers import unpacked
from course_lib.training.fine_tuning import predicted_logits

ROOT = find_root()
N = 32  # sentences of each split


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Experiment:
    """The experiment on a few sentences, with a teacher of one step and its own cache."""
    found = records.find(ROOT, "distilling-bert")
    module, folder = found.run.__globals__, tmp_path_factory.mktemp("kept")
    few, rows = first_reviews(N)
    module |= {"TEACHER_STEPS": 1, "EXTRA": 10, "REVIEWS": 8, "PROBED": 16}
    module |= {"TIMED": 2, "TIMED_BATCHES": 0}
    module |= {name: lambda rows=rows: rows for name in ("imdb", "rotten_tomatoes")}
    module |= {"load_reviews": lambda: few, "kept_in": lambda: folder}
    return found


def result_of(experiment, seed=0, **wanted):
    """What the first setting that is so says, in two steps."""
    [setting, *_] = [s for s in experiment.grid if wanted.items() <= s.items()]
    steps = {"steps": 2} if "steps" in setting else {}
    return json.loads(json.dumps(experiment.run(setting | steps, seed, None)))


SLICES = [
    {"student": "3 layers", "method": "TinyBERT"},
    {"student": "2 layers", "method": "PKD-skip"},
    {"student": "2 slim layers", "text": "own + IMDB"},
    {"student": "3 thin layers", "text": "own + IMDB", "method": "hidden"},
    {"student": "3 thin layers", "text": "own", "method": "hidden"},
    {"student": "3 thin layers", "method": "hard", "trained": "as for vectors"},
    {"student": "narrow", "method": "soft and hard"},
    {"student": "teacher"},
    {"student": "teacher, trimmed"},
    {"student": "naive Bayes"},
]


@pytest.mark.parametrize("wanted", SLICES, ids=lambda wanted: " ".join(wanted.values()))
def test_a_row_has_its_scores_and_sizes(experiment, wanted):
    found = result_of(experiment, seed=1, **wanted)
    assert 0 < found["validation_accuracy"] < 1
    for name, n in (("rotten_tomatoes", N), ("imdb", 8)):
        scores = found[name]
        assert scores["n"] == n
        assert unpacked(scores["right"], n).mean() == scores["accuracy"]
    assert found["parameters"] > 0
    assert found["seconds"] >= 0
    if wanted["student"] != "naive Bayes":
        model, _ = experiment.run.__globals__["teacher"]()
        assert weights_digest(model).startswith(found["teacher"])
    if "method" in wanted:
        assert found["whole"]["parameters"] > 1.4 * found["parameters"]
        assert found["teacher_seconds"].keys() == {"training", "answers"}


def test_a_student_without_a_teacher_owes_it_nothing(experiment):
    found = result_of(experiment, student="2 layers", method="hard")
    assert found["teacher_seconds"] == {"training": 0.0, "answers": 0.0}
    again = result_of(experiment, student="2 layers", method="hard")
    assert again["rotten_tomatoes"] == found["rotten_tomatoes"]
    assert again["train_loss"] == found["train_loss"]


def test_labels_can_be_learned_as_vectors_are(experiment):
    trained = {}
    for setting in experiment.grid:
        if setting["student"] == "3 thin layers":
            way = experiment.run.__globals__["way_to_train"](setting)
            trained.setdefault(setting["method"], set()).add(way)
    assert trained["hidden"] == {"as for vectors"}
    assert trained["hard"] == trained["soft alone"] == {"as most", "as for vectors"}
    losses = {
        way: result_of(experiment, student="3 thin layers", method="hard", **asked)["train_loss"]
        for way, asked in (("most", {}), ("vectors", {"trained": "as for vectors"}))
    }
    assert losses["most"] != losses["vectors"]


def test_put_back_into_all_pieces_a_student_is_the_one_that_was_trained_with_them(experiment):
    module = experiment.run.__globals__
    reviews, lesson = module["load_reviews"](), module["own_sentences"]()
    model, _ = module["teacher"]()
    asked = {"method": "soft alone", "trained": "as most", "steps": 2, "seed": 0, "bf16": False}
    learn = partial(module["taught"], model=model, **asked)
    whole = module["new_student"]("2 layers", 0, model)
    trimmed = module["trimmed"](whole)
    untrained = predicted_logits(whole, reviews.examples["test"])
    learn(trimmed, lesson)
    put_back = module["put_back"](trimmed, whole)
    trained = module["new_student"]("2 layers", 0, model)
    learn(trained, replace(lesson, examples=reviews.examples["train"]))
    logits = [predicted_logits(m, reviews.examples["test"]) for m in (put_back, trained)]
    assert abs(logits[0] - untrained).max() > 0.01
    np.testing.assert_allclose(*logits, atol=1e-3)
    found = module["with_all_pieces"](
        module["logits_of"](trimmed, reviews.trimmed_examples["test"]), put_back
    )
    right = logits[0].argmax(1) == reviews.examples["test"].labels
    assert abs(found["rotten_tomatoes"]["accuracy"] - right.mean()) <= 1 / N  # bfloat16


def test_the_thin_student_begins_with_its_teachers_layers_and_head(experiment):
    module = experiment.run.__globals__
    model, _ = module["teacher"]()
    student, other = (
        module["new_student"](name, 0, model) for name in ("3 thin layers", "2 layers")
    )
    pairs = [(student.bert.blocks[i], model.bert.blocks[j]) for i, j in enumerate((1, 3, 5))]
    assert all(torch.equal(s.mlp.down.bias, t.mlp.down.bias) for s, t in pairs)
    assert torch.equal(student.classifier.weight, model.classifier.weight)
    pretrained = module["load_reviews"]().whole.model
    assert torch.equal(other.bert.blocks[1].mlp.up.weight, pretrained.blocks[3].mlp.up.weight)


def test_with_the_teachers_pieces_a_student_is_given_a_vector_for_each(experiment):
    module = experiment.run.__globals__
    lesson, in_its_own = module["own_and_imdb"](True), module["own_and_imdb"]()
    assert lesson.outputs.states.keys() == set(module["HIDDEN_LAYERS"])
    assert not in_its_own.outputs.states
    np.testing.assert_array_equal(lesson.outputs.logits, in_its_own.outputs.logits)
    last = len(lesson.examples) - 1  # a sentence of IMDB
    batch = lesson.batch([0, last])
    assert batch.inputs.ids.shape == batch.teacher_states[6].shape[:2]


def test_each_seed_scores_other_reviews_and_all_methods_the_same(experiment):
    held_out = experiment.run.__globals__["held_out_reviews"]
    pretrained = load_reviews().trimmed
    first, again, other = (held_out(pretrained, seed).tokens for seed in (0, 0, 1))
    assert all(map(np.array_equal, first, again))
    assert not any(map(np.array_equal, first, other))


def test_the_teacher_is_trained_once_and_its_seconds_are_remembered(experiment, monkeypatch):
    module = experiment.run.__globals__
    model, seconds = module["teacher"]()
    monkeypatch.setattr("course_lib.distillation.reviews.fine_tune", None)
    again, remembered = module["teacher"].__wrapped__()
    assert remembered == seconds > 0
    assert torch.equal(again.classifier.weight, model.classifier.weight)


def test_latencies_have_the_names_of_the_students(experiment):
    found = result_of(experiment, student="latency")
    alone = found["milliseconds"]["1"]
    names = {s["student"] for s in experiment.grid} - {"latency", "naive Bayes"}
    assert names < alone.keys()
    assert alone.keys() == found["sizes"].keys() == found["milliseconds"]["32"].keys()
    assert all(len(taken) == 4 and min(taken) > 0 for taken in alone.values())
    slim = result_of(experiment, student="2 slim layers", method="hard")
    rows = [
        {"setting": {"student": "latency", "method": "none"}, "results": found},
        {"setting": {"student": "2 slim layers", "method": "hard"}, "results": slim},
    ]
    [(name, _, accuracy)] = within(rows, 1e6)
    assert (name, accuracy) == ("2 slim layers", slim["rotten_tomatoes"]["accuracy"])


def test_every_student_has_its_control_and_equal_steps(experiment):
    taught = [s for s in experiment.grid if "steps" in s]
    for setting in taught:
        if setting["student"] == "2 slim layers" and setting["text"] == "own + IMDB":
            assert setting | {"text": "own"} in taught  # the steps alone
            assert setting | {"text": "own", "method": "hard"} in taught  # and with labels
        if setting["student"] == "3 thin layers" and setting["text"] == "own + IMDB":
            assert setting | {"method": "soft alone"} in taught  # the text alone
            assert setting | {"method": "hidden", "text": "own"} in taught  # the vectors alone
            assert setting | {"method": "hard", "text": "own"} in taught  # labels alone
        if setting["steps"] == experiment.run.__globals__["STEPS"]:
            assert setting | {"method": "hard"} in taught  # the start alone
    assert len({json.dumps(s) for s in experiment.grid}) == len(experiment.grid)


@pytest.mark.parametrize("student", ["teacher", "2 layers", "naive Bayes", "latency"])
def test_a_probe_repeats(experiment, student):
    [setting, *_] = [s for s in experiment.grid if s["student"] == student]
    first = experiment.probe(setting)
    assert first == pytest.approx(experiment.probe(setting), rel=1e-5)
    assert np.isfinite(first).all()
