"""gpt and gpt-plain on the ladder: loss against steps and seconds, and against counting.

    course experiment gpt-on-the-ladder [--seeds N] [--resume]

Each run trains a recipe for its own number of steps, and scores the whole validation text six times
on the way, every character after at least half a context of history, as `course train` does at the
end. The losses of its blocks of 500 characters are kept, for paired comparison.
"""

import itertools
import math
from pathlib import Path

from course_lib import evaluation
from course_lib.data import corpora
from course_lib.data.corpora import Corpus
from course_lib.evaluation import Score, WindowedModel
from course_lib.experiments import Experiment, Setting
from course_lib.models.gpt import GPT
from course_lib.training.network_recipes import NETWORK_RECIPES, fit
from course_lib.training.rungs import first_losses

LOOKS = 6  # evaluations of a run
BLOCK = 500  # characters whose mean loss is one score


def score(corpus: Corpus, model: GPT) -> Score:
    """The whole validation text as every model of the book is scored on it."""
    tokens = corpus.tokenizer.encode(corpus.train), corpus.tokenizer.encode(corpus.validation)
    windowed = WindowedModel(model, model.config.context)
    return evaluation.evaluate(windowed, *tokens, corpus.n_bytes("validation"))


def run(setting: Setting, seed: int, folder: Path) -> dict:
    """Train, and score on the way and at the end."""
    corpus = corpora.load("shakespeare")
    model, history, precision = fit(
        NETWORK_RECIPES[setting["recipe"]],
        corpus,
        steps=setting["steps"],
        seed=seed,
        folder=folder,
        evaluate=lambda model: score(corpus, model).loss,
        every=math.ceil(setting["steps"] / LOOKS),
    )
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    final = score(corpus, model)
    windowed = WindowedModel(model, model.config.context)
    validation = corpus.tokenizer.encode(corpus.validation)
    smoothed = [sum(part) / len(part) for part in _parts(history.train_loss, 100)]
    return {
        "parameters": model.n_parameters(),
        "precision": precision,
        "steps": history.val_steps,
        "seconds": [round(s, 2) for s in history.val_seconds],  # of training, without evaluation
        "val_losses": [round(loss, 4) for loss in history.val_loss],
        "train_losses": [round(loss, 4) for loss in smoothed],  # means of 100 equal stretches
        "tokens": sum(history.scored),
        "val_loss": final.loss,
        "val_loss_blocks": evaluation.evaluate_in_blocks(windowed, validation),
        "block_losses": [round(loss, 4) for loss in final.blocks(BLOCK).tolist()],
    }


def probe(setting: Setting) -> list[float]:
    """The training losses of the first eight steps with seed 0."""
    return first_losses(setting["recipe"])


def _parts(values: list[float], n: int) -> list[list[float]]:
    """`values` in n stretches of as equal a length as can be."""
    edges = [round(i * len(values) / n) for i in range(n + 1)]
    return [values[a:b] for a, b in itertools.pairwise(edges) if b > a]


EXPERIMENT = Experiment(
    name="gpt-on-the-ladder",
    question="How far do two minutes of training bring a GPT, and is that below counting?",
    grid=({"recipe": "gpt", "steps": 1500}, {"recipe": "gpt-plain", "steps": 2000}),
    seeds=5,
    run=run,
    probe=probe,
)
