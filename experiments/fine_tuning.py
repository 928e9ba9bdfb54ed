"""The ways to fine-tune in one table, and what each of them does with few labels.

    course experiment fine-tuning [--seeds N] [--resume]

Every method of chapter 09 on all 5,528 training sentences of Rotten Tomatoes for the same steps,
MiniLM as the encoder, beside chapter 08's own BERT (experiments/bert_on_speeches/), the same shapes
with random weights, and counting words; the step that is kept is chosen on validation, what a row
reports is of the 2,000 test sentences. Then 8 to 4,000 labels, drawn anew by each seed, where
nothing is chosen on validation: those would be labels too. Matrix products in training are in
bfloat16 where that is faster.
"""

import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from course_lib.data.tasks import rotten_tomatoes
from course_lib.evidence import clone_folder
from course_lib.experiments import Experiment, Setting
from course_lib.models.bert import BertForPreTraining
from course_lib.models.bert_heads import BertForSequenceClassification
from course_lib.models.lora import add_lora, n_trainable
from course_lib.models.pretrained_bert import PretrainedBert, load_minilm
from course_lib.tokenization.wordpiece import WordPieceTokenizer
from course_lib.training.answers import scored
from course_lib.training.fine_tuning import (
    RECIPES,
    Examples,
    Recipe,
    features,
    fine_tune,
    freeze,
    linear_probe,
    predicted_logits,
)
from course_lib.training.optimizers import fastest_matmul_dtype
from course_lib.training.text_baselines import naive_bayes, tfidf_regression

MAX_TOKENS = 64
STEPS, EVERY = 260, 65  # of 32 sentences: one and a half times through all of them
LABELS = (8, 32, 128, 500, 2000, 4000)
FEW_STEPS = {8: 30, 32: 30, 128: 40, 500: 60, 2000: 100, 4000: 190}  # of 32, or of all there are

OWN = {"chapter 08's BERT": True, "its shape, random weights": False}  # pretrained or not
OWN_RECIPE = Recipe(lr=2e-3)  # of 1e-4 to 2e-3 the best for both, on validation


@cache
def encoder(own: bool) -> PretrainedBert:
    """MiniLM, or chapter 08's BERT as its experiment left it."""
    if not own:
        return load_minilm()
    folder = clone_folder() / "experiments" / "bert_on_speeches"
    model = BertForPreTraining.load(folder).bert
    return PretrainedBert(model.float(), WordPieceTokenizer.load(folder / "tokenizer.json"))


@cache
def examples(own: bool) -> dict[str, Examples]:
    """The sentences by split, cut by the encoder's tokenizer."""
    return {
        split: Examples.of(rows, encoder(own), MAX_TOKENS)
        for split, rows in rotten_tomatoes().items()
    }


@cache
def texts() -> dict[str, list[str]]:
    """The sentences by split as they are."""
    return {split: list(rows["text"]) for split, rows in rotten_tomatoes().items()}


@cache
def vectors() -> dict[str, np.ndarray]:
    """MiniLM's vectors of all sentences, which a probe reads."""
    return {
        split: features(encoder(False).model, found) for split, found in examples(False).items()
    }


def recipe_for(method: str) -> Recipe:
    """How the method fine-tunes."""
    if method not in OWN:
        return RECIPES[method]
    return Recipe(**(vars(OWN_RECIPE) | {"pretrained": OWN[method]}))


def numbers_that_learn(method: str) -> int:
    """How many of the classifier's numbers the method moves; nobody reads the pooler's."""
    recipe = recipe_for(method)
    model = BertForSequenceClassification.on(encoder(method in OWN).model)
    if recipe.lora_rank:
        add_lora(model.bert, recipe.lora_rank, alpha=2 * recipe.lora_rank)
    else:
        freeze(model, recipe.frozen_layers)
    if model.bert.pooler is not None:
        model.bert.pooler.requires_grad_(False)
    return n_trainable(model)


def by_training(
    method: str, train: Examples, steps: int, seed: int, choose: bool
) -> tuple[np.ndarray, dict[str, Any]]:
    """The logits of the test sentences after fine-tuning; and how that went."""
    own = method in OWN
    splits = examples(own)
    model, history = fine_tune(
        encoder(own).model,
        recipe_for(method),
        train,
        splits["validation"] if choose else None,
        steps=steps,
        every=EVERY,
        seed=seed,
        bf16=fastest_matmul_dtype() == "bfloat16",
    )
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    return predicted_logits(model, splits["test"]), {
        "numbers_that_learn": numbers_that_learn(method),
        "seconds": round(history.elapsed, 1),
        "steps": history.val_steps,
        "val_losses": [round(loss, 4) for loss in history.val_loss],
        "train_loss": float(np.mean(history.train_loss[-20:])),
    }


def by_probe(places: np.ndarray, choose: bool) -> tuple[np.ndarray, dict[str, Any]]:
    """Logistic regression on MiniLM's vectors, as log-probabilities of the test sentences."""
    labels = {split: found.labels for split, found in examples(False).items()}
    found = vectors()  # computed once for all settings, and not counted
    begin = time.perf_counter()
    x, y = found["train"][places], labels["train"][places]
    if choose:
        model = linear_probe(x, y, found["validation"], labels["validation"])
    else:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000)).fit(x, y)
    return model.predict_log_proba(found["test"]), {
        "numbers_that_learn": x.shape[1] + 1,
        "seconds": round(time.perf_counter() - begin, 1),
    }


def by_counting(method: str, places: np.ndarray, choose: bool) -> tuple[np.ndarray, dict[str, Any]]:
    """Log-probabilities of the test sentences by a model of word counts."""
    labels = {split: found.labels for split, found in examples(False).items()}
    begin = time.perf_counter()
    x, y = [texts()["train"][i] for i in places], labels["train"][places]
    if choose:
        fit = {"TF-IDF": tfidf_regression, "naive Bayes": naive_bayes}[method]
        model = fit(x, y, texts()["validation"], labels["validation"])
    else:
        model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10.0)).fit(x, y)
    return model.predict_log_proba(texts()["test"]), {
        "numbers_that_learn": len(model[0].vocabulary_) + 1,
        "seconds": round(time.perf_counter() - begin, 1),
    }


def run(setting: Setting, seed: int, folder: Path) -> dict:
    """Learn from the labels that the seed drew, and score the test sentences."""
    method, n = setting["method"], setting["labels"]
    train, choose = examples(method in OWN)["train"], n == "all"
    places = np.arange(len(train)) if choose else train.places_of_few(n, seed)
    if method == "linear probe":
        logits, how = by_probe(places, choose)
    elif method in ("TF-IDF", "naive Bayes"):
        logits, how = by_counting(method, places, choose)
    else:
        steps = STEPS if choose else FEW_STEPS[n]
        logits, how = by_training(method, train.take(places), steps, seed, choose)
    return how | scored(logits, examples(False)["test"].labels)


def probe(setting: Setting) -> list[float]:
    """Three training losses with seed 0; of methods that need no steps, the test nats."""
    method, n = setting["method"], setting["labels"]
    own = method in OWN
    if method not in RECIPES and not own:
        return [run(setting, 0, Path())["nats"]]
    train = examples(own)["train"]
    train = train if n == "all" else train.few(n)
    _, history = fine_tune(encoder(own).model, recipe_for(method), train.few(8), steps=7, seed=0)
    return history.train_loss


METHODS = ("naive Bayes", "TF-IDF", "linear probe", *RECIPES, *OWN)
FEW = ("TF-IDF", "linear probe", "LoRA", "full")

EXPERIMENT = Experiment(
    name="fine-tuning",
    question="Which way to fine-tune is right most often for what it costs, with all labels and "
    "with few?",
    grid=tuple({"method": method, "labels": "all"} for method in METHODS)
    + tuple({"method": method, "labels": n} for n in LABELS for method in FEW),
    seeds=3,
    run=run,
    probe=probe,
    texts=(),
)
