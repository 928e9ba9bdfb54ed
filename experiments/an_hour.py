"""An hour on the ladder: how far does a small GPT come when it may train for as long as that?

    course experiment an-hour [--resume]

The recipe `gpt` for 24,000 steps, about an hour of one core, on all plays that are not held out:
the longest run of the book, with one seed. The whole validation text is scored on the way and at
the end, alone and mixed with the best counting model of the same text. The model is left, its
weights as 16-bit numbers, in experiments/hour_gpt/.
"""

from pathlib import Path

from course_lib.evidence import clone_folder
from course_lib.experiments import Experiment, Setting
from course_lib.training.rungs import first_losses, make_rung

LOOKS = 24  # evaluations of the run


def run(setting: Setting, seed: int, folder: Path) -> dict:
    """Train, score on the way and at the end, mix with counting, and keep the model."""
    steps = setting["steps"]
    network, results = make_rung(
        setting["recipe"],
        setting["text"],
        steps=steps,
        every=steps // LOOKS,
        seed=seed,
        folder=folder,
    )
    network.half().save(clone_folder() / "experiments" / "hour_gpt")
    return results


def probe(setting: Setting) -> list[float]:
    """The training losses of the first eight steps with seed 0."""
    return first_losses(setting["recipe"], setting["text"])


EXPERIMENT = Experiment(
    name="an-hour",
    question="How far does a small GPT come in an hour of one core?",
    grid=({"recipe": "gpt", "text": "shakespeare-full", "steps": 24_000},),
    seeds=1,
    run=run,
    probe=probe,
    texts=("shakespeare", "shakespeare-full"),
)
