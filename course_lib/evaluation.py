"""How well a model predicts a text: nats per character, and the same in other units.

`evaluate` scores every token with the text before it as history, and `evaluate_in_blocks`
starts again with an empty history at each block, as nanoGPT reports. The second makes any model
look worse (a Kneser–Ney model restarted every 128 characters loses about 0.026 nats), so compare
models only within one column.

A model is anything with `token_log_probs(tokens, start)`: ln p(token | all tokens before it) for
tokens[start:], of which it may look at as many as it can. `WindowedModel` makes a PyTorch network
such a model, `CarriedModel` a recurrent one that carries its state through the text.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int

from course_lib.errors import CourseError


@runtime_checkable
class LanguageModel(Protocol):
    """What a model must be able to do to be scored."""

    def token_log_probs(
        self, tokens: Int[np.ndarray, " n"], start: int = 0
    ) -> Float64[np.ndarray, " scored"]:
        """ln p(token | all tokens before it), in nats, for tokens[start:]."""
        ...


@dataclass(frozen=True)
class WindowedModel:
    """A PyTorch network that reads at most `context` tokens at once, as a `LanguageModel`.

    It scores a text through overlapping windows of `context` inputs, each half a context further
    on, and counts of each window what the one before did not score: every token is predicted from
    the `context // 2` tokens before it or more (or from all there are, where the text is shorter).
    Full history for every token would take a window for each, 64 times the work at a context of
    128, and gain a few thousandths of a nat.
    """

    network: Any  # tokens (batch, tokens) → logits (batch, tokens, vocab), causal
    context: int  # in tokens
    batch_size: int = 64  # windows that go through the network together

    def token_log_probs(
        self, tokens: Int[np.ndarray, " n"], start: int = 0
    ) -> Float64[np.ndarray, " scored"]:
        """ln p(token | history), in nats, for tokens[start:]; a text's first token gets 1/V."""
        return self.texts_log_probs(tokens[None], start)[0]

    def texts_log_probs(
        self, texts: Int[np.ndarray, "texts n"], start: int = 0
    ) -> Float64[np.ndarray, "texts scored"]:
        """The same for many texts of one length, all their windows in common batches."""
        import torch  # here, so that counting models are scored without it

        n = texts.shape[1]
        if start >= n:
            return np.empty((len(texts), 0))
        device = next(self.network.parameters()).device
        text = torch.from_numpy(np.ascontiguousarray(texts, dtype=np.int64))
        was_training = self.network.training
        self.network.eval()
        with torch.inference_mode():
            if start == 0:  # nothing to predict it from: every symbol is equally likely
                vocab_size = self.network(text[:1, :1].to(device)).size(-1)
                first = np.full((len(texts), 1), -math.log(vocab_size))
                self.network.train(was_training)
                return np.concatenate([first, self.texts_log_probs(texts, 1)], axis=1)
            length = min(self.context, n - 1)  # inputs of a window
            stride = max(1, self.context // 2)
            # The last target of each window. A window from the text's first token has no need to
            # leave anything to the one before.
            last = np.arange(max(start - 1 + stride, length), n - 1 + stride, stride).clip(
                max=n - 1
            )
            first = np.concatenate([[start], last[:-1] + 1])  # the first target that counts in it
            begin = last - length  # its first input; target begin + 1 + j stands in column j
            counts = begin[:, None] + 1 + np.arange(length) >= first[:, None]  # (windows, length)

            windows = text.unfold(1, length + 1, 1)[:, torch.from_numpy(begin)].flatten(0, 1)
            log_probs = [
                torch.gather(
                    self.network(batch[:, :-1]).float().log_softmax(-1), 2, batch[:, 1:, None]
                )[..., 0]
                for batch in (part.to(device) for part in windows.split(self.batch_size))
            ]
        self.network.train(was_training)
        scored = torch.cat(log_probs).double().cpu().numpy()  # (texts · windows, length)
        return scored.reshape(len(texts), len(last), length)[:, counts]


@dataclass(frozen=True)
class CarriedModel:
    """A recurrent network as a `LanguageModel`: its state is carried along, so nothing is cut off.

    One pass over the text would do it, a token at a time. A long text is cut instead into stretches
    that are read side by side, each from an empty state `warm_up` tokens before the first one it
    scores. By then the state has forgotten where it began.
    """

    network: Any  # read(tokens (batch, tokens), state) → logits (batch, tokens, vocab), state
    streams: int = 64  # stretches, or short texts, that go through the network together
    warm_up: int = 1024  # tokens that a scored one has before it at least, or all there are

    def token_log_probs(
        self, tokens: Int[np.ndarray, " n"], start: int = 0
    ) -> Float64[np.ndarray, " scored"]:
        """ln p(token | history), in nats, for tokens[start:]; a text's first token gets 1/V."""
        n = len(tokens)
        if start >= n:
            return np.empty(0)
        if start == 0:
            first = -math.log(self.network.config.vocab_size)
            return np.concatenate([[first], self.token_log_probs(tokens, 1)])
        stretch = max(-(-(n - start) // self.streams), self.warm_up)  # tokens a stream scores
        length = min(self.warm_up + stretch, n - 1)  # inputs it reads
        first = np.arange(start, n, stretch)  # its first scored token
        begin = (first - 1 - self.warm_up).clip(0, n - 1 - length)  # its first input
        texts = np.stack([tokens[b : b + length + 1] for b in begin])
        log_probs = self.texts_log_probs(texts, start=1)  # of token begin + 1 + j in column j
        pieces = [
            row[f - b - 1 :][:stretch] for row, f, b in zip(log_probs, first, begin, strict=True)
        ]
        return np.concatenate(pieces)[: n - start]

    def texts_log_probs(
        self, texts: Int[np.ndarray, "texts n"], start: int = 0
    ) -> Float64[np.ndarray, "texts scored"]:
        """The same for many texts of one length, each read from an empty state."""
        import torch  # here, so that counting models are scored without it

        if start == 0:
            first = np.full((len(texts), 1), -math.log(self.network.config.vocab_size))
            return np.concatenate([first, self.texts_log_probs(texts, 1)], axis=1)
        device = next(self.network.parameters()).device
        was_training = self.network.training
        self.network.eval()
        rows = [np.empty((0, max(0, texts.shape[1] - start)))]
        with torch.inference_mode():
            for batch in torch.from_numpy(texts.astype(np.int64)).split(self.streams):
                state, columns = None, []
                inputs, targets = batch[:, :-1].to(device), batch[:, 1:].to(device)
                for x, y in zip(inputs.split(256, 1), targets.split(256, 1), strict=True):
                    logits, state = self.network.read(x, state)  # (batch, 256, vocab) at most
                    log_probs = logits.float().log_softmax(-1)
                    columns.append(log_probs.gather(2, y[..., None])[..., 0])
                rows.append(torch.cat(columns, dim=1)[:, start - 1 :].double().cpu().numpy())
        self.network.train(was_training)
        return np.concatenate(rows)


@dataclass(frozen=True)
class Score:
    """What each token of a text cost a model, and that cost in the units people use."""

    nats: Float64[
        np.ndarray, " n"
    ]  # -ln p of each token; inf where the model thought it impossible
    n_bytes: int  # length of the same text in UTF-8

    @property
    def loss(self) -> float:
        """Mean cost of a token, in nats."""
        return float(self.nats.mean())

    @property
    def perplexity(self) -> float:
        """exp(loss): among how many equally likely symbols the model in effect hesitates."""
        return math.exp(self.loss) if self.loss < 700 else math.inf

    @property
    def bits_per_char(self) -> float:
        """Mean cost of a token, in bits: loss / ln 2."""
        return self.loss / math.log(2)

    @property
    def bits_per_byte(self) -> float:
        """Cost of the text in bits / its bytes in UTF-8: comparable across tokenizers."""
        return float(self.nats.sum()) / math.log(2) / self.n_bytes

    def blocks(self, size: int) -> Float64[np.ndarray, " blocks"]:
        """Mean loss of each stretch of `size` tokens, for paired comparison of two models.

        Neighbouring tokens are hard or easy together; the means of long stretches are nearly
        independent. The rest that fills no whole block is left out.
        """
        whole = len(self.nats) // size
        if whole == 0:
            raise CourseError(
                f"{len(self.nats)} tokens fill no block of {size}; choose a smaller size"
            )
        return self.nats[: whole * size].reshape(whole, size).mean(axis=1)


def mixture_weight(
    first: Float64[np.ndarray, " n"], second: Float64[np.ndarray, " n"], rounds: int = 100
) -> float:
    """The weight w that makes a text likeliest under w · p_first + (1 − w) · p_second.

    `first` and `second` are the nats of each token under the two models. Expectation–maximisation:
    a token's share for the first model is its part of the mixture, and the next w their mean.

    Jelinek & Mercer (1980), "Interpolated Estimation of Markov Source Parameters from Sparse Data".
    """
    ratio = np.exp(np.clip(first - second, -700, 700))  # p_second / p_first
    weight = 0.5
    for _ in range(rounds):
        weight = float((weight / (weight + (1 - weight) * ratio)).mean())
    return weight


def mix(
    first: Float64[np.ndarray, " n"], second: Float64[np.ndarray, " n"], weight: float | int
) -> Float64[np.ndarray, " n"]:
    """The nats of each token under weight · p_first + (1 − weight) · p_second."""
    return -np.log(weight * np.exp(-first) + (1 - weight) * np.exp(-second))


def evaluate(
    model: LanguageModel,
    history_tokens: Int[np.ndarray, " history"],
    tokens: Int[np.ndarray, " n"],
    n_bytes: int,
) -> Score:
    """Score every one of `tokens`, each with everything before it as history: `val_loss`.

    `history_tokens` is the text that ends where `tokens` begins (for a validation part: the end of
    the training text), so that the first characters have a history too. `n_bytes` is the length of
    `tokens`' text in UTF-8. Raises CourseError when there is nothing to score.
    """
    if len(tokens) == 0:
        raise CourseError("there are no tokens to score; give a text of at least one character")
    text = np.concatenate([history_tokens, tokens])
    return Score(-model.token_log_probs(text, start=len(history_tokens)), n_bytes)


def evaluate_in_blocks(
    model: LanguageModel, tokens: Int[np.ndarray, " n"], block: int = 128
) -> float:
    """Mean nats per token with the history restarted at each block, as nanoGPT reports.

    A block reads `block` inputs and predicts the same stretch shifted by one: its target j (from
    0) is scored after the j + 1 tokens of its block before it. Blocks do not overlap in their
    targets, and the first token of the text is never a target. nanoGPT draws blocks at random and
    this takes them all; targets that fill no whole block are left out, except in a text shorter
    than one block, which is scored as a block of its own.

    Raises CourseError for a text of fewer than two tokens.
    """
    if block < 1:
        raise CourseError(f"a block of {block} tokens has no targets; choose 1 or more")
    if len(tokens) < 2:
        raise CourseError("a text of one token has no token to predict from; give a longer one")
    block = min(block, len(tokens) - 1)
    texts = [tokens[s : s + block + 1] for s in range(0, len(tokens) - block, block)]
    if isinstance(model, WindowedModel | CarriedModel):
        log_probs = model.texts_log_probs(np.stack(texts), start=1)
    else:
        log_probs = [model.token_log_probs(text, start=1) for text in texts]
    return float(0.0 - np.mean(log_probs))  # 0.0 - x, since -x of a certain text would be -0.0
