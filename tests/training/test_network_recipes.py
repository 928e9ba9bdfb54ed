"""Recipes of networks: what they report, what they keep, that an interrupted run goes on."""

import dataclasses
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_model import without_clock

from course_lib.data.corpora import Corpus, read_text_file
from course_lib.errors import CourseError
from course_lib.evaluation import WindowedModel, evaluate, evaluate_in_blocks
from course_lib.models.gpt import GPTConfig
from course_lib.models.mlp import MLPConfig
from course_lib.models.recurrent import RecurrentConfig
from course_lib.training import network_recipes
from course_lib.training.batches import blocks
from course_lib.training.network_recipes import (
    GPT_PLAIN,
    GPT_QUICK,
    NETWORK_RECIPES,
    as_language_model,
    fit,
    load_trained,
    train_network,
)
from course_lib.training.objectives import mean_loss
from course_lib.training.recipes import train_kneser_ney

LINES = ["the cat sat on the mat", "a rat ran at the cat", "the dog sat on the log"]
TEXT = "\n".join(LINES[i] for i in np.random.default_rng(0).integers(3, size=150))
CORPUS = Corpus("small", TEXT[:2500], TEXT[2500:], "", "".join(sorted(set(TEXT))), "", "")
SMALL = partial(GPTConfig, context=16, n_layers=1, n_heads=2, d_model=16)
TINY = dataclasses.replace(GPT_QUICK, shape=SMALL, batch_size=4, mixed_precision=False)


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_the_result_has_the_keys_of_every_recipe_first_and_is_json():
    result = train_network(TINY, CORPUS, steps=3)
    common = list(train_kneser_ney(CORPUS))[:8]
    assert list(json.loads(json.dumps(result)))[:8] == common
    assert (result["recipe"], result["steps"], result["tokens"]) == ("gpt", 3, 3 * 4 * 16)


def test_the_losses_are_those_of_the_weights_that_are_kept(tmp_path):
    result = train_network(TINY, CORPUS, steps=5, out=tmp_path / "run")
    model, tokenizer = load_trained(tmp_path / "run")
    tokens, validation = tokenizer.encode(CORPUS.train), tokenizer.encode(CORPUS.validation)
    score = evaluate(WindowedModel(model, 16), tokens, validation, CORPUS.n_bytes("validation"))
    in_blocks = evaluate_in_blocks(WindowedModel(model, 16), validation)
    assert result["val_loss"] == pytest.approx(score.loss, abs=1e-6)
    assert result["val_loss_blocks"] == pytest.approx(in_blocks, abs=1e-6)
    assert result["bits_per_byte"] == pytest.approx(score.bits_per_byte, abs=1e-6)
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == result


def test_training_learns_and_a_seed_is_a_run():
    one, same, other = (fit(TINY, CORPUS, steps=40, seed=seed) for seed in (1, 1, 2))
    assert one[1].train_loss == same[1].train_loss != other[1].train_loss
    torch.testing.assert_close(weights(one[0]), weights(same[0]), atol=0, rtol=0)
    assert one[1].train_loss[-1] < 0.8 * one[1].train_loss[0]


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path, monkeypatch):
    options = {"steps": 12, "seed": 3}
    whole = fit(TINY, CORPUS, **options)

    class Interrupted(network_recipes.RandomWindows):
        def __call__(self, step, share=0):
            if step == 7:
                raise KeyboardInterrupt
            return super().__call__(step, share)

    with monkeypatch.context() as patched:
        patched.setattr(network_recipes, "RandomWindows", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_network(TINY, CORPUS, steps=12, seed=3, out=tmp_path / "run")
    with pytest.raises(CourseError, match="no trained model"):
        load_trained(tmp_path / "run")

    model, history, _ = fit(TINY, CORPUS, folder=tmp_path / "run", **options)
    assert without_clock(history) == without_clock(whole[1])
    torch.testing.assert_close(weights(model), weights(whole[0]), atol=0, rtol=0)


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = train_network(TINY, CORPUS, steps=4, out=tmp_path / "run")
    again = train_network(TINY, CORPUS, steps=4, out=tmp_path / "run")
    assert first["seconds"] == again["seconds"]
    assert first["val_loss"] == again["val_loss"]


def test_a_time_limit_counts_training_alone_and_ends_the_schedule():
    _, history, _ = fit(TINY, CORPUS, seconds=0.5)
    assert history.stopped == "seconds"
    assert 0.5 <= history.elapsed < 2
    assert history.lr[-1] < 0.2 * max(history.lr)


def test_the_weights_kept_are_the_best_on_blocks_from_all_over_validation(monkeypatch):
    monkeypatch.setattr(network_recipes, "SAMPLE", 1000)  # more than there are: all blocks
    model, history, _ = fit(TINY, CORPUS, steps=20, every=4)
    validation = CORPUS.tokenizer.encode(CORPUS.validation)
    expected = mean_loss(model, blocks(validation, 16))
    assert history.best_loss == pytest.approx(expected, abs=1e-6)
    (sample,) = network_recipes._spread(validation, 16, 3)
    every = torch.cat(blocks(validation, 16))
    torch.testing.assert_close(sample, every[[0, round((len(every) - 1) / 2), -1]])


def test_all_recipes_have_one_size_and_the_plain_one_is_nanogpts():
    networks = {
        name: recipe.network(recipe.shape(vocab_size=68))
        for name, recipe in NETWORK_RECIPES.items()
    }
    assert list(networks) == ["mlp", "rnn", "lstm", "gru", "gpt", "gpt-plain"]
    for name, network in networks.items():
        assert 0.79e6 < network.n_parameters() < 0.82e6, name
    tokens = {
        name: recipe.steps * recipe.batch_size * recipe.tokens_of_a_window(networks[name])
        for name, recipe in NETWORK_RECIPES.items()
        if name != "gpt-plain"
    }
    assert len(set(tokens.values())) == 1, tokens
    plain = networks["gpt-plain"].config
    assert (plain.context, GPT_PLAIN.batch_size, plain.n_layers, plain.d_model) == (64, 12, 4, 128)


TINY_MLP = partial(MLPConfig, context=4, d_embedding=4, d_hidden=16)
TINY_CELLS = partial(RecurrentConfig, d_embedding=4, d_hidden=16)
OLDER = {
    "mlp": TINY_MLP,
    "rnn": partial(TINY_CELLS, cell="rnn"),
    "lstm": partial(TINY_CELLS, cell="lstm"),
    "gru": partial(TINY_CELLS, cell="gru"),
}


def tiny(name):
    recipe = NETWORK_RECIPES[name]
    return dataclasses.replace(recipe, shape=OLDER[name], batch_size=4, window=16)


@pytest.mark.parametrize("name", OLDER)
def test_every_network_learns_is_kept_and_scored_alike(name, tmp_path):
    result = train_network(tiny(name), CORPUS, steps=60, out=tmp_path / "run")
    model, tokenizer = load_trained(tmp_path / "run")
    assert isinstance(model, NETWORK_RECIPES[name].network)
    tokens, validation = tokenizer.encode(CORPUS.train), tokenizer.encode(CORPUS.validation)
    scored = as_language_model(model, 16)
    score = evaluate(scored, tokens, validation, CORPUS.n_bytes("validation"))
    assert result["val_loss"] == pytest.approx(score.loss, abs=1e-6)
    assert result["val_loss"] < 0.97 * np.log(tokenizer.vocab_size)
    assert (result["recipe"], result["tokens"]) == (name, 60 * 4 * 16)


@pytest.mark.parametrize("name", ["mlp", "lstm"])
def test_an_older_networks_run_goes_on_too(name, tmp_path, monkeypatch):
    whole = fit(tiny(name), CORPUS, steps=12, seed=3, every=4)
    monkeypatch.setattr(network_recipes.RandomWindows, "__call__", stop_at_seven)
    _, history, _ = fit(tiny(name), CORPUS, steps=12, seed=3, every=4, folder=tmp_path / "run")
    assert history.stopped == "interrupted"
    monkeypatch.undo()
    model, history, _ = fit(tiny(name), CORPUS, steps=12, seed=3, every=4, folder=tmp_path / "run")
    assert without_clock(history) == without_clock(whole[1])
    torch.testing.assert_close(weights(model), weights(whole[0]), atol=0, rtol=0)


def stop_at_seven(self, step, share=0, read=network_recipes.RandomWindows.__call__):
    if step == 7:
        raise KeyboardInterrupt
    return read(self, step, share)


def test_a_folder_of_an_unknown_recipe_is_an_error(tmp_path):
    train_network(TINY, CORPUS, steps=1, out=tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text('{"recipe": "elman"}')
    with pytest.raises(CourseError, match="does not name a recipe"):
        load_trained(tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": 5, "seconds": 5.0}, "only one"),
        ({"steps": 0}, "0 steps make no run"),
        ({"seconds": -1.0}, "-1.0 seconds make no run"),
        ({"seconds": float("nan")}, "nan seconds"),
        ({"seconds": float("inf")}, "inf seconds"),
    ],
)
def test_a_run_without_a_sensible_end_is_an_error(options, said):
    with pytest.raises(CourseError, match=said):
        fit(TINY, CORPUS, **options)


def test_a_text_too_short_is_an_error():
    short = dataclasses.replace(CORPUS, train=TEXT[:16])
    with pytest.raises(CourseError, match="16 tokens, but a window takes 17"):
        fit(TINY, short, steps=1)
    with pytest.raises(CourseError, match="give a longer one"):
        fit(TINY, dataclasses.replace(CORPUS, validation="a"), steps=1)


def test_a_folder_belongs_to_one_run(tmp_path):
    folder = tmp_path / "run"
    fit(TINY, CORPUS, steps=2, folder=folder)
    plain = dataclasses.replace(TINY, name="gpt-plain")
    other_text = dataclasses.replace(CORPUS, train=TEXT[:2000])
    for recipe, corpus, options, said in [
        (plain, CORPUS, {"steps": 2}, "a run with recipe gpt;"),
        (TINY, CORPUS, {"steps": 3, "seed": 1}, "a run with seed 0, steps 2;"),
        (TINY, other_text, {"steps": 2}, "another text"),
    ]:
        with pytest.raises(CourseError, match=said):
            fit(recipe, corpus, folder=folder, **options)

    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(CourseError, match="holds other things"):
        fit(TINY, CORPUS, steps=2, folder=tmp_path)
    with pytest.raises(CourseError, match="cannot write into"):
        fit(TINY, CORPUS, steps=2, folder=tmp_path / "thesis.txt" / "run")
    (folder / "run.json").write_text("{")
    with pytest.raises(CourseError, match="does not describe a run"):
        fit(TINY, CORPUS, steps=2, folder=folder)


def test_a_damaged_alphabet_is_an_error(tmp_path):
    train_network(TINY, CORPUS, steps=1, out=tmp_path / "run")
    for content, said in [("{", "holds no alphabet"), ('{"alphabet": "ab"}', "not the alphabet")]:
        (tmp_path / "run" / "tokenizer.json").write_text(content)
        with pytest.raises(CourseError, match=said):
            load_trained(tmp_path / "run")


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_two_processes_train_the_same_model_and_one_speaks(tmp_path):
    """The same losses within 1e-4 as one process, and one line of JSON from two processes."""
    file = tmp_path / "text.txt"
    file.write_text(TEXT, "utf-8")
    two = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    train = ["-m", "course_lib", "train", "gpt-plain", "--steps", "3", "--text", file, "--json"]
    root = str(Path(network_recipes.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, *map(str, two + train)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": root},
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.strip().splitlines()
    together, alone = json.loads(line), train_network(GPT_PLAIN, read_text_file(file), steps=3)
    assert (alone["processes"], together["processes"]) == (1, 2)
    assert together["val_loss"] == pytest.approx(alone["val_loss"], abs=1e-4)
