"""A few seconds of chapter 12's experiment on the ladder's GPT: each method, and a run resumed."""

import json

import numpy as np
import pytest
import torch

from course_lib.data import corpora
from course_lib.distillation import ladder_student
from course_lib.models.gpt import GPT
from course_lib.publishing import records
from course_lib.publishing.repository import find_root

EXPERIMENT = records.find(find_root(), "distilling-gpt")
METHODS = [s["method"] for s in EXPERIMENT.grid if s["steps"] == 2_000]


@pytest.fixture
def module(monkeypatch):
    """The experiment's names; its text is short and its runs are a few steps."""
    corpus = corpora.load("shakespeare-full")
    few = corpora.Corpus(
        "few", corpus.train[:30_000], corpus.validation[:1_000], "", corpus.alphabet, "", ""
    )
    monkeypatch.setattr(corpora, "load", lambda name: few)
    ladder_student.known_words.cache_clear()
    names = EXPERIMENT.run.__globals__
    small = {"STEPS": 4, "LOOKS": 2, "PARTS": 2, "TOGETHER": 3, "REFRESH": 2, "TIMED": 2}
    small["WARM_UP"] = 1
    for name, value in small.items():
        monkeypatch.setitem(names, name, value)
    monkeypatch.setitem(names, "measure", quick_measure)
    monkeypatch.setitem(names, "keep", lambda student, name: None)
    yield names
    ladder_student.known_words.cache_clear()


def quick_measure(student, teacher, text, *, seed):
    return ladder_student.measure(student, teacher, text, n_texts=2, seed=seed)


@pytest.mark.parametrize("method", METHODS)
def test_a_slice_of_each_method_has_what_pages_read(method, module, tmp_path):
    results = json.loads(
        json.dumps(EXPERIMENT.run({"method": method, "steps": 4}, 1, tmp_path), allow_nan=False)
    )
    assert results["steps"] == [2, 4]
    assert results["val_losses"][-1] < np.log(68) + 0.01
    assert min(results["val_losses"]) == pytest.approx(results["val_loss"], abs=1e-4)
    assert all(0 <= a <= b for a, b in [results["cpu_seconds"], results["seconds"]])
    assert (results["writing_cpu_seconds"] > 0) == method.startswith("sequence")
    assert results["bits_per_byte"] > 1
    assert len(results["block_losses"]) == 2
    assert results["parameters"] < 200_000
    assert {"by_rarity", "written", "apart_own", "apart_real", "teacher_on_own"} <= results.keys()


def test_methods_differ_from_their_first_steps(module):
    methods = ("hard", "soft", "reverse", "sequence", "half own")
    first = [tuple(EXPERIMENT.probe({"method": m, "steps": 4})) for m in methods]
    assert len(set(first)) == len(methods)
    assert all(np.isfinite(losses).all() for losses in first)


def test_a_run_that_is_killed_after_a_checkpoint_ends_as_if_it_were_not(
    module, tmp_path, monkeypatch
):
    setting, score, looks = {"method": "half own", "steps": 4}, module["score"], []
    monkeypatch.setitem(
        module, "measure", lambda student, *_, seed: {"loss": score(student, "few").loss}
    )
    whole = EXPERIMENT.run(setting, 1, tmp_path / "whole")

    def dies(student, text):
        looks.append(text)
        if len(looks) == 2:
            raise RuntimeError("killed")
        return score(student, text)

    monkeypatch.setitem(module, "score", dies)
    with pytest.raises(RuntimeError, match="killed"):
        EXPERIMENT.run(setting, 1, tmp_path / "killed")
    resumed = EXPERIMENT.run(setting, 1, tmp_path / "killed")
    assert len(looks) == 3  # the first look was not made again
    for key in ("val_losses", "loss", "steps", "first_losses"):
        assert resumed[key] == whole[key]
    assert resumed["cpu_seconds"][0] <= resumed["cpu_seconds"][1]


def test_what_the_teacher_wrote_is_kept(module, tmp_path, monkeypatch):
    setting = {"method": "sequence, T = 0.7", "steps": 4}
    first = module["write"](setting, 0, tmp_path, 2)
    assert first["windows"].shape == (6, 257)
    assert len(first["windows"].unique(dim=0)) == 6
    assert first["windows"].dtype == torch.long
    monkeypatch.setitem(module, "teachers_texts", None)
    again = module["write"](setting, 0, tmp_path, 2)
    assert torch.equal(first["windows"], again["windows"])
    assert first["writing_cpu_seconds"] == again["writing_cpu_seconds"] > 0


def test_the_teacher_is_measured_and_its_steps_are_timed(module, tmp_path):
    results = EXPERIMENT.run({"method": "teacher", "steps": 0}, 0, tmp_path)
    assert results["parameters"] == 805_120
    assert 1 < results["val_loss"] < 2
    assert set(results["apart_real"]) == {0.0}
    assert results["step_cpu_seconds"] > 0
    assert results["step_seconds"] > 0


def test_kept_are_the_students_with_and_without_a_teacher(module, tmp_path, monkeypatch):
    kept = {}
    monkeypatch.setitem(module, "train_recorded", lambda *taught, **how: {})
    monkeypatch.setitem(module, "measure", lambda *measured, **how: {})
    monkeypatch.setitem(module, "keep", lambda student, name: kept.setdefault(name, student))
    for method in ("hard", "soft", "mixed"):
        EXPERIMENT.run({"method": method, "steps": 4}, 0, tmp_path)
    assert kept.keys() == {"distilling_gpt_hard", "distilling_gpt_soft"}
    kept.clear()
    EXPERIMENT.run({"method": "soft", "steps": 8}, 0, tmp_path)  # another account's
    EXPERIMENT.run({"method": "soft", "steps": 4}, 1, tmp_path)
    assert not kept


def test_a_kept_student_comes_back(monkeypatch, tmp_path):
    names = EXPERIMENT.run.__globals__
    monkeypatch.setitem(names, "clone_folder", lambda: tmp_path)
    student = ladder_student.new_student(68)
    before = student.embedding.weight.detach().clone()
    names["keep"](student, "student")
    back = GPT.load(tmp_path / "experiments" / "student").float()
    assert torch.allclose(back.embedding.weight, before, atol=1e-3)
    assert student.embedding.weight.dtype == torch.float32
    file = tmp_path / "experiments" / "student" / "model.safetensors"
    assert file.stat().st_size < 1_000_000


def test_every_account_has_its_runs_without_a_teacher():
    alone = {s["steps"] for s in EXPERIMENT.grid if s["method"] == "hard"}
    assert alone == {2_000, 3_600, 5_200, 19_000}
    assert len(EXPERIMENT.grid) * EXPERIMENT.seeds == 42
    looks, refresh = (EXPERIMENT.run.__globals__[name] for name in ("LOOKS", "REFRESH"))
    own = [s for s in EXPERIMENT.grid if s["method"].startswith("half own")]
    assert all(s["steps"] // looks % refresh == 0 for s in own)  # checkpoints where it writes anew
