"""The exercises of chapter 03, neural language models: references and known mistakes.

Letters as in the chapter: C is the table of the symbols' vectors and x the vectors of a history
side by side; H, d, U, b are the MLP's weights. In a recurrent network x_t is the input at step t,
h_t the state after it, W what the input says, U what the state says. i, f, o are an LSTM's gates,
g what it could write, c its memory; r, z are a GRU's gates, n its candidate.

For each exercise stand here its reference (which becomes the solutions page), its known mistakes,
and the strategy that draws its inputs; the list `EXERCISES` at the end puts them together.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st
from jaxtyping import Float, Int

from course_lib.exercises.exercise import Exercise

BY_HAND = ("course_lib", "torch")  # an answer is written by hand


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


# 03.1 -------------------------------------------------------------------- what each place sees


def histories(
    tokens: Int[np.ndarray, " tokens"], n: int, start: int
) -> Int[np.ndarray, "tokens n"]:
    """Row t holds the last n tokens up to and including token t, oldest first.

    Where there are fewer than n, the symbol `start` fills the places before the text.

    >>> histories(np.array([5, 6, 7]), 2, 9)
    array([[9, 5],
           [5, 6],
           [6, 7]])
    """
    padded = np.concatenate([np.full(n - 1, start), tokens])
    return np.array([padded[t : t + n] for t in range(len(tokens))])


def without_the_token_itself(tokens, n, start):
    return histories(np.concatenate([[start], tokens[:-1]]), n, start)


def newest_first(tokens, n, start):
    return histories(tokens, n, start)[:, ::-1]


def padded_at_the_end(tokens, n, start):
    padded = np.concatenate([tokens, np.full(n - 1, start)])
    return np.array([padded[t : t + n] for t in range(len(tokens))])


def start_follows_the_history(tokens, n, start):
    rows = [list(tokens[max(0, t - n + 1) : t + 1]) for t in range(len(tokens))]
    return np.array([row + [start] * (n - len(row)) for row in rows])


def wrapped_around(tokens, n, start):
    return np.array([[tokens[t - n + 1 + j] for j in range(n)] for t in range(len(tokens))])


@st.composite
def tokens_n_start(draw):
    n = draw(st.integers(1, 3))
    tokens = draw(st.lists(st.integers(0, 5), min_size=3, max_size=6))
    return np.array(tokens), n, 6


# 03.2 ------------------------------------------------------------------------------ Bengio's MLP


def mlp_logits(
    history: Int[np.ndarray, " n"],
    C: Float[np.ndarray, "vocab m"],
    H: Float[np.ndarray, "hidden nm"],
    d: Float[np.ndarray, " hidden"],
    U: Float[np.ndarray, "vocab hidden"],
    b: Float[np.ndarray, " vocab"],
) -> Float[np.ndarray, " vocab"]:
    """The logits y = b + U tanh(d + H x), where x are the history's vectors side by side.

    Row w of C is the vector of symbol w. The history stands oldest first.

    >>> C, H, U = np.array([[0.0], [1.0]]), np.array([[1.0, 2.0]]), np.array([[1.0], [-1.0]])
    >>> mlp_logits(np.array([1, 0]), C, H, np.zeros(1), U, np.array([0.0, 1.0])).round(4)
    array([0.7616, 0.2384])
    """
    x = np.concatenate([C[w] for w in history])
    return b + U @ np.tanh(d + H @ x)


def tanh_forgotten(history, C, H, d, U, b):
    return b + U @ (d + H @ C[history].ravel())


def bias_outside_of_tanh(history, C, H, d, U, b):
    return b + U @ (d + np.tanh(H @ C[history].ravel()))


def history_backwards(history, C, H, d, U, b):
    return mlp_logits(history[::-1], C, H, d, U, b)


def relu_for_tanh(history, C, H, d, U, b):
    return b + U @ np.maximum(d + H @ C[history].ravel(), 0)


def tanh_of_the_logits(history, C, H, d, U, b):
    return np.tanh(mlp_logits(history, C, H, d, U, b))


def coordinates_side_by_side(history, C, H, d, U, b):
    return b + U @ np.tanh(d + H @ C[history].T.ravel())


@st.composite
def histories_and_weights(draw):
    n, m, hidden, vocab = (draw(st.integers(2, 3)), 2, draw(st.integers(1, 2)), 3)
    history = draw(st.lists(st.integers(0, vocab - 1), min_size=n, max_size=n))
    H, U = draw(matrices(hidden, n * m)), draw(matrices(vocab, hidden))
    C, d, b = draw(matrices(vocab, m)), draw(vectors(hidden)), draw(vectors(vocab))
    return np.array(history), C, H, d, U, b


# 03.3 -------------------------------------------------------------------------- a plain RNN


def rnn(
    inputs: Float[np.ndarray, "tokens d_input"],
    h: Float[np.ndarray, " d_hidden"],
    W: Float[np.ndarray, "d_hidden d_input"],
    U: Float[np.ndarray, "d_hidden d_hidden"],
    b: Float[np.ndarray, " d_hidden"],
) -> Float[np.ndarray, "tokens d_hidden"]:
    """The state after each input: h ← tanh(W x + U h + b), beginning with the `h` that is given.

    >>> one = np.ones((1, 1))
    >>> rnn(np.array([[1.0], [0.0]]), np.zeros(1), one, one, np.zeros(1)).round(4)
    array([[0.7616],
           [0.642 ]])
    """
    states = []
    for x in inputs:
        h = np.tanh(W @ x + U @ h + b)
        states.append(h)
    return np.array(states)


def state_never_carried(inputs, h, W, U, b):
    return np.array([np.tanh(W @ x + U @ h + b) for x in inputs])


def begun_from_zero(inputs, h, W, U, b):
    return rnn(inputs, np.zeros(len(h)), W, U, b)


def states_before_the_input(inputs, h, W, U, b):
    return np.concatenate([h[None], rnn(inputs, h, W, U, b)[:-1]])


def state_outside_of_tanh(inputs, h, W, U, b):
    states = []
    for x in inputs:
        h = np.tanh(W @ x + b) + U @ h
        states.append(h)
    return np.array(states)


def u_transposed(inputs, h, W, U, b):
    return rnn(inputs, h, W, np.ascontiguousarray(U.T), b)


def no_nonlinearity(inputs, h, W, U, b):
    states = []
    for x in inputs:
        h = W @ x + U @ h + b
        states.append(h)
    return np.array(states)


@st.composite
def inputs_and_rnn(draw):
    tokens, d_input, d_hidden = draw(st.integers(1, 4)), draw(st.integers(1, 2)), 2
    W, U = draw(matrices(d_hidden, d_input)), draw(matrices(d_hidden, d_hidden))
    h, b = draw(vectors(d_hidden)), draw(vectors(d_hidden))
    return draw(matrices(tokens, d_input)), h, W, U, b


# 03.4 ------------------------------------------------------ back-propagation through time by hand


def bptt(xs: list[float], w: float, u: float, target: float) -> tuple[float, float]:
    """The derivatives by w and u of ½ (h_T − target)², where h_t = tanh(w x_t + u h_(t−1)).

    h_0 is 0. Every step uses the same w and u, so each derivative is a sum over all steps.

    >>> [round(slope, 4) for slope in bptt([1.0, 0.0], 1.0, 1.0, 0.0)]
    [0.1585, 0.2874]
    """
    hs = [0.0]
    for x in xs:
        hs.append(math.tanh(w * x + u * hs[-1]))
    dw, du = 0.0, 0.0
    dh = hs[-1] - target
    for t in range(len(xs), 0, -1):
        da = dh * (1 - hs[t] ** 2)  # a_t = w x_t + u h_(t−1)
        dw += da * xs[t - 1]
        du += da * hs[t - 1]
        dh = da * u
    return dw, du


def _bptt(xs, w, u, target, slope=lambda h: 1 - h**2, back=lambda w, u: u, steps=None, late=0):
    """Back-propagation with one thing changed."""
    hs = [0.0]
    for x in xs:
        hs.append(math.tanh(w * x + u * hs[-1]))
    dw, du, dh = 0.0, 0.0, hs[-1] - target
    for t in range(len(xs), 0, -1)[:steps]:
        da = dh * slope(hs[t])
        dw, du = dw + da * xs[t - 1], du + da * hs[t - 1 + late]
        dh = da * back(w, u)
    return dw, du


def only_the_last_step(xs, w, u, target):
    return _bptt(xs, w, u, target, steps=1)


def slope_of_tanh_forgotten(xs, w, u, target):
    return _bptt(xs, w, u, target, slope=lambda h: 1.0)


def back_through_the_input(xs, w, u, target):
    return _bptt(xs, w, u, target, back=lambda w, u: w)


def state_of_the_step_itself(xs, w, u, target):
    return _bptt(xs, w, u, target, late=1)


def state_handed_back_unchanged(xs, w, u, target):
    return _bptt(xs, w, u, target, back=lambda w, u: 1.0)


def averaged_over_the_steps(xs, w, u, target):
    dw, du = _bptt(xs, w, u, target)
    return dw / len(xs), du / len(xs)


def uphill(xs, w, u, target):
    dw, du = _bptt(xs, w, u, target)
    return -dw, -du


@st.composite
def scalar_rnns(draw):
    number = st.sampled_from([0.5, -0.5, 1.0, -1.0, 0.25, 2.0])
    xs = draw(st.lists(number, min_size=1, max_size=4))
    return xs, draw(number), draw(number), draw(st.sampled_from([0.0, 0.5, -1.0]))


# 03.5 -------------------------------------------------------------------------------- clipping


def clip(
    gradients: list[Float[np.ndarray, "..."]], longest: float
) -> list[Float[np.ndarray, "..."]]:
    """Shorten the gradients of all parameters together to a norm of at most `longest`.

    The norm is that of all numbers of all arrays, as of one long vector. A gradient that is not
    too long stays as it is.

    >>> clip([np.array([3.0]), np.array([[4.0]])], 1.0)
    [array([0.6]), array([[0.8]])]
    """
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    scale = longest / max(norm, longest)
    return [g * scale for g in gradients]


def each_array_alone(gradients, longest):
    return [clip([g], longest)[0] for g in gradients]


def every_number_alone(gradients, longest):
    return [np.clip(g, -longest, longest) for g in gradients]


def short_ones_stretched(gradients, longest):
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    return [g * longest / norm if norm else g for g in gradients]


def root_forgotten(gradients, longest):
    norm = sum(float((g**2).sum()) for g in gradients)
    return [g * (longest / norm if norm > longest else 1.0) for g in gradients]


def norms_added_up(gradients, longest):
    norm = sum(math.sqrt(float((g**2).sum())) for g in gradients)
    return [g * (longest / norm if norm > longest else 1.0) for g in gradients]


def thrown_away_when_too_long(gradients, longest):
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
    return [g * (0.0 if norm > longest else 1.0) for g in gradients]


@st.composite
def gradients_and_lengths(draw):
    shapes = draw(st.lists(st.tuples(st.integers(1, 2), st.integers(1, 2)), min_size=1, max_size=3))
    return [draw(matrices(*shape)) for shape in shapes], draw(st.sampled_from([0.5, 1.0, 3.0]))


# 03.6 ------------------------------------------------------------------------------ an LSTM's step


def lstm_cell(
    x: Float[np.ndarray, " d_input"],
    h: Float[np.ndarray, " d_hidden"],
    c: Float[np.ndarray, " d_hidden"],
    W: Float[np.ndarray, "rows d_input"],
    U: Float[np.ndarray, "rows d_hidden"],
    b: Float[np.ndarray, " rows"],
) -> tuple[Float[np.ndarray, " d_hidden"], Float[np.ndarray, " d_hidden"]]:
    """The next state and memory (h, c). The rows of W, U and b stand in the order i, f, g, o.

    i, f, o = σ(W x + U h + b) and g = tanh(W x + U h + b), each with its own d_hidden rows.
    c ← f ⊙ c + i ⊙ g and h ← o ⊙ tanh(c).

    >>> W, U, b = np.zeros((4, 1)), np.zeros((4, 1)), np.array([0.0, 0.0, 1.0, 0.0])
    >>> h, c = lstm_cell(np.zeros(1), np.zeros(1), np.ones(1), W, U, b)
    >>> h.round(4), c.round(4)
    (array([0.3534]), array([0.8808]))
    """
    i, f, g, o = np.split(W @ x + U @ h + b, 4)
    i, f, o = 1 / (1 + np.exp(-i)), 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o))
    c = f * c + i * np.tanh(g)
    return o * np.tanh(c), c


def _gates(x, h, W, U, b):
    """i, f, g, o before their nonlinearities."""
    return np.split(W @ x + U @ h + b, 4)


def _sigma(a):
    return 1 / (1 + np.exp(-a))


def gates_in_another_order(x, h, c, W, U, b):
    i, f, o, g = _gates(x, h, W, U, b)
    c = _sigma(f) * c + _sigma(i) * np.tanh(g)
    return _sigma(o) * np.tanh(c), c


def forget_and_input_swapped(x, h, c, W, U, b):
    f, i, g, o = _gates(x, h, W, U, b)
    c = _sigma(f) * c + _sigma(i) * np.tanh(g)
    return _sigma(o) * np.tanh(c), c


def memory_shown_without_tanh(x, h, c, W, U, b):
    _, c = lstm_cell(x, h, c, W, U, b)
    return _sigma(_gates(x, h, W, U, b)[3]) * c, c


def old_memory_shown(x, h, c, W, U, b):
    return _sigma(_gates(x, h, W, U, b)[3]) * np.tanh(c), lstm_cell(x, h, c, W, U, b)[1]


def sigmoid_on_what_is_written(x, h, c, W, U, b):
    i, f, g, o = map(_sigma, _gates(x, h, W, U, b))
    c = f * c + i * g
    return o * np.tanh(c), c


def forgets_what_it_should_keep(x, h, c, W, U, b):
    i, f, g, o = _gates(x, h, W, U, b)
    c = (1 - _sigma(f)) * c + _sigma(i) * np.tanh(g)
    return _sigma(o) * np.tanh(c), c


def state_and_memory_swapped(x, h, c, W, U, b):
    return lstm_cell(x, h, c, W, U, b)[::-1]


@st.composite
def lstm_steps(draw):
    d_input, d_hidden = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    W, U = draw(matrices(4 * d_hidden, d_input)), draw(matrices(4 * d_hidden, d_hidden))
    x, h, c = draw(vectors(d_input)), draw(vectors(d_hidden)), draw(vectors(d_hidden))
    return x, h, c, W, U, draw(vectors(4 * d_hidden))


# 03.7 -------------------------------------------------------------------------------- a GRU's step


def gru_cell(
    x: Float[np.ndarray, " d_input"],
    h: Float[np.ndarray, " d_hidden"],
    W: Float[np.ndarray, "rows d_input"],
    U: Float[np.ndarray, "rows d_hidden"],
    b: Float[np.ndarray, " rows"],
) -> Float[np.ndarray, " d_hidden"]:
    """The next state. The rows of W, U and b stand in the order r, z, n.

    r, z = σ(W x + U h + b), each with its own d_hidden rows; n = tanh(W x + b + r ⊙ (U h)) with
    the rows of n; h ← z ⊙ h + (1 − z) ⊙ n.

    >>> W, U, b = np.zeros((3, 1)), np.array([[0.0], [0.0], [2.0]]), np.zeros(3)
    >>> gru_cell(np.zeros(1), np.ones(1), W, U, b).round(4)
    array([0.8808])
    """
    W_r, W_z, W_n = np.split(W @ x + b, 3)
    U_r, U_z, U_n = np.split(U @ h, 3)
    r, z = 1 / (1 + np.exp(-W_r - U_r)), 1 / (1 + np.exp(-W_z - U_z))
    n = np.tanh(W_n + r * U_n)
    return z * h + (1 - z) * n


def _gru(x, h, W, U, b):
    """r and z, and the two parts of n."""
    W_r, W_z, W_n = np.split(W @ x + b, 3)
    U_r, U_z, U_n = np.split(U @ h, 3)
    return _sigma(W_r + U_r), _sigma(W_z + U_z), W_n, U_n


def z_the_other_way_round(x, h, W, U, b):
    _, z, W_n, U_n = _gru(x, h, W, U, b)
    n = np.tanh(W_n + _gru(x, h, W, U, b)[0] * U_n)
    return (1 - z) * h + z * n


def reset_forgotten(x, h, W, U, b):
    _, z, W_n, U_n = _gru(x, h, W, U, b)
    return z * h + (1 - z) * np.tanh(W_n + U_n)


def reset_on_the_input_too(x, h, W, U, b):
    r, z, W_n, U_n = _gru(x, h, W, U, b)
    return z * h + (1 - z) * np.tanh(r * (W_n + U_n))


def gates_swapped(x, h, W, U, b):
    z, r, W_n, U_n = _gru(x, h, W, U, b)
    return z * h + (1 - z) * np.tanh(W_n + r * U_n)


def sigmoid_for_the_candidate(x, h, W, U, b):
    r, z, W_n, U_n = _gru(x, h, W, U, b)
    return z * h + (1 - z) * _sigma(W_n + r * U_n)


def reset_before_the_product(x, h, W, U, b):
    r, z, W_n, _ = _gru(x, h, W, U, b)
    return z * h + (1 - z) * np.tanh(W_n + np.split(U @ np.tile(r * h, 1), 3)[2])


@st.composite
def gru_steps(draw):
    d_input, d_hidden = draw(st.integers(1, 2)), 2
    W, U = draw(matrices(3 * d_hidden, d_input)), draw(matrices(3 * d_hidden, d_hidden))
    return draw(vectors(d_input)), draw(vectors(d_hidden)), W, U, draw(vectors(3 * d_hidden))


# 03.8 --------------------------------------------------------- batches that a state can go through


def streams(
    tokens: Int[np.ndarray, " n"], batch_size: int, window: int
) -> list[Int[np.ndarray, "batch window_and_target"]]:
    """Batches for carrying the state: row k of a batch goes on where row k of the last one ended.

    The text is cut into `batch_size` stretches of equal length L = (n − 1) // batch_size. Row k of
    the j-th batch holds `window` inputs from token k L + j · window on, and one token more, the
    last target. As many batches as there are whole windows in a stretch.

    >>> streams(np.arange(9), 2, 2)
    [array([[0, 1, 2],
           [4, 5, 6]]), array([[2, 3, 4],
           [6, 7, 8]])]
    """
    length = (len(tokens) - 1) // batch_size
    batches = []
    for j in range(length // window):
        starts = [k * length + j * window for k in range(batch_size)]
        batches.append(np.array([tokens[s : s + window + 1] for s in starts]))
    return batches


def rows_follow_each_other(tokens, batch_size, window):
    batches = []
    for j in range(len(streams(tokens, batch_size, window))):
        starts = [(j * batch_size + k) * window for k in range(batch_size)]
        batches.append(np.array([tokens[s : s + window + 1] for s in starts]))
    return batches


def last_target_left_out(tokens, batch_size, window):
    return [batch[:, :-1] for batch in streams(tokens, batch_size, window)]


def tokens_dealt_out(tokens, batch_size, window):
    length = (len(tokens) - 1) // batch_size
    dealt = [tokens[k::batch_size] for k in range(batch_size)]
    return [
        np.array([row[j * window : j * window + window + 1] for row in dealt])
        for j in range(length // window)
        if all(len(row) > (j + 1) * window for row in dealt)
    ]


def a_token_skipped_between_batches(tokens, batch_size, window):
    length = (len(tokens) - 1) // batch_size
    return [
        np.array(
            [tokens[s : s + window + 1] for s in range(j, batch_size * length, length)][:batch_size]
        )
        for j in range(0, length - window, window + 1)
    ]


def overlapping_windows(tokens, batch_size, window):
    length = (len(tokens) - 1) // batch_size
    return [
        np.array([tokens[k * length + j :][: window + 1] for k in range(batch_size)])
        for j in range(length // window)
    ]


@st.composite
def texts_to_stream(draw):
    batch_size, window = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    n = draw(st.integers(batch_size * window + 1, 20))
    return np.arange(n), batch_size, window


# 03.9 ------------------------------------------------------- spot the bug: a text read in pieces


def loss_repaired(
    step: Callable[[float, int], float], cost: Callable[[float, int], float], text: list[int]
) -> float:
    """Mean nats of text[1:], read in pieces of at most three inputs to save memory.

    `step(h, token)` is the state after reading the token, from state h; the first state is 0.0.
    `cost(h, token)` is what the token costs a reader in state h, in nats. The result is the same
    as that of reading the text in one piece.

    >>> round(loss_repaired(toy_step, toy_cost, [1, 0, 1, 1, 0]), 4)
    0.8251
    """
    h, total = 0.0, 0.0
    for start in range(1, len(text), 3):  # the first target of a piece
        for token, target in pairwise(text[start - 1 : start + 3]):
            h = step(h, token)
            total += cost(h, target)
    return total / (len(text) - 1)


def loss_with_bugs(step, cost, text):
    total = 0.0
    for start in range(0, len(text), 3):
        h, piece = 0.0, text[start : start + 3]
        for token, target in pairwise(piece):
            h = step(h, token)
            total += cost(h, target)
    return total / len(text)


def state_still_forgotten(step, cost, text):
    total = 0.0
    for start in range(0, len(text) - 1, 3):
        total += loss_repaired(step, cost, text[start : start + 4]) * len(
            text[start + 1 : start + 4]
        )
    return total / (len(text) - 1)


def targets_between_pieces_still_lost(step, cost, text):
    h, total = 0.0, 0.0
    for start in range(0, len(text), 3):
        piece = text[start : start + 3]
        for token, target in pairwise(piece):
            h = step(h, token)
            total += cost(h, target)
        h = step(h, piece[-1])
    return total / (len(text) - 1)


def still_divided_by_all_tokens(step, cost, text):
    return loss_repaired(step, cost, text) * (len(text) - 1) / len(text)


def cost_before_the_token_is_read(step, cost, text):
    h, total = 0.0, 0.0
    for token, target in pairwise(text):
        total += cost(h, target)
        h = step(h, token)
    return total / (len(text) - 1)


def target_read_first(step, cost, text):
    h, total = 0.0, 0.0
    for token in text[1:]:
        h = step(h, token)
        total += cost(h, token)
    return total / (len(text) - 1)


def last_token_of_a_piece_not_read(step, cost, text):
    h, total = 0.0, 0.0
    for i, (token, target) in enumerate(pairwise(text)):
        h = step(h, token) if i % 3 != 2 else h
        total += cost(h, target)
    return total / (len(text) - 1)


def on_the_toy_network(loss: Callable[..., float]) -> Callable[[list[int]], float]:
    """The loss as a function of the text, with a network of one unit over the tokens 0 and 1."""

    def scored(text: list[int]) -> float:
        return loss(toy_step, toy_cost, text)

    return scored


def toy_step(h: float, token: int) -> float:
    """A state that remembers much: h ← tanh(0.9 h + token − ½)."""
    return math.tanh(0.9 * h + token - 0.5)


def toy_cost(h: float, token: int) -> float:
    """Nats of the token where token 1 has the probability σ(h)."""
    return math.log(1 + math.exp(-h if token else h))


# -------------------------------------------------------------------------------------- the list

EXERCISES = [
    Exercise(
        id="03.1",
        title="What each place sees",
        objective="You can cut a text into the histories that a window model reads.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=histories,
        inputs=tokens_n_start(),
        without=BY_HAND,
        mistakes={
            without_the_token_itself: "Your rows end one token early: the history of the guess "
            "made after token t includes token t.",
            newest_first: "Your rows are backwards: the oldest token stands first.",
            padded_at_the_end: "You pad at the end, so row t holds what comes after token t: the "
            "start symbols belong before the text.",
            start_follows_the_history: "The start symbols stand before the tokens of a short "
            "history, not after them: the last token must always be in the last column.",
            wrapped_around: "A negative index takes tokens from the text's end: put n − 1 start "
            "symbols before the text first.",
        },
        hints=(
            "Put n − 1 start symbols before the text; then every row is a slice.",
            "padded = np.concatenate([np.full(n - 1, start), tokens])",
            "Row t is padded[t : t + n].",
        ),
    ),
    Exercise(
        id="03.2",
        title="Bengio's network, forwards",
        objective="You can compute the logits of a neural language model from its formula.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=mlp_logits,
        inputs=histories_and_weights(),
        without=BY_HAND,
        mistakes={
            tanh_forgotten: "Without the tanh two layers are one: y = b + U tanh(d + H x).",
            bias_outside_of_tanh: "d belongs inside the tanh, with H x.",
            history_backwards: "The vectors stand in the order of the history, oldest first; yours "
            "are backwards.",
            relu_for_tanh: "The hidden layer is tanh here; you took max(·, 0).",
            tanh_of_the_logits: "The logits go straight into the softmax: the second tanh is one "
            "too many.",
            coordinates_side_by_side: "x holds the whole vector of the first symbol, then that of "
            "the second; you laid first coordinates before second ones.",
        },
        hints=(
            "C[w] is the vector of symbol w: look up one for each symbol of the history.",
            "x = np.concatenate([C[w] for w in history]) has n · m numbers.",
            "b + U @ np.tanh(d + H @ x)",
        ),
    ),
    Exercise(
        id="03.3",
        title="A network with a state",
        objective="You can run a recurrent network over a text, from any state.",
        points=2,
        minutes=12,
        difficulty=1,
        reference=rnn,
        inputs=inputs_and_rnn(),
        without=BY_HAND,
        mistakes={
            state_never_carried: "Every step starts from the first state: h must be replaced at "
            "each step.",
            begun_from_zero: "You begin from zeros: begin from the h that is given, or nobody can "
            "go on with a text.",
            states_before_the_input: "These are the states before each input was read: update h "
            "first, then keep it.",
            state_outside_of_tanh: "U h belongs inside the tanh, with W x and b.",
            u_transposed: "U stands before h: U @ h, not U.T @ h or h @ U.",
            no_nonlinearity: "The tanh is missing.",
        },
        hints=(
            "One loop over the inputs; h changes in it.",
            "h = np.tanh(W @ x + U @ h + b)",
            "Append h to a list after it was updated, and return np.array of the list.",
        ),
    ),
    Exercise(
        id="03.4",
        title="Back through time, by hand",
        objective="You can compute the gradient of a recurrent network without autograd.",
        points=4,
        minutes=30,
        difficulty=3,
        reference=bptt,
        inputs=scalar_rnns(),
        without=BY_HAND,
        mistakes={
            only_the_last_step: "You stop after the last step: the earlier steps used the same w "
            "and u, so go on back to the first.",
            slope_of_tanh_forgotten: "The slope of tanh is missing: 1 − h_t² at every step.",
            back_through_the_input: "From h_t to h_(t−1) the gradient is multiplied by u; you "
            "multiply by w.",
            state_of_the_step_itself: "u was multiplied with the state before the step, h_(t−1), "
            "not with h_t.",
            state_handed_back_unchanged: "On its way from h_t to h_(t−1) the gradient is "
            "multiplied by u as well.",
            averaged_over_the_steps: "The contributions of the steps are added, not averaged.",
            uphill: "The sign is wrong: the derivative of ½ (h − target)² by h is h − target.",
        },
        hints=(
            "Run forwards first and keep all states, h_0 = 0 too.",
            "Start with dh = h_T − target and walk back: da = dh · (1 − h_t²), where a_t is what "
            "the tanh got.",
            "At each step dw += da · x_t and du += da · h_(t−1); then dh = da · u.",
        ),
    ),
    Exercise(
        id="03.5",
        title="Clip the gradient",
        objective="You can keep a gradient's direction and bound its length.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=clip,
        inputs=gradients_and_lengths(),
        without=BY_HAND,
        mistakes={
            each_array_alone: "You clip each array alone, which turns the whole gradient: take one "
            "norm over all of them.",
            every_number_alone: "You clip each number alone, which turns the gradient: multiply "
            "all by one factor.",
            short_ones_stretched: "A gradient that is short enough stays as it is; you stretch it.",
            root_forgotten: "The norm is the square root of the sum of squares.",
            norms_added_up: "The norms of the arrays don't add up; their squares do.",
            thrown_away_when_too_long: "A gradient that is too long is shortened, not thrown away.",
        },
        hints=(
            "Sum the squares of all numbers of all arrays, then take one root.",
            "If the norm is greater than longest, the factor is longest / norm; else it is 1.",
            "[g * factor for g in gradients]",
        ),
    ),
    Exercise(
        id="03.6",
        title="One step of an LSTM",
        objective="You can write an LSTM gate by gate.",
        points=3,
        minutes=20,
        difficulty=2,
        reference=lstm_cell,
        inputs=lstm_steps(),
        without=BY_HAND,
        mistakes={
            gates_in_another_order: "The rows are in the order i, f, g, o; you took the last two "
            "the other way round.",
            forget_and_input_swapped: "The first rows are the input gate i and the second the "
            "forget gate f; you swapped them.",
            memory_shown_without_tanh: "h = o ⊙ tanh(c): your tanh is missing.",
            old_memory_shown: "h shows the new memory: update c first.",
            sigmoid_on_what_is_written: "g can be negative: it takes tanh, the three gates take σ.",
            forgets_what_it_should_keep: "f is what is kept: f ⊙ c, not (1 − f) ⊙ c.",
            state_and_memory_swapped: "Return the state h first, then the memory c.",
        },
        hints=(
            "np.split(W @ x + U @ h + b, 4) gives the four parts in order.",
            "σ(a) = 1 / (1 + exp(−a)) for i, f and o; tanh for g.",
            "c = f * c + i * g first; then h = o * np.tanh(c).",
        ),
    ),
    Exercise(
        id="03.7",
        title="One step of a GRU",
        objective="You can write a GRU and say where its reset gate acts.",
        points=3,
        minutes=20,
        difficulty=2,
        elective=True,
        reference=gru_cell,
        inputs=gru_steps(),
        without=BY_HAND,
        mistakes={
            z_the_other_way_round: "z is what is kept of h, and 1 − z goes to the candidate; yours "
            "is the other way round.",
            reset_forgotten: "The reset gate r is not used: it multiplies U h in the candidate.",
            reset_on_the_input_too: "r multiplies only what the state says, U h, not W x + b.",
            gates_swapped: "The first rows are the reset gate r and the second the update gate z; "
            "you swapped them.",
            sigmoid_for_the_candidate: "The candidate n takes tanh, as it must be able to be "
            "negative.",
            reset_before_the_product: "You multiply h by r before U (as in the first paper); here "
            "r multiplies the product U h.",
        },
        hints=(
            "Compute W x + b and U h apart, and split each into three: r, z, n.",
            "r and z are σ of the two parts' sum; n = tanh(W_n + r * U_n).",
            "z * h + (1 - z) * n",
        ),
    ),
    Exercise(
        id="03.8",
        title="Batches that a state can go through",
        objective="You can lay out a text so that the state of one batch fits the next.",
        points=3,
        minutes=20,
        difficulty=2,
        reference=streams,
        inputs=texts_to_stream(),
        without=BY_HAND,
        mistakes={
            rows_follow_each_other: "Within a batch your rows follow each other, so row k of the "
            "next batch does not go on where row k ended: cut the text into batch_size stretches "
            "first.",
            last_target_left_out: "A window has one token more than inputs: the last input needs a "
            "target too.",
            tokens_dealt_out: "Neighbouring tokens must stay neighbours in a row; you deal them "
            "out to the rows in turn.",
            a_token_skipped_between_batches: "The next window begins with the token that was the "
            "last target; yours begins one later.",
            overlapping_windows: "The next batch starts `window` tokens further on; yours moves by "
            "one.",
        },
        hints=(
            "First cut: row k reads the stretch from token k · L on, L = (n − 1) // batch_size.",
            "Second cut: batch j starts j · window into each stretch.",
            "tokens[s : s + window + 1] with s = k * L + j * window, for j up to L // window.",
        ),
    ),
    Exercise(
        id="03.9",
        title="Spot the bug: a text read in pieces",
        objective="You can find what makes the loss of a recurrent network depend on how it is "
        "cut.",
        points=3,
        minutes=20,
        difficulty=3,
        elective=True,
        reference=loss_repaired,
        adapter=on_the_toy_network,
        inputs=st.tuples(st.lists(st.integers(0, 1), min_size=2, max_size=10)),
        without=BY_HAND,
        mistakes={
            loss_with_bugs: "This still does what the broken code does: the state is forgotten, a "
            "target is lost at each seam, and the mean counts tokens that were not scored.",
            state_still_forgotten: "The state still starts from zero in each piece: carry it on.",
            targets_between_pieces_still_lost: "The first token of a piece is never a target: "
            "pieces must overlap by one token.",
            still_divided_by_all_tokens: "The first token is not scored: divide by the number of "
            "tokens that are.",
            cost_before_the_token_is_read: "A target is scored before the token in front of it was "
            "read: step first, then cost.",
            target_read_first: "The target is read before it is scored: the network knows the "
            "answer.",
            last_token_of_a_piece_not_read: "The last token of each piece is not read into the "
            "state.",
        },
        hints=(
            "Read the text in one piece first, and compare: the results must be equal.",
            "h = 0.0 stands before the loop over the pieces, and nowhere else.",
            "A piece of three inputs needs four tokens: the last one is only a target.",
        ),
    ),
]
