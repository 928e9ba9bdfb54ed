"""A few seconds of each long experiment of chapter 06: it runs, and says what pages read."""

import json
import math

import pytest

from course_lib.experiments import Experiment
from course_lib.publishing import records
from course_lib.publishing.repository import find_root

ROOT = find_root()


def inside(experiment: Experiment) -> dict:
    """The names of the experiment's module."""
    return experiment.run.__globals__


@pytest.mark.parametrize("task", ["zh-en", "en-zh", "kjv-bbe"])
def test_a_slice_of_translation_scores_every_way_to_translate(task, monkeypatch, tmp_path):
    experiment = records.find(ROOT, "translation")
    module = inside(experiment)
    few = {name: rows[:12] for name, rows in module["examples"](task).items()}
    monkeypatch.setitem(module, "examples", lambda task: few)
    monkeypatch.setitem(module, "SEARCHED", 2)
    kept = []
    monkeypatch.setitem(module, "keep", kept.append)
    [setting] = [s for s in experiment.grid if s["task"] == task]
    small = setting | {"d_model": 8, "vocab": 300, "steps": 10}
    results = json.loads(json.dumps(experiment.run(small, 0, tmp_path)))
    ways = {"word by word", "nearest", "greedy"} | ({"as it is"} if task == "kjv-bbe" else set())
    assert results["scores"].keys() == ways
    assert all(len(score["sentence_chrf"]) == 12 for score in results["scores"].values())
    assert results["first_hundred"].keys() == {"greedy", "beam"}
    assert len(results["val_losses"]) == 10
    assert len(kept) == (task == "zh-en")


def test_a_kept_translator_comes_back(monkeypatch, tmp_path):
    from course_lib.models.encoder_decoder import EncoderDecoder
    from course_lib.tokenization.bpe import BPETokenizer

    experiment = records.find(ROOT, "translation")
    module = inside(experiment)
    monkeypatch.setitem(module, "clone_folder", lambda: tmp_path)
    few = module["examples"]("zh-en")["train"][:20]
    setting = experiment.grid[0] | {"d_model": 8, "vocab": 300}
    translator = module["translator_for"](setting, few, 0)
    module["keep"](translator)
    place = tmp_path / "experiments" / "translation_zh_en"
    model = EncoderDecoder.load(place)
    gap = max(
        (a - b).abs().max().item()
        for a, b in zip(model.parameters(), translator.model.parameters(), strict=True)
    )
    assert gap < 0.01  # 16-bit numbers
    assert BPETokenizer.load(place / "source.json") == translator.source


@pytest.mark.parametrize("place", [0, 14, 20])
def test_a_slice_of_norms_and_positions(place, monkeypatch, tmp_path):
    experiment = records.find(ROOT, "norms-and-positions")
    setting = experiment.grid[place] | {"depth": 1}
    monkeypatch.setitem(inside(experiment), "STEPS", {"norm": 2, "positions": 2})
    monkeypatch.setitem(inside(experiment), "BLOCKS", 4)
    results = experiment.run(setting, 0, tmp_path)
    if setting["compares"] == "norm":
        assert 2 < results["val_loss"] < 7
    else:
        assert len(results["loss_by_place"]) == 256
        assert all(map(math.isfinite, results["loss_by_place"]))


def test_both_norms_get_the_same_learning_rates():
    grid = records.find(ROOT, "norms-and-positions").grid
    rates = {(s["norm"], s["depth"], s["lr"]) for s in grid if s["compares"] == "norm"}
    for _, depth, lr in rates:
        assert {("pre", depth, lr), ("post", depth, lr)} <= rates
