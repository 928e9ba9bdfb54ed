"""Extractive question answering: the answer is a stretch of a text, from one token to another.

    questions = Questions.of(factbook_questions()["train"], minilm)
    model, history = learn_spans(minilm.model, questions, RECIPES["full"], steps=100)
    answers = answer(model, questions)

The encoder reads [CLS] question [SEP] context [SEP]. Its head gives every token of the context two
logits, for being the answer's first token and its last; the answer is the span whose two logits
have the highest sum.

Devlin et al. (2019), "BERT", section 4.2. Answers are scored as in Rajpurkar et al. (2016),
"SQuAD: 100,000+ Questions for Machine Comprehension of Text", section 6.1.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.errors import CourseError
from course_lib.models.bert import Bert
from course_lib.models.bert_heads import BertForQuestionAnswering
from course_lib.models.lora import add_lora, merge
from course_lib.models.pretrained_bert import PretrainedBert
from course_lib.tokenization.encoder_inputs import EncoderInputs, SpecialTokens, encoder_inputs
from course_lib.tokenization.offsets import encode_with_offsets
from course_lib.training.fine_tuning import (
    Recipe,
    freeze,
    fused_adamw,
    parameter_groups,
    places_by_length,
)
from course_lib.training.history import History
from course_lib.training.loop import train
from course_lib.training.objectives import evaluating
from course_lib.training.schedules import cosine

Batch = tuple[EncoderInputs, Int[Tensor, "batch 2"]]
Logits = Float[np.ndarray, "2 context_tokens"]  # of the first token (row 0) and of the last

CUT_OFF = -1  # the place of an answer that does not stand in what is left of its context

# ---------------------------------------------------------------------------------------------
# Questions and batches
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """A question and its context as tokens, and where the answer stands."""

    tokens: Int[np.ndarray, " question_tokens"]
    context_tokens: Int[np.ndarray, " context_tokens"]  # what `max_tokens` left of them
    offsets: Int[np.ndarray, "context_tokens 2"]  # the characters of the context each covers
    first: int  # the answer's first and last token, counted in the context; CUT_OFF where
    last: int  # the answer was cut off
    context: str
    answer: str

    @classmethod
    def of(cls, row: Mapping, pretrained: PretrainedBert, max_tokens: int) -> "Question":
        """A row of `course_lib.data.tasks.factbook_questions`.

        The question stays whole; the context loses its end where both do not fit.

        Raises CourseError for a question that leaves no room, and for an answer that does not stand
        where the row says or that begins or ends within a token.
        """
        tokens = pretrained.tokenizer.encode(row["question"])
        context_tokens, offsets = encode_with_offsets(pretrained.tokenizer, row["context"])
        room = max_tokens - 3 - len(tokens)  # beside [CLS], [SEP] and [SEP]
        if room < 1:
            raise CourseError(
                f"the question {row['question']!r} leaves no room for its context in {max_tokens} "
                "tokens; give more"
            )
        first, last = answer_tokens(row["context"], row["answer"], row["start"], offsets)
        if last >= room:
            first = last = CUT_OFF
        kept = context_tokens[:room], offsets[:room]
        return cls(tokens, *kept, first, last, row["context"], row["answer"])

    def text(self, first: int, last: int) -> str:
        """What stands in the context from one of its tokens to another, as it is written there."""
        return self.context[self.offsets[first, 0] : self.offsets[last, 1]]


def answer_tokens(
    context: str, answer: str, start: int, offsets: Int[np.ndarray, "context_tokens 2"]
) -> tuple[int, int]:
    """The first and the last token of the answer that stands at character `start`.

    Raises CourseError where it does not stand there, or begins or ends within a token.
    """
    end = start + len(answer)
    first = int(np.searchsorted(offsets[:, 0], start))
    last = int(np.searchsorted(offsets[:, 1], end))
    if (
        context[start:end] != answer
        or last >= len(offsets)
        or (offsets[first, 0], offsets[last, 1]) != (start, end)
    ):
        raise CourseError(
            f"the answer {answer!r} is not a run of whole tokens at character {start} of its "
            "context; leave the question out, or cut the answer at words"
        )
    return first, last


@dataclass(frozen=True)
class Questions:
    """Questions that one model may read."""

    rows: tuple[Question, ...]
    special: SpecialTokens

    @classmethod
    def of(cls, split: Sequence, pretrained: PretrainedBert, max_tokens: int = 128) -> "Questions":
        """The rows of a split. Where `max_tokens` cuts an answer off, `n_cut_off` counts it: such
        a question is not trained on, and whatever is answered to it will be wrong."""
        rows = tuple(Question.of(row, pretrained, max_tokens) for row in split)
        return cls(rows, SpecialTokens.of(pretrained.tokenizer))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_cut_off(self) -> int:
        """How many answers do not stand in what is left of their contexts."""
        return sum(row.first == CUT_OFF for row in self.rows)

    @cached_property
    def lengths(self) -> Int[np.ndarray, " n"]:
        """The tokens of each question with its context, without special ones."""
        return np.array([len(row.tokens) + len(row.context_tokens) for row in self.rows])

    @property
    def longest_answer(self) -> int:
        """The tokens of the longest answer."""
        return max(row.last - row.first + 1 for row in self.rows)

    def take(self, places: Sequence[int] | Int[np.ndarray, " m"]) -> "Questions":
        """The questions at these places."""
        return Questions(tuple(self.rows[i] for i in places), self.special)

    def batch(self, places: Sequence[int] | Int[np.ndarray, " m"]) -> Batch:
        """The inputs at these places, and each answer's first and last token in them."""
        rows = [self.rows[i] for i in places]
        inputs = encoder_inputs([(row.tokens, row.context_tokens) for row in rows], self.special)
        answers = [
            (CUT_OFF, CUT_OFF)
            if row.first == CUT_OFF
            else (context_start(row) + row.first, context_start(row) + row.last)
            for row in rows
        ]
        return inputs, torch.tensor(answers)

    def places_by_length(self, batch_size: int = 32) -> list[Int[np.ndarray, " batch"]]:
        """All places, those of like length together, so that little is padding."""
        return places_by_length(self.lengths, batch_size)


def context_start(row: Question) -> int:
    """The place of the context's first token in what the model reads."""
    return len(row.tokens) + 2  # after [CLS] and [SEP]


@dataclass(frozen=True)
class ShuffledQuestions:
    """Batches for training: all questions once, in a new order, then all once more, and so on.

    A pure function of (seed, step, share).
    """

    questions: Questions
    batch_size: int
    seed: int = 0

    def __call__(self, step: int, share: int = 0) -> Batch:
        """The batch of one share of one step; every share goes its own way."""
        n_batches = -(-len(self.questions) // self.batch_size)
        epoch, place = divmod(step, n_batches)
        order = np.random.default_rng([self.seed, share, epoch]).permutation(len(self.questions))
        return self.questions.batch(order[place * self.batch_size :][: self.batch_size])


# ---------------------------------------------------------------------------------------------
# Loss and answer
# ---------------------------------------------------------------------------------------------


def span_loss(model: nn.Module, batch: Batch) -> tuple[Float[Tensor, ""], int]:
    """Nats of the answers' first tokens plus nats of their last, summed; and how many answers.

    Questions whose answer was cut off are not scored. Devlin et al. (2019), section 4.2.
    """
    inputs, answers = batch
    logits = model(*inputs).float()  # (batch, 2, tokens)
    nats = F.cross_entropy(
        logits.flatten(0, 1), answers.flatten(), reduction="sum", ignore_index=CUT_OFF
    )
    return nats, int((answers[:, 0] != CUT_OFF).sum())


def best_span(
    start: Float[np.ndarray, " tokens"], end: Float[np.ndarray, " tokens"], longest: int
) -> tuple[int, int]:
    """The first and the last token of the span with the highest start + end logit.

    The last is not before the first, and the span has at most `longest` tokens. Of equal spans
    comes the one that starts first, and of those the shortest.

    >>> best_span(np.array([1.0, 0.0, 5.0]), np.array([4.0, 0.0, 0.0]), longest=2)
    (0, 0)

    Raises CourseError when not even one token is allowed.
    """
    if longest < 1:
        raise CourseError(f"a span of at most {longest} tokens is none; give 1 or more")
    place = np.arange(len(start))
    more = place[None, :] - place[:, None]  # (first, last): how many tokens come after the first
    sums = start[:, None] + end[None, :]  # (first, last)
    sums[(more < 0) | (more >= longest)] = -np.inf
    first, last = divmod(int(sums.argmax()), len(start))
    return first, last


def span_logits(model: nn.Module, questions: Questions, batch_size: int = 32) -> list[Logits]:
    """For every question the start and end logits of its context's tokens."""
    found: list[Logits] = [np.empty((2, 0), np.float32)] * len(questions)
    device = next(model.parameters()).device
    with evaluating(model):
        for places in questions.places_by_length(batch_size):
            inputs, _ = questions.batch(places)
            logits = model(*(part.to(device) for part in inputs)).float().cpu().numpy()
            for i, row_logits in zip(places, logits, strict=True):
                row = questions.rows[i]
                begin = context_start(row)
                found[i] = row_logits[:, begin : begin + len(row.context_tokens)]
    return found


def answer(model: nn.Module, questions: Questions, longest: int = 30) -> list[str]:
    """The model's answer to every question: its best span of at most `longest` tokens."""
    pairs = zip(questions.rows, span_logits(model, questions), strict=True)
    return [row.text(*best_span(*logits, longest)) for row, logits in pairs]


# ---------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------


def learn_spans(
    bert: Bert,
    questions: Questions,
    recipe: Recipe,
    *,
    steps: int,
    seed: int = 0,
    bf16: bool = False,
) -> tuple[BertForQuestionAnswering, History]:
    """A model that answers, on a copy of `bert`, trained on the questions; and how that went.

    `seed` decides how the head starts (with `recipe.pretrained` False the encoder too), the order
    of the questions and dropout. LoRA's corrections come back merged. `bf16` is that of `train`.

    Raises CourseError for a recipe that thaws layer after layer, which is for classifiers.
    """
    if recipe.thaw:
        raise CourseError("answers are learned in one stage; take a recipe without thawing")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertForQuestionAnswering.on(bert if recipe.pretrained else Bert(bert.config))
        if recipe.lora_rank:
            add_lora(model.bert, recipe.lora_rank, alpha=2 * recipe.lora_rank)
        else:
            freeze(model, recipe.frozen_layers)
    history = train(
        model,
        ShuffledQuestions(questions, recipe.batch_size, seed),
        fused_adamw(parameter_groups(model.bert, model.qa_outputs, recipe)),
        objective=span_loss,
        schedule=partial(cosine, warmup=recipe.warmup),
        steps=steps,
        seed=seed,
        bf16=bf16,
    )
    merge(model) if recipe.lora_rank else freeze(model, 0)
    return model, history


# ---------------------------------------------------------------------------------------------
# Scores
# ---------------------------------------------------------------------------------------------


def normalized(text: str) -> str:
    """Small letters, without punctuation and articles, a space between words.

    >>> normalized("The  U.S. Congress!")
    'us congress'
    """
    bare = text.lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def exact_match(found: str, gold: str) -> float:
    """1 where the two are the same, normalized; else 0. Rajpurkar et al. (2016), section 6.1."""
    return float(normalized(found) == normalized(gold))


def token_f1(found: str, gold: str) -> float:
    """The harmonic mean of precision and recall of the normalized words.

    A word counts as often as it stands in both. Where nothing is left of one of the two, 1 if
    nothing is left of the other either, else 0. Rajpurkar et al. (2016), section 6.1.

    >>> token_f1("the river Seine in France", "Seine river")  # precision 2/4, recall 2/2
    0.6666666666666666
    """
    a, b = normalized(found).split(), normalized(gold).split()
    if not a or not b:
        return float(a == b)
    common = sum((Counter(a) & Counter(b)).values())
    return 2 * common / (len(a) + len(b))
