"""The exercises of chapter 05, attention: references and known mistakes.

Letters as in the chapter: X holds a row for each token; Q, K, V are queries, keys and values,
S the scaled scores Q Kᵀ / √d_k, A the weights softmax(S), Z = A V what comes out. A d before a
letter (dZ) is the gradient of the loss by it. E are exponentials of scores, s the scores of one
query; m, norm, o are the state of an online softmax.

For each exercise stand here its reference (which becomes the solutions page), its known mistakes,
and the strategy that draws its inputs; the list `EXERCISES` at the end puts them together.
"""

import math
from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st
from jaxtyping import Bool, Float

from course_lib.exercises.exercise import Exercise

BY_HAND = ("course_lib", "torch", "scipy")  # an answer is written by hand


def arrays(*shape: int) -> st.SearchStrategy[np.ndarray]:
    """Arrays of this shape with small numbers, few of them zero."""
    number = st.sampled_from([0.5, -0.5, 1.0, -1.0, 0.25, 2.0, -0.75, 0.0])
    size = math.prod(shape)
    return st.lists(number, min_size=size, max_size=size).map(lambda x: np.reshape(x, shape))


# 05.1 ------------------------------------------------------------ a softmax that does not overflow


def softmax(scores: Float[np.ndarray, "queries keys"]) -> Float[np.ndarray, "queries keys"]:
    """Each row's exponentials, divided by their sum; right for scores of any size.

    >>> softmax(np.array([[0.0, np.log(3)], [1000.0, 1000.0]]))
    array([[0.25, 0.75],
           [0.5 , 0.5 ]])
    """
    E = np.exp(scores - scores.max(1, keepdims=True))
    return E / E.sum(1, keepdims=True)


def overflowing(scores):
    E = np.exp(scores)
    return E / E.sum(1, keepdims=True)


def one_maximum_for_all_rows(scores):
    return overflowing(scores - scores.max())


def over_the_queries(scores):
    return softmax(scores.T).T


def over_the_whole_matrix(scores):
    return softmax(scores.reshape(1, -1)).reshape(scores.shape)


def maximum_left_out_above(scores):
    return np.exp(scores) / np.exp(scores - scores.max(1, keepdims=True)).sum(1, keepdims=True)


def mean_for_maximum(scores):
    return overflowing(scores - scores.mean(1, keepdims=True))


@st.composite
def scores_of_any_size(draw):
    queries, keys = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    number = st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0, 1500.0])
    offset = st.sampled_from([0.0, 1000.0, -1000.0])
    rows = [
        [draw(number) + base for _ in range(keys)]
        for base in [draw(offset) for _ in range(queries)]
    ]
    return (np.array(rows),)


# 05.2 -------------------------------------------------------------------------- self-attention


def self_attention(
    X: Float[np.ndarray, "tokens d_e"],
    W_q: Float[np.ndarray, "d_e d_k"],
    W_k: Float[np.ndarray, "d_e d_k"],
    W_v: Float[np.ndarray, "d_e d_v"],
) -> Float[np.ndarray, "tokens d_v"]:
    """Z = softmax(Q Kᵀ / √d_k) V with Q = X W_q, K = X W_k and V = X W_v.

    >>> X = np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8], [0.9, 1.0, 1.1, 1.2]])
    >>> W = np.eye(4, 3)
    >>> self_attention(X, W, W, W).round(3)
    array([[0.537, 0.637, 0.737],
           [0.608, 0.708, 0.808],
           [0.671, 0.771, 0.871]])
    """
    Q, K, V = X @ W_q, X @ W_k, X @ W_v
    return softmax(Q @ K.T / np.sqrt(K.shape[1])) @ V


def not_scaled(X, W_q, W_k, W_v):
    return softmax(X @ W_q @ (X @ W_k).T) @ X @ W_v


def scaled_by_the_embeddings_width(X, W_q, W_k, W_v):
    return softmax(X @ W_q @ (X @ W_k).T / np.sqrt(X.shape[1])) @ X @ W_v


def root_forgotten(X, W_q, W_k, W_v):
    return softmax(X @ W_q @ (X @ W_k).T / W_k.shape[1]) @ X @ W_v


def weights_over_queries(X, W_q, W_k, W_v):
    S = X @ W_q @ (X @ W_k).T / np.sqrt(W_k.shape[1])
    return over_the_queries(S) @ X @ W_v


def queries_and_keys_swapped(X, W_q, W_k, W_v):
    return self_attention(X, W_k, W_q, W_v)


def projected_twice(X, W_q, W_k, W_v):
    return self_attention(X, W_q @ W_q, W_k @ W_k, W_v @ W_v)


def values_not_projected(X, W_q, W_k, W_v):
    return self_attention(X, W_q, W_k, np.eye(X.shape[1]))


@st.composite
def tokens_and_projections(draw):
    tokens, d_e = draw(st.integers(2, 3)), draw(st.integers(2, 3))
    return draw(arrays(tokens, d_e)), *(draw(arrays(d_e, 2)) for _ in range(3))


# 05.3 ----------------------------------------------------------- spot the bug: a fraction of ones


def attention(
    Q: Float[np.ndarray, "queries d_k"],
    K: Float[np.ndarray, "keys d_k"],
    V: Float[np.ndarray, "keys d_v"],
) -> Float[np.ndarray, "queries d_v"]:
    """softmax(Q Kᵀ / √d_k) V: each row of exponentials divided by the sum of that row.

    >>> Q, K = np.array([[1.0], [0.0]]), np.array([[np.log(3)], [0.0]])
    >>> attention(Q, K, np.array([[4.0], [8.0]])).round(4)
    array([[5.],
           [6.]])
    """
    E = np.exp(Q @ K.T / np.sqrt(K.shape[1]))
    return E / E.sum(1, keepdims=True) @ V


def attention_with_a_bug(Q, K, V):
    E = np.exp(Q @ K.T / np.sqrt(K.shape[1]))
    return E / E @ V


def divided_by_the_sum_of_everything(Q, K, V):
    E = np.exp(Q @ K.T / np.sqrt(K.shape[1]))
    return E / E.sum() @ V


def divided_by_the_columns(Q, K, V):
    E = np.exp(Q @ K.T / np.sqrt(K.shape[1]))
    return E / E.sum(0) @ V


def divided_without_keepdims(Q, K, V):
    E = np.exp(Q @ K.T / np.sqrt(K.shape[1]))
    return E / E.sum(1) @ V


def never_divided(Q, K, V):
    return np.exp(Q @ K.T / np.sqrt(K.shape[1])) @ V


@st.composite
def queries_keys_values(draw):
    queries, keys = draw(st.integers(1, 3)), draw(st.integers(2, 3))
    return draw(arrays(queries, 2)), draw(arrays(keys, 2)), draw(arrays(keys, 2))


# 05.4 -------------------------------------------------- spot the bug: a result that cannot be


def is_impossible(Z: Float[np.ndarray, "queries d_v"], V: Float[np.ndarray, "keys d_v"]) -> bool:
    """Whether a range gives it away that Z is no mixture of the rows of V.

    True if a number of Z lies outside the range of its column in V, or the difference of two
    neighbouring numbers in a row of Z lies outside the range of that difference in V's rows.

    >>> V = np.array([[0.1, 0.2, 0.3], [0.5, 0.6, 0.7], [0.9, 1.0, 1.1]])
    >>> is_impossible(np.array([[0.21, 0.24, 0.27]]), V)
    True
    >>> is_impossible(np.array([[0.5, 0.5]]), np.array([[0.0, 1.0], [1.0, 0.0]]))
    False
    """
    for z, v in [(Z, V), (np.diff(Z), np.diff(V))]:
        if (z < v.min(0)).any() or (z > v.max(0)).any():
            return True
    return False


def ranges_only(Z, V):
    return bool((V.min(0) > Z).any() or (V.max(0) < Z).any())


def differences_only(Z, V):
    return ranges_only(np.diff(Z), np.diff(V))


def one_range_for_all_columns(Z, V):
    pairs = [(Z, V), (np.diff(Z), np.diff(V))]
    return any((z < v.min()).any() or (z > v.max()).any() for z, v in pairs)


def only_if_all_are_outside(Z, V):
    pairs = [(Z, V), (np.diff(Z), np.diff(V))]
    return any(((z < v.min(0)) | (z > v.max(0))).all() for z, v in pairs)


def rows_must_sum_to_one(Z, V):
    return not np.allclose(Z.sum(1), 1)


def never_below_only_above(Z, V):
    return any((z > v.max(0)).any() for z, v in [(Z, V), (np.diff(Z), np.diff(V))])


@st.composite
def results_right_and_wrong(draw):
    """Mixtures with weights in quarters, some of them spoilt; all sums are exact."""
    keys, d_v = draw(st.integers(2, 3)), draw(st.integers(2, 3))
    V = draw(arrays(keys, d_v))
    mixtures = [w for w in np.ndindex(5, 5, 5) if sum(w[:keys]) == 4 and not any(w[keys:])]
    Z = np.array([draw(st.sampled_from(mixtures))[:keys] for _ in range(2)]) / 4 @ V
    spoilt = draw(st.sampled_from(["not", "not", "one number", "all", "row"]))
    by = draw(st.sampled_from([0.25, -0.25, 0.5, -2.0]))
    if spoilt == "one number":
        Z[draw(st.integers(0, 1)), draw(st.integers(0, d_v - 1))] += by
    elif spoilt == "all":
        Z = Z * draw(st.sampled_from([0.5, 0.75, 2.0, -1.0]))
    elif spoilt == "row":
        Z[0] += by
    return Z, V


# 05.5 ------------------------------------------------------------------ back through a softmax


def softmax_backward(
    A: Float[np.ndarray, "queries keys"], dA: Float[np.ndarray, "queries keys"]
) -> Float[np.ndarray, "queries keys"]:
    """The gradient by the scores S of A = softmax(S), row by row, given that by A.

    >>> softmax_backward(np.array([[0.75, 0.25]]), np.array([[1.0, 0.0]]))
    array([[ 0.1875, -0.1875]])
    """
    return A * (dA - (A * dA).sum(1, keepdims=True))


def only_the_own_score(A, dA):
    return A * (1 - A) * dA


def mean_not_taken_off(A, dA):
    return A * dA


def plain_sum_taken_off(A, dA):
    return A * (dA - dA.sum(1, keepdims=True))


def plain_mean_taken_off(A, dA):
    return A * (dA - dA.mean(1, keepdims=True))


def mixed_over_queries(A, dA):
    return A * (dA - (A * dA).sum(0))


def as_if_cross_entropy_followed(A, dA):
    return A - dA


@st.composite
def weights_and_gradients(draw):
    shape = draw(st.integers(1, 3)), draw(st.integers(2, 3))
    return softmax(draw(arrays(*shape))), draw(arrays(*shape))


# 05.6 ------------------------------------------------------------------ back through attention


def attention_backward(
    Q: Float[np.ndarray, "queries d_k"],
    K: Float[np.ndarray, "keys d_k"],
    V: Float[np.ndarray, "keys d_v"],
    dZ: Float[np.ndarray, "queries d_v"],
) -> tuple[
    Float[np.ndarray, "queries d_k"],
    Float[np.ndarray, "keys d_k"],
    Float[np.ndarray, "keys d_v"],
]:
    """The gradients (dQ, dK, dV) of Z = softmax(Q Kᵀ / √d_k) V, given dZ.

    >>> Q, K = np.array([[1.0]]), np.array([[np.log(3)], [0.0]])
    >>> dQ, dK, dV = attention_backward(Q, K, np.array([[4.0], [8.0]]), np.array([[1.0]]))
    >>> dQ.round(4), dK.round(4), dV.round(4)
    (array([[-0.824]]), array([[-0.75],
           [ 0.75]]), array([[0.75],
           [0.25]]))
    """
    root = np.sqrt(K.shape[1])
    A = softmax(Q @ K.T / root)
    dV = A.T @ dZ
    dS = softmax_backward(A, dZ @ V.T)
    return dS @ K / root, dS.T @ Q / root, dV


def scale_forgotten_on_the_way_back(Q, K, V, dZ):
    dQ, dK, dV = attention_backward(Q, K, V, dZ)
    return dQ * np.sqrt(K.shape[1]), dK * np.sqrt(K.shape[1]), dV


def scale_forgotten_altogether(Q, K, V, dZ):
    root = np.sqrt(K.shape[1])
    dQ, dK, dV = attention_backward(Q * root, K, V, dZ)
    return dQ * root, dK, dV


def scaled_twice(Q, K, V, dZ):
    dQ, dK, dV = attention_backward(Q, K, V, dZ)
    return dQ / np.sqrt(K.shape[1]), dK / np.sqrt(K.shape[1]), dV


def softmax_without_its_mean(Q, K, V, dZ):
    root = np.sqrt(K.shape[1])
    A = softmax(Q @ K.T / root)
    dS = A * (dZ @ V.T)
    return dS @ K / root, dS.T @ Q / root, A.T @ dZ


def softmax_skipped(Q, K, V, dZ):
    root = np.sqrt(K.shape[1])
    dS = dZ @ V.T
    return dS @ K / root, dS.T @ Q / root, softmax(Q @ K.T / root).T @ dZ


def weights_not_transposed(Q, K, V, dZ):
    dQ, dK, _ = attention_backward(Q, K, V, dZ)
    return dQ, dK, softmax(Q @ K.T / np.sqrt(K.shape[1])) @ dZ


def scores_not_transposed(Q, K, V, dZ):
    root = np.sqrt(K.shape[1])
    A = softmax(Q @ K.T / root)
    dS = softmax_backward(A, dZ @ V.T)
    return dS @ K / root, dS @ Q / root, A.T @ dZ


@st.composite
def attention_with_gradient(draw):
    queries, keys = draw(st.integers(1, 3)), draw(st.integers(2, 3))
    shapes = [(queries, 2), (keys, 2), (keys, 2), (queries, 2)]
    return tuple(draw(arrays(*shape)) for shape in shapes)


# 05.7 ------------------------------------------------------------------------ who may see whom


def who_sees_whom(is_token: Bool[np.ndarray, "batch n"]) -> Bool[np.ndarray, "batch n n"]:
    """True where query t may look at key s of the same text: not later than t, and no padding.

    `is_token` is False where a text is padding. The order of the axes is batch, query, key.

    >>> who_sees_whom(np.array([[True, True, False]])).astype(int)
    array([[[1, 0, 0],
            [1, 1, 0],
            [1, 1, 0]]])
    """
    keys = np.repeat(is_token[:, None, :], is_token.shape[1], axis=1)  # (batch, query, key)
    return np.tril(keys)  # keeps s <= t, and makes the rest False


def sees_one_step_ahead(is_token):
    place = np.arange(is_token.shape[1])
    return (place[:, None] + 1 >= place) & is_token[:, None, :]


def does_not_see_itself(is_token):
    place = np.arange(is_token.shape[1])
    return (place[:, None] > place) & is_token[:, None, :]


def looks_forward(is_token):
    place = np.arange(is_token.shape[1])
    return (place[:, None] <= place) & is_token[:, None, :]


def padding_hides_queries(is_token):
    place = np.arange(is_token.shape[1])
    return (place[:, None] >= place) & is_token[:, :, None]


def either_is_enough(is_token):
    place = np.arange(is_token.shape[1])
    return (place[:, None] >= place) | is_token[:, None, :]


def true_where_hidden(is_token):
    return ~who_sees_whom(is_token)


def padding_forgotten(is_token):
    return who_sees_whom(np.ones_like(is_token))


def order_forgotten(is_token):
    return np.broadcast_to(is_token[:, None, :], (*is_token.shape, is_token.shape[1])).copy()


@st.composite
def padded_texts(draw):
    """Texts padded on the left, on the right, or here and there."""
    batch, n = draw(st.integers(1, 2)), draw(st.integers(2, 4))
    row = st.lists(st.booleans(), min_size=n, max_size=n)
    return (np.array([draw(row) for _ in range(batch)]),)


# 05.8 ---------------------------------------------------------------------- weights under a mask


def masked_weights(
    scores: Float[np.ndarray, "queries keys"], mask: Bool[np.ndarray, "queries keys"]
) -> Float[np.ndarray, "queries keys"]:
    """The softmax of each row over the keys that its query may look at; the others get zero.

    `mask` is True where a query may look at a key. A query that may look at nothing gets zeros.

    >>> masked_weights(np.zeros((2, 3)), np.array([[True, True, False], [False] * 3]))
    array([[0.5, 0.5, 0. ],
           [0. , 0. , 0. ]])
    """
    largest = np.where(mask, scores, -np.inf).max(1, keepdims=True)
    E = np.exp(np.where(mask, scores - largest, -np.inf))
    total = E.sum(1, keepdims=True)
    return E / (total + (total == 0))


def hidden_scores_set_to_zero(scores, mask):
    return softmax(np.where(mask, scores, 0.0))


def masked_after_the_softmax(scores, mask):
    return softmax(scores) * mask


def hidden_scores_lowered_a_little(scores, mask):
    return softmax(np.where(mask, scores, scores - 10))


def empty_rows_become_nan(scores, mask):
    return softmax(np.where(mask, scores, -np.inf))


def empty_rows_see_everything(scores, mask):
    return softmax(np.where(mask, scores, np.finfo(float).min))


def mask_the_other_way_round(scores, mask):
    return masked_weights(scores, ~mask)


def not_renormalised_over_the_row(scores, mask):
    E = np.where(mask, np.exp(scores), 0.0)
    return E / max(E.sum(), 1e-300)


@st.composite
def scores_and_masks(draw):
    queries, keys = draw(st.integers(1, 3)), draw(st.integers(2, 3))
    row = st.one_of(st.lists(st.booleans(), min_size=keys, max_size=keys), st.just([False] * keys))
    scores = draw(arrays(queries, keys)) * draw(st.sampled_from([1.0, 1.0, 1000.0]))
    return scores, np.array([draw(row) for _ in range(queries)])


# 05.9 ------------------------------------------------- spot the bug: heads that split the sequence


def split_heads(
    x: Float[np.ndarray, "tokens d_model"], n_heads: int
) -> Float[np.ndarray, "heads tokens d_head"]:
    """Give each head its own columns, for every token: head 0 the first d_head, and so on.

    >>> split_heads(np.array([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]), 2)
    array([[[1., 2.],
            [5., 6.]],
    <BLANKLINE>
           [[3., 4.],
            [7., 8.]]])
    """
    tokens, d_model = x.shape
    return x.reshape(tokens, n_heads, d_model // n_heads).swapaxes(0, 1)


def merge_heads(
    heads: Float[np.ndarray, "heads tokens d_head"],
) -> Float[np.ndarray, "tokens d_model"]:
    """Lay the heads of each token side by side again: undoes `split_heads`.

    >>> merge_heads(np.array([[[1.0, 2.0], [5.0, 6.0]], [[3.0, 4.0], [7.0, 8.0]]]))
    array([[1., 2., 3., 4.],
           [5., 6., 7., 8.]])
    """
    n_heads, tokens, d_head = heads.shape
    return heads.swapaxes(0, 1).reshape(tokens, n_heads * d_head)


def split_with_a_bug(x, n_heads):
    tokens, d_model = x.shape
    return x.reshape(n_heads, tokens, d_model // n_heads)


def merge_with_a_bug(heads):
    n_heads, tokens, d_head = heads.shape
    return heads.reshape(tokens, n_heads * d_head)


def split_every_other_column(x, n_heads):
    tokens, d_model = x.shape
    return x.reshape(tokens, d_model // n_heads, n_heads).transpose(2, 0, 1)


def merge_every_other_column(heads):
    n_heads, tokens, d_head = heads.shape
    return heads.transpose(1, 2, 0).reshape(tokens, n_heads * d_head)


def split_tokens_first(x, n_heads):
    return split_heads(x, n_heads).swapaxes(0, 1)


def merge_tokens_below_each_other(heads):
    return np.concatenate(list(heads), axis=0)


def split_columns_become_tokens(x, n_heads):
    tokens, d_model = x.shape
    return x.T.reshape(n_heads, tokens, d_model // n_heads)


def splits_and_merges(
    split: Callable[..., np.ndarray], merge: Callable[..., np.ndarray]
) -> Callable[..., dict[str, np.ndarray]]:
    """Both functions, each on an input of its own: a wrong pair can undo itself."""

    def heads_and_row(x: np.ndarray, n_heads: int, heads: np.ndarray) -> dict[str, np.ndarray]:
        return {"split": split(x, n_heads), "merged": merge(heads)}

    return heads_and_row


@st.composite
def rows_and_heads(draw):
    tokens, n_heads, d_head = (draw(st.integers(1, 3)) for _ in range(3))
    x, heads = (np.arange(1.0, 1 + tokens * n_heads * d_head) for _ in range(2))
    return x.reshape(tokens, -1), n_heads, heads.reshape(n_heads, tokens, d_head)


# 05.10 ----------------------------------------------------------------------------- several heads


def multi_head_attention(
    X: Float[np.ndarray, "tokens d_model"],
    W_q: Float[np.ndarray, "d_model d_model"],
    W_k: Float[np.ndarray, "d_model d_model"],
    W_v: Float[np.ndarray, "d_model d_model"],
    W_o: Float[np.ndarray, "d_model d_model"],
    n_heads: int,
) -> Float[np.ndarray, "tokens d_model"]:
    """Concat(head_1, …, head_h) W_o, where head i is self-attention with its own columns.

    Head 1 has the first d_model / n_heads columns of W_q, W_k and W_v, head 2 the next, and so on.

    >>> X = np.array([[1.0, 0.0], [0.0, np.log(3)]])
    >>> W_q, W_k = np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[0.0, 0.0], [1.0, 1.0]])
    >>> W_o = np.array([[1.0, 0.0], [0.0, 10.0]])
    >>> multi_head_attention(X, W_q, W_k, np.eye(2), W_o, 2).round(4)
    array([[0.25  , 5.4931],
           [0.5   , 5.4931]])
    """
    d_head = X.shape[1] // n_heads
    heads = []
    for i in range(n_heads):
        own = slice(i * d_head, i * d_head + d_head)
        heads.append(self_attention(X, W_q[:, own], W_k[:, own], W_v[:, own]))
    return np.hstack(heads) @ W_o


def one_wide_head(X, W_q, W_k, W_v, W_o, n_heads):
    return self_attention(X, W_q, W_k, W_v) @ W_o


def scaled_by_the_models_width(X, W_q, W_k, W_v, W_o, n_heads):
    return multi_head_attention(X, W_q / np.sqrt(n_heads), W_k, W_v, W_o, n_heads)


def output_projection_forgotten(X, W_q, W_k, W_v, W_o, n_heads):
    return multi_head_attention(X, W_q, W_k, W_v, np.eye(len(W_o)), n_heads)


def sequence_split(X, W_q, W_k, W_v, W_o, n_heads):
    Q, K, V = (split_with_a_bug(X @ W, n_heads) for W in (W_q, W_k, W_v))
    return merge_with_a_bug(np.stack([attention(*h) for h in zip(Q, K, V, strict=True)])) @ W_o


def inputs_columns_split(X, W_q, W_k, W_v, W_o, n_heads):
    d = X.shape[1] // n_heads
    heads = []
    for i in range(n_heads):
        own = slice(i * d, i * d + d)
        heads.append(self_attention(X[:, own], *(W[own, own] for W in (W_q, W_k, W_v))))
    return np.hstack(heads) @ W_o


def heads_averaged(X, W_q, W_k, W_v, W_o, n_heads):
    everything = multi_head_attention(X, W_q, W_k, W_v, np.eye(len(W_o)), n_heads)
    mean = split_heads(everything, n_heads).mean(0)
    return np.hstack([mean] * n_heads) @ W_o


@st.composite
def tokens_and_all_projections(draw):
    n_heads = draw(st.sampled_from([2, 2, 1, 4]))
    weights = [draw(arrays(4, 4)) for _ in range(4)]
    return draw(arrays(2, 4)), *weights, n_heads


# 05.11 ----------------------------------------------------------------------- grouped queries


def grouped_attention(
    Q: Float[np.ndarray, "heads tokens d_head"],
    K: Float[np.ndarray, "kv_heads tokens d_head"],
    V: Float[np.ndarray, "kv_heads tokens d_head"],
) -> Float[np.ndarray, "heads tokens d_head"]:
    """Attention of each query head, where neighbouring query heads share a key/value head.

    >>> Q, K = np.zeros((4, 1, 1)), np.zeros((2, 1, 1))
    >>> grouped_attention(Q, K, np.array([[[1.0]], [[2.0]]])).ravel()
    array([1., 1., 2., 2.])
    """
    sharing = len(Q) // len(K)
    return np.stack([attention(Q[i], K[i // sharing], V[i // sharing]) for i in range(len(Q))])


def dealt_out_in_turn(Q, K, V):
    return np.stack([attention(Q[i], K[i % len(K)], V[i % len(V)]) for i in range(len(Q))])


def all_share_the_first(Q, K, V):
    return np.stack([attention(q, K[0], V[0]) for q in Q])


def all_share_the_mean(Q, K, V):
    return np.stack([attention(q, K.mean(0), V.mean(0)) for q in Q])


def values_of_another_group(Q, K, V):
    return grouped_attention(Q, K, V[::-1])


def groups_as_long_as_there_are_pairs(Q, K, V):
    return np.stack([attention(Q[i], K[i // len(K)], V[i // len(K)]) for i in range(len(Q))])


@st.composite
def grouped_heads(draw):
    kv_heads, sharing = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    Q = draw(arrays(kv_heads * sharing, 2, 2))
    return Q, draw(arrays(kv_heads, 2, 2)), draw(arrays(kv_heads, 2, 2))


# 05.12 -------------------------------------------------------------------------- block by block


def absorb(
    m: float,
    norm: float,
    o: Float[np.ndarray, " d_v"],
    q: Float[np.ndarray, " d_k"],
    K: Float[np.ndarray, "block d_k"],
    V: Float[np.ndarray, "block d_v"],
) -> tuple[float, float, Float[np.ndarray, " d_v"]]:
    """Take one more block of keys and values into the state (m, norm, o) of one query.

    Of the scores s = K q / √d_k seen so far, m is the largest, norm = Σ exp(s − m), and
    o = Σ exp(s − m) v. Before the first block m = −∞, norm = 0 and o = 0; after the last,
    o / norm is what attention gives.

    >>> state = absorb(-np.inf, 0.0, np.zeros(1), np.ones(1), np.zeros((1, 1)), np.array([[8.0]]))
    >>> m, norm, o = absorb(*state, np.ones(1), np.array([[np.log(3)]]), np.array([[4.0]]))
    >>> round(float(m), 4), round(float(norm), 4), o.round(4)
    (1.0986, 1.3333, array([6.6667]))
    """
    s = K @ q / np.sqrt(len(q))
    largest = max(m, s.max())
    kept = np.exp(m - largest)
    E = np.exp(s - largest)
    return largest, norm * kept + E.sum(), o * kept + E @ V


def sum_not_corrected(m, norm, o, q, K, V):
    s = K @ q / np.sqrt(len(q))
    largest = max(m, s.max())
    E = np.exp(s - largest)
    return largest, norm + E.sum(), o * np.exp(m - largest) + E @ V


def values_not_corrected(m, norm, o, q, K, V):
    s = K @ q / np.sqrt(len(q))
    largest = max(m, s.max())
    E = np.exp(s - largest)
    return largest, norm * np.exp(m - largest) + E.sum(), o + E @ V


def nothing_corrected(m, norm, o, q, K, V):
    s = K @ q / np.sqrt(len(q))
    largest = max(m, s.max())
    E = np.exp(s - largest)
    return largest, norm + E.sum(), o + E @ V


def maximum_of_this_block(m, norm, o, q, K, V):
    s = K @ q / np.sqrt(len(q))
    kept, E = np.exp(m - s.max()), np.exp(s - s.max())
    return s.max(), norm * kept + E.sum(), o * kept + E @ V


def block_scores_not_scaled(m, norm, o, q, K, V):
    return absorb(m, norm, o, q * np.sqrt(len(q)), K, V)


def already_divided(m, norm, o, q, K, V):
    s = K @ q / np.sqrt(len(q))
    largest = max(m, s.max())
    kept, E = np.exp(m - largest), np.exp(s - largest)
    total = norm * kept + E.sum()
    return largest, total, (o * norm * kept + E @ V) / total


def over_the_blocks(absorb: Callable[..., tuple]) -> Callable[..., dict[str, object]]:
    """The state of a query after all blocks, and the result of attention."""

    def absorbed(q: np.ndarray, blocks: list[tuple]) -> dict[str, object]:
        m, norm, o = -np.inf, 0.0, np.zeros(2)
        for K, V in blocks:
            m, norm, o = absorb(m, norm, o, q, K, V)
        return {"m": m, "norm": norm, "result": o / norm}

    return absorbed


@st.composite
def queries_and_blocks(draw):
    q = draw(arrays(2)) * draw(st.sampled_from([1.0, 1.0, 1000.0]))
    sizes = draw(st.lists(st.integers(1, 2), min_size=1, max_size=3))
    return q, [(draw(arrays(size, 2)), draw(arrays(size, 2))) for size in sizes]


# -------------------------------------------------------------------------------------- the list

EXERCISES = [
    Exercise(
        id="05.1",
        title="A softmax that does not overflow",
        objective="You can compute a softmax for scores of any size.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=softmax,
        inputs=scores_of_any_size(),
        without=BY_HAND,
        mistakes={
            overflowing: "exp of a large score is infinite, and of a very small one zero: take "
            "each row's largest score off first.",
            one_maximum_for_all_rows: "You take off the largest score of the whole matrix, so a "
            "row that lies far below it becomes 0/0: each row has its own largest score.",
            over_the_queries: "Your columns sum to one, but each row must: sum over the keys, the "
            "last axis.",
            over_the_whole_matrix: "Your whole matrix sums to one, but each row must.",
            maximum_left_out_above: "The largest score must come off above and below the "
            "fraction's line, or it does not cancel.",
            mean_for_maximum: "Taking off the mean leaves scores above zero that can overflow: "
            "take off the largest.",
        },
        hints=(
            "A number c taken off all scores of a row cancels: exp(s − c) = exp(s) / exp(c).",
            "With c the row's largest score no exponential is above 1, and the sum is at least 1.",
            "scores.max(1, keepdims=True) keeps the axis, so that it can be taken off row by row.",
        ),
    ),
    Exercise(
        id="05.2",
        title="Self-attention",
        objective="You can compute self-attention from the tokens' vectors and three matrices.",
        points=3,
        minutes=15,
        difficulty=1,
        reference=self_attention,
        inputs=tokens_and_projections(),
        without=BY_HAND,
        mistakes={
            not_scaled: "The scores are not scaled: divide them by √d_k before the softmax.",
            scaled_by_the_embeddings_width: "You divide by the root of d_e, the width of X; it "
            "must be that of d_k, the width of a key.",
            root_forgotten: "You divide by d_k; it must be its square root.",
            weights_over_queries: "Your softmax runs over the queries: each row of weights must "
            "sum to one.",
            queries_and_keys_swapped: "Queries and keys are swapped: row i of the scores belongs "
            "to query i.",
            projected_twice: "Each matrix is applied twice: Q = X W_q is already the projection.",
            values_not_projected: "You mix the rows of X; what is mixed are the values, X W_v.",
        },
        hints=(
            "Compute Q, K and V first; d_k is the number of columns of K.",
            "S = Q @ K.T / np.sqrt(K.shape[1]) has a row for each query.",
            "softmax(S) @ V with your softmax of 05.1.",
        ),
    ),
    Exercise(
        id="05.3",
        title="Spot the bug: a fraction of ones",
        objective="You can see what a wrong division makes of attention, and mend it.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=attention,
        inputs=queries_keys_values(),
        without=BY_HAND,
        mistakes={
            attention_with_a_bug: "Still every weight is 1: divide by the sum of each row of E.",
            divided_by_the_sum_of_everything: "You divide by the sum of all exponentials, so all "
            "weights together sum to one: each row must.",
            divided_by_the_columns: "You divide by the columns' sums, so the weights of each key "
            "sum to one: each query's must.",
            divided_without_keepdims: "E.sum(1) has lost an axis, so NumPy divides column j by "
            "the sum of row j: keep the axis with keepdims=True.",
            never_divided: "Your weights are the exponentials themselves: they must sum to one.",
        },
        hints=(
            "What is E / E?",
            "The softmax divides each exponential by the sum of its row.",
            "E.sum(1, keepdims=True) is a column, a sum for each row.",
        ),
    ),
    Exercise(
        id="05.4",
        title="A result that cannot be",
        objective="You can tell, without the weights, that numbers are no result of attention.",
        points=3,
        minutes=20,
        difficulty=2,
        reference=is_impossible,
        inputs=results_right_and_wrong(),
        without=BY_HAND,
        mistakes={
            ranges_only: "You test the numbers, not the differences between neighbouring columns.",
            differences_only: "You test the differences, not the numbers themselves.",
            one_range_for_all_columns: "Every column of V has its own range; you take one for all.",
            only_if_all_are_outside: "One number outside is enough.",
            rows_must_sum_to_one: "The rows of the weights sum to one, those of the result need "
            "not.",
            never_below_only_above: "You only look for numbers that are too large.",
        },
        hints=(
            "V.min(0) and V.max(0) are the ranges of the columns.",
            "np.diff(Z) holds the differences between neighbouring columns; a mixture of rows "
            "mixes their differences too.",
            "Do the same test twice: with Z and V, and with np.diff(Z) and np.diff(V).",
        ),
    ),
    Exercise(
        id="05.5",
        title="Back through the softmax",
        objective="You can carry a gradient back through a softmax without its Jacobian matrix.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=softmax_backward,
        inputs=weights_and_gradients(),
        without=BY_HAND,
        mistakes={
            only_the_own_score: "You use only the Jacobian's diagonal: a score lowers all the "
            "other weights of its row too.",
            mean_not_taken_off: "What all weights of a row have in common must come off: "
            "subtract the row's sum of A · dA.",
            plain_sum_taken_off: "What comes off is the sum of A · dA, not of dA.",
            plain_mean_taken_off: "The mean that comes off is weighted with A.",
            mixed_over_queries: "The sum runs over the keys of one query, not over the queries.",
            as_if_cross_entropy_followed: "A − (something) is the gradient when a cross-entropy "
            "follows; here any gradient dA may come in.",
        },
        hints=(
            "The Jacobian of one row is diag(a) − a aᵀ; multiply it by the row of dA on paper.",
            "dS_j = a_j (dA_j − Σ_i a_i dA_i)",
            "The sum is (A * dA).sum(1, keepdims=True).",
        ),
    ),
    Exercise(
        id="05.6",
        title="Back through attention, by hand",
        objective="You can write the backward pass of attention without autograd.",
        points=5,
        minutes=30,
        difficulty=3,
        reference=attention_backward,
        inputs=attention_with_gradient(),
        without=BY_HAND,
        mistakes={
            scale_forgotten_on_the_way_back: "S = Q Kᵀ / √d_k, so the way back to Q and K divides "
            "by √d_k too.",
            scale_forgotten_altogether: "You left out √d_k: forwards and on the way back.",
            scaled_twice: "You divide by √d_k twice on the way back to Q and K.",
            softmax_without_its_mean: "In the softmax's backward pass the row's mean is missing: "
            "dS = A (dA − Σ A dA).",
            softmax_skipped: "dZ Vᵀ is the gradient by the weights A; go back through the softmax "
            "to get that by the scores.",
            weights_not_transposed: "Value j got its gradient from all queries that looked at it: "
            "dV = Aᵀ dZ, with A transposed.",
            scores_not_transposed: "Key j got its gradient from all queries: dK = dSᵀ Q / √d_k, "
            "with dS transposed.",
        },
        hints=(
            "Z = A V gives dV = Aᵀ dZ and dA = dZ Vᵀ: check that the shapes fit.",
            "dS = softmax_backward(A, dA), as in 05.5.",
            "S = Q Kᵀ / √d_k gives dQ = dS K / √d_k and dK = dSᵀ Q / √d_k.",
        ),
    ),
    Exercise(
        id="05.7",
        title="Who may see whom",
        objective="You can write the mask of a language model over padded texts.",
        points=2,
        minutes=12,
        difficulty=1,
        reference=who_sees_whom,
        inputs=padded_texts(),
        without=BY_HAND,
        mistakes={
            sees_one_step_ahead: "Off by one: query t sees the token that it has to predict, "
            "t + 1.",
            does_not_see_itself: "Off by one: query t may look at token t itself.",
            looks_forward: "Your queries look into the future: key s must not be later than "
            "query t.",
            padding_hides_queries: "You hide the rows of padded queries; nobody may look *at* "
            "padding, so it is the keys (the last axis) that are hidden.",
            either_is_enough: "Both must hold: not later, and no padding.",
            true_where_hidden: "True means: may look. Yours is the other way round.",
            padding_forgotten: "Padding can still be seen.",
            order_forgotten: "The future can still be seen.",
        },
        hints=(
            "Two conditions: one for the order, (n, n), and one for padding, (batch, 1, n).",
            "np.tril keeps the lower triangle: there the key is not after the query.",
            "is_token[:, None, :] is the same for all queries; repeat it n times, or join with &.",
        ),
    ),
    Exercise(
        id="05.8",
        title="Weights under a mask",
        objective="You can hide keys from a softmax, even all of them.",
        points=3,
        minutes=20,
        difficulty=2,
        reference=masked_weights,
        inputs=scores_and_masks(),
        without=BY_HAND,
        mistakes={
            hidden_scores_set_to_zero: "A score of zero is no prohibition, exp(0) = 1: hidden "
            "keys need −∞.",
            masked_after_the_softmax: "Masking after the softmax leaves rows that no longer sum "
            "to one.",
            hidden_scores_lowered_a_little: "A lower score still lets a little through: hidden "
            "keys need −∞.",
            empty_rows_become_nan: "Where a query may look at nothing you divide 0 by 0: give it "
            "zeros.",
            empty_rows_see_everything: "Where a query may look at nothing, all its scores are "
            "equally low, and it sees everything: give it zeros.",
            mask_the_other_way_round: "True means: may look. You hide what should be seen.",
            not_renormalised_over_the_row: "You divide by the sum over all queries: each row has "
            "its own.",
        },
        hints=(
            "Replace hidden scores by −∞ before the softmax: exp(−∞) = 0.",
            "A row of −∞ alone has no largest score: −∞ − (−∞) is NaN, and so is 0 / 0.",
            "Divide by 1 where a row's sum is 0.",
        ),
    ),
    Exercise(
        id="05.9",
        title="Spot the bug: heads that split the text",
        objective="You can split vectors into heads without tearing the text apart.",
        points=2,
        minutes=15,
        difficulty=2,
        reference=(split_heads, merge_heads),
        adapter=splits_and_merges,
        inputs=rows_and_heads(),
        without=BY_HAND,
        mistakes={
            (split_with_a_bug, merge_with_a_bug): "This still tears the text apart: a reshape "
            "that moves n_heads to the front deals out the *rows*. Split the columns first, then "
            "swap the axes.",
            (split_every_other_column, merge_every_other_column): "Head i takes columns i, "
            "i + n_heads, …; it should take d_head neighbouring ones.",
            (split_heads, merge_with_a_bug): "The way back needs the swap of axes too: the heads "
            "of one token must stand side by side.",
            (split_with_a_bug, merge_heads): "Your merge is right; your split still deals out the "
            "rows of the text.",
            (split_tokens_first, merge_heads): "The axes of the split are in the order tokens, "
            "heads, d_head; the heads come first.",
            (split_heads, merge_tokens_below_each_other): "You put the heads below each other, "
            "as if they were more tokens; they belong side by side.",
            (split_columns_become_tokens, merge_heads): "x.T turns columns into rows: then the "
            "rows of a head are no tokens any more.",
        },
        hints=(
            "A reshape never moves numbers: it only reads them in the same order in other rows.",
            "First (tokens, n_heads, d_head), where each row is cut in place; then swap two axes.",
            "Back: swap the same two axes, then reshape to (tokens, n_heads · d_head).",
        ),
    ),
    Exercise(
        id="05.10",
        title="Several heads",
        objective="You can compute multi-head attention from single heads.",
        points=3,
        minutes=20,
        difficulty=2,
        reference=multi_head_attention,
        inputs=tokens_and_all_projections(),
        without=BY_HAND,
        mistakes={
            one_wide_head: "This is one wide head: each head needs a softmax of its own.",
            scaled_by_the_models_width: "The scores of a head are sums of d_head products: divide "
            "by √d_head, not by √d_model.",
            output_projection_forgotten: "The last matrix, W_o, is missing.",
            sequence_split: "Your heads get parts of the text (a reshape without a swap of axes); "
            "each head sees all tokens, in some columns.",
            inputs_columns_split: "Each head reads the whole of X: cut the columns of the "
            "matrices, not those of X.",
            heads_averaged: "The heads' results are laid side by side, not averaged.",
        },
        hints=(
            "Head i is self_attention with columns i · d_head to (i + 1) · d_head of W_q, W_k, "
            "W_v.",
            "np.hstack lays the heads' results side by side.",
            "The last step is a product with W_o.",
        ),
    ),
    Exercise(
        id="05.11",
        title="Grouped queries",
        objective="You can let several query heads share one head of keys and values.",
        points=2,
        minutes=12,
        difficulty=2,
        elective=True,
        reference=grouped_attention,
        inputs=grouped_heads(),
        without=BY_HAND,
        mistakes={
            dealt_out_in_turn: "You deal the key/value heads out in turn; neighbours share one: "
            "with 4 and 2 heads it is 0, 0, 1, 1, not 0, 1, 0, 1.",
            all_share_the_first: "All your heads share the first key/value head; that is "
            "multi-query attention.",
            all_share_the_mean: "The key/value heads are not averaged: each group has its own.",
            values_of_another_group: "Your keys are of the right group, the values of another.",
            groups_as_long_as_there_are_pairs: "A group has heads / kv_heads members; you divide "
            "by kv_heads.",
        },
        hints=(
            "How many query heads share one pair? len(Q) // len(K).",
            "Query head i uses key/value head i // sharing.",
            "attention(Q[i], K[i // sharing], V[i // sharing]) with your function of 05.3.",
        ),
    ),
    Exercise(
        id="05.12",
        title="Attention block by block",
        objective="You can compute attention without ever holding a whole row of scores.",
        points=4,
        minutes=25,
        difficulty=3,
        elective=True,
        reference=absorb,
        adapter=over_the_blocks,
        inputs=queries_and_blocks(),
        without=BY_HAND,
        mistakes={
            sum_not_corrected: "When the largest score grows, the old sum norm must shrink by "
            "exp(m − new m), like o.",
            values_not_corrected: "When the largest score grows, the old values o must shrink by "
            "exp(m − new m), like norm.",
            nothing_corrected: "What was summed with another largest score must be corrected "
            "first: multiply norm and o by exp(m − new m).",
            maximum_of_this_block: "The largest score is that of all blocks so far: compare with "
            "the old m.",
            block_scores_not_scaled: "The scores are not scaled: divide by √d_k.",
            already_divided: "Keep o undivided; the division by norm comes once, at the end.",
        },
        hints=(
            "s = K @ q / np.sqrt(len(q)), and the new m is the larger of m and s.max().",
            "exp(s − new m) = exp(s − m) · exp(m − new m): this corrects what was summed before.",
            "norm · exp(m − new m) + Σ exp(s − new m); the same for o, with the values.",
        ),
    ),
]
