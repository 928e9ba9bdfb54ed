"""A run that is killed, again and again: python killed_run.py FOLDER (for test_checkpoints).

Each attempt is a forked child that kills itself with SIGKILL at a chosen moment; the last ones run
to the end, one of them never having been killed. Prints a JSON line for each child.
"""

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import torch
import torch._dynamo  # what an optimizer imports when first made: once here, not in each child
from tiny_model import TEXT, optimizers, tiny_lm, windows

from course_lib.training import checkpoints
from course_lib.training.batches import blocks
from course_lib.training.loop import train
from course_lib.training.objectives import mean_loss
from course_lib.training.schedules import cosine


def run(checkpoint: Path, kill: str | None) -> None:
    """20 steps with a checkpoint every 5; killed at a moment that depends on the attempt."""
    torch.set_num_threads(1)
    model, saves, first_step = tiny_lm(dropout=0.1), [], []
    muon, adam = optimizers(model)
    die = partial(os.kill, os.getpid(), signal.SIGKILL)

    def batches(step, share):
        if not first_step:
            first_step.append(step)
            print(json.dumps({"kill": kill, "first_step": step}), flush=True)
        if kill == "while reading a batch" and step == 7:
            die()
        if kill == "between the two updates" and step == 12:
            muon.register_step_post_hook(lambda *_: die())
        return windows()(step, share)

    def evaluate(model):
        if kill == "while evaluating" and first_step and len(saves) == 1:
            die()
        return mean_loss(model, blocks(TEXT, 8))

    write = checkpoints.write_atomically

    def count_and_write(path, content):
        saves.append(path)
        if kill == "before the file is whole" and len(saves) == 2:
            os.fsync = lambda handle: (os.truncate(handle, len(content) // 2), die())
        if kill == "before the file has its name" and len(saves) == 2:
            os.replace = lambda *_: die()
        write(path, content)
        if kill == "right after a checkpoint" and len(saves) == 2:
            die()

    checkpoints.write_atomically = count_and_write
    history = train(
        model,
        batches,
        [muon, adam],
        schedule=cosine,
        steps=20,
        evaluate=evaluate,
        every=5,
        checkpoint=checkpoint,
    )
    history.save(checkpoint.with_suffix(".json"))
    weights = {name: tensor.tolist() for name, tensor in model.state_dict().items()}
    checkpoint.with_suffix(".weights").write_text(json.dumps(weights))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    moments = [
        "while reading a batch",  # 7; the checkpoint is of 5
        "before the file is whole",  # 10; still 5
        "before the file has its name",  # 10; still 5
        "between the two updates",  # 12; the checkpoint is of 10
        "while evaluating",  # 15; still 10
        "right after a checkpoint",  # 15
        None,
    ]
    for name, kill in [("killed", moment) for moment in moments] + [("whole", None)]:
        if not (child := os.fork()):  # safe: this process computes nothing itself
            run(folder / f"{name}.safetensors", kill)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        print(json.dumps({"kill": kill, "signal": os.WTERMSIG(status)}), flush=True)
