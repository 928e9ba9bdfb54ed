"""Longer runs on the ladder: what do a small GPT more steps bring, and what more text?

    course experiment ladder [--seeds N] [--resume]

The recipe `gpt` for twice its steps on the ladder's nine plays, and for four times its steps on all
plays that are not held out. The whole validation text is scored on the way and at the end, alone
and mixed with the best counting model of the same text. The models of seed 0 are left, their
weights as 16-bit numbers, in experiments/ladder_gpt/ and experiments/ladder_gpt_full/.
"""

from pathlib import Path

from course_lib.evidence import clone_folder
from course_lib.experiments import Experiment, Setting
from course_lib.models.gpt import GPT
from course_lib.training.rungs import first_losses, make_rung

LOOKS = 12  # evaluations of a run
FOLDERS = {"shakespeare": "ladder_gpt", "shakespeare-full": "ladder_gpt_full"}


def run(setting: Setting, seed: int, folder: Path) -> dict:
    """Train, score on the way and at the end, and mix with counting."""
    steps = setting["steps"]
    network, results = make_rung(
        setting["recipe"],
        setting["text"],
        steps=steps,
        every=steps // LOOKS,
        seed=seed,
        folder=folder,
    )
    if seed == 0:
        keep(network, FOLDERS[setting["text"]])
    return results


def keep(network: GPT, name: str) -> None:
    """Put the model, its weights as 16-bit numbers, beside the record."""
    network.half().save(clone_folder() / "experiments" / name)
    network.float()


def probe(setting: Setting) -> list[float]:
    """The training losses of the first eight steps with seed 0."""
    return first_losses(setting["recipe"], setting["text"])


EXPERIMENT = Experiment(
    name="ladder",
    question="What do a small GPT more steps bring, and what more text?",
    grid=(
        {"recipe": "gpt", "text": "shakespeare-full", "steps": 6_000},
        {"recipe": "gpt", "text": "shakespeare", "steps": 3_000},
    ),
    seeds=5,
    run=run,
    probe=probe,
    texts=("shakespeare", "shakespeare-full"),
)
