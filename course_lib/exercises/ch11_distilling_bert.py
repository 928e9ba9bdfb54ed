"""The exercises of chapter 11, distilling BERT: references and known mistakes.

Letters as in the chapter: h are vectors of tokens, A attention scores, W a projection, M and N the
layers of student and teacher. The student comes first, the teacher second; a mask is 1 where there
is a token and 0 where there is padding, which stands at the end.

For each exercise stand here its reference (which becomes the solutions page), its known mistakes,
and the strategy that draws its inputs; the list `EXERCISES` at the end puts them together.
"""

import numpy as np
from hypothesis import strategies as st
from jaxtyping import Float, Int

from course_lib.exercises.exercise import Exercise

BY_HAND = ("course_lib", "torch", "sklearn", "scipy")  # an answer is written by hand


def arrays(*shape: int) -> st.SearchStrategy[np.ndarray]:
    """Arrays of small numbers, none of them zero."""
    number = st.sampled_from([0.5, -0.5, 1.0, -1.0, 0.25, 2.0, -0.75, 1.5])
    size = int(np.prod(shape))
    return st.lists(number, min_size=size, max_size=size).map(
        lambda xs: np.array(xs).reshape(shape)
    )


@st.composite
def masks(draw, n_texts: int, n_tokens: int):
    """1s, then 0s, a row a text; every text has a token."""
    lengths = draw(st.lists(st.integers(1, n_tokens), min_size=n_texts, max_size=n_texts))
    return (np.arange(n_tokens) < np.array(lengths)[:, None]).astype(int)


# 11.1 ------------------------------------------------------------------- the cosine of vectors


def cosine_loss(
    student: Float[np.ndarray, "texts tokens d"],
    teacher: Float[np.ndarray, "texts tokens d"],
    mask: Int[np.ndarray, "texts tokens"],
) -> float:
    """1 − cos of the angle between the two vectors of a token, the mean over all real tokens.

    >>> h_S, h_T = np.array([[[1.0, 0.0], [5.0, 5.0]]]), np.array([[[0.0, 2.0], [1.0, 0.0]]])
    >>> cosine_loss(h_S, h_T, np.array([[1, 0]]))
    1.0
    """
    lengths = np.linalg.norm(student, axis=-1) * np.linalg.norm(teacher, axis=-1)
    cosine = (student * teacher).sum(-1) / lengths
    return float((1 - cosine)[mask == 1].mean())


def cosine_with_padding(student, teacher, mask):
    return cosine_loss(student, teacher, np.ones_like(mask))


def dot_product(student, teacher, mask):
    return float((1 - (student * teacher).sum(-1))[mask == 1].mean())


def similarity_not_loss(student, teacher, mask):
    return 1 - cosine_loss(student, teacher, mask)


def texts_weigh_alike(student, teacher, mask):
    texts = zip(student, teacher, mask, strict=True)
    return float(np.mean([cosine_loss(s[None], t[None], m[None]) for s, t, m in texts]))


def cosine_divided_by_all_places(student, teacher, mask):
    return cosine_loss(student, teacher, mask) * float(mask.mean())


@st.composite
def two_batches(draw):
    n, tokens, d = draw(st.integers(1, 2)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    shape = (n, tokens, d)
    return draw(arrays(*shape)), draw(arrays(*shape)), draw(masks(n, tokens))


# 11.2 ------------------------------------------------------------------------------- patience


def patient_loss(
    student: Float[np.ndarray, "texts layers d"], teacher: Float[np.ndarray, "texts layers d"]
) -> float:
    """‖ s / ‖s‖ − t / ‖t‖ ‖² of every text and layer: summed over layers, the mean over texts.

    >>> round(patient_loss(np.array([[[3.0, 4.0]]]), np.array([[[0.0, 2.0]]])), 4)
    0.4
    """
    s = student / np.linalg.norm(student, axis=-1, keepdims=True)
    t = teacher / np.linalg.norm(teacher, axis=-1, keepdims=True)
    return float(((s - t) ** 2).sum((1, 2)).mean())


def not_normalised(student, teacher):
    return float(((student - teacher) ** 2).sum((1, 2)).mean())


def mean_over_layers(student, teacher):
    return patient_loss(student, teacher) / student.shape[1]


def all_layers_one_length(student, teacher):
    s = student / np.linalg.norm(student, axis=(1, 2), keepdims=True)
    t = teacher / np.linalg.norm(teacher, axis=(1, 2), keepdims=True)
    return float(((s - t) ** 2).sum((1, 2)).mean())


def patience_not_squared(student, teacher):
    s = student / np.linalg.norm(student, axis=-1, keepdims=True)
    t = teacher / np.linalg.norm(teacher, axis=-1, keepdims=True)
    return float(np.linalg.norm(s - t, axis=-1).sum(1).mean())


def mean_over_the_width(student, teacher):
    return patient_loss(student, teacher) / student.shape[2]


def summed_over_texts(student, teacher):
    return patient_loss(student, teacher) * len(student)


@st.composite
def cls_states(draw):
    shape = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(2, 3))
    return draw(arrays(*shape)), draw(arrays(*shape))


# 11.3 ------------------------------------------------------------------- through a projection


def projected_loss(
    student: Float[np.ndarray, "texts tokens d_student"],
    teacher: Float[np.ndarray, "texts tokens d_teacher"],
    W: Float[np.ndarray, "d_student d_teacher"],
    mask: Int[np.ndarray, "texts tokens"],
) -> tuple[float, Float[np.ndarray, "d_student d_teacher"]]:
    """MSE(H_S W, H_T), the mean over real tokens and the teacher's width; and its gradient by W.

    >>> h_S, h_T = np.array([[[2.0]]]), np.array([[[1.0, 3.0]]])
    >>> projected_loss(h_S, h_T, np.array([[1.0, 1.0]]), np.array([[1]]))
    (1.0, array([[ 2., -2.]]))
    """
    real = mask == 1
    h_S, gap = student[real], student[real] @ W - teacher[real]  # (tokens, …)
    return float((gap**2).mean()), 2 * h_S.T @ gap / gap.size


def projection_with_padding(student, teacher, W, mask):
    return projected_loss(student, teacher, W, np.ones_like(mask))


def summed_over_the_width(student, teacher, W, mask):
    loss, gradient = projected_loss(student, teacher, W, mask)
    return loss * W.shape[1], gradient * W.shape[1]


def divided_by_the_students_width(student, teacher, W, mask):
    loss, gradient = projected_loss(student, teacher, W, mask)
    d_S, d_T = W.shape
    return loss * d_T / d_S, gradient * d_T / d_S


def teacher_projected_instead(student, teacher, W, mask):
    real = mask == 1
    gap = teacher[real] @ W.T - student[real]
    return float((gap**2).mean()), 2 * gap.T @ teacher[real] / gap.size


def gradient_half_as_large(student, teacher, W, mask):
    loss, gradient = projected_loss(student, teacher, W, mask)
    return loss, gradient / 2


def gradient_of_the_wrong_sign(student, teacher, W, mask):
    loss, gradient = projected_loss(student, teacher, W, mask)
    return loss, -gradient


@st.composite
def narrow_and_wide(draw):
    n, tokens = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    d_S, d_T = draw(st.sampled_from([(1, 2), (2, 3), (2, 1), (2, 2)]))
    student, teacher = draw(arrays(n, tokens, d_S)), draw(arrays(n, tokens, d_T))
    return student, teacher, draw(arrays(d_S, d_T)), draw(masks(n, tokens))


# 11.4 ------------------------------------------------------------------ scores before the softmax


def attention_score_loss(
    q_S: Float[np.ndarray, "heads tokens d_student"],
    k_S: Float[np.ndarray, "heads tokens d_student"],
    q_T: Float[np.ndarray, "heads tokens d_teacher"],
    k_T: Float[np.ndarray, "heads tokens d_teacher"],
    n: int,
) -> float:
    """MSE(A_S, A_T) of the scores A = Q Kᵀ / √d before the softmax, for one text.

    The first `n` tokens are real, the rest is padding: a pair counts if both its query and its key
    are real. The mean is over these pairs and over the heads.

    >>> q, k = np.array([[[2.0], [9.0]]]), np.array([[[1.0], [9.0]]])
    >>> attention_score_loss(q, k, 2 * q, k, 1)  # (2 · 1 − 4 · 1)²
    4.0
    """

    def scores(q, k):
        return q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])

    gaps = scores(q_S, k_S) - scores(q_T, k_T)
    return float((gaps[:, :n, :n] ** 2).mean())


def _softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _scores(q, k):
    return q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])


def after_the_softmax(q_S, k_S, q_T, k_T, n):
    a, b = (_softmax(_scores(q[:, :n], k[:, :n])) for q, k in ((q_S, k_S), (q_T, k_T)))
    return float(((a - b) ** 2).mean())


def without_the_root(q_S, k_S, q_T, k_T, n):
    gaps = q_S @ k_S.transpose(0, 2, 1) - q_T @ k_T.transpose(0, 2, 1)
    return float((gaps[:, :n, :n] ** 2).mean())


def one_root_for_both(q_S, k_S, q_T, k_T, n):
    root = np.sqrt(q_S.shape[-1])
    gaps = q_S @ k_S.transpose(0, 2, 1) / root - q_T @ k_T.transpose(0, 2, 1) / root
    return float((gaps[:, :n, :n] ** 2).mean())


def padded_keys_scored(q_S, k_S, q_T, k_T, n):
    gaps = _scores(q_S, k_S) - _scores(q_T, k_T)
    return float((gaps[:, :n] ** 2).mean())


def padding_scored(q_S, k_S, q_T, k_T, n):
    return attention_score_loss(q_S, k_S, q_T, k_T, q_S.shape[1])


def heads_averaged_first(q_S, k_S, q_T, k_T, n):
    gaps = (_scores(q_S, k_S) - _scores(q_T, k_T)).mean(0)
    return float((gaps[:n, :n] ** 2).mean())


@st.composite
def queries_and_keys(draw):
    heads, tokens = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    d_S, d_T = draw(st.sampled_from([(1, 2), (2, 1), (2, 2), (2, 4)]))
    ours = (heads, tokens, d_S), (heads, tokens, d_S)
    theirs = (heads, tokens, d_T), (heads, tokens, d_T)
    q_S, k_S, q_T, k_T = (draw(arrays(*shape)) for shape in (*ours, *theirs))
    return q_S, k_S, q_T, k_T, draw(st.integers(1, tokens))


# 11.5 ------------------------------------------------------------------------- value relations


def value_relation_loss(
    v_S: Float[np.ndarray, "heads tokens d_student"],
    v_T: Float[np.ndarray, "heads tokens d_teacher"],
    n: int,
) -> float:
    """KL(VR_T ‖ VR_S) of the relations VR = softmax(V Vᵀ / √d), for one text of `n` real tokens.

    Each row of a relation is a distribution over the real tokens; the loss is the mean over heads
    and over the real rows.

    >>> v = np.array([[[0.0], [1.0], [7.0]]])
    >>> value_relation_loss(v, v, 2)
    0.0
    """

    def log_relation(v):
        scores = v[:, :n] @ v[:, :n].transpose(0, 2, 1) / np.sqrt(v.shape[-1])
        return scores - np.log(np.exp(scores).sum(-1, keepdims=True))

    log_q, log_p = log_relation(v_S), log_relation(v_T)
    return float((np.exp(log_p) * (log_p - log_q)).sum() / (len(v_S) * n))


def _log_relation(v, root, axis=-1):
    scores = v @ v.transpose(0, 2, 1) / root
    return scores - np.log(np.exp(scores).sum(axis, keepdims=True))


def _relation_kl(log_p, log_q, n):
    return float((np.exp(log_p) * (log_p - log_q)).sum(-1)[:, :n].mean())


def student_before_teacher(v_S, v_T, n):
    return value_relation_loss(v_T, v_S, n)


def relations_not_scaled(v_S, v_T, n):
    return _relation_kl(_log_relation(v_T[:, :n], 1), _log_relation(v_S[:, :n], 1), n)


def padding_in_the_relation(v_S, v_T, n):
    roots = np.sqrt(v_T.shape[-1]), np.sqrt(v_S.shape[-1])
    return _relation_kl(_log_relation(v_T, roots[0]), _log_relation(v_S, roots[1]), n)


def cross_entropy_not_kl(v_S, v_T, n):
    v_S, v_T = v_S[:, :n], v_T[:, :n]
    log_p = _log_relation(v_T, np.sqrt(v_T.shape[-1]))
    log_q = _log_relation(v_S, np.sqrt(v_S.shape[-1]))
    return float(-(np.exp(log_p) * log_q).sum(-1).mean())


def mean_over_pairs(v_S, v_T, n):
    return value_relation_loss(v_S, v_T, n) / n


def heads_summed(v_S, v_T, n):
    return value_relation_loss(v_S, v_T, n) * len(v_S)


@st.composite
def values_of_two(draw):
    heads, tokens = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    d_S, d_T = draw(st.sampled_from([(1, 2), (2, 1), (2, 2), (2, 4)]))
    v_S, v_T = draw(arrays(heads, tokens, d_S)), draw(arrays(heads, tokens, d_T))
    return v_S, v_T, draw(st.integers(1, tokens))


# 11.6 ----------------------------------------------------------------------------- layer maps


def layer_maps(M: int, N: int) -> tuple[list[int], list[int], list[int]]:
    """Which of its teacher's N layers teach a student's M layers: PKD-skip, PKD-last, TinyBERT.

    Layers are counted from 1. PKD teaches the student's layers 1 to M − 1: skip by every (N / M)-th
    of the teacher's, last by the layers just below its last. TinyBERT teaches layers 1 to M, evenly
    spread. M divides N.

    >>> layer_maps(3, 6)
    ([2, 4], [4, 5], [2, 4, 6])
    """
    step = N // M
    uniform = [step * m for m in range(1, M + 1)]
    last = list(range(N - M + 1, N))
    return uniform[:-1], last, uniform


def skip_with_the_last(M, N):
    _, last, uniform = layer_maps(M, N)
    return uniform, last, uniform


def last_with_the_very_last(M, N):
    skip, _, uniform = layer_maps(M, N)
    return skip, list(range(N - M + 2, N + 1)), uniform


def counted_from_zero(M, N):
    return tuple([layer - 1 for layer in layers] for layers in layer_maps(M, N))


def the_lowest_layers(M, N):
    skip, last, _ = layer_maps(M, N)
    return skip, last, list(range(1, M + 1))


def from_the_first_layer(M, N):
    skip, last, uniform = layer_maps(M, N)
    step = N // M
    return [layer - step + 1 for layer in skip], last, [layer - step + 1 for layer in uniform]


@st.composite
def depths(draw):
    M = draw(st.integers(1, 4))
    return M, M * draw(st.integers(1, 4))


# 11.7 ---------------------------------------------------------------------------- trimming


def trim(
    tokens: list[str],
    table: Float[np.ndarray, "vocab d"],
    text: Int[np.ndarray, " n"],
) -> tuple[list[str], Float[np.ndarray, "new_vocab d"], Int[np.ndarray, " n"]]:
    """The tokens that stay, their rows of the table, and the text in the new numbers.

    What stays: the tokens of the text; those in brackets, as [PAD]; and single characters, with or
    without ## before them. They keep their order.

    >>> trim(["[PAD]", "film", "##s", "great"], np.eye(4)[:, :1], np.array([3]))
    (['[PAD]', '##s', 'great'], array([[1.],
           [0.],
           [0.]]), array([2]))
    """
    stays = [
        i
        for i, token in enumerate(tokens)
        if i in text or token.startswith("[") or len(token.removeprefix("##")) == 1
    ]
    new = {old: i for i, old in enumerate(stays)}
    return [tokens[i] for i in stays], table[stays], np.array([new[int(i)] for i in text])


def _trimmed(tokens, table, text, stays):
    new = {old: i for i, old in enumerate(stays)}
    return [tokens[i] for i in stays], table[stays], np.array([new[int(i)] for i in text])


def special_tokens_lost(tokens, table, text):
    used = set(text.tolist())
    stays = [i for i, t in enumerate(tokens) if i in used or len(t.removeprefix("##")) == 1]
    return _trimmed(tokens, table, text, stays)


def characters_lost(tokens, table, text):
    used = set(text.tolist())
    stays = [i for i, t in enumerate(tokens) if i in used or t.startswith("[")]
    return _trimmed(tokens, table, text, stays)


def characters_within_lost(tokens, table, text):
    used = set(text.tolist())
    stays = [i for i, t in enumerate(tokens) if i in used or t.startswith("[") or len(t) == 1]
    return _trimmed(tokens, table, text, stays)


def rows_not_taken_along(tokens, table, text):
    kept, rows, new = trim(tokens, table, text)
    return kept, table[: len(rows)], new


def text_in_old_numbers(tokens, table, text):
    kept, rows, _ = trim(tokens, table, text)
    return kept, rows, text


def used_ones_first(tokens, table, text):
    kept, _, _ = trim(tokens, table, text)
    used = sorted(set(text.tolist()))
    others = [i for i, t in enumerate(tokens) if t in kept and i not in used]
    return _trimmed(tokens, table, text, [*used, *others])


@st.composite
def vocabularies(draw):
    pieces = ["[PAD]", "[UNK]", "film", "##s", "a", "##ing", "plot", "##t", "great", "o"]
    tokens = draw(st.permutations(pieces))[: draw(st.integers(4, 10))]
    table = np.arange(len(tokens) * 2, dtype=float).reshape(-1, 2)
    places = st.integers(0, len(tokens) - 1)
    text = draw(st.lists(places, min_size=1, max_size=4))
    return list(tokens), table, np.array(text)


# 11.8 ------------------------------------------------------------------------ gap recovered


def gap_recovered(
    student: Float[np.ndarray, " texts"],
    alone: Float[np.ndarray, " texts"],
    teacher: Float[np.ndarray, " texts"],
    draws: Int[np.ndarray, "resamples texts"],
) -> tuple[float, float, float]:
    """(student − alone) / (teacher − alone) of the mean scores, and the lowest and highest share
    among the resamples.

    `draws` says which texts each resample has: the same texts for all three. A resample in which
    the teacher is not better than the student alone has no share and is left out; without any share
    the lowest and the highest are nan.

    >>> s, a, t = np.array([1.0, 0.0]), np.array([0.0, 0.0]), np.array([1.0, 1.0])
    >>> gap_recovered(s, a, t, np.array([[0, 1], [0, 0], [1, 1]]))
    (0.5, 0.0, 1.0)
    """
    shares = []
    for places in draws:
        s, a, t = student[places].mean(), alone[places].mean(), teacher[places].mean()
        if t > a:
            shares.append(float((s - a) / (t - a)))
    s, a, t = student.mean(), alone.mean(), teacher.mean()
    low, high = (min(shares), max(shares)) if shares else (float("nan"), float("nan"))
    return float((s - a) / (t - a)), low, high


def _shares(student, alone, teacher, draws, share):
    rows = [(student[d].mean(), alone[d].mean(), teacher[d].mean()) for d in draws]
    shares = [float(share(*row)) for row in rows if row[2] > row[1]]
    whole = float(share(student.mean(), alone.mean(), teacher.mean()))
    return whole, min(shares, default=float("nan")), max(shares, default=float("nan"))


def share_of_the_teacher(student, alone, teacher, draws):
    return _shares(student, alone, teacher, draws, lambda s, a, t: s / t)


def gain_not_share(student, alone, teacher, draws):
    return _shares(student, alone, teacher, draws, lambda s, a, t: s - a)


def gap_that_is_left(student, alone, teacher, draws):
    return _shares(student, alone, teacher, draws, lambda s, a, t: (t - s) / (t - a))


def gap_fixed(student, alone, teacher, draws):
    gap = teacher.mean() - alone.mean()
    return _shares(student, alone, teacher, draws, lambda s, a, t: (s - a) / gap)


def mean_of_the_resamples(student, alone, teacher, draws):
    _, low, high = gap_recovered(student, alone, teacher, draws)
    rows = [(student[d].mean(), alone[d].mean(), teacher[d].mean()) for d in draws]
    shares = [(s - a) / (t - a) for s, a, t in rows if t > a]
    return float(np.mean(shares)) if shares else float("nan"), low, high


def not_paired(student, alone, teacher, draws):
    whole, _, _ = gap_recovered(student, alone, teacher, draws)
    backwards = draws[::-1]
    shares = [
        float((student[d].mean() - alone[e].mean()) / (teacher[e].mean() - alone[e].mean()))
        for d, e in zip(draws, backwards, strict=True)
        if teacher[e].mean() > alone[e].mean()
    ]
    return whole, min(shares, default=float("nan")), max(shares, default=float("nan"))


@st.composite
def three_scores(draw):
    n = draw(st.integers(2, 5))
    right = st.sampled_from([0.0, 1.0])
    student, alone, teacher = (
        np.array(draw(st.lists(right, min_size=n, max_size=n))) for _ in range(3)
    )
    if teacher.mean() <= alone.mean():
        teacher, alone = np.ones(n), alone.copy()
        alone[0] = 0.0
    places = st.lists(st.integers(0, n - 1), min_size=n, max_size=n)
    return student, alone, teacher, np.array(draw(st.lists(places, min_size=1, max_size=4)))


# 11.9 --------------------------------------------------------------------- a step of imitation


def imitation_step(
    w_S: Float[np.ndarray, " d"],
    w_T: Float[np.ndarray, " d"],
    x: Float[np.ndarray, "texts d"],
    keep: Int[np.ndarray, "texts d"],
    p: float,
    lr: float,
) -> tuple[float, Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """The loss, and the weights of student and teacher after one step of the student.

    Both are linear: they say x · w. The student is in training mode: its inputs pass dropout, which
    sets those where `keep` is 0 to zero and divides the others by 1 − p. The teacher is in
    evaluation mode, and does not learn. The loss is the mean over the texts of (student −
    teacher)²; w ← w − lr · gradient.

    >>> one = np.array([[1.0]])
    >>> imitation_step(np.array([1.0]), np.array([3.0]), one, np.array([[1]]), 0.5, 0.25)
    (1.0, array([2.]), array([3.]))
    """
    seen = x * keep / (1 - p)
    gap = seen @ w_S - x @ w_T
    gradient = 2 * seen.T @ gap / len(x)
    return float((gap**2).mean()), w_S - lr * gradient, w_T.copy()


def teacher_in_training_mode(w_S, w_T, x, keep, p, lr):
    seen = x * keep / (1 - p)
    gap = seen @ w_S - seen @ w_T
    return float((gap**2).mean()), w_S - lr * 2 * seen.T @ gap / len(x), w_T.copy()


def teacher_not_detached(w_S, w_T, x, keep, p, lr):
    loss, new_S, _ = imitation_step(w_S, w_T, x, keep, p, lr)
    gap = x * keep / (1 - p) @ w_S - x @ w_T
    return loss, new_S, w_T + lr * 2 * x.T @ gap / len(x)


def student_without_dropout(w_S, w_T, x, keep, p, lr):
    gap = x @ w_S - x @ w_T
    return float((gap**2).mean()), w_S - lr * 2 * x.T @ gap / len(x), w_T.copy()


def dropout_not_scaled(w_S, w_T, x, keep, p, lr):
    seen = x * keep
    gap = seen @ w_S - x @ w_T
    return float((gap**2).mean()), w_S - lr * 2 * seen.T @ gap / len(x), w_T.copy()


def step_upwards(w_S, w_T, x, keep, p, lr):
    loss, new_S, new_T = imitation_step(w_S, w_T, x, keep, p, lr)
    return loss, 2 * w_S - new_S, new_T


def gradient_of_the_sum(w_S, w_T, x, keep, p, lr):
    loss, new_S, new_T = imitation_step(w_S, w_T, x, keep, p, lr)
    return loss, w_S + len(x) * (new_S - w_S), new_T


@st.composite
def imitations(draw):
    n, d = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    keep = draw(st.lists(st.sampled_from([1, 1, 0]), min_size=n * d, max_size=n * d))
    lr = draw(st.sampled_from([0.25, 0.5]))
    shape = np.array(keep).reshape(n, d)
    return draw(arrays(d)), draw(arrays(d)), draw(arrays(n, d)), shape, 0.5, lr


# 11.10 ---------------------------------------------------------------------------- latency


def median_speedup(
    teacher: Float[np.ndarray, "rounds texts"], student: Float[np.ndarray, "rounds texts"]
) -> tuple[float, float, float]:
    """The median milliseconds of both models, and how many times as fast the student is.

    The entries are seconds, a row for each round over the same texts. The first round warms up and
    does not count.

    >>> slow, fast = np.array([[9.0, 9.0], [0.5, 0.25]]), np.array([[9.0, 9.0], [0.25, 0.125]])
    >>> median_speedup(slow, fast)
    (375.0, 187.5, 2.0)
    """
    slow, fast = np.median(teacher[1:]), np.median(student[1:])
    return float(1000 * slow), float(1000 * fast), float(slow / fast)


def warm_up_counted(teacher, student):
    slow, fast = np.median(teacher), np.median(student)
    return float(1000 * slow), float(1000 * fast), float(slow / fast)


def means_not_medians(teacher, student):
    slow, fast = teacher[1:].mean(), student[1:].mean()
    return float(1000 * slow), float(1000 * fast), float(slow / fast)


def the_other_way_round(teacher, student):
    slow, fast, ratio = median_speedup(teacher, student)
    return slow, fast, 1 / ratio


def median_of_the_ratios(teacher, student):
    slow, fast, _ = median_speedup(teacher, student)
    return slow, fast, float(np.median(teacher[1:] / student[1:]))


def quickest_of_all(teacher, student):
    slow, fast = teacher[1:].min(), student[1:].min()
    return float(1000 * slow), float(1000 * fast), float(slow / fast)


def in_seconds(teacher, student):
    slow, fast, ratio = median_speedup(teacher, student)
    return slow / 1000, fast / 1000, ratio


@st.composite
def timings(draw):
    rounds, texts = draw(st.integers(2, 3)), draw(st.integers(1, 4))
    seconds = st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0])

    def drawn():
        size = rounds * texts
        return np.array(draw(st.lists(seconds, min_size=size, max_size=size))).reshape(
            rounds, texts
        )

    return drawn(), drawn()


# --------------------------------------------------------------------------------------------

EXERCISES = [
    Exercise(
        id="11.1",
        title="The same direction",
        objective="You can compute DistilBERT's cosine loss without counting padding.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=cosine_loss,
        inputs=two_batches(),
        without=BY_HAND,
        mistakes={
            cosine_with_padding: "Padding is counted: only places where the mask is 1 may be in "
            "the mean.",
            dot_product: "Divide the product by the lengths of both vectors: a cosine does not see "
            "them.",
            similarity_not_loss: "That is the mean cosine; the loss is 1 − cos, 0 for vectors of "
            "the same direction.",
            texts_weigh_alike: "Each token counts once: you took a mean for each text first, so "
            "tokens of short texts count more.",
            cosine_divided_by_all_places: "Divide by the number of real tokens, not of all places.",
        },
        hints=(
            "(student * teacher).sum(-1) has one product a token.",
            "np.linalg.norm(student, axis=-1) has the lengths.",
            "(1 - cosine)[mask == 1].mean()",
        ),
    ),
    Exercise(
        id="11.2",
        title="Patience",
        objective="You can compare [CLS] vectors as BERT-PKD does.",
        points=2,
        minutes=12,
        difficulty=1,
        reference=patient_loss,
        inputs=cls_states(),
        without=BY_HAND,
        mistakes={
            not_normalised: "Divide each vector by its length first; else long vectors rule the "
            "loss.",
            mean_over_layers: "The layers are summed, only the texts are averaged.",
            all_layers_one_length: "Each layer's vector has a length of its own; you divided by "
            "that of all layers together.",
            patience_not_squared: "The distance is squared.",
            mean_over_the_width: "The squared differences of a vector are summed over the width.",
            summed_over_texts: "The loss is a mean over the texts.",
        },
        hints=(
            "np.linalg.norm(student, axis=-1, keepdims=True) can be divided by.",
            "Sum the squares over layers and width: .sum((1, 2)).",
            "((s - t) ** 2).sum((1, 2)).mean()",
        ),
    ),
    Exercise(
        id="11.3",
        title="Through a projection",
        objective="You can compare vectors of different widths, and learn what is between them.",
        points=3,
        minutes=18,
        difficulty=2,
        reference=projected_loss,
        inputs=narrow_and_wide(),
        without=BY_HAND,
        mistakes={
            projection_with_padding: "Padding is counted: take the tokens where the mask is 1 "
            "first.",
            summed_over_the_width: "MSE is a mean over the teacher's width too, not a sum.",
            divided_by_the_students_width: "The differences are as wide as the teacher: divide by "
            "its width, not by the student's.",
            teacher_projected_instead: "W makes the student's vectors wide: the student is "
            "projected, not the teacher.",
            gradient_half_as_large: "The derivative of a square is twice the difference: your "
            "gradient is half as large.",
            gradient_of_the_wrong_sign: "Your gradient points downhill; it is by H_S W − H_T, not "
            "H_T − H_S.",
        },
        hints=(
            "real = mask == 1; student[real] has one row a real token.",
            "gap = student[real] @ W - teacher[real]; the loss is (gap ** 2).mean().",
            "The gradient is 2 * student[real].T @ gap / gap.size.",
        ),
    ),
    Exercise(
        id="11.4",
        title="Scores before the softmax",
        objective="You can compare where two models' heads look, as TinyBERT does.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=attention_score_loss,
        inputs=queries_and_keys(),
        without=BY_HAND,
        mistakes={
            after_the_softmax: "TinyBERT compares the scores before the softmax.",
            without_the_root: "The scores are divided by √d.",
            one_root_for_both: "Student and teacher have each its own d: divide each by its own "
            "root.",
            padded_keys_scored: "A padded key is no partner: a pair counts if query and key are "
            "real.",
            padding_scored: "Padding is counted: only the first n queries and keys are real.",
            heads_averaged_first: "Take the square of every head's difference, then the mean: "
            "heads that err in different directions must not cancel.",
        },
        hints=(
            "k.transpose(0, 2, 1) swaps tokens and width of every head.",
            "A = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1]), once for each model.",
            "((A_S - A_T)[:, :n, :n] ** 2).mean()",
        ),
    ),
    Exercise(
        id="11.5",
        title="How values relate",
        objective="You can compare value relations as MiniLM does.",
        points=3,
        minutes=18,
        difficulty=2,
        reference=value_relation_loss,
        inputs=values_of_two(),
        without=BY_HAND,
        mistakes={
            student_before_teacher: "KL(teacher ‖ student): the teacher's probabilities weigh the "
            "terms. Yours is the other direction.",
            relations_not_scaled: "Divide the products by √d before the softmax.",
            padding_in_the_relation: "Padding has a share in your distributions: cut the values to "
            "the first n tokens before the softmax.",
            cross_entropy_not_kl: "That is the cross-entropy; subtract the teacher's entropy, so "
            "that a copy costs 0.",
            mean_over_pairs: "A row's KL is a sum over its entries; the mean is over rows and "
            "heads only.",
            heads_summed: "Take the mean over the heads.",
        },
        hints=(
            "v = v[:, :n] throws the padding out before anything else.",
            "log softmax: scores - np.log(np.exp(scores).sum(-1, keepdims=True)).",
            "(np.exp(log_p) * (log_p - log_q)).sum() / (heads · n)",
        ),
    ),
    Exercise(
        id="11.6",
        title="Which layer from which",
        objective="You can write down the layer maps of PKD and TinyBERT.",
        points=1,
        minutes=8,
        difficulty=1,
        reference=layer_maps,
        inputs=depths(),
        without=BY_HAND,
        mistakes={
            skip_with_the_last: "PKD teaches layers 1 to M − 1 only: the last is left to the "
            "logits.",
            last_with_the_very_last: "PKD-last ends just below the teacher's last layer, at N − 1.",
            counted_from_zero: "Layers are counted from 1 here.",
            the_lowest_layers: "TinyBERT's layers are evenly spread up to N, not the lowest M.",
            from_the_first_layer: "Count the steps from the bottom: layer m learns from m · N / M, "
            "so that the last learns from the last.",
        },
        hints=(
            "step = N // M",
            "TinyBERT: step · m for m = 1 … M. PKD-skip is the same without its last entry.",
            "PKD-last: M − 1 layers that end at N − 1.",
        ),
    ),
    Exercise(
        id="11.7",
        title="Trim a vocabulary",
        objective="You can throw tokens out so that the model stays the same on its text.",
        points=3,
        minutes=18,
        difficulty=2,
        reference=trim,
        inputs=vocabularies(),
        without=BY_HAND,
        mistakes={
            special_tokens_lost: "Tokens in brackets stay, whether or not the text has them: every "
            "batch needs [PAD].",
            characters_lost: "Single characters stay, or new words cannot be spelt.",
            characters_within_lost: "##s is a single character too, within a word: it stays.",
            rows_not_taken_along: "Each token takes its own row of the table along; you kept the "
            "first rows.",
            text_in_old_numbers: "The text must name the tokens by their new numbers.",
            used_ones_first: "The tokens keep their order; yours begin with those of the text.",
        },
        hints=(
            "Collect the old numbers that stay, in order.",
            "token.removeprefix('##') is one character long for s and ##s.",
            "table[stays] has the rows; {old: new for new, old in enumerate(stays)} renumbers.",
        ),
    ),
    Exercise(
        id="11.8",
        title="Gap recovered",
        objective="You can say how much of the way to its teacher a student gained, how surely.",
        points=3,
        minutes=20,
        difficulty=3,
        reference=gap_recovered,
        inputs=three_scores(),
        without=BY_HAND,
        mistakes={
            share_of_the_teacher: "That is the share of the teacher's accuracy: 99 % of it may be "
            "no gain at all. Subtract the student alone from both.",
            gain_not_share: "That is the gain in accuracy; divide it by the gap between the "
            "teacher and the student alone.",
            gap_that_is_left: "That is the part of the gap that is left; you want the part that "
            "was gained.",
            gap_fixed: "The gap is measured on the same texts: compute it anew in every resample.",
            mean_of_the_resamples: "The share itself is that of all texts; resamples give the "
            "interval.",
            not_paired: "Each resample has the same texts for all three: pair them.",
        },
        hints=(
            "student[places].mean() is the accuracy in a resample.",
            "Skip a resample where teacher[places].mean() <= alone[places].mean().",
            "Then the lowest and highest of the shares; float('nan') where there are none.",
        ),
    ),
    Exercise(
        id="11.9",
        title="A step of imitation",
        objective="You can keep a teacher still: no dropout, no gradient.",
        points=3,
        minutes=18,
        difficulty=2,
        reference=imitation_step,
        inputs=imitations(),
        without=BY_HAND,
        mistakes={
            teacher_in_training_mode: "The teacher reads x as it is: in evaluation mode there is "
            "no dropout.",
            teacher_not_detached: "Your teacher moved towards its student. It is a constant.",
            student_without_dropout: "The student is in training mode: its inputs pass dropout.",
            dropout_not_scaled: "Dropout divides what it keeps by 1 − p.",
            step_upwards: "Your step goes uphill: subtract lr · gradient.",
            gradient_of_the_sum: "The loss is a mean over the texts, and so is its gradient.",
        },
        hints=(
            "seen = x * keep / (1 - p) is what the student reads.",
            "gap = seen @ w_S - x @ w_T",
            "The gradient by w_S is 2 * seen.T @ gap / len(x).",
        ),
    ),
    Exercise(
        id="11.10",
        title="How much faster",
        objective="You can report latency so that it can be repeated.",
        points=1,
        minutes=8,
        difficulty=1,
        reference=median_speedup,
        inputs=timings(),
        without=BY_HAND,
        mistakes={
            warm_up_counted: "The first round warms up: leave it out.",
            means_not_medians: "Take medians: one interruption moves a mean.",
            the_other_way_round: "How many times as fast the student is: teacher / student.",
            median_of_the_ratios: "Take the ratio of the medians, not the median of the ratios.",
            quickest_of_all: "The quickest call is not the usual one: take the median.",
            in_seconds: "The entries are seconds; milliseconds are asked for.",
        },
        hints=(
            "teacher[1:] leaves the first round out.",
            "np.median of an array takes all its entries together.",
            "The ratio is median of the teacher / median of the student.",
        ),
    ),
]
