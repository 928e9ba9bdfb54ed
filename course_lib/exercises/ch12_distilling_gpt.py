"""The exercises of chapter 12, distilling GPT: references and known mistakes.

Letters as in the chapter: z are logits, p is the teacher's distribution and q the student's, T the
temperature, k how many of the teacher's tokens are kept, λ (`mix`) the share of own texts. Rows are
the places of a text.

For each exercise stand here its reference (which becomes the solutions page), its known mistakes,
and the strategy that draws its inputs; the list `EXERCISES` at the end puts them together.
"""

import math

import numpy as np
from hypothesis import strategies as st
from jaxtyping import Bool, Float, Int

from course_lib.exercises.exercise import Exercise

BY_HAND = ("course_lib", "torch", "transformers", "scipy")  # an answer is written by hand
IGNORED = -100


def softmax(z: np.ndarray, T: float | int = 1.0) -> np.ndarray:
    """exp(z / T) / Σ exp(z / T) over the last axis."""
    e = np.exp((z - z.max(-1, keepdims=True)) / T)
    return e / e.sum(-1, keepdims=True)


def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray | float:
    """Σ p ln(p / q) over the last axis, where p = 0 adds nothing."""
    safe = np.where(p > 0, p, 1.0)
    return np.where(p > 0, p * (np.log(safe) - np.log(q)), 0.0).sum(-1)


def rows(draw, n: int, vocab: int) -> np.ndarray:
    """n distributions over `vocab` tokens, none of them zero."""
    whole = st.lists(st.integers(1, 9), min_size=vocab, max_size=vocab)
    counts = np.array(draw(st.lists(whole, min_size=n, max_size=n)), float).reshape(n, vocab)
    return counts / counts.sum(-1, keepdims=True)


# 12.1 ------------------------------------------------------------------- soft targets of a text


def soft_loss(
    z: Float[np.ndarray, "places vocab"],
    z_teacher: Float[np.ndarray, "places vocab"],
    scored: Bool[np.ndarray, " places"],
    T: float,
) -> float:
    """T² · KL(teacher at T ‖ student at T), the mean over the scored places; 0 if there are none.

    >>> z, teacher = np.zeros((2, 2)), np.log([[0.5, 0.5], [0.9, 0.1]])
    >>> round(soft_loss(z, teacher, np.array([False, True]), 1.0), 4)
    0.3681
    """
    nats = []
    for i in np.flatnonzero(scored):
        p, q = np.exp(z_teacher[i] / T), np.exp(z[i] / T)
        p, q = p / p.sum(), q / q.sum()
        nats.append((p * np.log(p / q)).sum())
    return float(T * T * np.mean(nats)) if nats else 0.0


def every_place_scored(z, z_teacher, scored, T):
    return float(T * T * kl(softmax(z_teacher, T), softmax(z, T)).mean()) if scored.any() else 0.0


def divided_by_all_places(z, z_teacher, scored, T):
    nats = kl(softmax(z_teacher, T), softmax(z, T))
    return float(T * T * (nats * scored).mean())


def T_squared_forgotten(z, z_teacher, scored, T):
    return soft_loss(z, z_teacher, scored, T) / T**2


def student_left_at_T_1(z, z_teacher, scored, T):
    if not scored.any():
        return 0.0
    return float(T * T * kl(softmax(z_teacher, T), softmax(z))[scored].mean())


def the_other_direction(z, z_teacher, scored, T):
    return soft_loss(z_teacher, z, scored, T)


def a_sum_over_places(z, z_teacher, scored, T):
    return soft_loss(z, z_teacher, scored, T) * int(scored.sum())


@st.composite
def texts_to_score(draw):
    n, vocab = draw(st.integers(1, 3)), draw(st.integers(2, 3))
    z, z_teacher = (
        np.array(
            draw(
                st.lists(
                    st.lists(st.integers(-6, 6), min_size=vocab, max_size=vocab),
                    min_size=n,
                    max_size=n,
                )
            ),
            float,
        )
        / 3
        for _ in range(2)
    )
    scored = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    return z, z_teacher, scored, draw(st.sampled_from([0.5, 1.0, 2.0, 3.0]))


# 12.2 ------------------------------------------------------------------------- what is kept


def keep_top_k(
    p: Float[np.ndarray, " vocab"], k: int
) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, " k_and_rest"]]:
    """The k likeliest tokens, likeliest first, and k + 1 numbers: their probabilities and the rest.

    The last number is the probability of all other tokens together. No two tokens are equally
    likely, and k is at most the number of tokens.

    >>> keep_top_k(np.array([0.3, 0.1, 0.6]), 2)
    (array([2, 0]), array([0.6, 0.3, 0.1]))
    """
    tokens = np.argsort(-p)[:k]
    return tokens, np.append(p[tokens], 1 - p[tokens].sum())


def scaled_up_to_one(p, k):
    tokens = np.argsort(-p)[:k]
    return tokens, np.append(p[tokens] / p[tokens].sum(), 0.0)


def the_first_k(p, k):
    return np.arange(k), np.append(p[:k], 1 - p[:k].sum())


def likeliest_last(p, k):
    tokens = np.argsort(p)[-k:]
    return tokens, np.append(p[tokens], 1 - p[tokens].sum())


def the_unlikeliest(p, k):
    tokens = np.argsort(p)[:k]
    return tokens, np.append(p[tokens], 1 - p[tokens].sum())


def rest_spread_over_its_tokens(p, k):
    tokens = np.argsort(-p)[:k]
    return tokens, np.append(p[tokens], (1 - p[tokens].sum()) / max(1, len(p) - k))


def the_next_instead_of_the_rest(p, k):
    order = np.argsort(-p)
    return order[:k], np.append(p[order[:k]], p[order[k]] if k < len(p) else 0.0)


@st.composite
def distributions_and_k(draw):
    counts = draw(st.lists(st.integers(1, 20), min_size=2, max_size=6, unique=True))
    return np.array(counts) / sum(counts), draw(st.integers(1, len(counts)))


# 12.3 ----------------------------------------------------------------- the loss on what is kept


def top_k_loss(
    q: Float[np.ndarray, " vocab"],
    tokens: Int[np.ndarray, " k"],
    kept: Float[np.ndarray, " k_and_rest"],
) -> float:
    """KL(teacher ‖ student) over k + 1 outcomes: each kept token, and "any other".

    `kept` are the teacher's probabilities of `tokens` and, last, of all others together. `q` is the
    student's distribution over all tokens. An outcome of probability 0 adds nothing.

    >>> q = np.array([0.5, 0.3, 0.2])
    >>> round(top_k_loss(q, np.array([0, 1]), np.array([0.6, 0.3, 0.1])), 4)
    0.0401
    """
    outcomes = np.append(q[tokens], 1 - q[tokens].sum())
    some = kept > 0
    return float((kept[some] * np.log(kept[some] / outcomes[some])).sum())


def the_rest_left_out(q, tokens, kept):
    return float(kl(kept[:-1], q[tokens]))


def both_scaled_up(q, tokens, kept):
    p, q = kept[:-1] / kept[:-1].sum(), q[tokens] / q[tokens].sum()
    return float(kl(p, q))


def teacher_scaled_up(q, tokens, kept):
    return float(kl(kept[:-1] / kept[:-1].sum(), q[tokens]))


def rest_as_one_even_guess(q, tokens, kept):
    others = np.setdiff1d(np.arange(len(q)), tokens)
    p = np.zeros(len(q))
    p[tokens] = kept[:-1]
    p[others] = kept[-1] / max(1, len(others))
    return float(kl(p, q))


def cross_entropy_of_the_kept(q, tokens, kept):
    outcomes = np.append(q[tokens], 1 - q[tokens].sum())
    some = kept > 0
    return float(-(kept[some] * np.log(outcomes[some])).sum())


def student_against_teacher(q, tokens, kept):
    outcomes = np.append(q[tokens], 1 - q[tokens].sum())
    some = kept > 0
    return float((outcomes[some] * np.log(outcomes[some] / kept[some])).sum())


@st.composite
def students_and_kept(draw):
    vocab = draw(st.integers(3, 5))
    p, q = rows(draw, 2, vocab)
    tokens = np.argsort(-p)[: draw(st.integers(1, vocab - 1))]
    rest = 0.0 if draw(st.integers(0, 7)) == 0 else 1 - p[tokens].sum()
    kept = p[tokens] / (p[tokens].sum() + rest)
    return q, tokens, np.append(kept, 1 - kept.sum() if rest else 0.0)


# 12.4 --------------------------------------------------------------- a data set that was written


def written_example(
    prompt: list[int], written: list[int]
) -> tuple[Int[np.ndarray, " inputs"], Int[np.ndarray, " inputs"]]:
    """Inputs and targets of a text of which only what the teacher wrote is learned.

    The inputs are prompt and text without the last token. The target of each is the token after it;
    where that is a token of the prompt, the target is −100.

    >>> written_example([7, 8], [1, 2])
    (array([7, 8, 1]), array([-100,    1,    2]))
    """
    window = np.array(prompt + written)
    targets = window[1:].copy()
    targets[: len(prompt) - 1] = -100
    return window[:-1], targets


def prompt_learned_too(prompt, written):
    window = np.array(prompt + written)
    return window[:-1], window[1:]


def first_written_token_lost(prompt, written):
    inputs, targets = written_example(prompt, written)
    targets[: len(prompt)] = IGNORED
    return inputs, targets


def targets_not_shifted(prompt, written):
    window = np.array(prompt + written)
    targets = window[:-1].copy()
    targets[: len(prompt)] = IGNORED
    return window[:-1], targets


def prompt_not_read(prompt, written):
    window = np.array([prompt[-1], *written])
    return window[:-1], window[1:]


def written_ignored_instead(prompt, written):
    inputs, targets = prompt_learned_too(prompt, written)
    targets = targets.copy()
    targets[len(prompt) - 1 :] = IGNORED
    return inputs, targets


@st.composite
def prompts_and_texts(draw):
    tokens = st.lists(st.integers(0, 9), min_size=1, max_size=4)
    return draw(tokens), draw(tokens)


# 12.5 -------------------------------------------------------------------- the KL of whole texts


def kl_of_texts(
    p1: Float[np.ndarray, " vocab"],
    p2: Float[np.ndarray, "vocab vocab"],
    q1: Float[np.ndarray, " vocab"],
    q2: Float[np.ndarray, "vocab vocab"],
) -> float:
    """KL(teacher ‖ student) between the distributions of whole texts of two tokens.

    The teacher's first token has the distribution p1, its second, after the token a, row a of p2;
    the student's are q1 and q2. A text's probability is the product of both. None is zero.

    >>> half = np.array([0.5, 0.5])
    >>> p2 = np.array([[0.9, 0.1], [0.5, 0.5]])
    >>> round(kl_of_texts(half, p2, half, np.full((2, 2), 0.5)), 4)
    0.184
    """
    p, q = p1[:, None] * p2, q1[:, None] * q2
    return float((p * np.log(p / q)).sum())


def second_rows_unweighted(p1, p2, q1, q2):
    return float(kl(p1, q1) + kl(p2, q2).mean())


def second_rows_added_up(p1, p2, q1, q2):
    return float(kl(p1, q1) + kl(p2, q2).sum())


def weighted_by_the_student(p1, p2, q1, q2):
    return float(kl(p1, q1) + q1 @ kl(p2, q2))


def only_the_second(p1, p2, q1, q2):
    return float(p1 @ kl(p2, q2))


def reverse_of_texts(p1, p2, q1, q2):
    return kl_of_texts(q1, q2, p1, p2)


def only_the_likeliest_first(p1, p2, q1, q2):
    best = int(p1.argmax())
    return float(kl(p1, q1) + kl(p2[best], q2[best]))


@st.composite
def two_token_models(draw):
    vocab = draw(st.integers(2, 3))
    p, q = rows(draw, vocab + 1, vocab), rows(draw, vocab + 1, vocab)
    return p[0], p[1:], q[0], q[1:]


# 12.6 ---------------------------------------------------------------------- on the student's texts


def on_policy_loss(
    q: Float[np.ndarray, "places vocab"], p: Float[np.ndarray, "places vocab"], prompt: int
) -> float:
    """The mean reverse KL, KL(student ‖ teacher), over the places whose next token was written.

    Row i of q (the student) and p (the teacher) is the distribution of the token after token i. The
    first `prompt` tokens of the text are real, so rows 0 … prompt − 2 predict real tokens and are
    not scored. At least one row is.

    >>> q, p = np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([[0.9, 0.1], [0.8, 0.2]])
    >>> round(on_policy_loss(q, p, 2), 4)
    0.2231
    """
    nats = (q * np.log(q / p)).sum(axis=1)
    return float(nats[prompt - 1 :].mean())


def forward_on_own_text(q, p, prompt):
    return float(kl(p, q)[prompt - 1 :].mean())


def prompt_scored(q, p, prompt):
    return float(kl(q, p).mean())


def own_entropy_forgotten(q, p, prompt):
    return float(-(q * np.log(p)).sum(1)[prompt - 1 :].mean())


def divided_by_all(q, p, prompt):
    return float(kl(q, p)[prompt - 1 :].sum() / len(q))


def summed(q, p, prompt):
    return float(kl(q, p)[prompt - 1 :].sum())


def only_the_prompt(q, p, prompt):
    return float(kl(q, p)[:prompt].mean())


@st.composite
def own_texts(draw):
    n, vocab = draw(st.integers(1, 4)), draw(st.integers(2, 3))
    return rows(draw, n, vocab), rows(draw, n, vocab), draw(st.integers(1, n))


# 12.7 ---------------------------------------------------------------------- gradients of both


def gradients(
    z: Float[np.ndarray, " vocab"], z_teacher: Float[np.ndarray, " vocab"], T: float
) -> tuple[Float[np.ndarray, " vocab"], Float[np.ndarray, " vocab"]]:
    """The gradients of T² · KL(teacher at T ‖ student at T) that training uses, at one place.

    First by the student's logits, then by the teacher's, which is a constant in training.

    >>> gradients(np.zeros(2), np.log(np.array([0.9, 0.1])), 1.0)
    (array([-0.4,  0.4]), array([0., 0.]))
    """
    p, q = np.exp(z_teacher / T), np.exp(z / T)
    p, q = p / p.sum(), q / q.sum()
    return T * (q - p), np.zeros(len(z_teacher))


def teacher_learns_too(z, z_teacher, T):
    p, q = softmax(z_teacher, T), softmax(z, T)
    log_ratio = np.log(p / q)
    return T * (q - p), T * p * (log_ratio - (p * log_ratio).sum())


def teacher_pulled_the_other_way(z, z_teacher, T):
    p, q = softmax(z_teacher, T), softmax(z, T)
    return T * (q - p), T * (p - q)


def away_from_the_teacher(z, z_teacher, T):
    return -gradients(z, z_teacher, T)[0], np.zeros(len(z))


def T_forgotten(z, z_teacher, T):
    return gradients(z, z_teacher, T)[0] / T, np.zeros(len(z))


def T_twice(z, z_teacher, T):
    return gradients(z, z_teacher, T)[0] * T, np.zeros(len(z))


def at_temperature_one(z, z_teacher, T):
    return softmax(z) - softmax(z_teacher), np.zeros(len(z))


@st.composite
def logits_of_both(draw):
    vocab = draw(st.integers(2, 4))
    some = st.lists(st.integers(-6, 6), min_size=vocab, max_size=vocab)
    z, z_teacher = (np.array(draw(some), float) / 3 for _ in range(2))
    return z, z_teacher, draw(st.sampled_from([0.5, 1.0, 2.0, 4.0]))


# 12.8 ---------------------------------------------------------------------------- a share of own


def mixed_loss(real: list[list[float]], own: list[list[float]], mix: float) -> float:
    """(1 − λ) · mean loss of a token of the real texts + λ · that of the student's own texts.

    `real` and `own` hold the losses of the tokens of each text; texts differ in length, and every
    token of a kind counts the same.

    >>> mixed_loss([[1.0], [3.0, 5.0]], [[9.0]], 0.5)
    6.0
    """
    real_tokens = [loss for text in real for loss in text]
    own_tokens = [loss for text in own for loss in text]
    mean_real = sum(real_tokens) / len(real_tokens)
    return (1 - mix) * mean_real + mix * sum(own_tokens) / len(own_tokens)


def shares_swapped(real, own, mix):
    return mixed_loss(real, own, 1 - mix)


def means_of_means(real, own, mix):
    def mean(texts):
        return float(np.mean([np.mean(text) for text in texts]))

    return (1 - mix) * mean(real) + mix * mean(own)


def all_tokens_in_one_mean(real, own, mix):
    real_sum, own_sum = (sum(x for text in texts for x in text) for texts in (real, own))
    n_real, n_own = (sum(len(text) for text in texts) for texts in (real, own))
    return ((1 - mix) * real_sum + mix * own_sum) / ((1 - mix) * n_real + mix * n_own)


def own_added_on_top(real, own, mix):
    return mixed_loss(real, own, 0.0) + mix * mixed_loss(real, own, 1.0)


def sums_mixed(real, own, mix):
    real_sum, own_sum = (sum(x for text in texts for x in text) for texts in (real, own))
    return (1 - mix) * real_sum + mix * own_sum


@st.composite
def losses_of_texts(draw):
    text = st.lists(st.integers(0, 12).map(lambda n: n / 4), min_size=1, max_size=3)
    texts = st.lists(text, min_size=1, max_size=3)
    return draw(texts), draw(texts), draw(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))


# 12.9 --------------------------------------------------------------------------------- distinct-n


def distinct(texts: list[list[str]], n: int) -> float:
    """Different n-grams / all n-grams, of all texts together; no n-gram crosses two texts.

    At least one text has n words.

    >>> distinct([["to", "be", "or"], ["to", "be"]], 2)
    0.6666666666666666
    """
    grams = [tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams)


def averaged_over_texts(texts, n):
    return float(np.mean([distinct([text], n) for text in texts if len(text) >= n]))


def across_texts(texts, n):
    return distinct([[word for text in texts for word in text]], n)


def over_the_number_of_words(texts, n):
    grams = {tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1)}
    return len(grams) / sum(len(text) for text in texts)


def words_instead_of_n_grams(texts, n):
    return distinct(texts, 1)


def without_order(texts, n):
    grams = [tuple(sorted(text[i : i + n])) for text in texts for i in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams)


def side_by_side_only(texts, n):
    grams = [tuple(text[i : i + n]) for text in texts for i in range(0, len(text) - n + 1, n)]
    return len(set(grams)) / len(grams)


@st.composite
def texts_and_n(draw):
    n = draw(st.integers(1, 3))
    text = st.lists(st.sampled_from("abc"), min_size=0, max_size=6)
    texts = draw(st.lists(text, min_size=1, max_size=3).filter(lambda t: max(map(len, t)) >= n))
    return texts, n


# 12.10 -------------------------------------------------------------------------- shared n-grams


def shared(texts: list[list[str]], n: int) -> float:
    """How much texts repeat each other: the mean over texts of the share of their shared n-grams.

    An n-gram of a text is shared when another text has it too. Repeated n-grams of a text count
    each time. Every text has at least n words, and there are at least two texts.

    >>> shared([["a", "b", "a", "b"], ["a", "b"]], 2)
    0.8333333333333333
    """
    grams = [[tuple(text[i : i + n]) for i in range(len(text) - n + 1)] for text in texts]
    shares = []
    for i, own in enumerate(grams):
        others = {gram for j, other in enumerate(grams) if j != i for gram in other}
        shares.append(sum(gram in others for gram in own) / len(own))
    return sum(shares) / len(shares)


def _shares(texts, n, held):
    grams = [[tuple(text[i : i + n]) for i in range(len(text) - n + 1)] for text in texts]
    return float(np.mean([held(own, grams[:i] + grams[i + 1 :]) for i, own in enumerate(grams)]))


def repeats_of_oneself_count(texts, n):
    def held(own, others):
        every = [gram for other in [own, *others] for gram in other]
        return np.mean([every.count(gram) > 1 for gram in own])

    return _shares(texts, n, held)


def each_n_gram_once(texts, n):
    def held(own, others):
        theirs = {gram for other in others for gram in other}
        return np.mean([gram in theirs for gram in set(own)])

    return _shares(texts, n, held)


def only_the_next_text(texts, n):
    return _shares(texts, n, lambda own, others: np.mean([gram in others[0] for gram in own]))


def the_most_similar_text(texts, n):
    return _shares(
        texts, n, lambda own, others: max(np.mean([g in other for g in own]) for other in others)
    )


def all_n_grams_in_one_mean(texts, n):
    grams = [[tuple(text[i : i + n]) for i in range(len(text) - n + 1)] for text in texts]
    found = [
        any(gram in other for j, other in enumerate(grams) if j != i)
        for i, own in enumerate(grams)
        for gram in own
    ]
    return float(np.mean(found))


def unshared(texts, n):
    return 1 - shared(texts, n)


@st.composite
def texts_that_repeat(draw):
    n = draw(st.integers(1, 2))
    text = st.lists(st.sampled_from("abcd"), min_size=n, max_size=5)
    return draw(st.lists(text, min_size=2, max_size=4)), n


# 12.11 --------------------------------------------------------------------------- three accounts


def steps_without_a_teacher(
    steps: int, student_step: float, teacher_pass: float, teacher_training: float
) -> tuple[int, int, int]:
    """How many steps the student without a teacher may take, on three accounts.

    The distilled student takes `steps` steps; each costs a step of its own and a pass of the
    teacher, in seconds. The three numbers: at equal steps; in equal seconds; in the seconds of the
    distillation and of the teacher's whole training together. Only whole steps count.

    >>> steps_without_a_teacher(10, 2.0, 1.0, 9.0)
    (10, 15, 19)
    """
    seconds = steps * (student_step + teacher_pass)
    return (
        steps,
        math.floor(seconds / student_step),
        math.floor((seconds + teacher_training) / student_step),
    )


def teachers_pass_forgotten(steps, student_step, teacher_pass, teacher_training):
    return steps_without_a_teacher(steps, student_step, 0.0, teacher_training)


def training_without_the_distillation(steps, student_step, teacher_pass, teacher_training):
    same, equal, _ = steps_without_a_teacher(steps, student_step, teacher_pass, 0.0)
    return same, equal, math.floor(teacher_training / student_step)


def training_paid_at_every_step(steps, student_step, teacher_pass, teacher_training):
    same, equal, _ = steps_without_a_teacher(steps, student_step, teacher_pass, 0.0)
    seconds = steps * (student_step + teacher_pass + teacher_training)
    return same, equal, math.floor(seconds / student_step)


def at_the_price_of_distilling(steps, student_step, teacher_pass, teacher_training):
    both = student_step + teacher_pass
    return steps, steps, math.floor((steps * both + teacher_training) / both)


def fewer_instead_of_more(steps, student_step, teacher_pass, teacher_training):
    _, _, total = steps_without_a_teacher(steps, student_step, teacher_pass, teacher_training)
    return steps, math.floor(steps * student_step / (student_step + teacher_pass)), total


def rounded_up(steps, student_step, teacher_pass, teacher_training):
    seconds = steps * (student_step + teacher_pass)
    return (
        steps,
        math.ceil(seconds / student_step),
        math.ceil((seconds + teacher_training) / student_step),
    )


@st.composite
def prices(draw):
    quarter = st.integers(1, 12).map(lambda n: n / 4)
    return (
        draw(st.integers(1, 50)),
        draw(quarter),
        draw(quarter),
        draw(st.integers(1, 200).map(lambda n: n / 4)),
    )


# 12.12 --------------------------------------------------------------------------- gap recovered


def gap_recovered(
    student: Float[np.ndarray, "seeds blocks"],
    without_teacher: Float[np.ndarray, "seeds_too blocks"],
    teacher: Float[np.ndarray, " blocks"],
) -> float:
    """The part of the way from the student without a teacher to the teacher that was gone.

    All are losses (lower is better) of the same blocks of text. Take the mean over seeds and blocks
    first; 0 is the student without a teacher, 1 the teacher.

    >>> gap = gap_recovered(np.array([[1.5, 1.6]]), np.array([[1.6, 1.8]]), np.array([1.4, 1.5]))
    >>> round(gap, 4)
    0.6
    """
    gap = without_teacher.mean() - teacher.mean()
    return float((without_teacher.mean() - student.mean()) / gap)


def ratio_of_losses(student, without_teacher, teacher):
    return float(teacher.mean() / student.mean())


def mean_of_the_blocks_gaps(student, without_teacher, teacher):
    baseline = without_teacher.mean(0)
    return float(((baseline - student.mean(0)) / (baseline - teacher)).mean())


def what_is_left_of_the_gap(student, without_teacher, teacher):
    return 1 - gap_recovered(student, without_teacher, teacher)


def gain_over_the_baseline(student, without_teacher, teacher):
    return float(1 - student.mean() / without_teacher.mean())


def best_seed_only(student, without_teacher, teacher):
    best = student[student.mean(1).argmin()][None]
    return gap_recovered(best, without_teacher, teacher)


def seeds_of_the_baseline_forgotten(student, without_teacher, teacher):
    return gap_recovered(student, without_teacher[:1], teacher)


@st.composite
def losses_of_three(draw):
    blocks = draw(st.integers(1, 3))

    def losses(seeds, low, high):
        row = st.lists(st.integers(low, high), min_size=blocks, max_size=blocks)
        return np.array(draw(st.lists(row, min_size=seeds, max_size=seeds)), float) / 8

    teacher = losses(1, 8, 10)[0]
    return losses(draw(st.integers(1, 3)), 9, 15), losses(draw(st.integers(1, 3)), 12, 18), teacher


EXERCISES = [
    Exercise(
        id="12.1",
        title="Soft targets of a text",
        objective="You can score a student against its teacher at the places that count.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=soft_loss,
        inputs=texts_to_score(),
        without=BY_HAND,
        mistakes={
            every_place_scored: "Places that are not scored (a prompt, padding) must not count.",
            divided_by_all_places: "Divide by the number of scored places, not by all.",
            T_squared_forgotten: "The factor T² is missing.",
            student_left_at_T_1: "Both are softened: divide the student's logits by T too.",
            the_other_direction: "That is KL(student ‖ teacher); the teacher comes first.",
            a_sum_over_places: "Take the mean over the scored places, not the sum.",
        },
        hints=(
            "Go through the scored places; softmax both rows at temperature T.",
            "A place costs (p * np.log(p / q)).sum().",
            "The mean over the scored places, times T².",
        ),
    ),
    Exercise(
        id="12.2",
        title="What is kept of a teacher",
        objective="You can store the k likeliest tokens without losing the tail's sum.",
        points=2,
        minutes=8,
        difficulty=1,
        reference=keep_top_k,
        inputs=distributions_and_k(),
        without=BY_HAND,
        mistakes={
            scaled_up_to_one: "The probabilities must stay as they are: scaled up, the rest is "
            "lost.",
            the_first_k: "The likeliest tokens, not those with the smallest numbers.",
            likeliest_last: "The likeliest comes first.",
            the_unlikeliest: "These are the least likely tokens.",
            rest_spread_over_its_tokens: "The last number is the sum of all other tokens.",
            the_next_instead_of_the_rest: "The last number is not that of the next token alone.",
        },
        hints=("np.argsort(-p) puts the likeliest first.", "The rest is 1 minus what is kept."),
    ),
    Exercise(
        id="12.3",
        title="The loss on what is kept",
        objective="You can train on top-k without teaching that nothing else ever comes.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=top_k_loss,
        inputs=students_and_kept(),
        without=BY_HAND,
        mistakes={
            the_rest_left_out: "The outcome “any other” is missing.",
            both_scaled_up: "Do not scale: the tail is an outcome of its own.",
            teacher_scaled_up: "Scaled up, the teacher says that no other token ever comes.",
            rest_as_one_even_guess: "Nothing is known of how the rest is spread: compare its sum "
            "with the student's sum.",
            cross_entropy_of_the_kept: "The teacher's own entropy is missing: p ln(p / q), not "
            "−p ln q.",
            student_against_teacher: "The teacher's probabilities are the weights.",
        },
        hints=(
            "The student has k + 1 outcomes too: q[tokens], and 1 minus their sum.",
            "Leave out outcomes where the teacher's probability is 0.",
        ),
    ),
    Exercise(
        id="12.4",
        title="A data set that the teacher wrote",
        objective="You can make training examples of prompts and written texts.",
        points=2,
        minutes=8,
        difficulty=1,
        reference=written_example,
        inputs=prompts_and_texts(),
        without=BY_HAND,
        mistakes={
            prompt_learned_too: "The prompt is read, not learned: its targets are −100.",
            first_written_token_lost: "The last token of the prompt has a target: the first one "
            "that was written.",
            targets_not_shifted: "The target is the next token, not the token itself.",
            prompt_not_read: "The whole prompt is among the inputs.",
            written_ignored_instead: "What was written is to be learned, the prompt is not.",
        },
        hints=(
            "window = prompt + written; inputs window[:-1], targets window[1:].",
            "How many targets are tokens of the prompt? One fewer than it has.",
        ),
    ),
    Exercise(
        id="12.5",
        title="The KL of whole texts",
        objective="You can say what sequence-level distillation makes small.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=kl_of_texts,
        inputs=two_token_models(),
        without=BY_HAND,
        mistakes={
            second_rows_unweighted: "The rows of the second token count as often as the teacher "
            "gets there: weigh them by p1.",
            second_rows_added_up: "The rows of the second token must be weighed by p1, not added.",
            weighted_by_the_student: "The texts are the teacher's: weigh by p1, not by q1.",
            only_the_second: "The first token is part of the text.",
            reverse_of_texts: "That is KL(student ‖ teacher).",
            only_the_likeliest_first: "All first tokens count, not only the likeliest.",
        },
        hints=(
            "p1[:, None] * p2 has the probability of every text.",
            "Then it is an ordinary KL, over all texts.",
        ),
    ),
    Exercise(
        id="12.6",
        title="Judged on one's own text",
        objective="You can compute the loss of on-policy distillation.",
        points=2,
        minutes=12,
        difficulty=2,
        reference=on_policy_loss,
        inputs=own_texts(),
        without=BY_HAND,
        mistakes={
            forward_on_own_text: "That is the forward KL; here the student's q comes first.",
            prompt_scored: "The rows that predict the prompt are not scored.",
            own_entropy_forgotten: "The student's entropy belongs to it: q ln(q / p), not −q ln p.",
            divided_by_all: "Divide by the number of scored rows.",
            summed: "The mean, not the sum.",
            only_the_prompt: "These are the rows of the prompt.",
        },
        hints=(
            "(q * np.log(q / p)).sum(axis=1) has one number a row.",
            "The first scored row is prompt − 1: it predicts the first written token.",
        ),
    ),
    Exercise(
        id="12.7",
        title="No gradient into the teacher",
        objective="You can write the gradient that a student gets, and that a teacher gets.",
        points=2,
        minutes=12,
        difficulty=2,
        reference=gradients,
        inputs=logits_of_both(),
        without=BY_HAND,
        mistakes={
            teacher_learns_too: "The teacher is a constant: its gradient is zero in training.",
            teacher_pulled_the_other_way: "The teacher is not moved towards the student.",
            away_from_the_teacher: "The sign: a step against the gradient must bring q to p.",
            T_forgotten: "T² from the loss and 1/T from the chain rule leave a factor T.",
            T_twice: "The chain rule divides by T once: T² / T.",
            at_temperature_one: "Both softmaxes are at temperature T.",
        },
        hints=("d KL / d(z / T) is q − p.", "z / T gives another 1 / T, the loss has T²."),
    ),
    Exercise(
        id="12.8",
        title="A share of own texts",
        objective="You can mix losses so that λ means what it says.",
        points=2,
        minutes=8,
        difficulty=1,
        reference=mixed_loss,
        inputs=losses_of_texts(),
        without=BY_HAND,
        mistakes={
            shares_swapped: "λ is the share of own texts.",
            means_of_means: "Every token counts the same: short texts must not weigh more.",
            all_tokens_in_one_mean: "A mean for each kind, then mix; otherwise the lengths of the "
            "texts decide the share.",
            own_added_on_top: "The real texts have the share 1 − λ.",
            sums_mixed: "Means of tokens, not sums.",
        },
        hints=(
            "Flatten the losses of each kind first.",
            "One mean for the real tokens, one for the own; then (1 − λ) and λ.",
        ),
    ),
    Exercise(
        id="12.9",
        title="Distinct-n",
        objective="You can measure how varied written texts are.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=distinct,
        inputs=texts_and_n(),
        without=BY_HAND,
        mistakes={
            averaged_over_texts: "Count over all texts together: what two texts share is repeated.",
            across_texts: "An n-gram does not cross from one text into the next.",
            over_the_number_of_words: "Divide by the number of n-grams, not of words.",
            words_instead_of_n_grams: "n words at a time, not one.",
            without_order: "“to be” and “be to” are two different pairs.",
            side_by_side_only: "N-grams overlap: one begins at every word.",
        },
        hints=("A text of m words has m − n + 1 n-grams.", "set() removes what is repeated."),
    ),
    Exercise(
        id="12.10",
        title="Shared n-grams",
        objective="You can measure whether a writer says the same on every occasion.",
        points=2,
        minutes=15,
        difficulty=2,
        elective=True,
        reference=shared,
        inputs=texts_that_repeat(),
        without=BY_HAND,
        mistakes={
            repeats_of_oneself_count: "Repeating oneself is not sharing: look at the other texts.",
            each_n_gram_once: "An n-gram that a text has twice counts twice.",
            only_the_next_text: "Any other text, not one of them.",
            the_most_similar_text: "All other texts together, not the most similar one.",
            all_n_grams_in_one_mean: "A share for each text first, then the mean over texts.",
            unshared: "The share that is repeated, not the share that is new.",
        },
        hints=("For each text, collect the n-grams of all others.", "Then one share a text."),
    ),
    Exercise(
        id="12.11",
        title="Three accounts",
        objective="You can give the student without a teacher what it is owed.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=steps_without_a_teacher,
        inputs=prices(),
        without=BY_HAND,
        mistakes={
            teachers_pass_forgotten: "The teacher's pass is part of a step's price.",
            training_without_the_distillation: "In total it may use the distillation's seconds "
            "too.",
            training_paid_at_every_step: "The teacher is trained once, not at every step.",
            at_the_price_of_distilling: "Without a teacher a step costs the student's step only.",
            fewer_instead_of_more: "A cheaper step means more steps in the same seconds.",
            rounded_up: "A step that was not finished does not count.",
        },
        hints=("How many seconds did the distilled student take?", "math.floor"),
    ),
    Exercise(
        id="12.12",
        title="The gap recovered",
        objective="You can say how much of the way to the teacher a student went.",
        points=2,
        minutes=8,
        difficulty=1,
        reference=gap_recovered,
        inputs=losses_of_three(),
        tolerance=1e-8,
        without=BY_HAND,
        mistakes={
            ratio_of_losses: "A ratio of losses is near 1 for any two models; measure from the "
            "student without a teacher.",
            mean_of_the_blocks_gaps: "Means first, then one ratio: a block where the gap is small "
            "would decide everything.",
            what_is_left_of_the_gap: "That is what is left; 1 means as good as the teacher.",
            gain_over_the_baseline: "Divide by the gap to the teacher, not by the loss.",
            best_seed_only: "All seeds count, not the best.",
            seeds_of_the_baseline_forgotten: "The baseline has seeds too: take all of them.",
        },
        hints=("Three means.", "(baseline − student) / (baseline − teacher)"),
    ),
]
