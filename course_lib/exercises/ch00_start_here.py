"""The exercises of chapter 00, start here: references and known mistakes.

Letters as in the chapter: z is a row of logits, p the probabilities that softmax makes of it, y the
symbol that came, V the number of symbols, N the number of positions, c(h, w) a count of a bigram.

For each exercise stand here its reference (which becomes the solutions page), its known mistakes,
and the strategy that draws its inputs; the list `EXERCISES` at the end puts them together.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from jaxtyping import Float, Float64, Int
from torch import Tensor

from course_lib.exercises.exercise import Exercise

LIBRARY = ("course_lib",)  # an answer is written by hand
SOFTMAXES = ("torch", "scipy")  # … where softmax or its logarithm is what is asked


@st.composite
def some_logits(draw, positions: int | None = None, extreme: bool = True) -> np.ndarray:
    """Rows of logits; at times with values whose exponential does not fit in a float."""
    rows = positions or draw(st.integers(1, 3))
    vocab = draw(st.integers(2, 3))
    values = [-2, -1, 0, 1, 2, 3, 1000, -1000] if extreme else [-2, -1, 0, 1, 2, 3]
    row = st.lists(st.sampled_from(values), min_size=vocab, max_size=vocab)
    return np.array(draw(st.lists(row, min_size=rows, max_size=rows)), dtype=float)


@st.composite
def logits_of_any_rank(draw) -> np.ndarray:
    """The same as one row, as a matrix, or as a batch of matrices."""
    rows = draw(some_logits())
    return draw(st.sampled_from([rows, rows[0], np.stack([rows, rows[::-1]])]))


@st.composite
def logits_and_targets(draw, extreme: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Rows of logits, and for each the symbol that came."""
    z = draw(some_logits(extreme=extreme))
    came = st.lists(st.integers(0, z.shape[1] - 1), min_size=len(z), max_size=len(z))
    return z, np.array(draw(came))


# 00.1 ---------------------------------------------------------------------------------- softmax


def softmax(logits: Float[np.ndarray, "*batch vocab"]) -> Float[np.ndarray, "*batch vocab"]:
    """Probabilities exp(z_w) / Σ_v exp(z_v) along the last axis, however large the logits.

    >>> softmax(np.array([[0.0, 0.0], [1000.0, 0.0]]))
    array([[0.5, 0.5],
           [1. , 0. ]])
    """
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def exponentials_overflow(logits):
    e = np.exp(logits)
    return e / e.sum(axis=-1, keepdims=True)


def over_the_positions(logits):
    return softmax(logits.T).T  # along the first axis


def normalised_over_everything(logits):
    e = np.exp(logits - logits.max())
    return e / e.sum()


def one_maximum_for_all_rows(logits):
    e = np.exp(logits - logits.max())
    return e / e.sum(axis=-1, keepdims=True)


# 00.2 ------------------------------------------------------------------ cross-entropy from logits


def cross_entropy(
    logits: Float[np.ndarray, "positions vocab"], targets: Int[np.ndarray, " positions"]
) -> float:
    """Mean cost in nats of the symbols that came: the mean of ln Σ_v exp(z_v) - z_target.

    It is finite whenever the logits are, however far the target's logit lies below the others.

    >>> round(cross_entropy(np.array([[0.0, 0.0], [1000.0, 0.0]]), np.array([0, 1])), 6)
    500.346574
    """
    costs = []
    for i in range(len(targets)):
        z, largest = logits[i], logits[i].max()
        costs.append(largest + np.log(np.exp(z - largest).sum()) - z[targets[i]])
    return float(np.mean(costs))


def logarithm_of_a_vanished_probability(logits, targets):
    return float(-np.log(softmax(logits)[np.arange(len(targets)), targets]).mean())


def summed_over_positions(logits, targets):
    return cross_entropy(logits, targets) * len(targets)


def softmax_taken_twice(logits, targets):
    return cross_entropy(softmax(logits), targets)


def in_bits(logits, targets):
    return cross_entropy(logits, targets) / math.log(2)


def averaged_over_all_symbols(logits, targets):
    return cross_entropy(logits, targets) / logits.shape[1]


def sign_forgotten(logits, targets):
    return -cross_entropy(logits, targets)


def every_row_met_every_target(logits, targets):
    return float(np.mean([cross_entropy(logits, np.full(len(logits), y)) for y in targets]))


# 00.3 ------------------------------------------------------------------------------ KL divergence


def kl_divergence(p: Float[np.ndarray, " vocab"], q: Float[np.ndarray, " vocab"]) -> float:
    """KL(p ‖ q) = Σ_w p(w) ln(p(w) / q(w)) in nats.

    A symbol that p never gives adds nothing, whatever q says of it. One that p gives and q holds
    to be impossible makes it infinite.

    >>> round(kl_divergence(np.array([0.5, 0.5, 0.0]), np.array([0.25, 0.5, 0.25])), 6)
    0.346574
    >>> kl_divergence(np.array([0.5, 0.5]), np.array([1.0, 0.0]))
    inf
    """
    given = p > 0
    with np.errstate(divide="ignore"):  # p / 0 is infinite, and shall be
        return float((p[given] * np.log(p[given] / q[given])).sum())


def changed_places(p, q):
    return kl_divergence(q, p)


def entropy_not_subtracted(p, q):
    given = p > 0
    return kl_divergence(p, q) - float((p[given] * np.log(p[given])).sum())


def zero_times_minus_infinity(p, q):
    return float((p * np.log(p / q)).sum())


def a_small_number_added(p, q):
    return float((p * np.log((p + 1e-9) / (q + 1e-9))).sum())


def averaged_over_symbols(p, q):
    return kl_divergence(p, q) / len(p)


def impossible_symbols_skipped(p, q):
    both = (p > 0) & (q > 0)
    return float((p[both] * np.log(p[both] / q[both])).sum())


@st.composite
def two_distributions(draw) -> tuple[np.ndarray, np.ndarray]:
    """p and q over the same few symbols, some of probability zero."""
    size = draw(st.integers(2, 4))
    weights = st.lists(st.sampled_from([0, 1, 2, 3, 4]), min_size=size, max_size=size).filter(any)
    p, q = np.array(draw(weights)), np.array(draw(weights))
    return p / p.sum(), q / q.sum()


# 00.4 ---------------------------------------------------------------------- the gradient by hand


def gradient(
    logits: Float[np.ndarray, "positions vocab"], targets: Int[np.ndarray, " positions"]
) -> Float[np.ndarray, "positions vocab"]:
    """The gradient of the mean cross-entropy by the logits: (p - y) / N.

    p are the softmax probabilities; y is 1 at each position's target and 0 elsewhere.

    >>> gradient(np.array([[0.0, 0.0]]), np.array([1]))
    array([[ 0.5, -0.5]])
    """
    exponentials = np.exp(logits)
    p = exponentials / exponentials.sum(axis=1, keepdims=True)
    y = np.eye(logits.shape[1])[targets]
    return (p - y) / len(targets)


def uphill(logits, targets):
    return -gradient(logits, targets)


def of_the_sum(logits, targets):
    return gradient(logits, targets) * len(targets)


def only_at_the_target(logits, targets):
    full = gradient(logits, targets)
    kept = np.zeros_like(full)
    rows = np.arange(len(targets))
    kept[rows, targets] = full[rows, targets]
    return kept


def by_the_probabilities(logits, targets):
    result = np.zeros_like(logits)
    rows = np.arange(len(targets))
    result[rows, targets] = -1 / softmax(logits)[rows, targets] / len(targets)
    return result


def logits_instead_of_probabilities(logits, targets):
    result = logits.copy()
    result[np.arange(len(targets)), targets] -= 1
    return result / len(targets)


def every_row_got_every_target(logits, targets):
    result = softmax(logits)
    result[:, targets] -= 1
    return result / len(targets)


# 00.5 --------------------------------------------------------------------- finite differences


def numerical_gradient(
    f: Callable[[Float64[np.ndarray, " n"]], float], x: Float64[np.ndarray, " n"], h: float
) -> Float64[np.ndarray, " n"]:
    """Central differences: component i is (f(x + h e_i) - f(x - h e_i)) / 2h.

    e_i is 1 at i and 0 elsewhere. `x` itself is left as it was.

    >>> numerical_gradient(lambda x: float(x[0] * x[1]), np.array([2.0, 3.0]), 0.5)
    array([3., 2.])
    """
    slopes = []
    for i in range(len(x)):
        step = np.zeros(len(x))
        step[i] = h
        slopes.append((f(x + step) - f(x - step)) / (2 * h))
    return np.array(slopes)


def one_sided(f, x, h):
    return np.array([(f(x + h * e) - f(x)) / h for e in np.eye(len(x))])


def divided_by_one_step(f, x, h):
    return 2 * numerical_gradient(f, x, h)


def all_moved_at_once(f, x, h):
    return np.full(len(x), (f(x + h) - f(x - h)) / (2 * h))


def never_moved_back(f, x, h):
    x, slopes = x.copy(), []
    for i in range(len(x)):
        x[i] += h
        above = f(x)
        x[i] -= 2 * h
        slopes.append((above - f(x)) / (2 * h))
    return np.array(slopes)


def of_a_cubic(
    numerical_gradient: Callable[..., Any],
) -> Callable[[np.ndarray, float], np.ndarray]:
    """The answer as a function of x and h, for a fixed f whose slopes depend on all of x."""

    def slopes(x: np.ndarray, h: float) -> np.ndarray:
        return numerical_gradient(cubic, x, h)

    return slopes


def cubic(x: np.ndarray) -> float:
    """The sum of the cubes, and the square of the sum: the gradient is 3 x² + 2 Σx."""
    return float((x**3).sum() + x.sum() ** 2)


def points_and_steps() -> st.SearchStrategy[tuple[np.ndarray, float]]:
    """A point of one to three coordinates, and a step large enough to see the difference."""
    coordinates = st.lists(st.integers(-3, 3), min_size=1, max_size=3)
    x = coordinates.map(lambda values: np.array(values, dtype=float))
    return st.tuples(x, st.sampled_from([0.5, 0.25, 0.125]))


# 00.6 -------------------------------------------------------- spot the bug: silent broadcasting


def masked_loss_repaired(losses: Float[np.ndarray, "n 1"], mask: Int[np.ndarray, " n"]) -> float:
    """Mean loss of the positions whose mask is 1; the others are padding and do not count.

    At least one position has a mask of 1.

    >>> masked_loss_repaired(np.array([[1.0], [3.0], [8.0]]), np.array([1, 1, 0]))
    2.0
    """
    return float((losses.ravel() * mask).sum() / mask.sum())


def masked_loss_with_a_bug(losses, mask):
    kept = losses * mask
    return float(kept.sum() / mask.sum())


def padding_in_the_denominator(losses, mask):
    return float((losses.ravel() * mask).mean())


def not_averaged(losses, mask):
    return float((losses.ravel() * mask).sum())


def only_padding_counted(losses, mask):
    return float((losses.ravel() * (1 - mask)).sum() / mask.sum())


def averaged_over_the_square(losses, mask):
    return float((losses * mask).mean())


@st.composite
def losses_and_masks(draw) -> tuple[np.ndarray, np.ndarray]:
    """A column of losses and as many marks in a row, at least one of them 1."""
    n = draw(st.integers(1, 4))
    losses = draw(st.lists(st.integers(0, 8), min_size=n, max_size=n))
    mask = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n).filter(any))
    return np.array(losses, float).reshape(n, 1), np.array(mask)


# 00.7 ------------------------------------------------------------------------------ one SGD step


def sgd_step(
    table: Float[Tensor, "vocab vocab"],
    tokens: Int[Tensor, " n"],
    learning_rate: float,
) -> float:
    """One step of gradient descent on a table of bigram logits; returns the loss before the step.

    `table[h]` holds the logits of the symbol after h. The loss is the mean cross-entropy of
    tokens[1:], each given the token before it. `table` is a leaf that requires a gradient; it is
    changed in place.

    >>> table = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    >>> round(sgd_step(table, torch.tensor([0, 1]), 1.0), 6)
    0.693147
    >>> table.tolist()
    [[-0.5, 0.5], [0.0, 0.0]]
    """
    loss = F.cross_entropy(table[tokens[:-1]], tokens[1:])
    (slope,) = torch.autograd.grad(loss, table)
    with torch.no_grad():
        table -= learning_rate * slope
    return loss.item()


def step_uphill(table, tokens, learning_rate):
    return sgd_step(table, tokens, -learning_rate)


def learning_rate_ignored(table, tokens, learning_rate):
    return sgd_step(table, tokens, 1.0)


def backward_without_a_step(table, tokens, learning_rate):
    loss = F.cross_entropy(table[tokens[:-1]], tokens[1:])
    loss.backward()
    return loss.item()


def targets_not_shifted(table, tokens, learning_rate):
    pairs = torch.stack([tokens[:-1], tokens[:-1]], dim=1)
    return _step_on_pairs(table, pairs, learning_rate)


def history_and_target_swapped(table, tokens, learning_rate):
    pairs = torch.stack([tokens[1:], tokens[:-1]], dim=1)
    return _step_on_pairs(table, pairs, learning_rate)


def loss_of_the_new_table(table, tokens, learning_rate):
    sgd_step(table, tokens, learning_rate)
    return F.cross_entropy(table[tokens[:-1]], tokens[1:]).item()


def _step_on_pairs(table, pairs, learning_rate):
    loss = F.cross_entropy(table[pairs[:, 0]], pairs[:, 1])
    (slope,) = torch.autograd.grad(loss, table)
    with torch.no_grad():
        table -= learning_rate * slope
    return loss.item()


def loss_and_new_table(step: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """A training step as a function: the loss it returns, and the table that it leaves behind."""

    def stepped(table: np.ndarray, tokens: np.ndarray, learning_rate: float) -> dict[str, Any]:
        leaf = torch.tensor(table, dtype=torch.float64, requires_grad=True)
        loss = step(leaf, torch.as_tensor(tokens), learning_rate)
        loss = loss.item() if isinstance(loss, Tensor) else loss
        return {"loss": loss, "table": leaf.detach().numpy()}

    return stepped


@st.composite
def tables_tokens_rates(draw) -> tuple[np.ndarray, np.ndarray, float]:
    """A small table of logits, a text of at least two tokens, and a learning rate."""
    vocab = draw(st.integers(2, 3))
    row = st.lists(st.integers(-1, 2), min_size=vocab, max_size=vocab)
    table = np.array(draw(st.lists(row, min_size=vocab, max_size=vocab)), dtype=float)
    tokens = draw(st.lists(st.integers(0, vocab - 1), min_size=2, max_size=6))
    return table, np.array(tokens), draw(st.sampled_from([0.1, 0.5, 2.0]))


# 00.8 ------------------------------------------------------------- the floor under a bigram model


def loss_floor(counts: Int[np.ndarray, "histories vocab"]) -> float:
    """The lowest mean loss in nats that any bigram model can have on the text that was counted.

    `counts[h, w]` is how often w followed h. The floor is the entropy of the relative frequencies
    after each history, weighted by how often the history occurred:
    -(1/N) Σ_h Σ_w c(h, w) ln(c(h, w) / Σ_v c(h, v)), where a count of zero adds nothing.

    >>> round(loss_floor(np.array([[1, 1], [0, 2]])), 6)
    0.346574
    """
    nats = 0.0
    for row in counts:
        seen = row[row > 0]
        nats -= (seen * np.log(seen / seen.sum())).sum()
    return float(nats / counts.sum())


def histories_weigh_the_same(counts):
    rows = [row for row in counts if row.any()]
    return float(np.mean([loss_floor(row[None]) for row in rows]))


def of_the_pairs(counts):
    return loss_floor(counts.reshape(1, -1))


def history_not_looked_at(counts):
    return loss_floor(counts.sum(axis=0, keepdims=True))


def of_the_history_given_the_next(counts):
    return loss_floor(counts.T)


def zero_counts_give_nan(counts):
    p = counts / counts.sum(axis=1, keepdims=True)
    return float(-(counts * np.log(p)).sum() / counts.sum())


@st.composite
def bigram_counts(draw) -> tuple[np.ndarray]:
    """A small table of bigram counts, often with zeros, at times with an empty row."""
    vocab = draw(st.integers(2, 3))
    row = st.lists(st.sampled_from([0, 0, 1, 2, 3, 4]), min_size=vocab, max_size=vocab)
    rows = st.lists(row, min_size=vocab, max_size=vocab)
    return (np.array(draw(rows.filter(lambda table: any(map(any, table))))),)


# 00.9 ------------------------------------------------------------ spot the bug: a training loop


def train_repaired(
    vocab_size: int, training: Int[Tensor, " n"], held_out: Int[Tensor, " m"], steps: int
) -> float:
    """Train a table of bigram logits by gradient descent; the loss on the held-out text after it.

    The table starts at zero, the learning rate is 1, and each step is taken on the gradient of the
    mean cross-entropy over the whole training text, at the table as it is then.

    >>> text = torch.tensor([0, 1, 0, 1])
    >>> [round(train_repaired(2, text, text, steps), 4) for steps in (0, 1, 2)]
    [0.6931, 0.4563, 0.3329]
    """
    table = torch.zeros(vocab_size, vocab_size, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([table], lr=1.0)
    for _ in range(steps):
        loss = F.cross_entropy(table[training[:-1]], training[1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return F.cross_entropy(table[held_out[:-1]], held_out[1:]).item()


def train_with_bugs(vocab_size, training, held_out, steps):
    table = torch.zeros(vocab_size, vocab_size, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([table], lr=1.0)
    for _ in range(steps):
        loss = F.cross_entropy(table[training[:-1]], training[1:])
        optimizer.step()
        loss.backward()
    with torch.no_grad():
        return F.cross_entropy(table[training[:-1]], training[1:]).item()


def gradients_still_pile_up(vocab_size, training, held_out, steps):
    table = torch.zeros(vocab_size, vocab_size, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([table], lr=1.0)
    for _ in range(steps):
        F.cross_entropy(table[training[:-1]], training[1:]).backward()
        optimizer.step()
    with torch.no_grad():
        return F.cross_entropy(table[held_out[:-1]], held_out[1:]).item()


def only_the_order_mended(vocab_size, training, held_out, steps):
    return gradients_still_pile_up(vocab_size, training, training, steps)


def only_the_text_mended(vocab_size, training, held_out, steps):
    table = torch.zeros(vocab_size, vocab_size, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([table], lr=1.0)
    for _ in range(steps):
        loss = F.cross_entropy(table[training[:-1]], training[1:])
        optimizer.step()
        loss.backward()
    with torch.no_grad():
        return F.cross_entropy(table[held_out[:-1]], held_out[1:]).item()


def step_still_comes_first(vocab_size, training, held_out, steps):
    return train_repaired(vocab_size, training, held_out, max(steps - 1, 0))


def gradient_cleared_before_the_step(vocab_size, training, held_out, steps):
    return train_repaired(vocab_size, training, held_out, 0)


def training_text_still_scored(vocab_size, training, held_out, steps):
    return train_repaired(vocab_size, training, training, steps)


def on_two_small_texts(train: Callable[..., Any]) -> Callable[..., float]:
    """The loop as a function of plain arrays."""

    def trained(
        vocab_size: int, training: np.ndarray, held_out: np.ndarray, steps: int
    ) -> float | Any:
        loss = train(vocab_size, torch.as_tensor(training), torch.as_tensor(held_out), steps)
        return loss.item() if isinstance(loss, Tensor) else loss

    return trained


@st.composite
def two_texts_and_steps(draw) -> tuple[int, np.ndarray, np.ndarray, int]:
    """A vocabulary, two texts of at least two tokens, and a few steps."""
    vocab = draw(st.integers(2, 3))
    tokens = st.lists(st.integers(0, vocab - 1), min_size=2, max_size=6)
    return vocab, np.array(draw(tokens)), np.array(draw(tokens)), draw(st.integers(1, 4))


# -------------------------------------------------------------------------------------- the list

EXERCISES = [
    Exercise(
        id="00.1",
        title="A softmax that does not overflow",
        objective="You can turn any logits into probabilities.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=softmax,
        inputs=st.tuples(logits_of_any_rank()),
        without=(*LIBRARY, *SOFTMAXES),
        mistakes={
            exponentials_overflow: "exp(1000) is infinite in floating point: subtract each row's "
            "maximum first, which changes no probability.",
            over_the_positions: "You normalise along the first axis: the symbols are on the last "
            "one.",
            normalised_over_everything: "You divide by the sum over the whole array: each row "
            "must sum to one by itself.",
            one_maximum_for_all_rows: "Subtract each row's own maximum: with one maximum for all, "
            "a row far below it vanishes to 0/0.",
        },
        hints=(
            "softmax(z) = softmax(z + a) for any number a: which a keeps exp from overflowing?",
            "Subtract logits.max(axis=-1, keepdims=True), then take np.exp.",
            "Divide by the sum over the same axis, again with keepdims=True.",
        ),
    ),
    Exercise(
        id="00.2",
        title="Cross-entropy from logits",
        objective="You can compute a loss that stays finite where a probability vanishes.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=cross_entropy,
        inputs=logits_and_targets(),
        without=(*LIBRARY, *SOFTMAXES),
        mistakes={
            logarithm_of_a_vanished_probability: "The probability underflows to 0 and its "
            "logarithm is -inf: work with ln Σ exp(z) - z_target and never form the probability.",
            summed_over_positions: "The loss is the mean over the positions; yours is the sum.",
            softmax_taken_twice: "You take the softmax of probabilities: the function gets "
            "logits, and one softmax is enough.",
            in_bits: "That is in bits: use the natural logarithm.",
            averaged_over_all_symbols: "Only the target's cost counts: divide by the number of "
            "positions, not by positions times symbols.",
            sign_forgotten: "A cost is positive: minus the logarithm of the probability.",
            every_row_met_every_target: "logits[:, targets] picks every target in every row: pair "
            "rows and targets with logits[np.arange(N), targets].",
        },
        hints=(
            "-ln softmax(z)[y] = ln Σ exp(z) - z[y]. Write it so before you compute.",
            "ln Σ exp(z) = m + ln Σ exp(z - m) for the row's maximum m.",
            "The targets' logits are logits[np.arange(len(targets)), targets].",
        ),
    ),
    Exercise(
        id="00.3",
        title="KL divergence",
        objective="You can say what believing the wrong distribution costs.",
        points=2,
        minutes=12,
        difficulty=2,
        reference=kl_divergence,
        inputs=two_distributions(),
        without=(*LIBRARY, *SOFTMAXES),
        mistakes={
            changed_places: "You compute KL(q ‖ p): the mean is over p, the first argument.",
            entropy_not_subtracted: "That is the cross-entropy: subtract the entropy of p.",
            zero_times_minus_infinity: "0 · ln 0 is nan to NumPy: leave out the symbols that p "
            "never gives.",
            a_small_number_added: "A small number added under the logarithm hides that the "
            "divergence is infinite where q is 0 and p is not.",
            averaged_over_symbols: "Sum over the symbols: p is already the weight of the mean.",
            impossible_symbols_skipped: "A symbol that p gives and q excludes costs infinitely "
            "much; you leave it out.",
        },
        hints=(
            "Which symbols contribute? Those with p > 0, and only those.",
            "Sum p * np.log(p / q) over them, and over nothing else.",
            "Where q is 0 there, NumPy gives inf with a warning: that is the right value.",
        ),
    ),
    Exercise(
        id="00.4",
        title="The gradient by hand",
        objective="You can differentiate the loss that trains every model of this book.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=gradient,
        inputs=logits_and_targets(extreme=False),
        without=(*LIBRARY, *SOFTMAXES),
        mistakes={
            uphill: "The sign is turned round: the gradient is p - y, and descent subtracts it.",
            of_the_sum: "That is the gradient of the sum: the mean loss has 1/N in front.",
            only_at_the_target: "The other logits matter too: raising one of them takes "
            "probability from the target. Their gradient is p.",
            by_the_probabilities: "That is the gradient by the probability of the target, -1/p; "
            "asked is the gradient by the logits.",
            logits_instead_of_probabilities: "You subtract y from the logits: take the softmax "
            "first.",
            every_row_got_every_target: "result[:, targets] picks every target in every row: pair "
            "rows and targets with result[np.arange(N), targets].",
        },
        hints=(
            "The loss of a position is ln Σ exp(z) - z[y]. Differentiate both terms by z[w].",
            "The first gives softmax(z)[w], the second 1 where w is y.",
            "np.eye(V)[targets] has a row for each position, with its 1 at the target.",
        ),
    ),
    Exercise(
        id="00.5",
        title="The gradient by trying",
        objective="You can check any gradient without knowing how it was derived.",
        points=2,
        minutes=12,
        difficulty=2,
        elective=True,
        reference=numerical_gradient,
        adapter=of_a_cubic,
        inputs=points_and_steps(),
        without=(*LIBRARY, *SOFTMAXES, "numpy.gradient"),
        mistakes={
            one_sided: "Step to both sides: the one-sided difference is off by a term in h, the "
            "central one only by a term in h².",
            divided_by_one_step: "The two points are 2h apart: divide by 2h.",
            all_moved_at_once: "Move one coordinate at a time: each has a slope of its own.",
            never_moved_back: "Put each coordinate back before you move the next.",
        },
        hints=(
            "For each i make a vector that is h at i and 0 elsewhere.",
            "The slope is (f(x + step) - f(x - step)) / (2 * h).",
            "x + step makes a new array, so x itself stays as it was.",
        ),
    ),
    Exercise(
        id="00.6",
        title="Spot the bug: padding that counts",
        objective="You can find a shape that is wrong although nothing complains.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=masked_loss_repaired,
        inputs=losses_and_masks(),
        without=(*LIBRARY, *SOFTMAXES),
        mistakes={
            masked_loss_with_a_bug: "(n, 1) times (n,) is (n, n): every loss meets every mark, "
            "and in the sum the mask cancels out. Give both the same shape first.",
            padding_in_the_denominator: "Divide by the number of positions that count, "
            "mask.sum(): yours divides by all of them.",
            not_averaged: "The mean is asked; yours is the sum.",
            only_padding_counted: "The mask is 1 where a position counts and 0 where it does not.",
            averaged_over_the_square: "Your product is still (n, n), and you average over all of "
            "it. Give both the same shape first.",
        },
        hints=(
            "Print the shape of `losses * mask` for three positions.",
            "A trailing 1 and a missing axis broadcast against each other.",
            "losses.ravel() has the shape (n,), and so has losses[:, 0].",
        ),
    ),
    Exercise(
        id="00.7",
        title="One step of gradient descent",
        objective="You can write the step that all training consists of.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=sgd_step,
        adapter=loss_and_new_table,
        inputs=tables_tokens_rates(),
        without=LIBRARY,
        mistakes={
            step_uphill: "You step uphill: subtract the gradient.",
            learning_rate_ignored: "The learning rate does not enter: multiply the gradient by it.",
            backward_without_a_step: "backward() only computes the gradient; the table must be "
            "changed by you (or by an optimizer's step).",
            targets_not_shifted: "The target of a token is the token after it; yours is the token "
            "itself.",
            history_and_target_swapped: "History and target have changed places: table[h] "
            "predicts the token after h.",
            loss_of_the_new_table: "Return the loss before the step, the one that was "
            "differentiated.",
        },
        hints=(
            "F.cross_entropy(table[tokens[:-1]], tokens[1:]) is the loss.",
            "After loss.backward() the gradient is in table.grad.",
            "Inside `with torch.no_grad():` write table -= learning_rate * table.grad.",
        ),
    ),
    Exercise(
        id="00.8",
        title="The floor under the loss",
        objective="You can say beforehand what a bigram model can reach at best.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=loss_floor,
        inputs=bigram_counts(),
        without=(*LIBRARY, *SOFTMAXES),
        mistakes={
            histories_weigh_the_same: "A history that occurs more often weighs more: weight the "
            "entropies by the row sums.",
            of_the_pairs: "That is the entropy of the pairs: divide each count by its row's sum, "
            "not by N.",
            history_not_looked_at: "That is the floor of a 1-gram model: look at each history by "
            "itself.",
            of_the_history_given_the_next: "Your probabilities run over the histories: "
            "normalise each row, not each column.",
            zero_counts_give_nan: "0 · ln 0 is nan to NumPy: leave out the counts of zero.",
        },
        hints=(
            "The best table is the relative frequencies: c(h, w) / Σ_v c(h, v).",
            "Each bigram costs -ln of it, and occurs c(h, w) times.",
            "Sum over the counts that are not zero, and divide by counts.sum().",
        ),
    ),
    Exercise(
        id="00.9",
        title="Spot the bug: a training loop",
        objective="You can read a training loop and see what each line must come after.",
        points=3,
        minutes=20,
        difficulty=2,
        reference=train_repaired,
        adapter=on_two_small_texts,
        inputs=two_texts_and_steps(),
        n_inputs=60,  # each trains
        without=LIBRARY,
        mistakes={
            train_with_bugs: "This still does what the broken loop does: it steps before "
            "backward, never clears the gradient, and scores the training text.",
            only_the_order_mended: "The order is right now, two bugs are left: backward() adds to "
            "the gradient of the step before, and the loss returned is that of the training text.",
            only_the_text_mended: "The text is right now, two bugs are left: the step comes before "
            "backward, and the gradient is never cleared.",
            gradients_still_pile_up: "backward() adds to the gradient that is there: clear it "
            "with optimizer.zero_grad() in each step.",
            step_still_comes_first: "The step comes before backward, so that the last gradient is "
            "never used: first backward, then step.",
            gradient_cleared_before_the_step: "The gradient is cleared between backward and step, "
            "so the table never changes.",
            training_text_still_scored: "The loss returned is that of the training text: score "
            "the held-out text.",
        },
        hints=(
            "There are three bugs: the order of two lines, a line that is missing, the text.",
            "In each step: loss, zero_grad, backward, step.",
            "The last two lines must not look at `training` at all.",
        ),
    ),
]
