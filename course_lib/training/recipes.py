"""The models one trains by name: `course train RECIPE`; each returns what the JSON line holds.

All recipes report the same keys, so that any two models can be put side by side: `val_loss` (nats
per character, every character of validation scored with all the text before it), `val_loss_blocks`
(history restarted every 128 characters, as nanoGPT reports) and `bits_per_byte`.
"""

import time
from collections.abc import Sequence

from course_lib.data.corpora import Corpus
from course_lib.errors import CourseError
from course_lib.evaluation import Score, evaluate, evaluate_in_blocks
from course_lib.models.ngram import KneserNey, NGramCounts


def train_kneser_ney(corpus: Corpus, orders: Sequence[int] = (5, 6, 7, 8)) -> dict:
    """Fit Kneser–Ney models on the training text and keep the modified one best on validation.

    Beside the keys that every recipe has ("parameters" are the stored counts; counting takes no
    "steps"): the order chosen and the loss of each order, the best model with a single discount,
    how long fitting and scoring took in all (seconds), the chosen model's size in memory (MB), the
    lengths of both parts in characters, and the symbols of validation that training never showed,
    which get the smoothed model's share for unseen symbols.

    Symbols are those of the corpus's alphabet. Raises CourseError when there is no order to try or
    validation has fewer than two characters.
    """
    if not orders:
        raise CourseError("there is no order to try; pass at least one")
    begun = time.perf_counter()
    tokenizer = corpus.tokenizer
    train, validation = tokenizer.encode(corpus.train), tokenizer.encode(corpus.validation)
    n_bytes = corpus.n_bytes("validation")

    counts = NGramCounts.of(train, tokenizer.vocab_size, max(orders))
    fit_seconds, score_seconds = time.perf_counter() - begun, 0.0
    fitted: dict[int, tuple[KneserNey, Score]] = {}
    one_discount: dict[int, float] = {}
    for order in orders:
        start = time.perf_counter()
        modified, single = KneserNey(counts, order, 3), KneserNey(counts, order, 1)
        fit_seconds += (middle := time.perf_counter()) - start
        fitted[order] = modified, evaluate(modified, train, validation, n_bytes)
        one_discount[order] = evaluate(single, train, validation, n_bytes).loss
        score_seconds += time.perf_counter() - middle

    order = min(fitted, key=lambda n: fitted[n][1].loss)
    order_of_one = min(one_discount, key=one_discount.__getitem__)
    model, score = fitted[order]
    start = time.perf_counter()
    val_loss_blocks = evaluate_in_blocks(model, validation)
    score_seconds += time.perf_counter() - start
    return {
        "recipe": "kneser-ney",
        "parameters": model.stored_counts,
        "steps": 0,
        "seconds": time.perf_counter() - begun,
        "val_loss": score.loss,
        "val_loss_blocks": val_loss_blocks,
        "bits_per_byte": score.bits_per_byte,
        "device": "cpu",
        "order": order,
        "val_loss_by_order": {n: s.loss for n, (_, s) in fitted.items()},
        "one_discount": {"order": order_of_one, "val_loss": one_discount[order_of_one]},
        "fit_seconds": fit_seconds,
        "score_seconds": score_seconds,
        "stored_megabytes": model.nbytes / 1e6,
        "train_characters": len(train),
        "validation_characters": len(validation),
        "unseen_symbols": corpus.unseen_symbols,
    }
