"""A training run with at most one fault, small enough to be examined in milliseconds.

The model is a table of bigram logits, trained by gradient descent with dropout, so that the lowest
loss it can reach is known. Exercise 04.3 asks such runs what chapter 04's procedure asks of any.
"""

import numpy as np
from jaxtyping import Float, Int

FAULTS = ("start", "training mode", "kept gradients", "targets", "rate")

STEPS = 100  # of overfitting one batch
RATE = 8.0  # good for these tables
KEPT = 0.8  # what dropout leaves, in training


class Run:
    """A small network, its text and its loop; `fault` is one of FAULTS or "nothing".

    Two runs with the same fault and seed are the same run.
    """

    def __init__(self, fault: str, seed: int) -> None:
        if fault not in ("nothing", *FAULTS):
            raise ValueError(f"no fault is called {fault!r}; there are {', '.join(FAULTS)}")
        rng = np.random.default_rng([seed, 4])
        self.vocab_size = V = int(rng.integers(4, 9))
        follows = rng.dirichlet(np.full(V, 0.7), size=V).cumsum(axis=1)
        text = [0]
        for chance in rng.random(120):
            text.append(min(int(follows[text[-1]].searchsorted(chance)), V - 1))
        self._batch, self._validation = _pairs(text[:61], V), _pairs(text[60:], V)
        self._fault, self._rng = fault, rng
        self._weights = 0.05 * rng.normal(size=(V, V))
        if fault == "start":
            direction, size = rng.normal(size=(V, V)), rng.uniform(1.5, 4)
            while self.initial_loss() < np.log(V) + 0.6:
                self._weights, size = size * direction, 1.3 * size
        self._rate = RATE * (rng.choice([1 / 400, 50]) if fault == "rate" else 1)

    def initial_loss(self) -> float:
        """The loss of the first batch before any step, in nats per token."""
        return _loss(self._weights, self._seen())

    def evaluate(self) -> float:
        """The validation loss of the untrained weights, as this run reports it."""
        weights = self._weights
        if self._fault == "training mode":
            weights = weights * (self._rng.random(weights.shape) < KEPT) / KEPT
        return _loss(weights, self._validation)

    def gradient_norms(self) -> tuple[float, float]:
        """What reaches the optimizer when the same weights meet the same batch twice."""
        once = float(np.linalg.norm(_gradient(self._weights, self._seen())))
        return once, 2 * once if self._fault == "kept gradients" else once

    def overfit(self) -> float:
        """The loss of the first batch after 100 steps on it alone, dropout off."""
        weights, kept = self._weights.copy(), np.zeros_like(self._weights)
        seen = self._seen()
        for _ in range(STEPS):
            gradient = _gradient(weights, seen)
            kept = kept + gradient if self._fault == "kept gradients" else gradient
            weights -= self._rate * kept
        return _loss(weights, seen)

    def floor(self) -> float:
        """The lowest loss that any bigram table has on the first batch: its own frequencies'."""
        counts = self._batch
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(counts / counts.sum(axis=1, keepdims=True))
        return float(-(counts[counts > 0] * logs[counts > 0]).sum() / counts.sum())

    def _seen(self) -> Int[np.ndarray, "vocab vocab"]:
        """The batch as the loop sees it: how often each target follows each history."""
        if self._fault == "targets":  # each token is asked for itself
            return np.diag(self._batch.sum(axis=1))
        return self._batch


def _pairs(text: list[int], V: int) -> Int[np.ndarray, "vocab vocab"]:
    counts = np.zeros((V, V), dtype=np.int64)
    np.add.at(counts, (text[:-1], text[1:]), 1)
    return counts


def _log_softmax(weights: Float[np.ndarray, "vocab vocab"]) -> Float[np.ndarray, "vocab vocab"]:
    shifted = weights - weights.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _loss(weights: Float[np.ndarray, "v v"], counts: Int[np.ndarray, "v v"]) -> float:
    return float(-(counts * _log_softmax(weights)).sum() / counts.sum())


def _gradient(
    weights: Float[np.ndarray, "v v"], counts: Int[np.ndarray, "v v"]
) -> Float[np.ndarray, "v v"]:
    """Expected minus counted, a row a history."""
    expected = counts.sum(axis=1, keepdims=True) * np.exp(_log_softmax(weights))
    return (expected - counts) / counts.sum()
