"""Writing with a language model: what may come next, which of it is taken, and what is kept.

A model gives logits; a *rule* changes them into those of the distribution that is drawn from
(`keep_top_k`, `keep_top_p`, `keep_min_p`, `penalise_repetition`, each a function logits → logits,
where what may not come has −∞). `Sampling` applies them in the usual order; `stream` draws token
after token, `generate` collects them. `beam_search` looks for the likeliest text instead.

A GPT keeps the keys and values of what it has read (models/cache.py), a recurrent network its
state, so that each new token is read once. Where the text outgrows a GPT's context, its window
moves on with every token and is read anew, as an MLP's always is.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.errors import CourseError
from course_lib.models.gpt import GPT
from course_lib.models.mlp import MLP
from course_lib.models.recurrent import RecurrentLM

Logits = Float[Tensor, "*batch vocab"]
Number = float | int

# ---------------------------------------------------------------------------------------------
# Rules: from the model's logits to those of what is drawn from
# ---------------------------------------------------------------------------------------------


def keep_top_k(logits: Logits, k: int) -> Logits:
    """Only the k likeliest tokens may come (and those as likely as the last of them).

    Fan, Lewis & Dauphin (2018), "Hierarchical Neural Story Generation", section 5.1.
    """
    least = logits.topk(min(k, logits.size(-1)), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < least, -math.inf)


def keep_top_p(logits: Logits, p: Number) -> Logits:
    """Only the nucleus may come: the fewest tokens that are together at least `p` likely.

    Holtzman et al. (2020), "The Curious Case of Neural Text Degeneration", section 3.1.
    """
    ordered, tokens = logits.sort(dim=-1, descending=True)
    probs = ordered.softmax(-1)
    likelier = probs.cumsum(-1) - probs  # probability of the tokens before it in the order
    outside = (likelier >= p).scatter(-1, tokens, likelier >= p)
    outside.scatter_(-1, tokens[..., :1], False)  # the likeliest may always come
    return logits.masked_fill(outside, -math.inf)


def keep_min_p(logits: Logits, p: Number) -> Logits:
    """Only tokens at least `p` times as likely as the likeliest may come.

    Nguyen et al. (2024), "Turning Up the Heat: Min-p Sampling for Creative and Coherent LLM
    Outputs", section 3.
    """
    probs = logits.softmax(-1)
    return logits.masked_fill(probs < p * probs.amax(-1, keepdim=True), -math.inf)


def penalise_repetition(
    logits: Logits, history: Int[Tensor, "*batch tokens"], penalty: Number
) -> Logits:
    """Make the tokens of `history` less likely: positive logits / penalty, negative · penalty.

    Keskar et al. (2019), "CTRL", section 4.1, divides every logit, which makes a negative one
    likelier; the correction is Hugging Face's and everyone's since.
    """
    seen = logits.gather(-1, history)
    seen = torch.where(seen < 0, seen * penalty, seen / penalty)
    return logits.scatter(-1, history, seen)


def next_token(
    logits: Float[Tensor, " vocab"], temperature: Number, random: torch.Generator
) -> Int[Tensor, ""]:
    """Draw from softmax(logits / temperature); at temperature 0 take the likeliest.

    Below 1 the likely tokens become likelier, above 1 all become more alike.
    """
    if temperature == 0:
        return logits.argmax()
    below_best = logits.double() - logits.max()  # so that no temperature is too small
    probs = (below_best / temperature).softmax(-1)
    return torch.multinomial(probs, 1, generator=random)[0]


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn: which rules change the logits, in the order in which they do.

    The order is that of Hugging Face's `generate`: the penalty, the temperature, top-k, top-p,
    min-p. Raises CourseError for numbers that mean nothing.
    """

    temperature: Number = 1.0  # 0: always the likeliest token
    top_k: int | None = None  # tokens that may come
    top_p: Number | None = None  # probability of the tokens that may come, together
    min_p: Number | None = None  # least probability, as a share of the likeliest token's
    repetition_penalty: Number | None = None  # above 1: what was said becomes less likely

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise CourseError(f"the temperature is {self.temperature}; give 0 or more")
        if self.top_k is not None and self.top_k < 1:
            raise CourseError(f"top-k keeps {self.top_k} tokens; give 1 or more")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise CourseError(f"top-p is {self.top_p}; give a number above 0, at most 1")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise CourseError(f"min-p is {self.min_p}; give a number from 0 to 1")
        penalty = self.repetition_penalty
        if penalty is not None and not (math.isfinite(penalty) and penalty > 0):
            raise CourseError(f"the repetition penalty is {penalty}; give a number above 0")

    def allowed(
        self, logits: Float[Tensor, " vocab"], history: Sequence[int]
    ) -> Float[Tensor, " vocab"]:
        """The logits after all rules but the temperature: −∞ for what may not come."""
        if self.repetition_penalty is not None:
            logits = penalise_repetition(logits, torch.tensor(history), self.repetition_penalty)
        if self.temperature == 0:  # the likeliest stays the likeliest under the rules below
            return logits
        cut = (logits - logits.max()) / self.temperature
        if self.top_k is not None:
            cut = keep_top_k(cut, self.top_k)
        if self.top_p is not None:
            cut = keep_top_p(cut, self.top_p)
        if self.min_p is not None:
            cut = keep_min_p(cut, self.min_p)
        return logits.masked_fill(cut == -math.inf, -math.inf)

    def draw(
        self, logits: Float[Tensor, " vocab"], history: Sequence[int], random: torch.Generator
    ) -> int:
        """The next token of a text whose tokens so far are `history`."""
        return int(next_token(self.allowed(logits, history), self.temperature, random))


# ---------------------------------------------------------------------------------------------
# Token after token
# ---------------------------------------------------------------------------------------------


class _Reader:
    """Reads a growing text with the least work its model allows; logits of the next token."""

    def __init__(self, model: GPT | MLP | RecurrentLM, most: int) -> None:
        self.model, self.device = model, next(model.parameters()).device
        self.read, self.state = 0, None  # tokens that were read, and what the model kept of them
        if isinstance(model, GPT):
            self.state = model.new_cache(min(most, model.config.context))

    def logits(self, tokens: list[int]) -> Float[Tensor, " vocab"]:
        """Of the token after `tokens`, which begin with those of the call before."""
        model, new = self.model, tokens[self.read :]
        if isinstance(model, RecurrentLM):
            logits, self.state = model.read(self._tensor(new), self.state)
            logits = logits[:, -1]
        elif isinstance(model, GPT) and len(tokens) <= self.state.capacity:
            logits = model.read(self._tensor(new), self.state)
        else:
            logits = model(self._tensor(tokens[-model.config.context :]))[:, -1]
        self.read = len(tokens)
        return logits[0].float().cpu()

    def _tensor(self, tokens: list[int]) -> Int[Tensor, "1 tokens"]:
        return torch.tensor([tokens], device=self.device)


def stream(
    model: GPT | MLP | RecurrentLM,
    prompt: Int[Tensor, " prompt"],
    length: int,
    temperature: Number = 1.0,
    seed: int = 0,
    *,
    stop: Collection[int] = (),
    **rules: Number | None,
) -> Iterator[int]:
    """The tokens that go on from `prompt`, each as soon as it is drawn, at most `length`.

    Each is predicted from the last `context` tokens before it, by a recurrent network from all of
    them. The same seed gives the same tokens. Ends before the first token of `stop`. The `rules`
    are those of `Sampling`: top_k, top_p, min_p, repetition_penalty.

    Raises CourseError for an empty prompt, a negative length, and as `Sampling` does.
    """
    if len(prompt) == 0:
        raise CourseError("the prompt is empty; give the model a token to go on from")
    if length < 0:
        raise CourseError(f"a text of {length} tokens cannot be; give a length of 0 or more")
    sampling = Sampling(temperature, **rules)

    def draw_them() -> Iterator[int]:
        random = torch.Generator().manual_seed(seed)
        tokens, reader = prompt.tolist(), _Reader(model, len(prompt) + length)
        for _ in range(length):
            with torch.inference_mode():
                token = sampling.draw(reader.logits(tokens), tokens, random)
            if token in stop:
                return
            tokens.append(token)
            yield token

    return draw_them()


def generate(
    model: GPT | MLP | RecurrentLM,
    prompt: Int[Tensor, " prompt"],
    length: int,
    temperature: Number = 1.0,
    seed: int = 0,
    *,
    stop: Collection[int] = (),
    **rules: Number | None,
) -> Int[Tensor, " length"]:
    """At most `length` tokens that go on from `prompt`, without the prompt: all of `stream`."""
    written = stream(model, prompt, length, temperature, seed, stop=stop, **rules)
    return torch.tensor(list(written), dtype=prompt.dtype)


# ---------------------------------------------------------------------------------------------
# The likeliest text
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Beam:
    """A text that goes on from the prompt, and the log-probability of all of it, in nats."""

    tokens: tuple[int, ...]
    log_prob: float


@torch.inference_mode()
def beam_search(
    model: GPT, prompt: Int[Tensor, " prompt"], length: int, n_beams: int = 4
) -> list[Beam]:
    """The `n_beams` likeliest texts of `length` tokens that were found, the best first.

    After each token only the `n_beams` likeliest beginnings are kept: one beam is greedy search,
    as many as there are texts an exhaustive one. Lowerre (1976), "The HARPY Speech Recognition
    System", chapter 2.

    Raises CourseError for an empty prompt, no beam, a length below 1, and texts that with the
    prompt are longer than the model's context.
    """
    if len(prompt) == 0 or n_beams < 1 or length < 1:
        raise CourseError("give a prompt of one token or more, 1 beam or more, a length above 0")
    cache = model.new_cache(len(prompt) + length)
    total = torch.zeros(1)  # log-probability of each beam
    new, texts = prompt[None], torch.zeros(1, 0, dtype=torch.long)
    for _ in range(length):
        log_probs = (
            model.read(new.to(model.head.weight.device), cache).float().cpu().log_softmax(-1)
        )
        beams, vocab = log_probs.shape
        total, best = (total[:, None] + log_probs).flatten().topk(min(n_beams, beams * vocab))
        rows, tokens = best // vocab, best % vocab
        texts = torch.cat([texts[rows], tokens[:, None]], dim=1)
        cache.keep(rows)
        new = tokens[:, None]
    return [Beam(tuple(t), p) for t, p in zip(texts.tolist(), total.tolist(), strict=True)]
