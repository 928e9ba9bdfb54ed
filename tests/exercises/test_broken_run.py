"""The broken runs of exercise 04.3 have just the fault that they are made with."""

import math

import pytest

from course_lib.exercises.broken_run import FAULTS, Run
from course_lib.exercises.ch04_training_and_evidence import diagnose


@pytest.mark.parametrize("fault", ["nothing", *FAULTS])
def test_the_procedure_finds_the_fault_of_every_run(fault):
    assert {diagnose(Run(fault, seed)) for seed in range(60)} == {fault}


def test_a_healthy_run_starts_near_ln_v_and_comes_near_its_floor():
    for seed in range(30):
        run = Run("nothing", seed)
        assert abs(run.initial_loss() - math.log(run.vocab_size)) < 0.1
        assert 0 < run.overfit() - run.floor() < 0.05


def test_the_same_fault_and_seed_make_the_same_run():
    one, other = Run("start", 7), Run("start", 7)
    assert (one.initial_loss(), one.floor()) == (other.initial_loss(), other.floor())


def test_an_unknown_fault_is_refused():
    with pytest.raises(ValueError, match="no fault is called"):
        Run("bad luck", 0)
