"""Fine-tuning: a pretrained encoder and a new head learn a task from labelled examples.

    examples = Examples.of(dataset["train"], minilm, max_tokens=64)
    model, history = fine_tune(minilm.model, RECIPES["full"], examples, validation, steps=500)

The methods differ in what may move and how fast, so each is a `Recipe`: how many layers are
frozen, by which factor the learning rate falls from layer to layer, whether layers thaw one after
the other, the rank of LoRA. `linear_probe` needs no steps: the encoder stays as it is, its vectors
are computed once, and logistic regression does the rest.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import AdamW

from course_lib.errors import CourseError
from course_lib.models.bert import Bert
from course_lib.models.bert_heads import BertForSequenceClassification
from course_lib.models.lora import add_lora, merge, trainable
from course_lib.models.pretrained_bert import PretrainedBert
from course_lib.tokenization.encoder_inputs import (
    EncoderInputs,
    SpecialTokens,
    Tokens,
    encoder_inputs,
)
from course_lib.training.history import History
from course_lib.training.loop import train
from course_lib.training.objectives import evaluating, mean_loss
from course_lib.training.schedules import cosine

Batch = tuple[EncoderInputs, Int[Tensor, " batch"]]

# ---------------------------------------------------------------------------------------------
# Examples and batches
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Examples:
    """Texts as tokens, with their classes."""

    tokens: tuple[Tokens, ...]  # without special tokens, cut to what the model may read
    labels: Int[np.ndarray, " n"]
    special: SpecialTokens

    @classmethod
    def of(cls, split: object, pretrained: PretrainedBert, max_tokens: int = 64) -> "Examples":
        """The `text` and `label` columns of a split of `course_lib.data.tasks`.

        [CLS] and [SEP] count among the `max_tokens`; what is longer is cut at the end.
        """
        encode = pretrained.tokenizer.encode
        tokens = tuple(encode(text)[: max_tokens - 2] for text in split["text"])
        special = SpecialTokens.of(pretrained.tokenizer)
        return cls(tokens, np.array(split["label"]), special)

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def lengths(self) -> Int[np.ndarray, " n"]:
        """The tokens of each text, counted."""
        return np.array([len(tokens) for tokens in self.tokens])

    def take(self, places: Sequence[int] | Int[np.ndarray, " m"]) -> "Examples":
        """The examples at these places."""
        tokens = tuple(self.tokens[i] for i in places)
        return Examples(tokens, self.labels[list(places)], self.special)

    def few(self, n: int, seed: int = 0) -> "Examples":
        """`n` of them, of each class as many (± 1): the same for the same seed, and those of a
        smaller n are among those of a larger."""
        return self.take(self.places_of_few(n, seed))

    def places_of_few(self, n: int, seed: int = 0) -> Int[np.ndarray, " n"]:
        """Where the examples that `few` draws stand among all."""
        random, classes = np.random.default_rng(seed), np.unique(self.labels)
        if n > len(self):
            raise CourseError(
                f"{n} examples are more than the {len(self)} there are; ask for fewer"
            )
        shuffled = [random.permutation(np.flatnonzero(self.labels == c)) for c in classes]
        rank = np.empty(len(self))
        for places in shuffled:
            rank[places] = np.arange(len(places))
        return np.lexsort((self.labels, rank))[:n]

    def batch(self, places: Sequence[int] | Int[np.ndarray, " m"]) -> Batch:
        """The inputs and labels of the examples at these places."""
        inputs = encoder_inputs([self.tokens[i] for i in places], self.special)
        return inputs, torch.from_numpy(self.labels[list(places)])

    def places_by_length(self, batch_size: int = 64) -> list[Int[np.ndarray, " batch"]]:
        """All places, those of like length together, so that little is padding."""
        return places_by_length(self.lengths, batch_size)

    def batches(self, batch_size: int = 64) -> list[Batch]:
        """All of them once: for validation."""
        return [self.batch(places) for places in self.places_by_length(batch_size)]


def places_by_length(
    lengths: Int[np.ndarray, " n"], batch_size: int
) -> list[Int[np.ndarray, " batch"]]:
    """The places of texts of these lengths in batches, those of like length together."""
    order = np.argsort(lengths, kind="stable")
    return np.split(order, range(batch_size, len(order), batch_size))


@dataclass(frozen=True)
class ShuffledExamples:
    """Batches for training: all examples once, in a new order, then all once more, and so on.

    A pure function of (seed, step, share). Examples of like length meet in a batch: of every
    `POOL` batches' worth of shuffled examples, the shortest make one batch, and so on.
    """

    examples: Examples
    batch_size: int
    seed: int = 0

    POOL = 16

    def __call__(self, step: int, share: int = 0) -> Batch:
        """The batch of one share of one step; every share goes its own way through the examples."""
        n_batches = -(-len(self.examples) // self.batch_size)
        epoch, place = divmod(step, n_batches)
        return self.examples.batch(self._order(epoch, share)[place])

    def _order(self, epoch: int, share: int) -> list[Int[np.ndarray, " batch"]]:
        """The batches of an epoch."""
        random = np.random.default_rng([self.seed, share, epoch])
        order = random.permutation(len(self.examples))
        lengths, batches = self.examples.lengths, []
        for start in range(0, len(order), pool := self.POOL * self.batch_size):
            part = order[start : start + pool]
            part = part[np.argsort(lengths[part], kind="stable")]
            batches += np.split(part, range(self.batch_size, len(part), self.batch_size))
        return [batches[i] for i in random.permutation(len(batches))]


def classification_loss(
    model: nn.Module, batch: Batch, smoothing: float = 0.0
) -> tuple[Float[Tensor, ""], int]:
    """Nats of the right classes, summed; and how many texts there are."""
    inputs, labels = batch
    logits = model(*inputs).float()
    nats = F.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
    return nats, len(labels)


def predicted_logits(
    model: nn.Module, examples: Examples, batch_size: int = 64
) -> Float[np.ndarray, "n classes"]:
    """The logits of every example, in their order."""
    return _collected(lambda inputs: model(*inputs), model, examples, batch_size)


def correct(logits: Float[np.ndarray, "n classes"], examples: Examples) -> Float[np.ndarray, " n"]:
    """1 where the class with the highest logit is the right one, else 0."""
    return (logits.argmax(1) == examples.labels).astype(float)


def _collected(function, model: nn.Module, examples: Examples, batch_size: int) -> np.ndarray:
    """What `function` gives for all inputs, a row each, in the order of the examples."""
    groups = examples.places_by_length(batch_size)
    with evaluating(model):
        rows = [function(examples.batch(places)[0]).float().cpu().numpy() for places in groups]
    result = np.empty((len(examples), rows[0].shape[1]), np.float32)
    result[np.concatenate(groups)] = np.concatenate(rows)
    return result


# ---------------------------------------------------------------------------------------------
# What may move, and how fast
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """How to fine-tune. Rates are those at the peak of the schedule."""

    lr: float | int = 5e-5  # of the encoder's last layer
    head_lr: float | int = 1e-3  # of the new head, which starts at random
    frozen_layers: int = 0  # blocks that stay as they are, from below, and the embeddings with them
    layer_decay: float | int = 1.0  # each layer below learns so many times as fast
    thaw: bool = False  # first the head alone, then one more layer after the other
    lora_rank: int | None = None  # of corrections to a frozen encoder; None: no LoRA
    pretrained: bool = True  # False: the same encoder with random weights
    weight_decay: float | int = 0.01
    batch_size: int = 32
    warmup: float = 0.1  # share of the steps


RECIPES = {
    "full": Recipe(),
    "last layer": Recipe(lr=2e-4, frozen_layers=5),
    "layer-wise rates": Recipe(lr=1e-4, layer_decay=0.7),
    "gradual unfreezing": Recipe(lr=1e-4, layer_decay=0.7, thaw=True),
    "LoRA": Recipe(lr=1e-3, lora_rank=8),
    "random weights": Recipe(lr=1e-4, pretrained=False),
}


def freeze(model: nn.Module, layers: int) -> None:
    """Let the embeddings and the lowest `layers` blocks of `model.bert` stay as they are, and all
    else of the model learn. With 0 everything learns, the embeddings too."""
    model.requires_grad_(True)
    if layers:
        model.bert.embeddings.requires_grad_(False)
        model.bert.blocks[:layers].requires_grad_(False)


def parameter_groups(bert: Bert, head: nn.Module, recipe: Recipe) -> list[dict]:
    """What learns, for an optimiser: the head at `head_lr`, each layer at its own rate.

    Layer l of L learns at lr · layer_decay^(L − l), the embeddings at lr · layer_decay^L (Howard &
    Ruder 2018, section 3.2, "discriminative fine-tuning"). Matrices decay, biases and norms don't.
    """
    n_layers = len(bert.blocks)
    parts = [(bert.embeddings, n_layers)]
    parts += [(block, n_layers - 1 - i) for i, block in enumerate(bert.blocks)]
    parts += [(bert.pooler, 0)] if bert.pooler else []
    rates = [(part, recipe.lr * recipe.layer_decay**below_top) for part, below_top in parts]
    groups = []
    for part, rate in [*rates, (head, recipe.head_lr)]:
        for is_matrix, decay in ((True, recipe.weight_decay), (False, 0.0)):
            chosen = [p for p in trainable(part) if (p.ndim >= 2) == is_matrix]
            if chosen:
                groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    return groups


def fused_adamw(groups: list[dict]) -> AdamW:
    """BERT's optimiser for `parameter_groups`, whose step is one kernel for all weights."""
    return AdamW(groups, betas=(0.9, 0.999), fused=True)


def fine_tune(
    bert: Bert,
    recipe: Recipe,
    examples: Examples,
    validation: Examples | None = None,
    *,
    steps: int,
    every: int = 50,
    seed: int = 0,
    n_classes: int = 2,
    patience: int | None = None,
    dropout: float | int | None = None,
    smoothing: float = 0.0,
    bf16: bool = False,
) -> tuple[BertForSequenceClassification, History]:
    """A classifier on a copy of `bert`, trained on the examples, and how that went.

    With `validation` the model comes back as it was at its lowest validation loss, seen after
    `every` steps; without, as it is at the end. `seed` decides the head's (or the random weights')
    start, the order of the examples and dropout. LoRA's corrections come back merged.
    `dropout` replaces that of the encoder and the head. `bf16` is that of `train`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        start = bert if recipe.pretrained else Bert(bert.config)
        model = BertForSequenceClassification.on(start, n_classes)
        if recipe.lora_rank:
            add_lora(model.bert, recipe.lora_rank, alpha=2 * recipe.lora_rank)
        else:
            freeze(model, recipe.frozen_layers)
    if dropout is not None:
        set_dropout(model, dropout)
    batches = ShuffledExamples(examples, recipe.batch_size, seed)
    loss = partial(classification_loss, smoothing=smoothing)
    held_out = validation.batches() if validation else None
    evaluate = (lambda m: mean_loss(m, held_out, classification_loss)) if validation else None
    n_layers = len(model.bert.blocks)
    stages = list(range(n_layers, -1, -1)) if recipe.thaw else [None]  # layers still frozen
    history, done = History(), 0
    for number, frozen in enumerate(stages, 1):
        if frozen is not None:
            freeze(model, frozen)
        until = steps * number // len(stages)
        stage = train(
            model,
            lambda step, share, done=done: batches(done + step, share),
            fused_adamw(parameter_groups(model.bert, model.classifier, recipe)),
            objective=loss,
            schedule=partial(cosine, warmup=recipe.warmup),
            steps=until - done,
            evaluate=evaluate,
            every=every,
            seed=seed,
            patience=patience,
            bf16=bf16,
        )
        history = _joined(history, stage)
        done = until
    merge(model) if recipe.lora_rank else freeze(model, 0)
    return model, history


def set_dropout(model: nn.Module, share: float | int) -> None:
    """Give every dropout in the model, attention's too, this share."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
        elif isinstance(getattr(module, "dropout", None), float | int):
            module.dropout = share


def _joined(first: History, then: History) -> History:
    """Two stretches of one training as one history."""
    joined = copy.deepcopy(first)
    joined.val_steps += [first.steps + step for step in then.val_steps]
    joined.val_seconds += [first.elapsed + second for second in then.val_seconds]
    joined.seconds += [first.elapsed + second for second in then.seconds]
    for name in ("train_loss", "grad_norm", "lr", "scored", "val_loss"):
        getattr(joined, name).extend(getattr(then, name))
    joined.evaluation_seconds += then.evaluation_seconds
    joined.stopped = then.stopped
    return joined


# ---------------------------------------------------------------------------------------------
# The encoder as it is
# ---------------------------------------------------------------------------------------------


def features(bert: Bert, examples: Examples, batch_size: int = 64) -> Float[np.ndarray, "n d"]:
    """One vector a text, the mean of its tokens': what a frozen encoder has to say."""
    model = BertForSequenceClassification.on(bert)
    return _collected(lambda inputs: model.pooled(*inputs), model, examples, batch_size)


STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)  # C of logistic regression: the inverse of its penalty


def linear_probe(
    train_features: Float[np.ndarray, "n d"],
    train_labels: Int[np.ndarray, " n"],
    validation_features: Float[np.ndarray, "m d"],
    validation_labels: Int[np.ndarray, " m"],
) -> object:
    """Logistic regression on the vectors; how strongly it is held back, validation decides.

    Returns scikit-learn's fitted pipeline: `predict`, `predict_proba`, `score`.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def fitted(strength: float) -> object:
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))
        return probe.fit(train_features, train_labels)

    probes = [fitted(strength) for strength in STRENGTHS]
    return max(probes, key=lambda probe: probe.score(validation_features, validation_labels))
