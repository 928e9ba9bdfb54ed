"""A few seconds of the long experiments of chapters 08 and 09, with what pages read of them."""

import json

import numpy as np
import pytest
import torch

from course_lib.experiments import Experiment
from course_lib.models.bert import BertForPreTraining
from course_lib.publishing import records
from course_lib.publishing.repository import find_root
from course_lib.tokenization.wordpiece import WordPieceTokenizer

ROOT = find_root()


def inside(experiment: Experiment) -> dict:
    """The names of the experiment's module."""
    return experiment.run.__globals__


# ------------------------------------------------------------------------------- bert-on-speeches


@pytest.fixture
def on_speeches(monkeypatch, tmp_path):
    """The experiment on a few short speeches, for two steps."""
    experiment = records.find(ROOT, "bert-on-speeches")
    module = inside(experiment)
    few = {
        split: [type(d)(d.name, d.year, d.sentences[:30]) for d in found[:6]]
        for split, found in module["speech_sentences"]().items()
    }
    monkeypatch.setitem(module, "speech_sentences", lambda: few)
    monkeypatch.setitem(module, "clone_folder", lambda: tmp_path)
    small = {"VOCAB": 300, "STEPS": 2, "LOOKS": 1, "BATCH": 16, "HELD_OUT": 32, "BLOCK": 5}
    for name, value in small.items():
        monkeypatch.setitem(module, name, value)
    return experiment


@pytest.mark.parametrize("game", ["next sentence", "none", "sentence order"])
def test_a_slice_of_bert_on_speeches_scores_everybody_on_the_same_tokens(
    game, on_speeches, tmp_path
):
    results = on_speeches.run({"second game": game}, 0, tmp_path)
    results = json.loads(json.dumps(results))
    assert results["counted"].keys() == {"unigram", "left", "left × right"}
    assert {len(nats) for nats in results["counted"].values()} == {len(results["nats"])}
    assert 4 < np.mean(results["nats"]) < 7  # ln 300 = 5.7, hardly trained
    assert len(results["right"]) == len(results["by_shared_words"]) == 32
    assert set(results["right"]) <= {0, 1}
    kept = tmp_path / "experiments" / "bert_on_speeches"
    assert kept.exists() == (game == "next sentence")
    if kept.exists():
        model = BertForPreTraining.load(kept)
        assert (
            model.config.vocab_size == WordPieceTokenizer.load(kept / "tokenizer.json").vocab_size
        )


def test_without_a_second_game_its_head_learns_nothing(on_speeches):
    module = inside(on_speeches)
    for game, moves in (("none", False), ("next sentence", True)):
        model = module["model_for"](0)
        before = [p.clone() for p in model.nsp_head.parameters()]
        module["fit"](model, {"second game": game}, 0, steps=2)
        same = all(map(torch.equal, before, model.nsp_head.parameters()))
        assert same != moves


def test_pairs_are_told_apart_with_nothing_hidden(on_speeches):
    module = inside(on_speeches)
    (batch, *_) = module["held_out"]("test", "next sentence")
    mask = module["SpecialTokens"].of(module["tokenizer"]()).mask
    assert (batch.ids == mask).any()
    assert not (module["restored"](batch) == mask).any()
    shown = {tuple(map(int, s)) for d in module["documents"]()["test"] for s in d}
    a, b = module["sentences"](batch)[0]
    assert tuple(a.tolist()) in {s[-len(a) :] for s in shown}  # the first loses its beginning …
    assert tuple(b.tolist()) in {s[: len(b)] for s in shown}  # … and the second its end


# ------------------------------------------------------------------------------------ fine-tuning


@pytest.fixture
def fine_tuning(monkeypatch):
    """The experiment on short sentences, few of them, for two steps."""
    experiment = records.find(ROOT, "fine-tuning")
    module = inside(experiment)
    sizes = dict.fromkeys(["train", "validation", "test"], 24)
    rows = {
        split: found.filter(lambda row: len(row["text"]) < 60).select(range(sizes[split]))
        for split, found in module["rotten_tomatoes"]().items()
    }
    monkeypatch.setitem(module, "rotten_tomatoes", lambda: rows)
    for name, value in {"STEPS": 2, "EVERY": 1, "FEW_STEPS": {8: 2}}.items():
        monkeypatch.setitem(module, name, value)
    return experiment


METHODS = [s["method"] for s in records.find(ROOT, "fine-tuning").grid if s["labels"] == "all"]


@pytest.mark.parametrize("method", METHODS)
def test_a_slice_of_fine_tuning_says_what_each_method_costs_and_gets(method, fine_tuning, tmp_path):
    results = fine_tuning.run({"method": method, "labels": "all"}, 0, tmp_path)
    results = json.loads(json.dumps(results))
    right = np.unpackbits(np.frombuffer(bytes.fromhex(results["right"]), np.uint8))
    assert right[: results["n"]].mean() == pytest.approx(results["accuracy"])
    assert 0.2 < results["nats"] < 1.5
    n = results["numbers_that_learn"]
    whole = {"full", "layer-wise rates", "gradual unfreezing", "random weights"}
    assert (n > 20e6) == (method in whole)
    if method == "LoRA":
        assert n < 0.02 * 22.7e6


@pytest.mark.parametrize("method", ["TF-IDF", "linear probe", "LoRA"])
def test_with_few_labels_nothing_is_chosen_on_validation(
    method, fine_tuning, monkeypatch, tmp_path
):
    module = inside(fine_tuning)
    splits = {name: module["examples"](False)[name] for name in ("train", "test")}
    monkeypatch.setitem(module, "examples", lambda own: splits)
    results = fine_tuning.run({"method": method, "labels": 8}, 1, tmp_path)
    assert not results.get("val_losses")


def test_the_seed_draws_the_labels(fine_tuning, tmp_path):
    few = {"method": "linear probe", "labels": 8}
    drawn = [fine_tuning.run(few, seed, tmp_path)["nats"] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
