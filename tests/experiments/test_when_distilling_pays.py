"""A slice of the map of chapter 11: its rows are what advice is drawn from."""

import json

import numpy as np
import pytest
from short_reviews import first_reviews

from course_lib.distillation.advice import TEXTS, advise, cells
from course_lib.distillation.losses import IGNORE
from course_lib.experiments import Experiment
from course_lib.publishing import records
from course_lib.publishing.repository import find_root
from course_lib.training.answers import unpacked

ROOT = find_root()
N = 40  # sentences of each split; 30 more are IMDB's in these tests


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Experiment:
    """The experiment with 8 and 32 labels of 40, and teachers of one step in their own cache."""
    found = records.find(ROOT, "when-distilling-pays")
    module, folder = found.run.__globals__, tmp_path_factory.mktemp("kept")
    few, rows = first_reviews(N)
    module |= {"LABELS": (8, 32), "ALL_TEXT": 38, "PROBED": 4}
    module |= {"TEACHER_STEPS": {8: 1, 32: 1, "all": 1}}
    module |= {name: lambda: rows for name in ("imdb", "rotten_tomatoes")}
    module |= {"load_reviews": lambda: few, "kept_in": lambda: folder}
    return found


def small(setting: dict) -> dict:
    return setting | {"labels": 8 if setting["labels"] == 50 else 32, "steps": 2}


def slices(experiment: Experiment) -> list[dict]:
    """A setting of each start and teacher, with the most text that it has."""
    last = {(s["start"], s["teacher"]): s for s in experiment.grid if s["labels"] == 50}
    return list(map(small, last.values()))


def test_advice_is_drawn_from_the_rows(experiment):
    rows = []
    for setting in slices(experiment):
        results = json.loads(json.dumps(experiment.run(setting, 0, None)))
        assert unpacked(results["right"], N).mean() == results["accuracy"]
        assert 0 <= results["validation_accuracy"] <= 1
        alone = setting["teacher"] == "none"
        assert (results["teacher_seconds"] == 0) == alone == (results["teacher_accuracy"] is None)
        wanted = {"none": 0, "rest": N - 8, "rest + IMDB": 38}[setting["unlabelled"]]
        assert results["sentences_without_labels"] == wanted
        rows.append({"setting": setting, "seed": 0, "results": results})
    assert len(cells(rows)) == 5
    assert "8 labels and 11,000 sentences" in advise(rows, labels=10, unlabelled=20_000)


def test_every_text_of_the_map_is_one_that_advice_knows(experiment):
    for setting in experiment.grid:
        assert setting["unlabelled"] in TEXTS
        if setting["unlabelled"] == "rest":  # as much as advice says, about
            assert 5528 - setting["labels"] > 0.8 * TEXTS["rest"]
    assert len({json.dumps(s) for s in experiment.grid}) == len(experiment.grid)


def test_every_taught_student_has_one_alone_with_as_many_steps_and_with_others(experiment):
    for setting in experiment.grid:
        alone = setting | {"teacher": "none", "unlabelled": "none"}
        steps = [s["steps"] for s in experiment.grid if s | {"steps": 0} == alone | {"steps": 0}]
        assert setting["steps"] in steps
        assert len(set(steps)) == 3


def test_only_the_labels_that_the_seed_drew_are_known(experiment):
    module = experiment.run.__globals__
    setting = {"labels": 8, "unlabelled": "rest + IMDB"}
    examples, places = module["lesson_of"](setting, 1)
    train = module["load_reviews"]().trimmed_examples["train"]
    assert np.array_equal(examples.labels[:8], train.labels[places[:8]])
    assert set(examples.labels[8:]) == {IGNORE}
    assert sorted(places) == list(range(8 + 38))
    assert not np.array_equal(places[:8], module["places_of"](setting, 2)[:8])


def test_naive_bayes_is_asked_about_the_sentences_that_the_student_reads(experiment):
    module = experiment.run.__globals__
    setting = {"labels": 32, "unlabelled": "rest + IMDB"}
    examples, places = module["lesson_of"](setting, 0)
    said = module["word_counts"](32, 0)
    right = said.logits[places[:32]].argmax(1) == examples.labels[:32]
    assert right.mean() > 0.9  # its own training sentences
    assert len(said.logits) == max(places) + 1 == len(module["every_sentence"]()) == N + 30


def test_a_teacher_is_trained_once(experiment, monkeypatch):
    network = experiment.run.__globals__["network"]
    first = network(8, 0)
    monkeypatch.setattr("course_lib.distillation.reviews.fine_tune", None)
    again = network.__wrapped__(8, 0)
    assert np.array_equal(again.logits, first.logits)
    assert again.seconds == first.seconds > 0


def test_a_probe_repeats(experiment):
    for setting in slices(experiment)[:3]:
        first = experiment.probe(setting)
        assert first == pytest.approx(experiment.probe(setting), rel=1e-5)
        assert np.isfinite(first).all()
