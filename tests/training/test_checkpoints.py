"""Checkpoints: killed at any moment a run goes on to the same end; damaged files are named."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_model import optimizers, tiny_lm, windows, without_clock
from torch import nn
from torch.optim import SGD
from torch.testing import assert_close

from course_lib.errors import CourseError
from course_lib.training.checkpoints import load_checkpoint, save_checkpoint
from course_lib.training.history import History
from course_lib.training.loop import train
from course_lib.training.optimizers import Muon, adamw


@pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL and fork are POSIX")
def test_a_run_killed_at_six_moments_ends_as_if_never_killed(tmp_path):
    """Bit for bit; each attempt starts from the last whole checkpoint."""
    worker = Path(__file__).with_name("killed_run.py")
    ran = subprocess.run(
        [sys.executable, worker, tmp_path], capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    signals = [line["signal"] for line in lines if "signal" in line]
    assert signals == [signal.SIGKILL] * 6 + [0, 0]
    starts = [line["first_step"] for line in lines if "first_step" in line]
    assert starts == [0, 5, 5, 5, 10, 10, 15, 0]
    killed, whole = (History.load(tmp_path / f"{name}.json") for name in ("killed", "whole"))
    assert without_clock(killed) == without_clock(whole)
    assert (tmp_path / "killed.weights").read_text() == (tmp_path / "whole.weights").read_text()
    assert not list(tmp_path.glob(".*")), "pieces of a write that was killed are swept up"


def run(checkpoint, steps=6, model=None, make=optimizers):
    model = model or tiny_lm()
    history = train(model, windows(), make(model), steps=steps, every=3, checkpoint=checkpoint)
    return history, model


def test_a_finished_run_started_again_does_nothing_and_with_more_steps_goes_on(tmp_path):
    path = tmp_path / "run.safetensors"
    first, model = run(path)
    again, same = run(path)
    assert again == first
    assert_close(same.state_dict(), model.state_dict(), atol=0, rtol=0)
    longer, _ = run(path, steps=12)
    assert without_clock(longer) == without_clock(run(None, steps=12)[0])


def test_optimizers_with_other_kinds_of_state_resume_too(tmp_path):
    for kind in (adamw, lambda m: SGD(m.parameters(), lr=0.1, momentum=0.9)):
        path = tmp_path / "run.safetensors"
        path.unlink(missing_ok=True)
        run(path, make=kind)
        resumed, whole = run(path, 12, make=kind)[0], run(None, 12, make=kind)[0]
        assert without_clock(resumed) == without_clock(whole)


def test_tied_weights_survive(tmp_path):
    def tied():
        model = tiny_lm()
        model.head.weight = model.embedding.weight
        return model

    path = tmp_path / "run.safetensors"
    _, model = run(path, model=tied())
    _, again = run(path, model=tied())
    assert again.head.weight is again.embedding.weight
    assert_close(again.state_dict(), model.state_dict(), atol=0, rtol=0)


def test_the_dtype_that_muon_measured_as_fastest_stays_in_a_resumed_run(tmp_path):
    path, weight = tmp_path / "run.safetensors", nn.Linear(4, 4, bias=False)
    muon = Muon(weight.parameters())
    muon.param_groups[0]["dtype"] = "bfloat16"  # as its first step may do
    save_checkpoint(path, weight, [muon], History())
    resumed, chosen = Muon(weight.parameters()), Muon(weight.parameters(), dtype="float32")
    for optimizer, dtype in ((resumed, "bfloat16"), (chosen, "float32")):
        load_checkpoint(path, weight, [optimizer])
        assert optimizer.param_groups[0]["dtype"] == dtype


@pytest.mark.parametrize("kept", [0, 4, 100, 0.5, -1])
def test_a_truncated_checkpoint_is_named(tmp_path, kept):
    path = tmp_path / "run.safetensors"
    run(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(CourseError, match=r"run\.safetensors is no whole checkpoint"):
        run(path)


def test_a_safetensors_file_of_something_else_is_named(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "run.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CourseError, match="no whole checkpoint"):
        run(path)


def test_a_checkpoint_of_another_model_or_other_optimizers_is_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    run(path)
    with pytest.raises(CourseError, match="another model"):
        run(path, model=nn.Sequential(tiny_lm()))
    with pytest.raises(CourseError, match="other optimizers"):
        run(path, make=adamw)
