"""Two processes train together: torchrun --nproc-per-node 2 distributed_run.py FOLDER."""

import sys
from functools import partial
from pathlib import Path

import torch
from test_loop import frequent_tokens_only
from tiny_model import TEXT, optimizers, tiny_lm, windows

from course_lib.training.batches import blocks
from course_lib.training.loop import train
from course_lib.training.objectives import mean_loss
from course_lib.training.optimizers import muon_and_adamw
from course_lib.training.schedules import cosine


def run(steps=12, dropout=0.0, batch_size=4, accumulate=1, make=optimizers, **settings):
    """12 steps of a model, the same whoever runs them as long as the shares are the same."""
    torch.set_num_threads(1)
    model = tiny_lm(dropout)
    return model, train(
        model,
        windows(batch_size),
        make(model),
        objective=frequent_tokens_only,
        steps=steps,
        accumulate=accumulate,
        evaluate=partial(mean_loss, batches=blocks(TEXT, 8)),
        every=4,
        **settings,
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    runs = {
        "plain": run(schedule=cosine),
        "accumulated": run(schedule=cosine, batch_size=2, accumulate=2),
        "dropout": run(dropout=0.2),
        "measured": run(make=muon_and_adamw),  # both must choose the same dtype
    }
    run(steps=6, dropout=0.2, checkpoint=folder / "run.safetensors")
    runs["resumed"] = run(dropout=0.2, checkpoint=folder / "run.safetensors")
    rank = torch.distributed.get_rank()
    for name, (model, history) in runs.items():
        history.save(folder / f"{name}.{rank}.json")
        weights = torch.cat([p.detach().flatten() for p in model.parameters()])
        (folder / f"{name}.{rank}.weights").write_bytes(weights.numpy().tobytes())
    torch.distributed.destroy_process_group()
