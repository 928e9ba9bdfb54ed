"""The exercises of chapter 07, GPT: references and known mistakes.

Letters as in the chapter: z are logits, T is the temperature, q, K, V are queries, keys and values;
d and m are the scale and the least value of a quantised block.

For each exercise stand here its reference (which becomes the solutions page), its known mistakes,
and the strategy that draws its inputs; the list `EXERCISES` at the end puts them together.
"""

import math
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st
from jaxtyping import Bool, Float, Int

from course_lib.exercises.adapters import decoder
from course_lib.exercises.exercise import Exercise

BY_HAND = ("course_lib", "torch", "transformers", "gguf")  # an answer is written by hand
IGNORED = -100

NUMBER = st.sampled_from([0.5, -0.5, 1.0, -1.0, 0.25, 2.0, -0.75, 0.0])


def matrices(rows: int, columns: int) -> st.SearchStrategy[np.ndarray]:
    """Matrices of small numbers, few of them zero."""
    row = st.lists(NUMBER, min_size=columns, max_size=columns)
    return st.lists(row, min_size=rows, max_size=rows).map(
        lambda m: np.array(m, float).reshape(rows, columns)
    )


def softmax(z: np.ndarray) -> np.ndarray:
    """exp(z) / Σ exp(z) over the last axis."""
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# 07.1 ------------------------------------------------------------- targets of a packed window


def packed_targets(
    tokens: Int[np.ndarray, " n"], document: Int[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " inputs"], Int[np.ndarray, " inputs"]]:
    """The inputs of a window and the target of each: the next token, or −100 where there is none.

    `document` holds the number of each token's document. The last token of a document has no
    target, as the next token belongs to another text. The window's last token is only a target.

    >>> packed_targets(np.array([5, 6, 7, 8]), np.array([0, 0, 1, 1]))
    (array([5, 6, 7]), array([   6, -100,    8]))
    """
    inputs, targets = tokens[:-1], tokens[1:].copy()
    targets[document[1:] != document[:-1]] = -100
    return inputs, targets


def not_shifted(tokens, document):
    inputs, targets = packed_targets(tokens, document)
    return inputs, np.where(targets == IGNORED, IGNORED, inputs)


def boundary_scored(tokens, document):
    return tokens[:-1], tokens[1:].copy()


def first_of_the_next_ignored(tokens, document):
    inputs, targets = tokens[:-1], tokens[1:].copy()
    starts = np.flatnonzero(document[1:] != document[:-1]) + 1
    targets[starts[starts < len(targets)]] = IGNORED
    return inputs, targets


def previous_token_as_target(tokens, document):
    inputs, targets = tokens[1:], tokens[:-1].copy()
    targets[document[1:] != document[:-1]] = IGNORED
    return inputs, targets


def boundaries_thrown_out(tokens, document):
    same = document[1:] == document[:-1]
    return tokens[:-1][same], tokens[1:][same]


@st.composite
def packed_windows(draw):
    lengths = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4).filter(lambda x: sum(x) > 1))
    tokens = draw(st.lists(st.integers(0, 9), min_size=sum(lengths), max_size=sum(lengths)))
    return np.array(tokens), np.repeat(np.arange(len(lengths)), lengths)


# 07.2 ---------------------------------------------------------------- the mask of a packed window


def packed_mask(document: Int[np.ndarray, " n"]) -> Bool[np.ndarray, "n n"]:
    """True at (i, j) where token i may look at token j: at itself and earlier ones of its document.

    >>> packed_mask(np.array([0, 0, 1])).astype(int)
    array([[1, 0, 0],
           [1, 1, 0],
           [0, 0, 1]])
    """
    n = len(document)
    mask = np.zeros((n, n), dtype=bool)
    for i in range(n):
        for j in range(i + 1):
            mask[i, j] = document[i] == document[j]
    return mask


def causal_only(document):
    return np.tril(np.ones((len(document),) * 2, bool))


def documents_only(document):
    return document[:, None] == document[None, :]


def looks_at_the_future(document):
    return packed_mask(document).T


def not_at_itself(document):
    return packed_mask(document) & ~np.eye(len(document), dtype=bool)


def earlier_documents_too(document):
    return document[:, None] >= document[None, :]


def document_numbers(draw_lengths):
    return (np.repeat(np.arange(len(draw_lengths)), draw_lengths),)


# 07.3 --------------------------------------------------------------------- temperature, then top-p


def nucleus(z: Float[np.ndarray, " vocab"], T: float, p: float) -> Float[np.ndarray, " vocab"]:
    """The probabilities that are drawn from: temperature `T` first, then the nucleus of `p`.

    The nucleus is the fewest likeliest tokens that are together at least `p` likely. Others get 0,
    and the rest is scaled to sum to one. No two logits are equal.

    >>> nucleus(np.log(np.array([0.5, 0.3, 0.2])), 1.0, 0.6).round(3)
    array([0.625, 0.375, 0.   ])
    """
    e = np.exp(z / T)
    probs = e / e.sum()
    kept, total = np.zeros(len(z)), 0.0
    for token in np.argsort(-probs):
        if total >= p:
            break
        kept[token] = probs[token]
        total += probs[token]
    return kept / kept.sum()


def _nucleus(probs, p):
    order = np.argsort(-probs)
    before = np.cumsum(probs[order]) - probs[order]
    return np.where(np.isin(np.arange(len(probs)), order[before < p]), probs, 0.0)


def temperature_after_the_cut(z, T, p):
    kept = _nucleus(softmax(z), p)
    hot = np.where(kept > 0, kept, 0) ** (1 / T)
    return hot / hot.sum()


def crossing_token_left_out(z, T, p):
    probs = softmax(z / T)
    order = np.argsort(-probs)
    kept = order[np.cumsum(probs[order]) <= p]
    kept = kept if len(kept) else order[:1]
    result = np.where(np.isin(np.arange(len(z)), kept), probs, 0.0)
    return result / result.sum()


def not_scaled_again(z, T, p):
    return _nucleus(softmax(z / T), p)


def multiplied_by_the_temperature(z, T, p):
    kept = _nucleus(softmax(z * T), p)
    return kept / kept.sum()


def temperature_forgotten(z, T, p):
    kept = _nucleus(softmax(z), p)
    return kept / kept.sum()


def least_likely_kept(z, T, p):
    probs = softmax(z / T)
    order = np.argsort(probs)
    before = np.cumsum(probs[order]) - probs[order]
    kept = np.where(np.isin(np.arange(len(z)), order[before < p]), probs, 0.0)
    return kept / kept.sum()


def cut_at_probability_p(z, T, p):
    probs = softmax(z / T)
    kept = np.where((probs >= p) | (probs == probs.max()), probs, 0.0)
    return kept / kept.sum()


@st.composite
def logits_temperature_p(draw):
    z = draw(st.lists(st.integers(-8, 8), min_size=2, max_size=5, unique=True))
    return np.array(z) / 3, draw(st.sampled_from([0.5, 0.8, 2.0])), draw(st.sampled_from(PS))


PS = [0.35, 0.55, 0.77, 0.93]


# 07.4 --------------------------------------------------------------------------------------- min-p


def min_p(probs: Float[np.ndarray, " vocab"], p: float) -> Float[np.ndarray, " vocab"]:
    """Keep the tokens that are at least `p` times as likely as the likeliest, scaled to sum to one.

    >>> min_p(np.array([0.5, 0.3, 0.15, 0.05]), 0.4).round(3)
    array([0.625, 0.375, 0.   , 0.   ])
    """
    kept = np.where(probs >= p * probs.max(), probs, 0.0)
    return kept / kept.sum()


def fixed_threshold(probs, p):
    kept = np.where((probs >= p) | (probs == probs.max()), probs, 0.0)
    return kept / kept.sum()


def min_p_not_scaled(probs, p):
    return np.where(probs >= p * probs.max(), probs, 0.0)


def only_above_the_threshold(probs, p):
    kept = np.where(probs > p * probs.max(), probs, 0.0)
    return kept / kept.sum()


def threshold_subtracted(probs, p):
    kept = np.where(probs >= probs.max() - p, probs, 0.0)
    return kept / kept.sum()


def as_a_nucleus(probs, p):
    kept = _nucleus(probs, p)
    return kept / kept.sum()


@st.composite
def probabilities_and_p(draw):
    counts = draw(st.lists(st.integers(1, 8), min_size=2, max_size=5))
    return np.array(counts) / sum(counts), draw(st.sampled_from([0.25, 0.5, 0.75]))


# 07.5 -------------------------------------------------------------------------- repetition penalty


def penalise(
    z: Float[np.ndarray, " vocab"], history: list[int], theta: float
) -> Float[np.ndarray, " vocab"]:
    """Make each token of `history` less likely, once: z / θ where z > 0, z · θ where z < 0.

    θ is above 1. Other logits stay as they are, and so does the array that came in.

    >>> penalise(np.array([2.0, -2.0, 1.0]), [0, 1, 1], 2.0)
    array([ 1., -4.,  1.])
    """
    result = z.copy()
    for token in history:
        result[token] = z[token] / theta if z[token] > 0 else z[token] * theta
    return result


def divided_whatever_the_sign(z, history, theta):
    result = z.copy()
    result[list(set(history))] /= theta
    return result


def once_for_each_time(z, history, theta):
    result = z.copy()
    for token in history:
        result[token] = result[token] / theta if result[token] > 0 else result[token] * theta
    return result


def subtracted(z, history, theta):
    result = z.copy()
    result[list(set(history))] -= theta
    return result


def multiplied_whatever_the_sign(z, history, theta):
    result = z.copy()
    result[list(set(history))] *= theta
    return result


def new_tokens_penalised(z, history, theta):
    return penalise(z, [t for t in range(len(z)) if t not in history], theta)


def log_theta_subtracted(z, history, theta):
    result = z.copy()
    result[list(set(history))] -= math.log(theta)
    return result


@st.composite
def logits_and_history(draw):
    z = draw(st.lists(st.integers(-4, 4), min_size=2, max_size=5))
    history = draw(st.lists(st.integers(0, len(z) - 1), min_size=0, max_size=4))
    return np.array(z) / 2, history, draw(st.sampled_from([1.25, 1.5, 3.0]))


# 07.6 --------------------------------------------------------------------------------- beam search


def beam(
    next_token_probs: Callable[[list[int]], Float[np.ndarray, " vocab"]],
    prompt: list[int],
    length: int,
    n_beams: int,
) -> list[int]:
    """The likeliest continuation of `length` tokens that beam search finds, without the prompt.

    Keep the `n_beams` likeliest beginnings after each token. `next_token_probs(tokens)` gives the
    distribution after these tokens.

    >>> rows = np.array([[0.5, 0.3, 0.2], [0.1, 0.0, 0.9], [0.6, 0.4, 0.0]])
    >>> beam(lambda tokens: rows[tokens[-1]], [2], 2, 1), beam(lambda t: rows[t[-1]], [2], 2, 2)
    ([0, 0], [1, 2])
    """
    beams = [(0.0, [])]
    for _ in range(length):
        longer = [
            (total + math.log(prob), [*text, token])
            for total, text in beams
            for token, prob in enumerate(next_token_probs(prompt + text))
            if prob > 0
        ]
        beams = sorted(longer, key=lambda b: -b[0])[:n_beams]
    return beams[0][1]


def _beam(score, next_token_probs, prompt, length, n_beams, pick=0):
    beams = [(0.0, [])]
    for _ in range(length):
        longer = []
        for total, text in beams:
            probs = next_token_probs(prompt + text)
            longer += [(score(total, q), [*text, t]) for t, q in enumerate(probs) if q > 0]
        beams = sorted(longer, key=lambda b: -b[0])[:n_beams]
    return beams[pick][1]


def greedy(next_token_probs, prompt, length, n_beams):
    return _beam(lambda t, q: t + math.log(q), next_token_probs, prompt, length, 1)


def probabilities_added(next_token_probs, prompt, length, n_beams):
    return _beam(lambda t, q: t + q, next_token_probs, prompt, length, n_beams)


def only_the_last_token_counts(next_token_probs, prompt, length, n_beams):
    return _beam(lambda t, q: math.log(q), next_token_probs, prompt, length, n_beams)


def worst_beam_returned(next_token_probs, prompt, length, n_beams):
    return _beam(lambda t, q: t + math.log(q), next_token_probs, prompt, length, n_beams, pick=-1)


def unlikely_beams_kept(next_token_probs, prompt, length, n_beams):
    return _beam(lambda t, q: t - math.log(q), next_token_probs, prompt, length, n_beams)


def prompt_in_the_answer(next_token_probs, prompt, length, n_beams):
    return prompt + beam(next_token_probs, prompt, length, n_beams)


@st.composite
def tables_to_search(draw):
    vocab = draw(st.integers(3, 4))
    primes = st.sampled_from([0, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59])
    table = st.lists(primes, min_size=vocab**2, max_size=vocab**2, unique=True)
    rows = np.array(draw(table)).reshape(vocab, vocab).tolist()
    # at most two tokens: with more, two texts can use the same transitions and tie
    options = {"length": draw(st.integers(1, 2)), "n_beams": draw(st.integers(1, 3))}
    return rows, [draw(st.integers(0, vocab - 1))], options


# 07.7 -------------------------------------------------------- positions of tokens after a cache


def embed_after(
    tokens: Int[np.ndarray, " new"],
    past_length: int,
    W: Float[np.ndarray, "vocab d"],
    P: Float[np.ndarray, "context d"],
) -> Float[np.ndarray, "new d"]:
    """Token vectors plus position vectors of new tokens that come after `past_length` cached ones.

    Row w of W is the vector of token w, row i of P that of position i; the first token of a text
    stands at position 0.

    >>> embed_after(np.array([1]), 2, np.array([[0.0], [5.0]]), np.array([[1.0], [2.0], [3.0]]))
    array([[8.]])
    """
    positions = np.arange(past_length, past_length + len(tokens))
    return W[tokens] + P[positions]


def past_added_twice(tokens, past_length, W, P):
    seq_length = len(tokens) + past_length
    rows = P[past_length : seq_length + past_length]
    return W[tokens] + rows if len(tokens) in (1, len(rows)) else W[tokens] + rows[-len(tokens) :]


def positions_from_zero(tokens, past_length, W, P):
    return W[tokens] + P[: len(tokens)]


def one_position_late(tokens, past_length, W, P):
    return W[tokens] + P[past_length + 1 : past_length + 1 + len(tokens)]


def one_position_for_all(tokens, past_length, W, P):
    return W[tokens] + P[past_length]


def positions_forgotten(tokens, past_length, W, P):
    return W[tokens]


@st.composite
def tokens_after_a_cache(draw):
    tokens = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    P = np.arange(24.0).reshape(12, 2) / 4
    return np.array(tokens), draw(st.integers(0, 4)), draw(matrices(4, 2)), P


# 07.8 ---------------------------------------------------------------------- attention with a cache


def attend_after(
    q: Float[np.ndarray, "new d"],
    k: Float[np.ndarray, "new d"],
    v: Float[np.ndarray, "new d_v"],
    K: Float[np.ndarray, "past d"],
    V: Float[np.ndarray, "past d_v"],
) -> tuple[
    Float[np.ndarray, "new d_v"], Float[np.ndarray, "tokens d"], Float[np.ndarray, "tokens d_v"]
]:
    """What new tokens see of the cached and of each other, and the cache with the new ones in it.

    New token i may look at all cached tokens and at new tokens 0 … i: softmax(q Kᵀ / √d) V. The
    cache keeps the order of the text.

    >>> one, two = np.ones((1, 1)), np.full((1, 1), 2.0)
    >>> out, K, V = attend_after(np.zeros((1, 1)), one, two, one, np.zeros((1, 1)))
    >>> out, V.ravel()
    (array([[1.]]), array([0., 2.]))
    """
    K, V = np.concatenate([K, k]), np.concatenate([V, v])
    scores = q @ K.T / math.sqrt(q.shape[1])
    past = len(K) - len(q)
    allowed = np.arange(len(K))[None, :] <= past + np.arange(len(q))[:, None]
    scores = np.where(allowed, scores, -np.inf)
    weights = np.exp(scores)
    return weights / weights.sum(axis=1, keepdims=True) @ V, K, V


def _attend(q, K, V, allowed, scale=None):
    scores = np.where(allowed, q @ K.T / (scale or math.sqrt(q.shape[1])), -np.inf)
    return softmax(scores) @ V


def mask_without_offset(q, k, v, K, V):
    K, V = np.concatenate([K, k]), np.concatenate([V, v])
    allowed = np.arange(len(K))[None, :] <= np.arange(len(q))[:, None]
    return _attend(q, K, V, allowed), K, V


def new_ones_see_each_other(q, k, v, K, V):
    K, V = np.concatenate([K, k]), np.concatenate([V, v])
    return _attend(q, K, V, np.ones((len(q), len(K)), bool)), K, V


def past_not_seen(q, k, v, K, V):
    out, _, _ = attend_after(q, k, v, K[:0], V[:0])
    return out, np.concatenate([K, k]), np.concatenate([V, v])


def cache_not_extended(q, k, v, K, V):
    return attend_after(q, k, v, K, V)[0], K, V


def new_before_old(q, k, v, K, V):
    out, _, _ = attend_after(q, k, v, K, V)
    return out, np.concatenate([k, K]), np.concatenate([v, V])


def scale_forgotten(q, k, v, K, V):
    K, V = np.concatenate([K, k]), np.concatenate([V, v])
    past = len(K) - len(q)
    allowed = np.arange(len(K))[None, :] <= past + np.arange(len(q))[:, None]
    return _attend(q, K, V, allowed, scale=1.0), K, V


def not_the_token_itself(q, k, v, K, V):
    K, V = np.concatenate([K, k]), np.concatenate([V, v])
    past = len(K) - len(q)
    allowed = np.arange(len(K))[None, :] < past + np.arange(len(q))[:, None]
    return _attend(q, K, V, allowed | (past == 0) & (np.arange(len(K)) == 0)), K, V


@st.composite
def cached_attention(draw):
    past, new, d, d_v = draw(st.integers(1, 3)), draw(st.integers(1, 3)), 3, draw(st.integers(1, 2))
    q, k, K = draw(matrices(new, d)), draw(matrices(new, d)), draw(matrices(past, d))
    return q, k, draw(matrices(new, d_v)), K, draw(matrices(past, d_v))


# 07.9 ------------------------------------------------------------------------- grouped queries


def grouped_heads(
    x: Float[np.ndarray, "tokens d_model"],
    W_q: Float[np.ndarray, "d_model q_width"],
    W_k: Float[np.ndarray, "d_model kv_width"],
    W_v: Float[np.ndarray, "d_model kv_width"],
    d_head: int,
) -> Float[np.ndarray, "tokens q_width"]:
    """What all heads say, side by side: head h asks with columns h · d_head … of x W_q.

    There may be fewer heads of keys and values: neighbouring query heads share one. Each head is
    softmax(q kᵀ / √d_head) v, without a mask.

    >>> x, one = np.array([[0.0], [2.0]]), np.ones((1, 1))
    >>> grouped_heads(x, np.array([[0.0, 1.0]]), one, one, 1).round(3)
    array([[1.   , 1.   ],
           [1.   , 1.964]])
    """
    Q, K, V = x @ W_q, x @ W_k, x @ W_v
    n_heads, n_kv_heads = Q.shape[1] // d_head, K.shape[1] // d_head
    outputs = []
    for head in range(n_heads):
        shared = head * n_kv_heads // n_heads
        q = Q[:, head * d_head : (head + 1) * d_head]
        k = K[:, shared * d_head : (shared + 1) * d_head]
        v = V[:, shared * d_head : (shared + 1) * d_head]
        scores = q @ k.T / math.sqrt(d_head)
        weights = np.exp(scores)
        outputs.append(weights / weights.sum(axis=1, keepdims=True) @ v)
    return np.concatenate(outputs, axis=1)


def _grouped(Q, K, V, d_head, shared=lambda h, n, n_kv: h * n_kv // n, scale=None):
    n, n_kv, outputs = Q.shape[1] // d_head, K.shape[1] // d_head, []
    for h in range(n):
        s = shared(h, n, n_kv)
        q, k, v = (M[:, i * d_head : (i + 1) * d_head] for M, i in ((Q, h), (K, s), (V, s)))
        outputs.append(softmax(q @ k.T / (scale or math.sqrt(d_head))) @ v)
    return np.concatenate(outputs, axis=1)


def shared_in_turns(x, W_q, W_k, W_v, d_head):
    return _grouped(x @ W_q, x @ W_k, x @ W_v, d_head, shared=lambda h, n, n_kv: h % n_kv)


def projected_twice(x, W_q, W_k, W_v, d_head):
    """Each product goes through its matrix once more, as far as the widths fit."""

    def again(y, W):
        n = min(y.shape[1], len(W))
        return y[:, :n] @ W[:n]

    Q, K, V = again(x @ W_q, W_q), again(x @ W_k, W_k), again(x @ W_v, W_v)
    return _grouped(Q, K, V, d_head)


def sequence_split_among_the_heads(x, W_q, W_k, W_v, d_head):
    """`view` without `transpose`: a head gets rows of the text instead of columns."""
    Q, K, V = x @ W_q, x @ W_k, x @ W_v
    n = Q.shape[1] // d_head
    K = np.repeat(K.reshape(len(x), -1, d_head), n * d_head // K.shape[1], axis=1)
    V = np.repeat(V.reshape(len(x), -1, d_head), n * d_head // V.shape[1], axis=1)
    q, k, v = (M.reshape(n, len(x), d_head) for M in (Q, K, V))
    heads = softmax(q @ k.swapaxes(1, 2) / math.sqrt(d_head)) @ v
    return heads.reshape(len(x), -1)


def scaled_by_the_model_width(x, W_q, W_k, W_v, d_head):
    return _grouped(x @ W_q, x @ W_k, x @ W_v, d_head, scale=math.sqrt(x.shape[1]))


def always_the_first_head(x, W_q, W_k, W_v, d_head):
    return _grouped(x @ W_q, x @ W_k, x @ W_v, d_head, shared=lambda h, n, n_kv: 0)


@st.composite
def heads_to_group(draw):
    d_head, n_kv, group = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    tokens, d_model, q_width = (
        draw(st.integers(1, 3)),
        draw(st.integers(2, 4)),
        n_kv * group * d_head,
    )
    x, W_q = draw(matrices(tokens, d_model)), draw(matrices(d_model, q_width))
    W_k, W_v = (draw(matrices(d_model, n_kv * d_head)) for _ in range(2))
    return x, W_q, W_k, W_v, d_head


# 07.10 ------------------------------------------------------------------------ memory of a cache


def cache_bytes(
    n_layers: int,
    n_heads: int,
    n_kv_heads: int,
    d_model: int,
    tokens: int,
    bytes_per_number: int,
) -> int:
    """The bytes that the key/value cache of one text takes.

    Every layer keeps a key and a value for each key/value head and token, each as wide as a query
    head: d_model / n_heads numbers.

    >>> cache_bytes(30, 9, 3, 576, 1, 2)
    23040
    """
    d_head = d_model // n_heads
    return 2 * n_layers * n_kv_heads * d_head * tokens * bytes_per_number


def values_forgotten(n_layers, n_heads, n_kv_heads, d_model, tokens, bytes_per_number):
    return n_layers * n_kv_heads * (d_model // n_heads) * tokens * bytes_per_number


def all_query_heads(n_layers, n_heads, n_kv_heads, d_model, tokens, bytes_per_number):
    return 2 * n_layers * d_model * tokens * bytes_per_number


def heads_too_wide(n_layers, n_heads, n_kv_heads, d_model, tokens, bytes_per_number):
    return 2 * n_layers * n_kv_heads * d_model * tokens * bytes_per_number


def width_over_the_kv_heads(n_layers, n_heads, n_kv_heads, d_model, tokens, bytes_per_number):
    return 2 * n_layers * n_heads * (d_model // n_kv_heads) * tokens * bytes_per_number


def all_pairs_of_tokens(n_layers, n_heads, n_kv_heads, d_model, tokens, bytes_per_number):
    return 2 * n_layers * n_kv_heads * (d_model // n_heads) * tokens**2 * bytes_per_number


@st.composite
def shapes_of_caches(draw):
    n_kv, group, d_head = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.integers(1, 9))
    n_heads = n_kv * group
    layers, tokens = draw(st.integers(1, 9)), draw(st.integers(1, 50))
    return layers, n_heads, n_kv, n_heads * d_head, tokens, draw(st.sampled_from([1, 2, 4]))


# 07.11 ------------------------------------------------------------------------- a block of 4 bits


def unpack_block(d: float, m: float, packed: list[int]) -> list[float]:
    """The weights of a Q4_1 block: w = d · q + m.

    `packed` are bytes of two numbers q each. The low four bits of all bytes, in order, are the
    first half of the weights, the high four bits the second half. (Real blocks have 16 bytes; these
    may have fewer.)

    >>> unpack_block(0.5, -3.0, [0xA2, 0x0F])
    [-2.0, 4.5, 2.0, -3.0]
    """
    low = [byte % 16 for byte in packed]
    high = [byte // 16 for byte in packed]
    return [d * q + m for q in low + high]


def halves_in_turns(d, m, packed):
    return [d * q + m for byte in packed for q in (byte % 16, byte // 16)]


def high_half_first(d, m, packed):
    return [d * q + m for q in [b // 16 for b in packed] + [b % 16 for b in packed]]


def least_value_forgotten(d, m, packed):
    return unpack_block(d, 0.0, packed)


def centred_at_eight(d, m, packed):
    return [d * (q - 8) + m for q in [b % 16 for b in packed] + [b // 16 for b in packed]]


def least_value_scaled_too(d, m, packed):
    return [d * (q + m) for q in [b % 16 for b in packed] + [b // 16 for b in packed]]


def high_half_not_shifted(d, m, packed):
    return [d * q + m for q in [b & 15 for b in packed] + [b & 240 for b in packed]]


@st.composite
def blocks_of_four_bits(draw):
    packed = draw(st.lists(st.integers(0, 255), min_size=1, max_size=4))
    return draw(st.sampled_from([0.5, 2.0, 0.25])), draw(st.sampled_from([-3.0, -1.5, 1.0])), packed


# 07.12 ------------------------------------------------------------------------------ the template


def chatml(messages: list[tuple[str, str]], system: str) -> str:
    """A conversation in ChatML, up to where the assistant's answer begins.

    Each message (role, content) becomes <|im_start|>role, a newline, content, <|im_end|>, a
    newline. Where the first message is not the system's, one with the content `system` goes before
    it. At the end stand <|im_start|>assistant and a newline.

    >>> print(chatml([("system", "Be brief."), ("user", "Hi")], "unused"))
    <|im_start|>system
    Be brief.<|im_end|>
    <|im_start|>user
    Hi<|im_end|>
    <|im_start|>assistant
    <BLANKLINE>
    """
    if not messages or messages[0][0] != "system":
        messages = [("system", system), *messages]
    text = ""
    for role, content in messages:
        text += f"<|im_start|>{role}\n{content}<|im_end|>\n"
    return text + "<|im_start|>assistant\n"


def _chatml(messages, system, turn="<|im_start|>{}\n{}<|im_end|>\n", end="<|im_start|>assistant\n"):
    if not messages or messages[0][0] != "system":
        messages = [("system", system), *messages]
    return "".join(turn.format(*message) for message in messages) + end


def nobody_asked_to_answer(messages, system):
    return _chatml(messages, system, end="")


def always_a_system_turn(messages, system):
    return _chatml([("system", system), *messages], system)


def never_a_system_turn(messages, system):
    turns = "".join(f"<|im_start|>{r}\n{c}<|im_end|>\n" for r, c in messages)
    return turns + "<|im_start|>assistant\n"


def turns_without_newline(messages, system):
    return _chatml(messages, system, turn="<|im_start|>{}\n{}<|im_end|>")


def role_and_content_on_one_line(messages, system):
    return _chatml(messages, system, turn="<|im_start|>{} {}<|im_end|>\n")


def turns_not_closed(messages, system):
    return _chatml(messages, system, turn="<|im_start|>{}\n{}\n")


def answer_already_closed(messages, system):
    return _chatml(messages, system, end="<|im_start|>assistant\n<|im_end|>\n")


@st.composite
def conversations(draw):
    words = st.sampled_from(["Hi", "What is 2 + 2?", "4", "你好", ""])
    turns = draw(st.lists(words, min_size=0, max_size=3))
    messages = [(("user", "assistant")[i % 2], said) for i, said in enumerate(turns)]
    if draw(st.booleans()):
        messages = [("system", draw(words)), *messages]
    return messages, "You are helpful."


# ----------------------------------------------------------------------------------------------

EXERCISES = [
    Exercise(
        id="07.1",
        title="Targets in a packed window",
        objective="You can line up inputs and targets, across documents too.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=packed_targets,
        inputs=packed_windows(),
        without=BY_HAND,
        mistakes={
            not_shifted: "The target of a token is the next one: yours is the token itself, which "
            "the model sees.",
            boundary_scored: "The last token of a document is asked for the first of the next; "
            "put −100 there.",
            first_of_the_next_ignored: "You ignore the target of a document's first token; it is "
            "the last token of a document that has none.",
            previous_token_as_target: "You ask for the token before: that is backwards.",
            boundaries_thrown_out: "Keep every input; only its target becomes −100.",
        },
        hints=(
            "Inputs are all tokens but the last, targets all but the first.",
            "Compare document[1:] with document[:-1].",
            "targets[document[1:] != document[:-1]] = -100, on a copy.",
        ),
    ),
    Exercise(
        id="07.2",
        title="The mask of a packed window",
        objective="You can keep documents in one window apart.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=packed_mask,
        inputs=st.lists(st.integers(1, 3), min_size=1, max_size=3).map(document_numbers),
        without=BY_HAND,
        mistakes={
            causal_only: "Tokens look at earlier documents: the mask must compare the documents.",
            documents_only: "Tokens look at later tokens of their document: add causality.",
            looks_at_the_future: "Yours is the transpose: rows look, columns are looked at.",
            not_at_itself: "A token may look at itself.",
            earlier_documents_too: "It must be the same document, not the same or an earlier one.",
        },
        hints=(
            "Two conditions, joined by &.",
            "document[:, None] == document[None, :] says which pairs share a document.",
            "Only j up to and including i: np.tril, or a loop over range(i + 1).",
        ),
    ),
    Exercise(
        id="07.3",
        title="Temperature and nucleus",
        objective="You can cut the tail of a distribution, in the right order.",
        points=3,
        minutes=20,
        difficulty=2,
        reference=nucleus,
        inputs=logits_temperature_p(),
        without=BY_HAND,
        mistakes={
            temperature_after_the_cut: "You cut first and apply the temperature after; the "
            "temperature comes first.",
            crossing_token_left_out: "The token that crosses p belongs to the nucleus: together "
            "they must reach p.",
            not_scaled_again: "What is kept must sum to one again.",
            multiplied_by_the_temperature: "Divide the logits by the temperature.",
            temperature_forgotten: "The temperature is not used.",
            least_likely_kept: "You collect from the least likely token on: begin with the "
            "likeliest.",
            cut_at_probability_p: "p is what the kept tokens reach together, not what each must "
            "have.",
        },
        hints=(
            "Three steps: softmax of z / T; keep; divide by the sum.",
            "np.argsort(-probs) gives the tokens, likeliest first.",
            "Go through them and stop once the total of those kept so far is at least p.",
        ),
    ),
    Exercise(
        id="07.4",
        title="Min-p",
        objective="You can write a cut whose threshold follows the best token.",
        points=1,
        minutes=5,
        difficulty=1,
        reference=min_p,
        inputs=probabilities_and_p(),
        without=BY_HAND,
        mistakes={
            fixed_threshold: "The threshold is p times the largest probability, not p.",
            min_p_not_scaled: "What is kept must sum to one again.",
            only_above_the_threshold: "A token at the threshold itself is kept: at least p times.",
            threshold_subtracted: "p is a factor: the threshold is p · max, not max − p.",
            as_a_nucleus: "That is top-p: here each token is compared with the likeliest.",
        },
        hints=("The threshold is p * probs.max().", "np.where(…, probs, 0.0), then divide."),
    ),
    Exercise(
        id="07.5",
        title="A repetition penalty",
        objective="You can mind the sign of a logit.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=penalise,
        inputs=logits_and_history(),
        without=BY_HAND,
        mistakes={
            divided_whatever_the_sign: "Dividing a negative logit makes it larger and the token "
            "likelier: multiply there.",
            once_for_each_time: "A token is penalised once, however often it was said.",
            subtracted: "The penalty divides or multiplies; you subtract it.",
            multiplied_whatever_the_sign: "Multiplying a positive logit makes the token likelier: "
            "divide there.",
            new_tokens_penalised: "You penalise what was not said.",
            log_theta_subtracted: "That divides the token's probability by θ, a sensible rule but "
            "another one.",
        },
        hints=(
            "set(history): each token once.",
            "z / θ for positive logits, z · θ for negative ones.",
        ),
    ),
    Exercise(
        id="07.6",
        title="Beam search",
        objective="You can search for a likely text with several beginnings at once.",
        points=3,
        minutes=25,
        difficulty=3,
        reference=beam,
        adapter=decoder,
        inputs=tables_to_search(),
        without=BY_HAND,
        mistakes={
            greedy: "You keep one beginning: that is greedy search.",
            probabilities_added: "The probability of a text is the product of its tokens': add "
            "logarithms.",
            only_the_last_token_counts: "A beginning's score is that of all its tokens, not of "
            "the last.",
            worst_beam_returned: "Return the likeliest beam, not the last of the list.",
            unlikely_beams_kept: "You keep the least likely beginnings: sort the other way round.",
            prompt_in_the_answer: "Return the continuation without the prompt.",
        },
        hints=(
            "Begin with one beam: no tokens, log-probability 0.",
            "Grow every beam by every token, then sort and keep n_beams.",
            "next_token_probs(prompt + text) gives the distribution after a beam.",
        ),
    ),
    Exercise(
        id="07.7",
        title="Positions after a cache",
        objective="You can place new tokens after cached ones.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=embed_after,
        inputs=tokens_after_a_cache(),
        without=BY_HAND,
        mistakes={
            past_added_twice: "past_length is added twice: one new token gets several positions "
            "and is silently copied to all of them.",
            positions_from_zero: "New tokens stand after the cached ones: begin at past_length.",
            one_position_late: "The first token of a text is at position 0, so after n tokens the "
            "next is at n.",
            one_position_for_all: "Each new token has a position of its own.",
            positions_forgotten: "The position vectors are missing.",
        },
        hints=(
            "With 5 cached tokens the new ones stand at 5, 6, …",
            "np.arange(past_length, past_length + len(tokens))",
        ),
    ),
    Exercise(
        id="07.8",
        title="Attention after a cache",
        objective="You can read several new tokens after cached ones.",
        points=3,
        minutes=25,
        difficulty=3,
        reference=attend_after,
        inputs=cached_attention(),
        tolerance=1e-8,
        without=BY_HAND,
        mistakes={
            mask_without_offset: "New token i may look at all cached tokens too: shift the mask "
            "by their number.",
            new_ones_see_each_other: "A new token looks at later new ones.",
            past_not_seen: "The cached tokens are not looked at.",
            cache_not_extended: "Return the cache with the new keys and values in it.",
            new_before_old: "The cache keeps the order of the text: new after old.",
            scale_forgotten: "The scores must be divided by √d.",
            not_the_token_itself: "A token may look at itself.",
        },
        hints=(
            "Put the new keys and values behind the old ones first.",
            "Row i may look at columns up to past + i.",
            "np.where(allowed, scores, -np.inf), then a softmax over each row.",
        ),
    ),
    Exercise(
        id="07.9",
        title="Grouped queries",
        objective="You can share keys and values among heads.",
        points=3,
        minutes=20,
        difficulty=2,
        elective=True,
        reference=grouped_heads,
        inputs=heads_to_group(),
        tolerance=1e-8,
        without=BY_HAND,
        mistakes={
            shared_in_turns: "Neighbouring heads share: 0 and 1 use the first, 2 and 3 the second; "
            "yours take turns.",
            projected_twice: "Queries, keys and values are projected once; yours go through their "
            "matrices twice.",
            sequence_split_among_the_heads: "Heads split the width of the vectors, not the text: a "
            "reshape without a transpose gives each head some of the tokens.",
            scaled_by_the_model_width: "The scale is √d_head, not √d_model.",
            always_the_first_head: "All heads use the first keys and values; each group has its "
            "own.",
        },
        hints=(
            "Loop over the query heads and cut out columns.",
            "Head h uses key/value head h * n_kv_heads // n_heads.",
            "Concatenate the heads' outputs along the columns.",
        ),
    ),
    Exercise(
        id="07.10",
        title="How large is the cache?",
        objective="You can say what a conversation costs in memory.",
        points=1,
        minutes=5,
        difficulty=1,
        reference=cache_bytes,
        inputs=shapes_of_caches(),
        without=BY_HAND,
        mistakes={
            values_forgotten: "Keys and values: twice as much.",
            all_query_heads: "Only the key/value heads are kept, not as many as there are queries.",
            heads_too_wide: "A head is d_model / n_heads wide.",
            width_over_the_kv_heads: "The width of a head comes from the number of query heads.",
            all_pairs_of_tokens: "The cache grows with the number of tokens, not with its square.",
        },
        hints=("A factor for each word of the docstring.", "d_head = d_model // n_heads"),
    ),
    Exercise(
        id="07.11",
        title="A block of 4-bit weights",
        objective="You can unpack quantised weights.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=unpack_block,
        inputs=blocks_of_four_bits(),
        without=BY_HAND,
        mistakes={
            halves_in_turns: "The two halves of a byte do not stand side by side: first all low "
            "halves, then all high ones.",
            high_half_first: "The low halves come first.",
            least_value_forgotten: "Add the least value m.",
            centred_at_eight: "q − 8 belongs to the kind Q4_0; Q4_1 has m instead.",
            least_value_scaled_too: "m is added after scaling: d · q + m.",
            high_half_not_shifted: "The high half must be moved down by four bits.",
        },
        hints=("byte % 16 and byte // 16 are the two halves.", "All lows, then all highs."),
    ),
    Exercise(
        id="07.12",
        title="A chat template",
        objective="You can write a conversation in the form that a model was tuned on.",
        points=2,
        minutes=10,
        difficulty=1,
        elective=True,
        reference=chatml,
        inputs=conversations(),
        without=BY_HAND,
        mistakes={
            nobody_asked_to_answer: "Begin the assistant's turn, or it may write the user's.",
            always_a_system_turn: "The conversation has a system turn already.",
            never_a_system_turn: "Where there is no system turn, put one first.",
            turns_without_newline: "A newline follows each <|im_end|>.",
            role_and_content_on_one_line: "A newline stands between role and content.",
            turns_not_closed: "Each turn ends with <|im_end|>.",
            answer_already_closed: "The answer's turn stays open: the model closes it.",
        },
        hints=(
            "One f-string makes a turn.",
            "Look at messages[0][0] before you add the system turn.",
        ),
    ),
]
