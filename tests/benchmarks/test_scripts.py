"""Each script at a tiny size: that it runs, and that its rivals do the same work."""

import math
import os
import subprocess
import sys
from pathlib import Path

import generation
import pytest
import time_to_loss
import training_speed

from course_lib.data import corpora

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def text_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "verse.txt"
    file.write_text("the cat sat on the mat and the dog sat on the log\n" * 200, "utf-8")
    return file


def test_kneser_ney_prints_its_table(text_file):
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "kneser_ney.py", "--rounds", "1", "--text", text_file],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(BENCHMARKS.parent)},
    )
    assert done.returncode == 0, done.stderr
    assert "dictionaries : ours, time: " in done.stdout


def test_a_missing_text_is_a_clear_error(tmp_path):
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "kneser_ney.py", "--text", tmp_path / "none.txt"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(BENCHMARKS.parent)},
    )
    assert done.returncode == 1
    assert "none.txt" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("bf16", [False, True])
def test_three_sides_of_training_speed_are_one_function(bf16):
    size = training_speed.Size(n_layers=1, n_heads=2, d_model=16, batch_size=2, steps=3, context=8)
    runs = {side: training_speed.run_once(side, size, bf16) for side in training_speed.SIDES}
    hugging_face = runs["hf"]["loss"]
    for side in ("hf-tuned", "gpt2"):
        assert runs[side]["loss"] == pytest.approx(hugging_face, abs=1e-2 if bf16 else 1e-4)
    assert math.isfinite(runs["gpt"]["loss"])


def test_all_sides_of_generation_write_the_same_text():
    texts = [generation.run_once(side, "fp32", n_tokens=3)["tokens"] for side in ("hf", "ours")]
    assert texts[0] == texts[1]
    assert generation.run_once("uncached", "fp32", n_tokens=10)["tokens"] == texts[0][:1]
    assert generation.run_once("packed", "bf16", n_tokens=2)["tokens_per_second"] > 0


@pytest.mark.parametrize("side", [("gpt", 3, None), ("gpt-plain", 3, 4e-3)])
def test_time_to_loss_follows_a_run(side, text_file):
    corpus = corpora.read_text_file(text_file)
    run = time_to_loss.run_once(time_to_loss.Side(*side), corpus)
    assert run["steps"] == [1, 2, 3]
    assert min(run["losses"]) == pytest.approx(run["loss"])
    assert run["seconds"] == sorted(run["seconds"])


def test_a_loss_is_reached_between_two_evaluations():
    losses, seconds = [3.0, 2.0, 1.0], [10.0, 20.0, 40.0]
    assert time_to_loss.reached(1.5, losses, seconds) == 30.0
    assert time_to_loss.reached(3.5, losses, seconds) == 10.0
    assert time_to_loss.reached(0.5, losses, seconds) == math.inf


def test_time_to_loss_reports_also_who_never_came_there(capsys):
    came = {"loss": 1.0, "losses": [3.0, 1.0], "seconds": [1.0, 3.0], "steps": [10, 30]}
    never = {"loss": 2.5, "losses": [3.0, 2.5], "seconds": [2.0, 4.0], "steps": [10, 20]}
    slower = {**came, "seconds": [2.0, 6.0]}
    time_to_loss.report("goal", [2.0], {"plain": [slower], "worse": [never], "gpt": [came]})
    plain, worse, gpt = capsys.readouterr().out.splitlines()[-3:]
    assert "2.00 (2.00–2.00)" in plain
    assert "missed in 1 of 1" in worse
    assert "1.00 (1.00–1.00)" in gpt
