"""The exercises of chapter 06, the Transformer: references and known mistakes.

Letters as in the chapter: m is a position, d the width of a vector, W1, b1, W2, b2 the weights of
the feed-forward network; a bar over a letter in the text is a name that begins with d here (dy is
the derivative of the loss by y). Tokens 0, 1 and 2 are PAD, START and END.

For each exercise stand here its reference (which becomes the solutions page), its known mistakes,
and the strategy that draws its inputs; the list `EXERCISES` at the end puts them together.
"""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st
from jaxtyping import Bool, Float, Int

from course_lib.exercises.exercise import Exercise

BY_HAND = ("course_lib", "torch")  # an answer is written by hand

PAD, START, END = 0, 1, 2


def matrices(rows: int, columns: int) -> st.SearchStrategy[np.ndarray]:
    """Matrices of small numbers, few of them zero."""
    number = st.sampled_from([0.5, -0.5, 1.0, -1.0, 0.25, 2.0, -0.75, 0.0])
    row = st.lists(number, min_size=columns, max_size=columns)
    return st.lists(row, min_size=rows, max_size=rows).map(
        lambda m: np.array(m).reshape(rows, columns)
    )


def vectors(size: int) -> st.SearchStrategy[np.ndarray]:
    """Vectors of small numbers."""
    return matrices(1, size).map(lambda m: m[0])


def uneven(rows: int, columns: int) -> st.SearchStrategy[np.ndarray]:
    """Matrices whose rows are not constant, so that they have a variance."""
    return matrices(rows, columns).map(lambda m: m + np.linspace(0, 1.3, columns) ** 2)


# 06.1 ------------------------------------------------------------------- sinusoidal positions


def sinusoids(n_positions: int, d: int) -> Float[np.ndarray, "positions d"]:
    """Row m: number 2i is sin(m ω_i) and number 2i + 1 is cos(m ω_i), with ω_i = 10000^(−2i/d).

    d is even.

    >>> sinusoids(2, 4).round(4)
    array([[0.    , 1.    , 0.    , 1.    ],
           [0.8415, 0.5403, 0.01  , 1.    ]])
    """
    table = np.zeros((n_positions, d))
    for m in range(n_positions):
        for i in range(d // 2):
            angle = m * 10_000 ** (-2 * i / d)
            table[m, 2 * i] = math.sin(angle)
            table[m, 2 * i + 1] = math.cos(angle)
    return table


def sines_first_then_cosines(n_positions, d):
    table = sinusoids(n_positions, d)
    return np.concatenate([table[:, ::2], table[:, 1::2]], axis=1)


def hands_half_as_different(n_positions, d):
    angles = np.outer(np.arange(n_positions), 10_000.0 ** -(np.arange(d // 2) / d))
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(n_positions, d)


def positions_from_one(n_positions, d):
    return sinusoids(n_positions + 1, d)[1:]


def all_hands_alike(n_positions, d):
    return np.tile(sinusoids(n_positions, 2), d // 2)


# 06.2 ---------------------------------------------------------------------- rotary positions


def turned(x: Float[np.ndarray, "tokens d"]) -> Float[np.ndarray, "tokens d"]:
    """Turn each pair (2i, 2i + 1) of row m by the angle m · 10000^(−2i/d).

    (a, b) becomes (a cos − b sin, a sin + b cos). d is even.

    >>> turned(np.array([[1.0, 0.0], [1.0, 0.0]])).round(4)
    array([[1.    , 0.    ],
           [0.5403, 0.8415]])
    """
    n_tokens, d = x.shape
    out = np.zeros_like(x)
    for m in range(n_tokens):
        for i in range(d // 2):
            angle = m * 10_000 ** (-2 * i / d)
            a, b = x[m, 2 * i], x[m, 2 * i + 1]
            out[m, 2 * i] = a * math.cos(angle) - b * math.sin(angle)
            out[m, 2 * i + 1] = a * math.sin(angle) + b * math.cos(angle)
    return out


def turned_backwards(x):
    flipped = x * np.tile([1.0, -1.0], x.shape[1] // 2)
    return turned(flipped) * np.tile([1.0, -1.0], x.shape[1] // 2)


def paired_with_the_other_half(x):
    half = x.shape[1] // 2
    order = [j for i in range(half) for j in (i, i + half)]
    out = np.zeros_like(x)
    out[:, order] = turned(x[:, order])
    return out


def all_pairs_by_one_angle(x):
    return np.concatenate([turned(x[:, i : i + 2]) for i in range(0, x.shape[1], 2)], axis=1)


def first_number_overwritten(x):
    out = x.copy()
    for m in range(len(x)):
        for i in range(x.shape[1] // 2):
            angle = m * 10_000 ** (-2 * i / x.shape[1])
            c, s = math.cos(angle), math.sin(angle)
            out[m, 2 * i] = out[m, 2 * i] * c - out[m, 2 * i + 1] * s
            out[m, 2 * i + 1] = out[m, 2 * i] * s + out[m, 2 * i + 1] * c
    return out


def positions_added(x):
    return x + sinusoids(*x.shape)


@st.composite
def texts_of_vectors(draw):
    return (draw(matrices(draw(st.integers(2, 4)), draw(st.sampled_from([4, 6])))),)


# 06.3 ------------------------------------------------------------------------------ LayerNorm


def layer_norm(
    x: Float[np.ndarray, "tokens d"],
    gain: Float[np.ndarray, " d"],
    shift: Float[np.ndarray, " d"],
    eps: float,
) -> Float[np.ndarray, "tokens d"]:
    """gain ⊙ (x − μ) / √(σ² + eps) + shift, where μ and σ² are those of each token's numbers.

    σ² is the mean of the squared differences.

    >>> layer_norm(np.array([[1.0, 2.0, 3.0, 6.0]]), np.ones(4), np.zeros(4), 0.0).round(3)
    array([[-1.069, -0.535,  0.   ,  1.604]])
    """
    mu = x.mean(1, keepdims=True)
    variance = ((x - mu) ** 2).mean(1, keepdims=True)
    return gain * (x - mu) / np.sqrt(variance + eps) + shift


def over_the_tokens(x, gain, shift, eps):
    return gain * (x - x.mean(0)) / np.sqrt(x.var(0) + eps) + shift


def divided_by_one_less(x, gain, shift, eps):
    mu, variance = x.mean(1, keepdims=True), x.var(1, ddof=1, keepdims=True)
    return gain * (x - mu) / np.sqrt(variance + eps) + shift


def mean_left_in(x, gain, shift, eps):
    return gain * x / np.sqrt((x**2).mean(1, keepdims=True) + eps) + shift


def root_forgotten(x, gain, shift, eps):
    return gain * (x - x.mean(1, keepdims=True)) / (x.var(1, keepdims=True) + eps) + shift


def eps_outside_of_the_root(x, gain, shift, eps):
    mu, sigma = x.mean(1, keepdims=True), x.std(1, keepdims=True)
    return gain * (x - mu) / (sigma + eps) + shift


@st.composite
def tokens_to_normalise(draw):
    n, d = draw(st.integers(2, 3)), draw(st.integers(3, 4))
    eps = draw(st.sampled_from([0.5, 0.1]))
    return draw(uneven(n, d)), draw(vectors(d)), draw(vectors(d)), eps


# 06.4 -------------------------------------------------------------------- feed-forward network


def feed_forward(
    x: Float[np.ndarray, "tokens d"],
    W1: Float[np.ndarray, "d d_ff"],
    b1: Float[np.ndarray, " d_ff"],
    W2: Float[np.ndarray, "d_ff d"],
    b2: Float[np.ndarray, " d"],
) -> Float[np.ndarray, "tokens d"]:
    """FFN(x) = max(0, x W1 + b1) W2 + b2, for each token alone.

    >>> one = np.ones((1, 1))
    >>> feed_forward(np.array([[2.0], [-2.0]]), one, np.array([1.0]), 3 * one, np.array([0.5]))
    array([[9.5],
           [0.5]])
    """
    return np.maximum(0, x @ W1 + b1) @ W2 + b2


def bend_forgotten(x, W1, b1, W2, b2):
    return (x @ W1 + b1) @ W2 + b2


def bend_at_the_end(x, W1, b1, W2, b2):
    return np.maximum(0, (x @ W1 + b1) @ W2 + b2)


def first_bias_after_the_bend(x, W1, b1, W2, b2):
    return (np.maximum(0, x @ W1) + b1) @ W2 + b2


def stream_added(x, W1, b1, W2, b2):
    return x + feed_forward(x, W1, b1, W2, b2)


@st.composite
def tokens_and_feed_forward(draw):
    n, d, d_ff = draw(st.integers(1, 3)), 2, draw(st.integers(2, 3))
    W1, b1, W2 = draw(matrices(d, d_ff)), draw(vectors(d_ff)), draw(matrices(d_ff, d))
    return draw(matrices(n, d)), W1, b1, W2, draw(vectors(d))


# 06.5 ------------------------------------------------------------------------------- the block

Part = Callable[[np.ndarray], np.ndarray]


def block(
    x: Float[np.ndarray, "tokens d"],
    attention: Part,
    mlp: Part,
    norm: Part,
    norm_first: bool,
) -> Float[np.ndarray, "tokens d"]:
    """A Transformer block made of three functions, each from (tokens, d) to (tokens, d).

    Pre-norm (`norm_first`): x ← x + attention(norm(x)), then x ← x + mlp(norm(x)).
    Post-norm: x ← norm(x + attention(x)), then x ← norm(x + mlp(x)).

    >>> def twice(x): return 2 * x
    >>> def third(x): return x / 3
    >>> block(np.array([[3.0]]), twice, twice, third, True)
    array([[8.33333333]])
    >>> block(np.array([[3.0]]), twice, twice, third, False)
    array([[3.]])
    """
    if norm_first:
        x = x + attention(norm(x))
        return x + mlp(norm(x))
    x = norm(x + attention(x))
    return norm(x + mlp(x))


def stream_normalised(x, attention, mlp, norm, norm_first):
    if not norm_first:
        return block(x, attention, mlp, norm, False)
    x = norm(x)
    x = norm(x + attention(x))
    return x + mlp(x)


def mlp_reads_the_block_input(x, attention, mlp, norm, norm_first):
    if norm_first:
        return x + attention(norm(x)) + mlp(norm(x))
    return norm(norm(x + attention(x)) + mlp(x))


def nothing_added(x, attention, mlp, norm, norm_first):
    if norm_first:
        return mlp(norm(attention(norm(x))))
    return norm(mlp(norm(attention(x))))


def norm_before_the_sum(x, attention, mlp, norm, norm_first):
    if norm_first:
        return block(x, attention, mlp, norm, True)
    x = x + norm(attention(x))
    return x + norm(mlp(x))


def the_other_order(x, attention, mlp, norm, norm_first):
    return block(x, attention, mlp, norm, not norm_first)


def one_norm_only(x, attention, mlp, norm, norm_first):
    if norm_first:
        x = x + attention(norm(x))
        return x + mlp(x)
    x = x + attention(x)
    return norm(x + mlp(x))


def of_toy_parts(make: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """The block as a function of x, the toy parts' weights, and the order."""

    def computed(x: np.ndarray, W: np.ndarray, V: np.ndarray, norm_first: bool) -> np.ndarray:
        def attention(x: np.ndarray) -> np.ndarray:
            return x.mean(0, keepdims=True) @ W + 0.5 * x

        def mlp(x: np.ndarray) -> np.ndarray:
            return np.maximum(0, x @ V) - 0.25

        def norm(x: np.ndarray) -> np.ndarray:
            return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 0.5)

        return make(x, attention, mlp, norm, norm_first)

    return computed


@st.composite
def streams_and_toys(draw):
    n, d = draw(st.integers(1, 3)), 3
    return draw(uneven(n, d)), draw(matrices(d, d)), draw(matrices(d, d)), draw(st.booleans())


# 06.6 ------------------------------------------------------------- backward through LayerNorm


def layer_norm_backward(
    x: Float[np.ndarray, "tokens d"], dy: Float[np.ndarray, "tokens d"]
) -> Float[np.ndarray, "tokens d"]:
    """The derivative of the loss by x, from dy, that by y = (x − μ) / σ (no gain, no eps).

    μ, σ and both means below are those of each token's d numbers:
    dx = (dy − mean(dy) − y ⊙ mean(dy ⊙ y)) / σ.

    >>> layer_norm_backward(np.array([[1.0, 2.0, 3.0, 6.0]]), np.array([[1.0, 0, 0, 0]])).round(3)
    array([[ 0.248, -0.21 , -0.134,  0.095]])
    """
    sigma = x.std(1, keepdims=True)
    y = (x - x.mean(1, keepdims=True)) / sigma
    common = dy.mean(1, keepdims=True)
    along = (dy * y).mean(1, keepdims=True)
    return (dy - common - y * along) / sigma


def as_if_mean_and_width_were_given(x, dy):
    return dy / x.std(1, keepdims=True)


def width_as_if_given(x, dy):
    return (dy - dy.mean(1, keepdims=True)) / x.std(1, keepdims=True)


def mean_as_if_given(x, dy):
    sigma = x.std(1, keepdims=True)
    y = (x - x.mean(1, keepdims=True)) / sigma
    return (dy - y * (dy * y).mean(1, keepdims=True)) / sigma


def not_divided(x, dy):
    return layer_norm_backward(x, dy) * x.std(1, keepdims=True)


def sums_for_means(x, dy):
    sigma = x.std(1, keepdims=True)
    y = (x - x.mean(1, keepdims=True)) / sigma
    along = (dy * y).sum(1, keepdims=True)
    return (dy - dy.sum(1, keepdims=True) - y * along) / sigma


@st.composite
def norms_to_go_back_through(draw):
    n, d = draw(st.integers(1, 2)), draw(st.integers(3, 4))
    return draw(uneven(n, d)), draw(matrices(n, d))


# 06.7 ------------------------------------------------------- backward through the MLP's half


def mlp_backward(
    y: Float[np.ndarray, "tokens d"],
    W1: Float[np.ndarray, "d d_ff"],
    W2: Float[np.ndarray, "d_ff d"],
    dz: Float[np.ndarray, "tokens d"],
) -> tuple[Float[np.ndarray, "tokens d"], Float[np.ndarray, "d d_ff"], Float[np.ndarray, "d_ff d"]]:
    """The derivatives (dy, dW1, dW2), from dz, where z = y + max(0, y W1) W2.

    The bend's slope is 1 where y W1 is above 0, else 0.

    >>> y, dz = np.array([[1.0]]), np.array([[1.0]])
    >>> mlp_backward(y, np.array([[2.0]]), np.array([[3.0]]), dz)
    (array([[7.]]), array([[3.]]), array([[2.]]))
    """
    h = y @ W1
    r = np.maximum(0, h)
    dW2 = r.T @ dz
    dh = (dz @ W2.T) * (h > 0)
    dW1 = y.T @ dh
    dy = dz + dh @ W1.T
    return dy, dW1, dW2


def way_around_forgotten(y, W1, W2, dz):
    dy, dW1, dW2 = mlp_backward(y, W1, W2, dz)
    return dy - dz, dW1, dW2


def slope_of_the_bend_forgotten(y, W1, W2, dz):
    dh = dz @ W2.T
    return dz + dh @ W1.T, y.T @ dh, np.maximum(0, y @ W1).T @ dz


def bend_forgotten_for_W2(y, W1, W2, dz):
    dy, dW1, _ = mlp_backward(y, W1, W2, dz)
    return dy, dW1, (y @ W1).T @ dz


def stream_multiplied(y, W1, W2, dz):
    dy, dW1, dW2 = mlp_backward(y, W1, W2, dz)
    return dz * (dy - dz), dW1, dW2


@st.composite
def mlps_to_go_back_through(draw):
    n, d, d_ff = draw(st.integers(1, 2)), 2, draw(st.integers(1, 3))
    return (
        draw(matrices(n, d)),
        draw(matrices(d, d_ff)),
        draw(matrices(d_ff, d)),
        draw(matrices(n, d)),
    )


# 06.8 -------------------------------------------------------------------------- cross-attention


def cross_attention(
    queries: Float[np.ndarray, "targets d"],
    keys: Float[np.ndarray, "sources d"],
    values: Float[np.ndarray, "sources d_v"],
    is_text: Bool[np.ndarray, " sources"],
) -> Float[np.ndarray, "targets d_v"]:
    """What each target token finds in the source: softmax(Q Kᵀ / √d) V, without the padding.

    `is_text` is False where a source token is padding; at least one is True.

    >>> K, V = np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [3.0], [9.0]])
    >>> cross_attention(np.array([[0.0]]), K, V, np.array([True, True, False]))
    array([[2.]])
    """
    scores = queries @ keys.T / math.sqrt(keys.shape[1])
    weights = np.exp(scores) * is_text
    weights = weights / weights.sum(1, keepdims=True)
    return weights @ values


def padding_not_masked(queries, keys, values, is_text):
    return cross_attention(queries, keys, values, np.ones(len(keys), dtype=bool))


def scale_forgotten(queries, keys, values, is_text):
    return cross_attention(queries * math.sqrt(keys.shape[1]), keys, values, is_text)


def masked_after_the_softmax(queries, keys, values, is_text):
    scores = queries @ keys.T / math.sqrt(keys.shape[1])
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True) * is_text @ values


def causal_too(queries, keys, values, is_text):
    out = []
    for t in range(len(queries)):
        seen = is_text & (np.arange(len(keys)) <= t)
        seen[np.argmax(is_text)] = True
        out.append(cross_attention(queries[t : t + 1], keys, values, seen)[0])
    return np.array(out)


def scores_set_to_zero(queries, keys, values, is_text):
    scores = queries @ keys.T / math.sqrt(keys.shape[1]) * is_text
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True) @ values


@st.composite
def two_sentences(draw):
    targets, sources, d = draw(st.integers(1, 3)), draw(st.integers(2, 4)), draw(st.integers(2, 3))
    is_text = np.arange(sources) < draw(st.integers(1, sources))
    queries, keys = draw(matrices(targets, d)), draw(matrices(sources, d))
    return queries, keys, draw(matrices(sources, 2)), is_text


# 06.9 -------------------------------------------------------------------------- teacher forcing


def teacher_forcing(
    sentences: list[list[int]],
) -> tuple[Int[np.ndarray, "sentences longest"], Int[np.ndarray, "sentences longest"]]:
    """What the decoder is given and what it is asked for: START and the sentence; it and END.

    Both are filled up with PAD at the end, to the longest sentence and one more.
    PAD, START and END are 0, 1 and 2.

    >>> given, asked = teacher_forcing([[5, 6], [7]])
    >>> given.tolist(), asked.tolist()
    ([[1, 5, 6], [1, 7, 0]], [[5, 6, 2], [7, 2, 0]])
    """
    width = max(len(sentence) for sentence in sentences) + 1
    given = np.full((len(sentences), width), 0)
    asked = np.full((len(sentences), width), 0)
    for row, sentence in enumerate(sentences):
        n = len(sentence)
        given[row, 0], given[row, 1 : n + 1] = 1, sentence
        asked[row, :n], asked[row, n] = sentence, 2
    return given, asked


def not_moved(sentences):
    given, _ = teacher_forcing(sentences)
    return given, given


def end_forgotten(sentences):
    given, asked = teacher_forcing(sentences)
    return given, np.where(asked == END, PAD, asked)


def end_at_the_rectangles_end(sentences):
    given, asked = teacher_forcing(sentences)
    asked = np.where(asked == END, PAD, asked)
    asked[:, -1] = END
    return given, asked


def padded_in_front(sentences):
    given, asked = teacher_forcing(sentences)
    back = [given.shape[1] - 1 - len(sentence) for sentence in sentences]
    rows = [
        np.array([np.roll(row, n) for row, n in zip(part, back, strict=True)])
        for part in (given, asked)
    ]
    return rows[0], rows[1]


def end_is_given_too(sentences):
    given, asked = teacher_forcing(sentences)
    for row, sentence in zip(given, sentences, strict=True):
        if len(sentence) + 1 < len(row):
            row[len(sentence) + 1] = END
    return given, asked


@st.composite
def several_sentences(draw):
    sentence = st.lists(st.integers(3, 9), min_size=0, max_size=4)
    return (draw(st.lists(sentence, min_size=1, max_size=3)),)


# 06.10 --------------------------------------------------- spot the bug: the loss of two batches


def loss_repaired(
    batches: list[tuple[Float[np.ndarray, "..."], Int[np.ndarray, "..."]]],
) -> float:
    """Mean nats of the tokens of all batches, from (nats of each place, token asked for there).

    Padding (token 0) does not count, and every other token counts alike.

    >>> nats, asked = np.array([[1.0, 2.0, 9.0]]), np.array([[5, 2, 0]])
    >>> loss_repaired([(nats, asked), (np.array([[6.0]]), np.array([[2]]))])
    3.0
    """
    total, count = 0.0, 0
    for nats, asked in batches:
        scored = asked != 0
        total += (nats * scored).sum()
        count += scored.sum()
    return float(total / count)


def loss_with_bugs(batches):
    means = []
    for nats, asked in batches:
        loss = nats.mean()
        means.append((loss * (asked != PAD)).sum() / (asked != PAD).sum())
    return float(np.mean(means))


def mean_of_means_still(batches):
    return float(np.mean([loss_repaired([batch]) for batch in batches]))


def padding_still_divides(batches):
    total = sum((nats * (asked != PAD)).sum() for nats, asked in batches)
    return float(total / sum(asked.size for _, asked in batches))


def padding_still_scored(batches):
    total = sum(nats.sum() for nats, _ in batches)
    return float(total / sum(asked.size for _, asked in batches))


def end_not_scored(batches):
    kept = [(nats * (asked > END), (asked > END)) for nats, asked in batches]
    return float(sum(n.sum() for n, _ in kept) / max(1, sum(k.sum() for _, k in kept)))


@st.composite
def scored_batches(draw):
    batches = []
    for _ in range(draw(st.integers(1, 3))):
        lengths = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
        width = max(lengths) + 1
        rows = [[*[5] * n, END, *[PAD] * (width - n - 1)] for n in lengths]
        nats = draw(matrices(len(rows), width)) + 1.5
        batches.append((nats, np.array(rows)))
    return (batches,)


# 06.11 ------------------------------------------------------------------------------ beam search


def beam_search(
    next_log_probs: Callable[[list[int]], Float[np.ndarray, " vocab"]],
    beam: int,
    longest: int,
    alpha: float,
) -> list[int]:
    """The best sentence that a beam of width `beam` finds, without START and END.

    `next_log_probs(tokens)` are the log-probabilities of each next token after [START, …]. Every
    round extends each kept beginning by each token and keeps the likeliest; `beam` counts them
    and the sentences that have ended. The search ends after `longest` rounds, when what is kept
    counts as ended, or when nothing is kept. Best is the highest log-probability divided by n to
    the power alpha, n being the number of tokens that were paid for (END included).

    >>> after_3, after_4 = [1, 1, 35, 33, 34], [1, 1, 97, 1, 1]
    >>> table = np.log([[1] * 5, [1, 1, 1, 60, 40], [1] * 5, after_3, after_4])
    >>> beam_search(lambda tokens: table[tokens[-1]], 1, 4, 0.0)
    [3]
    >>> beam_search(lambda tokens: table[tokens[-1]], 2, 4, 0.0)
    [4]
    """
    kept, ended = [([1], 0.0)], []
    for _ in range(longest):
        extended = []
        for tokens, log_prob in kept:
            for token, added in enumerate(next_log_probs(tokens)):
                extended.append(([*tokens, token], log_prob + added))
        extended.sort(key=lambda candidate: -candidate[1])
        best = extended[: beam - len(ended)]
        ended += [candidate for candidate in best if candidate[0][-1] == 2]
        kept = [candidate for candidate in best if candidate[0][-1] != 2]
        if not kept:
            break
    ended += kept
    tokens, _ = max(ended, key=lambda found: found[1] / (len(found[0]) - 1) ** alpha)
    return [token for token in tokens[1:] if token != 2]


def _beam(next_log_probs, beam, longest, score, choose=None, go_on_after_end=False):
    """Beam search with one thing changed."""
    kept, ended = [([START], 0.0)], []
    for _ in range(longest):
        extended = [
            ([*tokens, token], log_prob + added)
            for tokens, log_prob in kept
            for token, added in enumerate(next_log_probs(tokens))
        ]
        best = (choose or _likeliest)(extended, beam - len(ended))
        if go_on_after_end:
            kept = best
            continue
        ended += [c for c in best if c[0][-1] == END]
        kept = [c for c in best if c[0][-1] != END]
        if not kept:
            break
    tokens, _ = max(ended + kept, key=score)
    return [token for token in tokens[1:] if token != END]


def _likeliest(extended, n):
    return sorted(extended, key=lambda candidate: -candidate[1])[:n]


def only_the_likeliest(next_log_probs, beam, longest, alpha):
    return beam_search(next_log_probs, 1, longest, alpha)


def length_ignored(next_log_probs, beam, longest, alpha):
    return beam_search(next_log_probs, beam, longest, 0.0)


def multiplied_by_the_length(next_log_probs, beam, longest, alpha):
    return _beam(
        next_log_probs, beam, longest, lambda found: found[1] * (len(found[0]) - 1) ** alpha
    )


def ended_sentences_go_on(next_log_probs, beam, longest, alpha):
    return _beam(
        next_log_probs,
        beam,
        longest,
        lambda found: found[1] / (len(found[0]) - 1) ** alpha,
        go_on_after_end=True,
    )


def worst_kept(next_log_probs, beam, longest, alpha):
    return _beam(
        next_log_probs,
        beam,
        longest,
        lambda found: found[1] / (len(found[0]) - 1) ** alpha,
        choose=lambda extended, n: sorted(extended, key=lambda c: c[1])[:n],
    )


def over_a_table(search: Callable[..., list[int]]) -> Callable[..., list[int]]:
    """The search over a language model that looks at the last token only."""

    def found(table: np.ndarray, beam: int, longest: int, alpha: float) -> list[int]:
        log_probs = np.log(table / table.sum(axis=1, keepdims=True))
        return [int(t) for t in search(lambda tokens: log_probs[tokens[-1]], beam, longest, alpha)]

    return found


@st.composite
def tables_and_beams(draw):
    weight = st.integers(1, 10_000).map(lambda n: n / 7)
    rows = draw(st.lists(st.lists(weight, min_size=5, max_size=5), min_size=5, max_size=5))
    table = np.array(rows)
    table[:, :2] = 1e-6  # PAD and START are not written
    alpha = draw(st.sampled_from([0.0, 0.6, 1.0, 2.0]))
    return table, draw(st.integers(1, 3)), draw(st.integers(1, 4)), alpha


# 06.12 -------------------------------------------------------------------------------- chrF


def character_f(hypothesis: str, reference: str, n: int, beta: float) -> float:
    """The F-score of stretches of n characters, from 0 to 1; spaces are taken out first.

    A stretch that stands in one k times and in the other l times is shared min(k, l) times. With
    precision P = shared / stretches of the hypothesis and recall R = shared / those of the
    reference, F = (1 + β²) P R / (β² P + R). It is 0 where nothing is shared.

    >>> round(character_f("the teacher", "a teacher", 2, 2.0), 4)
    0.8108
    """

    def stretches(text: str) -> Counter:
        text = text.replace(" ", "")
        return Counter(text[i : i + n] for i in range(len(text) - n + 1))

    ours, theirs = stretches(hypothesis), stretches(reference)
    shared = (ours & theirs).total()
    if shared == 0:
        return 0.0
    precision, recall = shared / ours.total(), shared / theirs.total()
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def _f(hypothesis, reference, n, beta, clean=True, kinds=False, swap=False):
    def stretches(text):
        text = text.replace(" ", "") if clean else text
        found = Counter(text[i : i + n] for i in range(len(text) - n + 1))
        return Counter(set(found)) if kinds else found

    ours, theirs = stretches(hypothesis), stretches(reference)
    shared = (ours & theirs).total()
    if not shared:
        return 0.0
    p, r = shared / ours.total(), shared / theirs.total()
    p, r = (r, p) if swap else (p, r)
    return (1 + beta**2) * p * r / (beta**2 * p + r)


def each_kind_once(hypothesis, reference, n, beta):
    return _f(hypothesis, reference, n, beta, kinds=True)


def spaces_counted(hypothesis, reference, n, beta):
    return _f(hypothesis, reference, n, beta, clean=False)


def precision_and_recall_swapped(hypothesis, reference, n, beta):
    return _f(hypothesis, reference, n, beta, swap=True)


def beta_not_squared(hypothesis, reference, n, beta):
    return _f(hypothesis, reference, n, math.sqrt(beta))


@st.composite
def two_texts(draw):
    text = st.text("ab ", min_size=1, max_size=8)
    return draw(text), draw(text), draw(st.integers(1, 3)), draw(st.sampled_from([2.0, 3.0, 0.5]))


# -------------------------------------------------------------------------------------- the list

EXERCISES = [
    Exercise(
        id="06.1",
        title="Where a token stands",
        objective="You can write the table of sinusoidal positions from its formula.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=sinusoids,
        inputs=st.tuples(st.integers(2, 5), st.sampled_from([4, 6, 8])),
        without=BY_HAND,
        mistakes={
            sines_first_then_cosines: "Sines and cosines alternate, 2i and 2i + 1; you put all "
            "sines first.",
            hands_half_as_different: "The exponent is −2i/d for pair i; yours is −i/d.",
            positions_from_one: "The first position is 0: its sines are 0 and its cosines 1.",
            all_hands_alike: "Each pair has its own speed ω_i = 10000^(−2i/d); all of yours turn "
            "alike.",
        },
        hints=(
            "Two loops: over positions m and over pairs i.",
            "angle = m * 10_000 ** (-2 * i / d)",
            "table[m, 2 * i] = math.sin(angle); table[m, 2 * i + 1] = math.cos(angle)",
        ),
    ),
    Exercise(
        id="06.2",
        title="Rotary positions",
        objective="You can turn queries and keys by their positions.",
        points=2,
        minutes=12,
        difficulty=2,
        reference=turned,
        inputs=texts_of_vectors(),
        without=BY_HAND,
        mistakes={
            turned_backwards: "You turn the other way: (a, b) becomes (a cos − b sin, a sin + "
            "b cos).",
            paired_with_the_other_half: "Neighbours form a pair here, 2i and 2i + 1; you pair i "
            "with i + d/2, as some libraries do.",
            all_pairs_by_one_angle: "Pair i turns by m · 10000^(−2i/d); all of yours turn by the "
            "first pair's angle.",
            first_number_overwritten: "The second number is computed from the first one's old "
            "value; yours had been overwritten.",
            positions_added: "Rotary positions add nothing: they turn each pair.",
        },
        hints=(
            "Take a and b out of the row before you write anything back.",
            "angle = m * 10_000 ** (-2 * i / d), for row m and pair i",
            "a * cos − b * sin goes to 2i, a * sin + b * cos to 2i + 1",
        ),
    ),
    Exercise(
        id="06.3",
        title="LayerNorm",
        objective="You can normalise each token's vector.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=layer_norm,
        inputs=tokens_to_normalise(),
        without=BY_HAND,
        mistakes={
            over_the_tokens: "Mean and variance are those of each token's own numbers (the last "
            "axis); you took them over the tokens.",
            divided_by_one_less: "The variance here is the mean of the squares: divide by d, not "
            "by d − 1.",
            mean_left_in: "You did not take off the mean: that is RMSNorm.",
            root_forgotten: "Divide by the square root of the variance.",
            eps_outside_of_the_root: "eps is added to the variance, under the root.",
        },
        hints=(
            "x.mean(1, keepdims=True) is a column, one mean a token.",
            "The variance is the mean of (x − μ)².",
            "gain * (x - mu) / np.sqrt(variance + eps) + shift",
        ),
    ),
    Exercise(
        id="06.4",
        title="An MLP defined twice",
        objective="You can compose the two layers of a feed-forward network.",
        points=1,
        minutes=8,
        difficulty=1,
        reference=feed_forward,
        inputs=tokens_and_feed_forward(),
        without=BY_HAND,
        mistakes={
            bend_forgotten: "Without the bend between them two layers are one matrix: "
            "max(0, x W1 + b1) goes into W2.",
            bend_at_the_end: "The bend stands between the layers, not after the second: the "
            "output may be negative.",
            first_bias_after_the_bend: "b1 is added before the bend: max(0, x W1 + b1).",
            stream_added: "The feed-forward network alone is asked for; the block adds the stream.",
        },
        hints=(
            "The first line's result goes into the second: compose, don't replace.",
            "np.maximum(0, …) works on every number.",
            "np.maximum(0, x @ W1 + b1) @ W2 + b2",
        ),
    ),
    Exercise(
        id="06.5",
        title="The block, both ways",
        objective="You can put attention, MLP, norm and sum together, pre-norm and post-norm.",
        points=3,
        minutes=12,
        difficulty=2,
        reference=block,
        adapter=of_toy_parts,
        inputs=streams_and_toys(),
        without=BY_HAND,
        mistakes={
            stream_normalised: "In pre-norm the stream itself is never normalised: only what the "
            "parts read is.",
            mlp_reads_the_block_input: "The MLP reads the stream after attention has added to it; "
            "yours reads the block's input.",
            nothing_added: "The parts are added to the stream; yours replace it.",
            norm_before_the_sum: "In post-norm the sum is normalised: norm(x + f(x)), not "
            "x + norm(f(x)).",
            the_other_order: "Pre-norm and post-norm are swapped.",
            one_norm_only: "There are two norms in a block, one for each part.",
        },
        hints=(
            "Two steps, each of the form x = …; the second starts from the first one's x.",
            "Pre-norm: x = x + attention(norm(x)).",
            "Post-norm: x = norm(x + attention(x)).",
        ),
    ),
    Exercise(
        id="06.6",
        title="Back through the norm",
        objective="You can carry a gradient through LayerNorm.",
        points=3,
        minutes=20,
        difficulty=3,
        reference=layer_norm_backward,
        inputs=norms_to_go_back_through(),
        without=BY_HAND,
        mistakes={
            as_if_mean_and_width_were_given: "μ and σ depend on x too: two terms are missing.",
            width_as_if_given: "σ depends on x too: the term y ⊙ mean(dy ⊙ y) is missing.",
            mean_as_if_given: "μ depends on x too: take off mean(dy).",
            not_divided: "The division by σ is missing.",
            sums_for_means: "Both are means over the token's numbers, not sums.",
        },
        hints=(
            "Compute σ and y first, as the forward pass does.",
            "Both means are over the last axis, with keepdims=True.",
            "(dy - dy.mean(…) - y * (dy * y).mean(…)) / sigma",
        ),
    ),
    Exercise(
        id="06.7",
        title="Back through the MLP and around it",
        objective="You can carry a gradient through half a block, stream included.",
        points=4,
        minutes=20,
        difficulty=3,
        reference=mlp_backward,
        inputs=mlps_to_go_back_through(),
        without=BY_HAND,
        mistakes={
            way_around_forgotten: "z contains y itself: dz reaches dy also around the MLP.",
            slope_of_the_bend_forgotten: "Where y W1 was not above 0 nothing came through, and "
            "nothing goes back: multiply by (h > 0).",
            bend_forgotten_for_W2: "W2 was multiplied with max(0, y W1): its derivative needs what "
            "came out of the bend.",
            stream_multiplied: "The two ways are added: dy = dz + what comes back through the MLP.",
        },
        hints=(
            "A product C = A B has dA = dC Bᵀ and dB = Aᵀ dC.",
            "Backwards: dW2 from r, then dr = dz W2ᵀ, then dh = dr * (h > 0).",
            "dW1 = y.T @ dh, and dy = dz + dh @ W1.T.",
        ),
    ),
    Exercise(
        id="06.8",
        title="Look across at the source",
        objective="You can attend from one sentence to another, without its padding.",
        points=2,
        minutes=12,
        difficulty=2,
        reference=cross_attention,
        inputs=two_sentences(),
        without=BY_HAND,
        mistakes={
            padding_not_masked: "Padding takes part: weights of padded tokens must be 0.",
            scale_forgotten: "Divide the scores by √d.",
            masked_after_the_softmax: "Masked after the softmax, the rows no longer sum to one: "
            "mask first.",
            causal_too: "The source has no future to hide: only padding is masked here.",
            scores_set_to_zero: "A score of 0 is not a weight of 0: exp(0) is 1.",
        },
        hints=(
            "scores has a row for each target and a column for each source token.",
            "Multiply exp(scores) by is_text before you divide by the sums of the rows.",
            "weights / weights.sum(1, keepdims=True) @ values",
        ),
    ),
    Exercise(
        id="06.9",
        title="Teacher forcing",
        objective="You can lay out what a decoder is given and what it is asked for.",
        points=2,
        minutes=12,
        difficulty=2,
        reference=teacher_forcing,
        inputs=several_sentences(),
        without=BY_HAND,
        mistakes={
            not_moved: "Given and asked for are the same: the decoder would only have to copy. "
            "What is asked for is one token ahead.",
            end_forgotten: "The decoder must also be asked for END, or it never learns to stop.",
            end_at_the_rectangles_end: "END follows the sentence's last token, before the padding.",
            padded_in_front: "The padding stands behind; yours stands in front.",
            end_is_given_too: "END is asked for, not given: nothing comes after it.",
        },
        hints=(
            "Both rectangles are as wide as the longest sentence and one more.",
            "Row by row: START and the sentence; the sentence and END.",
            "np.full((rows, width), 0) first, then fill in.",
        ),
    ),
    Exercise(
        id="06.10",
        title="Spot the bug: the loss of padded batches",
        objective="You can average a loss over exactly the tokens that count.",
        points=2,
        minutes=15,
        difficulty=2,
        reference=loss_repaired,
        inputs=scored_batches(),
        without=BY_HAND,
        mistakes={
            loss_with_bugs: "This still does what the broken code does: it averages first and "
            "masks afterwards, which changes nothing, and takes a mean of means.",
            mean_of_means_still: "A batch with few tokens now weighs as much as one with many: "
            "add up all sums and divide once.",
            padding_still_divides: "Padding is still counted in the divisor.",
            padding_still_scored: "The nats of padding are still in the sum.",
            end_not_scored: "END is a token like any other: only padding is left out.",
        },
        hints=(
            "Two running sums: nats of the tokens that count, and how many there are.",
            "asked != 0 is True where a token counts.",
            "Divide once, after the loop.",
        ),
    ),
    Exercise(
        id="06.11",
        title="Beam search",
        objective="You can search for a likely sentence, not only for likely next tokens.",
        points=4,
        minutes=35,
        difficulty=3,
        elective=True,
        reference=beam_search,
        adapter=over_a_table,
        inputs=tables_and_beams(),
        without=BY_HAND,
        mistakes={
            only_the_likeliest: "This is greedy decoding: keep `beam` beginnings.",
            length_ignored: "Rank the ended sentences by log-probability divided by n to the power "
            "alpha.",
            multiplied_by_the_length: "Divide by n to the power alpha; you multiply, which "
            "punishes long sentences twice.",
            ended_sentences_go_on: "A beginning that has ended is put aside; yours goes on after "
            "END.",
            worst_kept: "Keep the likeliest: log-probabilities are negative, and the greatest is "
            "nearest to 0.",
        },
        hints=(
            "A candidate is (tokens, log-probability); kept starts as [([1], 0.0)].",
            "Extend all kept by all tokens in one list, sort it, take beam − len(ended).",
            "Those whose last token is 2 go to ended; at the end, what is kept joins them.",
        ),
    ),
    Exercise(
        id="06.12",
        title="Part of chrF",
        objective="You can score a translation by the stretches of characters it shares.",
        points=3,
        minutes=20,
        difficulty=2,
        elective=True,
        reference=character_f,
        inputs=two_texts(),
        without=BY_HAND,
        mistakes={
            each_kind_once: "A stretch that stands in both texts twice is shared twice: count "
            "them.",
            spaces_counted: "Spaces are taken out first.",
            precision_and_recall_swapped: "Precision divides by the hypothesis' stretches, recall "
            "by the reference's; yours are swapped.",
            beta_not_squared: "It is β² in both places.",
        },
        hints=(
            "collections.Counter counts the stretches of a text.",
            "For Counters, a & b takes the smaller count of each.",
            "F = (1 + β²) P R / (β² P + R)",
        ),
    ),
]
