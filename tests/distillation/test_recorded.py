"""What a record keeps of a student's training: a clock that goes on, and one precision."""

import json
import time

import numpy as np
import pytest

from course_lib.distillation import recorded
from course_lib.distillation.ladder_student import STUDENT, new_student, windows_of
from course_lib.distillation.recorded import CPUClock, train_recorded
from course_lib.distillation.sequence import next_token_loss


class FakeTime:
    """CPU time that a test moves on."""

    now = 100.0


@pytest.fixture
def cpu(monkeypatch):
    fake = FakeTime()
    monkeypatch.setattr(time, "process_time", lambda: fake.now)
    return fake


def test_the_clock_stands_between_a_stop_and_the_next_step(cpu, tmp_path):
    clock = CPUClock(lambda step, share: (step, share), tmp_path / "cpu.json")
    assert clock(0) == (0, 0)
    cpu.now += 2
    clock(1)
    cpu.now += 3
    clock.stop()
    cpu.now += 50  # an evaluation
    clock.stop()  # it stands already
    clock(2)
    cpu.now += 1
    clock.stop()
    assert clock.counted == {0: 0, 2: 5, 3: 6}


def test_a_resumed_clock_goes_on_from_its_checkpoint(cpu, tmp_path):
    file = tmp_path / "cpu.json"
    file.write_text(json.dumps({0: 0.0, 10: 5.0, 20: 9.0}))
    cpu.now = 0.3
    clock = CPUClock(lambda step, share: None, file)
    clock(10)  # the look after step 20 was counted, its checkpoint never written
    cpu.now += 6
    clock.stop(20)
    assert CPUClock(lambda step, share: None, file).counted == {0: 0, 10: 5, 20: 11}


def test_a_run_keeps_to_the_precision_it_began_with(monkeypatch, tmp_path):
    asked = {"steps": 2, "every": 1, "evaluate": lambda model: 1.0, "seed": 0, "folder": tmp_path}
    taught = windows_of(np.arange(2_000) % 68, batch_size=1), next_token_loss, STUDENT
    monkeypatch.setattr(recorded, "fastest_matmul_dtype", lambda device: "float32")
    first = train_recorded(new_student(68), *taught, **asked)
    monkeypatch.setattr(recorded, "fastest_matmul_dtype", lambda device: "bfloat16")
    again = train_recorded(new_student(68), *taught, **asked)
    assert first == again
    assert first["precision"] == "float32"
    assert first["steps"] == [1, 2]
    assert 0 < first["cpu_seconds"][0] <= first["cpu_seconds"][1]
