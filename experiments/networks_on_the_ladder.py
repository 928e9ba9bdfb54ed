"""mlp, rnn and lstm on the ladder: on equal text, in equal time, and mixed with counting.

    course experiment networks-on-the-ladder [--seeds N] [--resume]

Networks of one size (0.8 M parameters), each at its own best learning rate, trained once on equal
text, as much as the recipe gpt reads, and once for two minutes. The whole validation text is scored
on the way and at the end; the losses of its blocks of 500 characters are kept, for paired
comparison.

Each is also mixed with the best counting model of chapter 01: the weight of the mixture is fitted
on the first half of the validation text, and the mixture scored on the second.
"""

from pathlib import Path

from course_lib.experiments import Experiment, Setting
from course_lib.training.rungs import first_losses, make_rung

EVERY = 150  # steps between two scores of the whole validation text


def run(setting: Setting, seed: int, folder: Path) -> dict:
    """Train, score on the way and at the end, and mix with counting."""
    length = {key: setting[key] for key in ("steps", "seconds") if key in setting}
    return make_rung(setting["recipe"], **length, every=EVERY, seed=seed, folder=folder)[1]


def probe(setting: Setting) -> list[float]:
    """The training losses of the first eight steps with seed 0."""
    return first_losses(setting["recipe"])


NETWORKS = ("mlp", "rnn", "lstm")

EXPERIMENT = Experiment(
    name="networks-on-the-ladder",
    question="Which network learns most from equal text, which in equal time, and does it know "
    "what counting does not?",
    grid=tuple(
        {"recipe": name, **length}
        for length in ({"steps": 750}, {"seconds": 120})
        for name in NETWORKS
    ),
    seeds=5,
    run=run,
    probe=probe,
)
