"""A longer pretraining on the speeches: does a small BERT pass the counts of neighbours?

    course experiment bert-on-speeches [--seeds N] [--resume]

Chapter 08 in full: WordPiece with 4,000 tokens, all training speeches, 5,000 steps of 64 pairs;
with next-sentence prediction (negatives from the same speech), with the same pairs and no second
game, and with sentence order in its place. Hidden tokens of held-out speeches are scored by the
model and by counting on the same batches, pairs by the model and by a logistic regression on shared
words. The step that is kept is chosen on validation; what a row reports is of the test speeches.
The model of seed 0 with next sentences is left, its weights as 16-bit numbers, in
experiments/bert_on_speeches/. Matrix products in training are in bfloat16 where that is faster.
"""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from course_lib.data.documents import speech_sentences
from course_lib.evaluation import Score
from course_lib.evidence import clone_folder
from course_lib.experiments import Experiment, Setting
from course_lib.models.bert import BertConfig, BertForPreTraining
from course_lib.models.masked_counts import GAMMAS, MaskedCounts, separated
from course_lib.tokenization.encoder_inputs import SpecialTokens
from course_lib.tokenization.wordpiece import WordPieceTokenizer
from course_lib.training.history import History
from course_lib.training.loop import train
from course_lib.training.objectives import evaluating, mean_loss
from course_lib.training.optimizers import fastest_matmul_dtype, muon_and_adamw
from course_lib.training.pretraining import (
    IGNORE,
    Masking,
    Negatives,
    PreTrainingBatch,
    SentencePairs,
    mlm_loss,
    pretraining_loss,
)
from course_lib.training.schedules import trapezoid
from course_lib.training.shared_words import SharedWords

VOCAB, MAX_TOKENS = 4000, 64
STEPS, BATCH, LOOKS = 5000, 64, 20
HELD_OUT = 2048  # pairs of validation, and of test, on which everything is scored
BLOCK = 40  # hidden tokens whose mean is one item of the record
MLM_RATES = {"train": 0.3, "held out": 0.15}  # twice the labels for the same reading
NEGATIVES: dict[str, Negatives] = {
    "next sentence": "same",
    "none": "same",
    "sentence order": "swapped",
}


@cache
def tokenizer() -> WordPieceTokenizer:
    """WordPiece of the training speeches."""
    texts = (s for d in speech_sentences()["train"] for s in d.sentences)
    return WordPieceTokenizer.train(texts, vocab_size=VOCAB)


@cache
def documents() -> dict[str, list[list[np.ndarray]]]:
    """The speeches of each split as token numbers, sentence by sentence."""
    return {
        split: [[np.array(tokenizer().encode(s)) for s in d.sentences] for d in found]
        for split, found in speech_sentences().items()
    }


def pairs(split: str, game: str, seed: int) -> SentencePairs:
    """Pairs for the second game; every hidden token of held-out ones shows [MASK]."""
    special = SpecialTokens.of(tokenizer())
    held_out = {} if split == "train" else {"to_mask": 1.0, "to_random": 0.0}
    rate = MLM_RATES["train" if split == "train" else "held out"]
    masking = Masking(special, tokenizer().vocab_size, rate=rate, **held_out)
    return SentencePairs(
        documents()[split], masking, BATCH, MAX_TOKENS, negatives=NEGATIVES[game], seed=seed
    )


@cache
def held_out(split: str, game: str) -> tuple[PreTrainingBatch, ...]:
    """The same pairs, hidden in the same way, for every run."""
    drawn = pairs(split, game, seed=9)
    return tuple(drawn(i) for i in range(-(-HELD_OUT // BATCH)))


@cache
def counted(game: str) -> dict[str, Any]:
    """What each hidden test token costs by counting, γ chosen on validation."""
    special = SpecialTokens.of(tokenizer())
    text = separated((s for d in documents()["train"] for s in d), special.sep)
    counts = MaskedCounts.of(text, tokenizer().vocab_size)

    def nats(split: str, gamma: float) -> dict[str, list[float]]:
        found: dict[str, list[float]] = {}
        for b in held_out(split, game):
            for name, costs in counts.nats(b.ids.numpy(), b.labels.numpy(), special, gamma).items():
                found.setdefault(name, []).extend(costs.tolist())
        return found

    by_gamma = {g: np.mean(nats("validation", g)["left × right"]) for g in GAMMAS}
    gamma = min(by_gamma, key=by_gamma.get)
    return {"gamma": gamma, "nats": nats("test", gamma)}


@cache
def by_shared_words(game: str) -> list[bool]:
    """Which test pairs a logistic regression on shared words tells apart."""
    train_pairs, train_labels = pairs("train", game, 1).draw(np.random.default_rng(1), 20_000)
    words = SharedWords.of(documents()["train"], tokenizer().vocab_size)
    model = LogisticRegression(max_iter=1000).fit(words.of_pairs(train_pairs), train_labels)
    asked = held_out("test", game)
    found = model.predict(words.of_pairs([pair for b in asked for pair in sentences(b)]))
    return (found == torch.cat([b.next_label for b in asked]).numpy()).tolist()


def restored(batch: PreTrainingBatch) -> torch.Tensor:
    """The tokens of the pairs with nothing hidden."""
    return torch.where(batch.labels == IGNORE, batch.ids, batch.labels)


def sentences(batch: PreTrainingBatch) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two sentences of each pair as the model is shown them, with nothing hidden."""
    special, ids = SpecialTokens.of(tokenizer()), restored(batch)
    ordinary = batch.attention_mask & (ids != special.cls) & (ids != special.sep)
    return [
        tuple(row[seen & (segment == s)].numpy() for s in (0, 1))
        for row, seen, segment in zip(ids, ordinary, batch.segments, strict=True)
    ]


def model_for(seed: int) -> BertForPreTraining:
    """A BERT of two layers of width 128, without dropout: every batch is masked anew."""
    torch.manual_seed(seed)
    config = BertConfig(
        tokenizer().vocab_size,
        context=MAX_TOKENS,
        n_layers=2,
        d_model=128,
        dropout=0.0,
        attention_dropout=0.0,
    )
    return BertForPreTraining(config)


@torch.no_grad()
def answers(model: BertForPreTraining, batches: tuple[PreTrainingBatch, ...]) -> dict[str, list]:
    """The nats of every hidden token; and, with nothing hidden, which pairs are told apart."""
    nats, right = [], []
    with evaluating(model):
        for b in batches:
            scored = b.labels != IGNORE
            logits = model(*b[:3], scored).mlm_logits
            nats += F.cross_entropy(logits, b.labels[scored], reduction="none").tolist()
            said = model(restored(b), b.segments, b.attention_mask, scored).nsp_logits.argmax(1)
            right += (said == b.next_label).tolist()
    return {"nats": nats, "right": right}


def blocks(nats: list[float]) -> list[float]:
    """Means of BLOCK hidden tokens in reading order; a rest that fills no block is left out."""
    return [round(mean, 4) for mean in Score(np.array(nats), 1).blocks(BLOCK).tolist()]


def fit(
    model: BertForPreTraining,
    setting: Setting,
    seed: int,
    steps: int,
    evaluate: Callable[[BertForPreTraining], float] | None = None,
    folder: Path | None = None,
) -> History:
    """Train on pairs of the training speeches, scheduled as a run of STEPS steps."""
    weight = 0.0 if setting["second game"] == "none" else 1.0
    return train(
        model,
        pairs("train", setting["second game"], seed),
        muon_and_adamw(model, muon_lr=0.02, adamw_lr=5e-3),
        objective=partial(pretraining_loss, nsp_weight=weight),
        schedule=partial(trapezoid, warmup=0.02, decay=0.5),
        steps=steps,
        evaluate=evaluate,
        every=max(1, STEPS // LOOKS),
        checkpoint=folder / "checkpoint.pt" if folder else None,
        seed=seed,
        bf16=fastest_matmul_dtype() == "bfloat16",
    )


def run(setting: Setting, seed: int, folder: Path) -> dict:
    """Train, keep the best of the looks at validation, and score it and the baselines on test."""
    game = setting["second game"]
    validation = held_out("validation", game)
    model = model_for(seed)
    history = fit(
        model,
        setting,
        seed,
        STEPS,
        evaluate=lambda model: mean_loss(model, validation, mlm_loss),
        folder=folder,
    )
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    if seed == 0 and game == "next sentence":
        keep(model)
    on_test, counts = answers(model, held_out("test", game)), counted(game)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": history.val_steps,
        "seconds": [round(s, 1) for s in history.val_seconds],
        "val_losses": [round(loss, 4) for loss in history.val_loss],
        "tokens_hidden": sum(history.scored),
        "gamma": counts["gamma"],
        "nats": blocks(on_test["nats"]),
        "counted": {name: blocks(nats) for name, nats in counts["nats"].items()},
        "right": [int(x) for x in on_test["right"]],
        "by_shared_words": [int(x) for x in by_shared_words(game)],
    }


def keep(model: BertForPreTraining) -> None:
    """Put the encoder, its weights as 16-bit numbers, and its tokenizer beside the record."""
    folder = clone_folder() / "experiments" / "bert_on_speeches"
    model.half().save(folder)
    model.float()
    tokenizer().save(folder / "tokenizer.json")


def probe(setting: Setting) -> list[float]:
    """The training losses of the first four steps with seed 0."""
    return fit(model_for(0), setting, 0, steps=4).train_loss


EXPERIMENT = Experiment(
    name="bert-on-speeches",
    question="Does a small BERT pass the counts of neighbours on held-out speeches, and does a "
    "second game beside the hidden tokens help or teach anything?",
    grid=tuple({"second game": game} for game in NEGATIVES),
    seeds=3,
    run=run,
    probe=probe,
    texts=("sotu",),
)
