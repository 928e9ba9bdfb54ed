"""Two processes are one process with twice the batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from distributed_run import run
from tiny_model import without_clock

from course_lib.training.history import History
from course_lib.training.schedules import cosine


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The files of both processes."""
    folder = tmp_path_factory.mktemp("together")
    worker = Path(__file__).with_name("distributed_run.py")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    ran = subprocess.run(
        [*torchrun, "--nproc-per-node=2", worker, folder],
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    return folder


def assert_same_run(found, expected):
    """Losses and norms within 1e-5 over 12 steps: sums are taken in another order."""
    assert found.scored == expected.scored
    assert found.train_loss == pytest.approx(expected.train_loss, abs=1e-5)
    assert found.grad_norm == pytest.approx(expected.grad_norm, abs=1e-5)
    assert found.val_loss == pytest.approx(expected.val_loss, abs=1e-5)
    assert found.val_steps == expected.val_steps


def test_two_processes_equal_one_with_twice_the_batch(together):
    _, alone = run(schedule=cosine, batch_size=8)
    assert len(set(alone.scored)) > 1  # the shares score different numbers of tokens
    assert_same_run(History.load(together / "plain.0.json"), alone)
    assert_same_run(History.load(together / "accumulated.0.json"), alone)


def test_two_processes_equal_one_that_reads_both_shares_in_turn_also_with_dropout(together):
    _, alone = run(dropout=0.2, accumulate=2)
    assert_same_run(History.load(together / "dropout.0.json"), alone)


def test_a_run_of_two_processes_resumes_to_the_same_curve(together):
    resumed = History.load(together / "resumed.0.json")
    whole = History.load(together / "dropout.0.json")
    assert resumed.train_loss == whole.train_loss
    assert resumed.grad_norm == whole.grad_norm


@pytest.mark.parametrize("name", ["plain", "accumulated", "dropout", "measured", "resumed"])
def test_both_processes_end_with_the_same_weights_and_history(together, name):
    first, second = (History.load(together / f"{name}.{rank}.json") for rank in (0, 1))
    assert without_clock(first) == without_clock(second)
    first, second = ((together / f"{name}.{rank}.weights").read_bytes() for rank in (0, 1))
    assert first == second
