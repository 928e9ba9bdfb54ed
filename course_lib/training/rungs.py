"""A rung of the ladder made by training: one run of a recipe, scored alone and mixed with counting.

What a recorded experiment keeps of such a run is plain data: curves, the losses of the blocks of
500 characters for paired comparison, and what a mixture with the best counting model of chapter 01
loses on the second half of the validation text, its weight having been fitted on the first.
"""

from functools import cache
from pathlib import Path

import numpy as np

from course_lib import evaluation
from course_lib.data import corpora
from course_lib.evaluation import Score, mix, mixture_weight
from course_lib.models.ngram import KneserNey, NGramCounts
from course_lib.training.network_recipes import NETWORK_RECIPES, Network, as_language_model, fit

FIRST = 20  # steps whose training losses are kept, to be run again live
BLOCK = 500  # characters whose mean loss is one score
ORDER = 7  # of the modified Kneser–Ney model; chapter 01 chose it


def make_rung(
    name: str,
    text: str = "shakespeare",
    *,
    every: int,
    steps: int | None = None,
    seconds: float | int | None = None,
    seed: int = 0,
    folder: Path | None = None,
) -> tuple[Network, dict]:
    """Train the recipe `name` on the corpus `text`, for `steps` steps or `seconds` seconds.

    The whole validation text is scored every `every` steps and at the end. Returns the network with
    its best weights, and what a record keeps ("seconds" are those of training, without evaluation;
    losses are nats per character). `folder` keeps what an interrupted run needs to go on.

    Raises KeyboardInterrupt when interrupted.
    """
    recipe, corpus = NETWORK_RECIPES[name], corpora.load(text)
    tokens, validation = map(corpus.tokenizer.encode, (corpus.train, corpus.validation))

    def score(network: Network) -> Score:
        scored = as_language_model(network, recipe.tokens_of_a_window(network))
        return evaluation.evaluate(scored, tokens, validation, corpus.n_bytes("validation"))

    network, history, precision = fit(
        recipe,
        corpus,
        steps=steps,
        seconds=seconds,
        seed=seed,
        folder=folder,
        evaluate=lambda network: score(network).loss,
        every=every,
    )
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    final = score(network)
    scored = as_language_model(network, recipe.tokens_of_a_window(network))
    return network, {
        "parameters": network.n_parameters(),
        "precision": precision,
        "steps": history.val_steps,
        "seconds": [round(s, 2) for s in history.val_seconds],
        "val_losses": [round(loss, 4) for loss in history.val_loss],
        "first_losses": [round(loss, 5) for loss in history.train_loss[:FIRST]],
        "last_train_loss": float(np.mean(history.train_loss[-100:])),
        "tokens": sum(history.scored),
        "largest_gradient": round(max(history.grad_norm), 2),  # before clipping
        "val_loss": final.loss,
        "val_loss_blocks": evaluation.evaluate_in_blocks(scored, validation),
        "bits_per_byte": final.bits_per_byte,
        "block_losses": _blocks(final.nats),
        "mixed": mixed_with_counting(final.nats, text),
    }


def first_losses(name: str, text: str = "shakespeare") -> list[float]:
    """The training losses of the first eight steps of the recipe `name` with seed 0: a probe."""
    _, history, _ = fit(
        NETWORK_RECIPES[name], corpora.load(text), steps=8, evaluate=lambda network: 0.0
    )
    return history.train_loss


def mixed_with_counting(nats: np.ndarray, text: str = "shakespeare") -> dict:
    """The network's weight in the mixture, and the losses of the three on the second half.

    `nats` are what each validation character of the corpus `text` costs the network.
    """
    counting, half = _counting_nats(text), len(nats) // 2
    weight = mixture_weight(nats[:half], counting[:half])
    mixture = mix(nats[half:], counting[half:], weight)
    return {
        "weight": weight,
        "block_losses": _blocks(mixture),
        "network_block_losses": _blocks(nats[half:]),
        "counting_block_losses": _blocks(counting[half:]),
    }


@cache
def _counting_nats(text: str) -> np.ndarray:
    """What each validation character costs the best counting model of the same text."""
    corpus = corpora.load(text)
    tokens, validation = map(corpus.tokenizer.encode, (corpus.train, corpus.validation))
    counts = NGramCounts.of(tokens, corpus.tokenizer.vocab_size, ORDER)
    return evaluation.evaluate(KneserNey(counts, ORDER, 3), tokens, validation, 1).nats


def _blocks(nats: np.ndarray) -> list[float]:
    return [round(loss, 4) for loss in Score(nats, 1).blocks(BLOCK).tolist()]
