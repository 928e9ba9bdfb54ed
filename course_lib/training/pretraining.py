"""What BERT is pretrained on: pairs of sentences, some tokens hidden; and the two losses.

`Masking` hides tokens: of those chosen 80 % become [MASK], 10 % a random token, 10 % stay.
`SentencePairs` draws pairs from documents, of which half follow each other; `HiddenTokens` draws
single texts. Both give a `PreTrainingBatch`, a pure function of (seed, step, share), masked anew
every time. `pretraining_loss` is the objective for `train`; `mlm_loss` and `nsp_loss` are its
halves, for evaluation.

    batches = SentencePairs(documents, masking, batch_size=64)
    train(model, batches, optimizers, objective=pretraining_loss, steps=600)

Devlin et al. (2019), "BERT: Pre-training of Deep Bidirectional Transformers", section 3.1 and
appendix A.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_lib.errors import CourseError
from course_lib.tokenization.encoder_inputs import (
    EncoderInputs,
    SpecialTokens,
    encoder_inputs,
    room_of_the_first,
)

IGNORE = -100  # the label of a token that is not scored; F.cross_entropy skips it
FOLLOWS, DOES_NOT = 0, 1  # the labels of a pair, as Hugging Face has them

Sentence = Int[np.ndarray, " _"]  # its tokens
TokenDocument = Sequence[Sentence]  # sentences in the order in which they stand
Negatives = Literal["same", "other", "swapped"]


class PreTrainingBatch(NamedTuple):
    """A batch with its answers."""

    ids: Int[Tensor, "batch tokens"]  # what the model reads: some tokens are hidden
    segments: Int[Tensor, "batch tokens"]
    attention_mask: Bool[Tensor, "batch tokens"]
    labels: Int[Tensor, "batch tokens"]  # the tokens that were chosen; IGNORE elsewhere
    next_label: Int[Tensor, " batch"] | None = None  # FOLLOWS or DOES_NOT; None for single texts


# ---------------------------------------------------------------------------------------------
# Hiding tokens
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Masking:
    """Which tokens are chosen, and what the model sees in their place."""

    special: SpecialTokens  # of which none but [MASK] is ever seen or chosen
    vocab_size: int
    rate: float | int = 0.15  # share of the ordinary tokens of a batch that is chosen
    to_mask: float | int = 0.8  # of the chosen, the share that becomes [MASK] …
    to_random: float | int = 0.1  # … and a random ordinary token; the rest stays as it is
    n_special: int = 5  # the first tokens of the vocabulary, which are no text

    def __post_init__(self) -> None:
        shares = (self.rate, self.to_mask, self.to_random, self.to_mask + self.to_random)
        if not all(0 <= share <= 1 + 1e-9 for share in shares):
            raise CourseError("rate, to_mask, to_random and the sum of the last two are shares")

    def __call__(
        self, inputs: EncoderInputs, random: np.random.Generator, chosen: int | None = None
    ) -> PreTrainingBatch:
        """Choose tokens of the whole batch with equal chances, and hide them.

        `chosen` is how many (None: the rate's share of this batch, rounded). A batch with fewer
        ordinary tokens has all of them chosen; one with none has no labels.
        """
        ids = inputs.ids.numpy().copy()
        labels = np.full_like(ids, IGNORE)
        places = np.flatnonzero(ids >= self.n_special)  # neither special tokens nor padding
        chosen = round(self.rate * len(places)) if chosen is None else chosen
        places = random.permutation(places)[:chosen]
        labels.flat[places] = ids.flat[places]
        fate = random.random(len(places))
        masked = places[fate < self.to_mask]
        replaced = places[(self.to_mask <= fate) & (fate < self.to_mask + self.to_random)]
        ids.flat[masked] = self.special.mask
        ids.flat[replaced] = random.integers(self.n_special, self.vocab_size, len(replaced))
        return PreTrainingBatch(
            torch.from_numpy(ids), inputs.segments, inputs.attention_mask, torch.from_numpy(labels)
        )


@dataclass(frozen=True)
class HiddenTokens:
    """Batches of single texts drawn at random, masked: a pure function of (seed, step, share).

    Every share of every step has the same number of labels, so that means over shares are means
    over all labels.
    """

    texts: Sequence[Sentence]
    masking: Masking
    batch_size: int  # texts in a share
    seed: int = 0

    def __post_init__(self) -> None:
        if not len(self.texts):
            raise CourseError("there are no texts to draw from; give some to train on")

    def __call__(self, step: int, share: int = 0) -> PreTrainingBatch:
        """The texts of one share of one step."""
        random = np.random.default_rng([self.seed, step, share])
        drawn = random.integers(len(self.texts), size=self.batch_size)
        inputs = encoder_inputs([self.texts[i] for i in drawn], self.masking.special)
        return self.masking(inputs, random, self._chosen)

    @cached_property
    def _chosen(self) -> int:
        mean = np.mean([len(text) for text in self.texts])
        return max(1, round(self.masking.rate * self.batch_size * mean))


# ---------------------------------------------------------------------------------------------
# Pairs of sentences
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SentencePairs:
    """Batches of sentence pairs, masked: a pure function of (seed, step, share).

    The first sentence of a pair is any but the last of a document, all with equal chances. With
    equal chances the second is the one that follows it, or a negative: another sentence of the same
    document ("same"), one of another document ("other"), or the same two the other way round
    ("swapped": sentence order, Lan et al. 2020, "ALBERT"). A negative never reads like the true
    next sentence, nor like the first one.

    Where two sentences are longer than `max_tokens` together with [CLS] and [SEP]s, the first loses
    its beginning and the second its end: they always meet at the end of a sentence.
    """

    documents: Sequence[TokenDocument]
    masking: Masking
    batch_size: int  # pairs in a share
    max_tokens: int = 64  # of a pair, special tokens included
    negatives: Negatives = "same"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.negatives not in get_args(Negatives):
            raise CourseError(
                f"negatives are {self.negatives!r}; choose one of {', '.join(get_args(Negatives))}"
            )
        if not len(self._first):
            raise CourseError("no document has a sentence with another after it; give longer ones")
        if self.negatives == "other" and len(self.documents) < 2:
            raise CourseError("negatives of other documents need two; give more")

    def __call__(self, step: int, share: int = 0) -> PreTrainingBatch:
        """The pairs of one share of one step."""
        random = np.random.default_rng([self.seed, step, share])
        pairs, labels = self.draw(random, self.batch_size)
        inputs = encoder_inputs([self._cut(a, b) for a, b in pairs], self.masking.special)
        batch = self.masking(inputs, random, self._chosen)
        return batch._replace(next_label=torch.from_numpy(labels))

    def draw(
        self, random: np.random.Generator, n: int
    ) -> tuple[list[tuple[Sentence, Sentence]], Int[np.ndarray, " n"]]:
        """n pairs of whole sentences, and whether the second follows the first."""
        pairs, labels = [], random.integers(2, size=n)
        for label in labels:
            document, i = self._first[random.integers(len(self._first))]
            a, b = self.documents[document][i], self.documents[document][i + 1]
            if label == FOLLOWS:
                pairs.append((a, b))
            elif self.negatives == "swapped":
                pairs.append((b, a))
            else:
                pairs.append((a, self._negative(random, document, a, b)))
        return pairs, labels

    def _negative(
        self, random: np.random.Generator, document: int, a: Sentence, b: Sentence
    ) -> Sentence:
        """A sentence that is neither `a` nor the true next one, nor a copy of either."""
        for _ in range(100):
            source = document
            if self.negatives == "other":
                source = int(random.integers(len(self.documents) - 1))
                source += source >= document  # any but this one
            found = self.documents[source][random.integers(len(self.documents[source]))]
            if not np.array_equal(found, b) and not np.array_equal(found, a):
                return found
        raise CourseError("a document says the same again and again; leave it out")

    def _cut(self, a: Sentence, b: Sentence) -> tuple[Sentence, Sentence]:
        """The end of a and the beginning of b, as much as fits beside [CLS], [SEP], [SEP]."""
        room = self.max_tokens - 3
        n_a = room_of_the_first(len(a), len(b), room)
        return a[len(a) - n_a :], b[: room - n_a]

    @cached_property
    def _first(self) -> list[tuple[int, int]]:
        """(document, place) of all sentences that have one after them, and a third as negative."""
        return [
            (d, i)
            for d, document in enumerate(self.documents)
            if len(document) >= 3
            for i in range(len(document) - 1)
        ]

    @cached_property
    def _chosen(self) -> int:
        """How many tokens of every share are chosen: the rate's share of an average one."""
        pairs, _ = self.draw(np.random.default_rng(0), 1000)
        mean = np.mean([sum(map(len, self._cut(a, b))) for a, b in pairs])
        return max(1, round(self.masking.rate * self.batch_size * mean))


# ---------------------------------------------------------------------------------------------
# The two losses
# ---------------------------------------------------------------------------------------------


def mlm_loss(model: nn.Module, batch: PreTrainingBatch) -> tuple[Float[Tensor, ""], int]:
    """Nats of the tokens that were chosen, summed, and how many they are; 0 of 0 is 0.

    −ln p(token | all that is visible): the other chosen tokens are hidden too. Only chosen places
    are projected on the vocabulary.
    """
    scored = batch.labels != IGNORE
    output = model(batch.ids, batch.segments, batch.attention_mask, scored)
    return _mlm(output.mlm_logits, batch.labels[scored]), int(scored.sum())


def nsp_loss(model: nn.Module, batch: PreTrainingBatch) -> tuple[Float[Tensor, ""], int]:
    """Nats of the answers to "does the second follow the first?", summed; and how many pairs."""
    output = model(batch.ids, batch.segments, batch.attention_mask, batch.labels != IGNORE)
    return F.cross_entropy(output.nsp_logits, batch.next_label, reduction="sum"), len(batch.ids)


def pretraining_loss(
    model: nn.Module, batch: PreTrainingBatch, nsp_weight: float | int = 1.0
) -> tuple[Float[Tensor, ""], int]:
    """(nats per chosen token + nsp_weight · nats per pair) · pairs, and the number of pairs.

    Each loss is a mean over its own kind: a sum of tokens beside a mean of pairs would let NSP be
    drowned. Devlin et al. (2019), appendix A.2: "the sum of the mean masked LM likelihood and the
    mean next sentence prediction likelihood".
    """
    scored = batch.labels != IGNORE
    output = model(batch.ids, batch.segments, batch.attention_mask, scored)
    n_pairs, n_scored = len(batch.ids), int(scored.sum())
    mlm = _mlm(output.mlm_logits, batch.labels[scored]) / max(1, n_scored)
    nsp = F.cross_entropy(output.nsp_logits, batch.next_label)
    return (mlm + nsp_weight * nsp) * n_pairs, n_pairs


def _mlm(
    logits: Float[Tensor, "chosen vocab"], labels: Int[Tensor, " chosen"]
) -> Float[Tensor, ""]:
    return F.cross_entropy(logits.float(), labels, reduction="sum")
