"""mlp, rnn and lstm on the ladder: on equal text, in equal time, and mixed with counting.

    course experiment networks-on-the-ladder [--seeds N] [--resume]

Networks of one size (0.8 M parameters), each at its own best learning rate, trained once on equal
text, as much as the recipe gpt reads, and once for two minutes. The whole validation text is scored
on the way and at the end; the losses of its blocks of 500 characters are kept, for paired
comparison.

Each is also mixed with the best counting model of chapter 01: the weight of the mixture is fitted
on the first half of the validation text, and the mixture scored on the second.
"""

from functools import cache
from pathlib import Path

import numpy as np

from course_lib import evaluation
from course_lib.data import corpora
from course_lib.evaluation import Score, mix, mixture_weight
from course_lib.experiments import Experiment, Setting
from course_lib.models.ngram import KneserNey, NGramCounts
from course_lib.training.network_recipes import (
    NETWORK_RECIPES,
    Network,
    as_language_model,
    fit,
)

EVERY = 150  # steps between two scores of the whole validation text
FIRST = 20  # steps whose training losses are kept, to be run again live
BLOCK = 500  # characters whose mean loss is one score
ORDER = 7  # of the modified Kneser–Ney model; chapter 01 chose it


def run(setting: Setting, seed: int, folder: Path) -> dict:
    """Train, score on the way and at the end, and mix with counting."""
    corpus = corpora.load("shakespeare")
    tokens, validation = map(corpus.tokenizer.encode, (corpus.train, corpus.validation))
    recipe = NETWORK_RECIPES[setting["recipe"]]

    def score(model: Network) -> Score:
        scored = as_language_model(model, recipe.tokens_of_a_window(model))
        return evaluation.evaluate(scored, tokens, validation, corpus.n_bytes("validation"))

    model, history, _ = fit(
        recipe,
        corpus,
        steps=setting.get("steps"),
        seconds=setting.get("seconds"),
        seed=seed,
        folder=folder,
        evaluate=lambda model: score(model).loss,
        every=EVERY,
    )
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    final = score(model)
    scored = as_language_model(model, recipe.tokens_of_a_window(model))
    return {
        "parameters": model.n_parameters(),
        "steps": history.val_steps,
        "seconds": [round(s, 2) for s in history.val_seconds],  # of training, without evaluation
        "val_losses": [round(loss, 4) for loss in history.val_loss],
        "first_losses": [round(loss, 5) for loss in history.train_loss[:FIRST]],
        "tokens": sum(history.scored),
        "largest_gradient": round(max(history.grad_norm), 2),  # before clipping
        "val_loss": final.loss,
        "val_loss_blocks": evaluation.evaluate_in_blocks(scored, validation),
        "bits_per_byte": final.bits_per_byte,
        "block_losses": _blocks(final.nats),
        "mixed": _mixed_with_counting(final.nats),
    }


def _mixed_with_counting(nats: np.ndarray) -> dict:
    """The network's weight in the mixture, and the losses of the three on the second half."""
    counting, half = _counting_nats(), len(nats) // 2
    weight = mixture_weight(nats[:half], counting[:half])
    mixture = mix(nats[half:], counting[half:], weight)
    return {
        "weight": weight,
        "block_losses": _blocks(mixture),
        "network_block_losses": _blocks(nats[half:]),
        "counting_block_losses": _blocks(counting[half:]),
    }


@cache
def _counting_nats() -> np.ndarray:
    """What each validation character costs the best counting model."""
    corpus = corpora.load("shakespeare")
    tokens, validation = map(corpus.tokenizer.encode, (corpus.train, corpus.validation))
    counts = NGramCounts.of(tokens, corpus.tokenizer.vocab_size, ORDER)
    return evaluation.evaluate(KneserNey(counts, ORDER, 3), tokens, validation, 1).nats


def _blocks(nats: np.ndarray) -> list[float]:
    return [round(loss, 4) for loss in Score(nats, 1).blocks(BLOCK).tolist()]


def probe(setting: Setting) -> list[float]:
    """The training losses of the first eight steps with seed 0."""
    recipe, corpus = NETWORK_RECIPES[setting["recipe"]], corpora.load("shakespeare")
    _, history, _ = fit(recipe, corpus, steps=8, evaluate=lambda model: 0.0)
    return history.train_loss


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
    seeds=3,
    run=run,
    probe=probe,
)
