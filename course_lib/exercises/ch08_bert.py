"""The exercises of chapter 08, BERT: references and known mistakes.

Tokens 0 to 4 are [PAD], [UNK], [CLS], [SEP] and [MASK], as in the chapter; 5 and above are text. A
label of −100 says "not scored". NSP's class 0 is "the second sentence follows", class 1 "it does
not".

For each exercise stand here its reference (which becomes the solutions page), its known mistakes,
and the strategy that draws its inputs; the list `EXERCISES` at the end puts them together.
"""

import math

import numpy as np
from hypothesis import strategies as st
from jaxtyping import Bool, Float, Int

from course_lib.exercises.exercise import Exercise

BY_HAND = ("course_lib", "torch", "transformers")  # an answer is written by hand

PAD, UNK, CLS, SEP, MASK = range(5)
IGNORE = -100


def numbers(*shape: int) -> st.SearchStrategy[np.ndarray]:
    """Arrays of small numbers, few of them zero."""
    number = st.sampled_from([0.5, -0.5, 1.0, -1.0, 0.25, 2.0, -0.75, 0.0])
    n = math.prod(shape)
    return st.lists(number, min_size=n, max_size=n).map(lambda x: np.array(x).reshape(shape))


def sentences(min_size: int = 1, max_size: int = 4) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(5, 9), min_size=min_size, max_size=max_size)


# 08.1 ---------------------------------------------------------------------- what BERT reads


def encoder_input(
    a: list[int], b: list[int], width: int
) -> tuple[list[int], list[int], list[bool]]:
    """[CLS] a [SEP] b [SEP] filled up with [PAD] to `width`: tokens, segments, attention mask.

    Segment 1 is b and its [SEP]; all else is 0. The mask is True where there is no padding. `width`
    is large enough.

    >>> encoder_input([7, 8], [9], 7)
    ([2, 7, 8, 3, 9, 3, 0], [0, 0, 0, 0, 1, 1, 0], [True, True, True, True, True, True, False])
    """
    tokens = [CLS, *a, SEP, *b, SEP]
    segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    padding = width - len(tokens)
    mask = [True] * len(tokens) + [False] * padding
    return tokens + [PAD] * padding, segments + [0] * padding, mask


def last_sep_forgotten(a, b, width):
    tokens, segments, mask = encoder_input(a, b, width)
    end = len(a) + len(b) + 2
    tokens[end], segments[end], mask[end] = PAD, 0, False
    return tokens, segments, mask


def first_sep_in_segment_one(a, b, width):
    tokens, segments, mask = encoder_input(a, b, width)
    segments[len(a) + 1] = 1
    return tokens, segments, mask


def padding_attended(a, b, width):
    tokens, segments, mask = encoder_input(a, b, width)
    return tokens, segments, [True] * len(mask)


def one_segment(a, b, width):
    tokens, segments, mask = encoder_input(a, b, width)
    return tokens, [0] * len(segments), mask


def never_padded(a, b, width):
    return encoder_input(a, b, len(a) + len(b) + 3)


@st.composite
def pairs_and_widths(draw):
    a, b = draw(sentences()), draw(sentences())
    return a, b, len(a) + len(b) + 3 + draw(st.integers(0, 3))


# 08.2 ------------------------------------------------------------------ which tokens to choose


def choose(
    tokens: Int[np.ndarray, " n"], u: Float[np.ndarray, " n"], rate: float
) -> Bool[np.ndarray, " n"]:
    """True where a token is chosen: where u is below the rate and the token is text.

    Text is every token from 5 on. u has a random number between 0 and 1 for each token.

    >>> choose(np.array([2, 7, 3, 8, 3, 0]), np.array([0.1, 0.1, 0.0, 0.1, 0.1, 0.1]), 0.15)
    array([False,  True, False,  True, False, False])
    """
    chosen = u < rate
    chosen[tokens < 5] = False
    return chosen


def special_chosen_too(tokens, u, rate):
    return (u < rate) & (tokens != PAD)


def padding_chosen(tokens, u, rate):
    return (u < rate) & (tokens != CLS) & (tokens != SEP) & (tokens != MASK) & (tokens != UNK)


def second_sentence_left_out(tokens, u, rate):
    in_first = np.cumsum(tokens == SEP) == 0
    return choose(tokens, u, rate) & in_first


def rate_turned_around(tokens, u, rate):
    return (u >= rate) & (tokens >= 5)


@st.composite
def tokens_and_chances(draw):
    a, b = draw(sentences()), draw(sentences())
    row = [CLS, *a, draw(st.sampled_from([5, UNK, MASK])), SEP, *b, SEP, PAD, PAD]
    u = draw(
        st.lists(st.sampled_from([0.0, 0.1, 0.15, 0.3, 0.6]), min_size=len(row), max_size=len(row))
    )
    return np.array(row), np.array(u), draw(st.sampled_from([0.15, 0.4]))


# 08.3 ------------------------------------------------------------------------- 80, 10 and 10


def hide(
    tokens: Int[np.ndarray, " n"],
    chosen: Bool[np.ndarray, " n"],
    u: Float[np.ndarray, " n"],
    random_tokens: Int[np.ndarray, " n"],
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """What the model sees, and the labels.

    A chosen token becomes [MASK] where u < 0.8, the random token of its place where
    0.8 ≤ u < 0.9, and stays where u ≥ 0.9. Its label is the true token; other labels are −100.

    >>> tokens, chosen = np.array([2, 7, 8, 9, 3]), np.array([False, True, True, True, False])
    >>> hide(tokens, chosen, np.array([0.5, 0.5, 0.85, 0.95, 0.5]), np.array([5, 5, 6, 5, 5]))
    (array([2, 4, 6, 9, 3]), array([-100,    7,    8,    9, -100]))
    """
    seen, labels = tokens.copy(), np.full(len(tokens), IGNORE)
    for i in np.flatnonzero(chosen):
        labels[i] = tokens[i]
        if u[i] < 0.8:
            seen[i] = MASK
        elif u[i] < 0.9:
            seen[i] = random_tokens[i]
    return seen, labels


def always_masked(tokens, chosen, u, random_tokens):
    return np.where(chosen, MASK, tokens), np.where(chosen, tokens, IGNORE)


def nothing_hidden(tokens, chosen, u, random_tokens):
    return tokens.copy(), np.where(chosen, tokens, IGNORE)


def labels_of_what_is_seen(tokens, chosen, u, random_tokens):
    seen, _ = hide(tokens, chosen, u, random_tokens)
    return seen, np.where(chosen, seen, IGNORE)


def kept_tokens_not_scored(tokens, chosen, u, random_tokens):
    seen, labels = hide(tokens, chosen, u, random_tokens)
    return seen, np.where(u < 0.9, labels, IGNORE)


def every_token_scored(tokens, chosen, u, random_tokens):
    return hide(tokens, chosen, u, random_tokens)[0], tokens.copy()


@st.composite
def chosen_and_fates(draw):
    n = draw(st.integers(2, 6))
    flags = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    fates = st.sampled_from([0.1, 0.5, 0.79, 0.8, 0.85, 0.9, 0.95])
    u = draw(st.lists(fates, min_size=n, max_size=n))
    tokens = draw(st.lists(st.integers(5, 9), min_size=n, max_size=n))
    others = draw(st.lists(st.integers(10, 14), min_size=n, max_size=n))
    return np.array(tokens), np.array(flags), np.array(u), np.array(others)


# 08.4 ------------------------------------------------------------------------------ MLM's loss


def mlm_loss(logits: Float[np.ndarray, "n vocab"], labels: Int[np.ndarray, " n"]) -> float:
    """Mean of −ln p(label) over the places whose label is not −100; 0.0 where there is none.

    p is the softmax of the place's logits.

    >>> round(mlm_loss(np.array([[0.0, 0.0], [9, 9], [0, 0]]), np.array([1, -100, 0])), 4)
    0.6931
    """
    scored = labels != IGNORE
    if not scored.any():
        return 0.0
    x = logits[scored]
    log_sum = np.log(np.exp(x).sum(1))
    return float((log_sum - x[np.arange(len(x)), labels[scored]]).mean())


def averaged_over_all_places(logits, labels):
    return mlm_loss(logits, labels) * float((labels != IGNORE).mean())


def summed(logits, labels):
    return mlm_loss(logits, labels) * int((labels != IGNORE).sum())


def nan_when_nothing_is_scored(logits, labels):
    if not (labels != IGNORE).any():
        return math.nan
    return mlm_loss(logits, labels)


def one_place_ahead(logits, labels):
    return mlm_loss(logits[:-1], labels[1:])


def ignored_labels_scored(logits, labels):
    return mlm_loss(logits, np.where(labels == IGNORE, logits.shape[1] - 1, labels))


@st.composite
def logits_and_labels(draw):
    n, vocab = draw(st.integers(2, 4)), 3
    label = st.sampled_from([IGNORE, IGNORE, *range(vocab)])
    labels = draw(st.lists(label, min_size=n, max_size=n))
    return draw(numbers(n, vocab)), np.array(labels)


# 08.5 -------------------------------------------------------------------------- the joint loss


def joint_loss(batches: list[tuple[float, int, float, int]]) -> float:
    """Nats a chosen token plus nats a pair, over several batches together.

    A batch is (nats of its chosen tokens, how many they are, nats of its pairs, how many). With no
    chosen token in all of them the first term is 0. There is at least one pair.

    >>> joint_loss([(9.0, 3, 1.0, 2), (1.0, 1, 2.0, 2)])
    3.25
    """
    mlm = sum(batch[0] for batch in batches)
    tokens = sum(batch[1] for batch in batches)
    nsp = sum(batch[2] for batch in batches)
    pairs = sum(batch[3] for batch in batches)
    return (mlm / tokens if tokens else 0.0) + nsp / pairs


def mean_of_the_batches_means(batches):
    each = [(m / n if n else 0.0) + s / p for m, n, s, p in batches]
    return sum(each) / len(each)


def sum_beside_a_mean(batches):
    return sum(b[0] for b in batches) + sum(b[2] for b in batches) / sum(b[3] for b in batches)


def one_divisor_for_both(batches):
    nats = sum(b[0] + b[2] for b in batches)
    return nats / (sum(b[1] for b in batches) + sum(b[3] for b in batches))


def divided_by_the_pairs(batches):
    return sum(b[0] + b[2] for b in batches) / sum(b[3] for b in batches)


def nothing_chosen_is_nan(batches):
    return joint_loss(batches) if sum(b[1] for b in batches) else math.nan


@st.composite
def batches_of_two_losses(draw):
    found = []
    for _ in range(draw(st.integers(1, 3))):
        tokens, pairs = draw(st.integers(0, 4)), draw(st.integers(1, 3))
        nats = st.sampled_from([0.5, 1.0, 2.0, 3.0, 5.0])
        found.append((draw(nats) * tokens, tokens, draw(nats) * pairs, pairs))
    return (found,)


# 08.6 ------------------------------------------------------------------ pairs that do follow


def following_pairs(documents: list[list[str]]) -> list[tuple[str, str]]:
    """Every sentence with the one after it in the same document, in order.

    >>> following_pairs([["a", "b", "c"], ["d"], ["e", "f"]])
    [('a', 'b'), ('b', 'c'), ('e', 'f')]
    """
    pairs = []
    for document in documents:
        for i in range(len(document) - 1):
            pairs.append((document[i], document[i + 1]))
    return pairs


def documents_joined(documents):
    return following_pairs([[sentence for document in documents for sentence in document]])


def last_followed_by_the_first(documents):
    return following_pairs([[*document, document[0]] for document in documents])


def each_sentence_in_one_pair(documents):
    return [
        (document[i], document[i + 1])
        for document in documents
        for i in range(0, len(document) - 1, 2)
    ]


def documents_as_sentences(documents):
    return following_pairs([[" ".join(document) for document in documents]])


@st.composite
def several_documents(draw):
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    names = iter("abcdefghijklmnop")
    return ([[next(names) for _ in range(n)] for n in lengths],)


# 08.7 ---------------------------------------------------------------- negatives that are none


def negatives(document: list[str], i: int) -> list[int]:
    """The places j of all sentences that may stand as a false next one after sentence i.

    All but those that read like sentence i or like the true next one, i + 1. There is a next one.

    >>> negatives(["Thanks.", "We won.", "Thanks.", "Go home."], 1)
    [3]
    """
    return [j for j, s in enumerate(document) if s not in (document[i], document[i + 1])]


def any_sentence(document, i):
    return list(range(len(document)))


def all_but_the_next(document, i):
    return [j for j in range(len(document)) if j != i + 1]


def copies_of_the_next(document, i):
    return [j for j in range(len(document)) if j not in (i, i + 1)]


def the_sentence_itself_again(document, i):
    return [j for j, s in enumerate(document) if s != document[i + 1]]


def only_later_ones(document, i):
    return [j for j in negatives(document, i) if j > i]


@st.composite
def documents_and_places(draw):
    document = draw(st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=3, max_size=6))
    return document, draw(st.integers(0, len(document) - 2))


# 08.8 ------------------------------------------------------------------------- the embeddings


def embed(
    tokens: list[int],
    segments: list[int],
    E: Float[np.ndarray, "vocab d"],
    P: Float[np.ndarray, "positions d"],
    S: Float[np.ndarray, "2 d"],
) -> Float[np.ndarray, "tokens d"]:
    """LayerNorm of the sum of three vectors: of the token, of its position, of its segment.

    Row m of P is position m = 0, 1, … The norm brings each token's vector to mean 0 and variance 1
    (mean of the squares, + 0.01 under the root, where BERT has 1e-12), without gain and shift.

    >>> E, P, S = np.eye(3), np.zeros((4, 3)), np.zeros((2, 3))
    >>> embed([0, 2], [0, 1], E, P, S).round(3)
    array([[ 1.383, -0.692, -0.692],
           [-0.692, -0.692,  1.383]])
    """
    x = E[tokens] + P[: len(tokens)] + S[segments]
    mean = x.mean(1, keepdims=True)
    variance = ((x - mean) ** 2).mean(1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 0.01)


def without_segments(tokens, segments, E, P, S):
    return embed(tokens, segments, E, P, np.zeros_like(S))


def positions_start_again(tokens, segments, E, P, S):
    first = segments.index(1) if 1 in segments else len(tokens)
    places = [*range(first), *range(len(tokens) - first)]
    return embed(tokens, segments, E, P[places], S)


def without_the_norm(tokens, segments, E, P, S):
    return E[tokens] + P[: len(tokens)] + S[segments]


def positions_by_token(tokens, segments, E, P, S):
    return embed(tokens, segments, E, P[np.array(tokens) % len(P)], S)


@st.composite
def tokens_to_embed(draw):
    a, b, d = draw(st.integers(1, 3)), draw(st.integers(0, 2)), 3
    tokens = draw(st.lists(st.integers(0, 4), min_size=a + b, max_size=a + b))
    spread = np.linspace(0, 1.3, d) ** 2  # so that no sum is constant
    tables = [draw(numbers(rows, d)) + spread for rows in (5, 6, 2)]
    return tokens, [0] * a + [1] * b, *tables


# 08.9 ------------------------------------------------------------------------------ the pooler


def pooled(
    states: Float[np.ndarray, "tokens d"],
    W: Float[np.ndarray, "d d"],
    b: Float[np.ndarray, " d"],
) -> Float[np.ndarray, " d"]:
    """tanh(h W + b), where h is the vector of [CLS], the first token.

    >>> pooled(np.array([[1.0, 0.0], [9.0, 9.0]]), np.eye(2), np.array([0.0, 1.0])).round(4)
    array([0.7616, 0.7616])
    """
    return np.tanh(states[0] @ W + b)


def mean_of_the_tokens(states, W, b):
    return np.tanh(states.mean(0) @ W + b)


def last_token(states, W, b):
    return np.tanh(states[-1] @ W + b)


def not_bent(states, W, b):
    return states[0] @ W + b


def bent_too_early(states, W, b):
    return np.tanh(states[0]) @ W + b


@st.composite
def states_to_pool(draw):
    n, d = draw(st.integers(2, 3)), draw(st.integers(2, 3))
    return draw(numbers(n, d)), draw(numbers(d, d)), draw(numbers(d))


# 08.10 ----------------------------------------------------------------------- the tied head


def mlm_logits(
    h: Float[np.ndarray, "n d"],
    W: Float[np.ndarray, "d d"],
    b: Float[np.ndarray, " d"],
    E: Float[np.ndarray, "vocab d"],
    c: Float[np.ndarray, " vocab"],
) -> Float[np.ndarray, "n vocab"]:
    """LN(max(0, h W + b)) Eᵀ + c: the head that shares the embeddings E with the input.

    LN brings each row to mean 0 and variance 1 (mean of the squares, + 0.01 under the root). (BERT
    has GELU where this has max(0, ·).)

    >>> one = np.eye(2)
    >>> mlm_logits(np.array([[2.0, 0.0]]), one, np.zeros(2), 3 * one, np.array([0.0, 1.0])).round(2)
    array([[ 2.99, -1.99]])
    """
    x = np.maximum(0, h @ W + b)
    mean = x.mean(1, keepdims=True)
    x = (x - mean) / np.sqrt(((x - mean) ** 2).mean(1, keepdims=True) + 0.01)
    return x @ E.T + c


def head_without_its_layer(h, W, b, E, c):
    return h @ E.T + c


def head_without_norm(h, W, b, E, c):
    return np.maximum(0, h @ W + b) @ E.T + c


def head_without_bend(h, W, b, E, c):
    large = 1e3  # moves all of it above the bend, and out again through the norm
    return mlm_logits(h, W, b + large, E, c)


def output_bias_forgotten(h, W, b, E, c):
    return mlm_logits(h, W, b, E, 0 * c)


@st.composite
def states_and_heads(draw):
    n, d, vocab = draw(st.integers(1, 2)), 3, 4
    h, W, E = draw(numbers(n, d)), draw(numbers(d, d)), draw(numbers(vocab, d))
    return h + np.linspace(0, 1.3, d), W + np.eye(d), draw(numbers(d)), E, draw(numbers(vocab))


# 08.11 ----------------------------------------------------------------- which class follows


def nsp_loss(logits: Float[np.ndarray, "n 2"], follows: list[bool]) -> float:
    """Mean of −ln p(class of the pair) over the pairs; class 0 is "follows", class 1 "does not".

    p is the softmax of the pair's own two logits.

    >>> round(float(nsp_loss(np.array([[0.0, 0.0], [9, 9]]), [True, False])), 4)
    0.6931
    """
    total = 0.0
    for (x0, x1), follow in zip(logits, follows, strict=True):
        mine = x0 if follow else x1
        total += math.log(math.exp(x0) + math.exp(x1)) - mine
    return total / len(follows)


def labels_of_the_formula(logits, follows):
    return nsp_loss(logits, [not f for f in follows])


def all_pairs_follow(logits, follows):
    return nsp_loss(logits, [True] * len(follows))


def pairs_summed(logits, follows):
    return nsp_loss(logits, follows) * len(follows)


def softmax_over_the_batch(logits, follows):
    mine = [row[0 if f else 1] for row, f in zip(logits, follows, strict=True)]
    return float(np.mean(np.log(np.exp(logits).sum()) - np.array(mine)))


@st.composite
def pairs_and_answers(draw):
    n = draw(st.integers(2, 4))
    return draw(numbers(n, 2)), draw(st.lists(st.booleans(), min_size=n, max_size=n))


# 08.12 ------------------------------------------------- spot the bug: a pretraining example


def example_repaired(
    a: list[int], b: list[int], chosen: list[int], width: int
) -> tuple[list[int], list[int], list[int], list[int]]:
    """(tokens as the model sees them, labels, segments, attention mask), each `width` long.

    `chosen` are places in [CLS] a [SEP] b [SEP]; the token there becomes [MASK] if it is text, and
    stays otherwise. Labels are −100 but there. The mask is 1 where there is no padding.

    >>> example_repaired([7, 8], [9], [0, 2, 4], 7)
    ([2, 7, 4, 3, 4, 3, 0], [-100, -100, 8, -100, 9, -100, -100], [0, 0, 0, 0, 1, 1, 0], \
[1, 1, 1, 1, 1, 1, 0])
    """
    tokens = [CLS, *a, SEP, *b, SEP]
    segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    labels = [IGNORE] * len(tokens)
    mask = [1] * len(tokens)
    for i in chosen:
        if tokens[i] not in (CLS, SEP):
            labels[i] = tokens[i]
            tokens[i] = MASK
    while len(tokens) < width:
        tokens.append(PAD)
        labels.append(IGNORE)
        segments.append(0)
        mask.append(0)
    return tokens, labels, segments, mask


def example_with_bugs(a, b, chosen, width):
    """As the tutorial has it: six mistakes."""
    tokens = [CLS, *a, SEP]
    masked, labels = list(tokens), [IGNORE] * len(tokens)
    for i in chosen:
        if i < len(tokens) and tokens[i] not in (CLS, SEP):
            masked[i] = MASK
            labels[i] = tokens[i]
    segments = [0] * len(tokens)
    tokens += b
    segments += [1] * len(b)
    return tokens, labels, segments, [1] * len(tokens)


def second_text_never_masked(a, b, chosen, width):
    return example_repaired(a, b, [i for i in chosen if i <= len(a)], width)


def unmasked_tokens_fed(a, b, chosen, width):
    _, labels, segments, mask = example_repaired(a, b, chosen, width)
    return example_repaired(a, b, [], width)[0], labels, segments, mask


def labels_too_short(a, b, chosen, width):
    tokens, labels, segments, mask = example_repaired(a, b, chosen, width)
    return tokens, labels[: len(a) + 2], segments, mask


def example_without_last_sep(a, b, chosen, width):
    tokens, labels, segments, mask = example_repaired(a, b, chosen, width)
    end = len(a) + len(b) + 2
    tokens[end], segments[end], mask[end] = PAD, 0, 0
    return tokens, labels, segments, mask


def ragged(a, b, chosen, width):
    return example_repaired(a, b, chosen, 0)


def special_tokens_masked(a, b, chosen, width):
    tokens, labels, segments, mask = example_repaired(a, b, chosen, width)
    for i in chosen:
        if tokens[i] in (CLS, SEP):
            tokens[i], labels[i] = MASK, tokens[i]
    return tokens, labels, segments, mask


@st.composite
def pairs_and_chosen(draw):
    a, b = draw(sentences(1, 3)), draw(sentences(1, 3))
    n = len(a) + len(b) + 3
    chosen = draw(st.lists(st.integers(0, n - 1), max_size=4, unique=True))
    return a, b, chosen, n + draw(st.integers(0, 2))


# 08.13 ----------------------------------------------------------- a head trained on all texts


def trained_head(
    h: Float[np.ndarray, "texts d"],
    labels: Int[np.ndarray, " texts"],
    W: Float[np.ndarray, "d classes"],
    rate: float,
    epochs: int,
) -> Float[np.ndarray, "d classes"]:
    """The head's weights after `epochs` times one step per text, in order.

    The loss of a text is −ln p(its label) with p = softmax(h W); a step is W ← W − rate · gradient,
    and the gradient is h (outer product) (p − one-hot of the label). W itself stays as it was.

    >>> trained_head(np.array([[2.0]]), np.array([1]), np.zeros((1, 2)), 0.5, 1)
    array([[-0.5,  0.5]])
    """
    W = W.copy()
    for _ in range(epochs):
        for x, label in zip(h, labels, strict=True):
            p = np.exp(x @ W)
            p = p / p.sum()
            p[label] -= 1.0
            W -= rate * np.outer(x, p)
    return W


def one_text_every_time(h, labels, W, rate, epochs):
    return trained_head(h[:1], labels[:1], W, rate, epochs * len(h))


def gradients_add_up(h, labels, W, rate, epochs):
    W, gradient = W.copy(), np.zeros_like(W)
    for _ in range(epochs):
        for x, label in zip(h, labels, strict=True):
            p = np.exp(x @ W)
            p = p / p.sum()
            p[label] -= 1.0
            gradient += np.outer(x, p)
            W -= rate * gradient
    return W


def labels_never_read(h, labels, W, rate, epochs):
    return trained_head(h, np.zeros_like(labels), W, rate, epochs)


def nothing_learned(h, labels, W, rate, epochs):
    return W.copy()


def uphill(h, labels, W, rate, epochs):
    return trained_head(h, labels, W, -rate, epochs)


@st.composite
def texts_to_classify(draw):
    n, d, classes = draw(st.integers(2, 3)), 2, draw(st.integers(2, 3))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=n, max_size=n))
    h = draw(numbers(n, d)) + np.linspace(0.2, 0.7, d)
    W = draw(numbers(d, classes))
    return h, np.array(labels), W, draw(st.sampled_from([0.5, 0.1])), draw(st.integers(1, 2))


EXERCISES = [
    Exercise(
        id="08.1",
        title="What BERT reads",
        objective="You can lay out a pair of sentences as BERT's input.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=encoder_input,
        inputs=pairs_and_widths(),
        without=BY_HAND,
        mistakes={
            last_sep_forgotten: "Each of the two sentences is closed by [SEP], the second too.",
            first_sep_in_segment_one: "The first [SEP] closes the first sentence: it is of "
            "segment 0.",
            padding_attended: "The mask is False at padding, or every token reads it.",
            one_segment: "The second sentence and its [SEP] are segment 1.",
            never_padded: "All three lists are `width` long: fill up with [PAD].",
        },
        hints=(
            "Count: [CLS], a and the first [SEP] are len(a) + 2 tokens.",
            "The second segment has len(b) + 1 tokens.",
            "padding = width − len(tokens); add as many [PAD]s, zeros and Falses.",
        ),
    ),
    Exercise(
        id="08.2",
        title="Which tokens are chosen",
        objective="You can choose tokens to hide, and leave alone what is no text.",
        points=1,
        minutes=8,
        difficulty=1,
        reference=choose,
        inputs=tokens_and_chances(),
        without=BY_HAND,
        mistakes={
            special_chosen_too: "[CLS], [SEP], [UNK] and [MASK] are not text: nothing is learned "
            "from guessing them.",
            padding_chosen: "Padding is chosen now and then; it is no text.",
            second_sentence_left_out: "Both sentences are hidden in part, not only the first.",
            rate_turned_around: "A token is chosen where u is below the rate.",
        },
        hints=(
            "Two conditions, both true at once.",
            "Tokens of text are those from 5 on.",
            "u < rate first; then put False where a token is below 5.",
        ),
    ),
    Exercise(
        id="08.3",
        title="80, 10 and 10",
        objective="You can make what the model sees, and the labels that go with it.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=hide,
        inputs=chosen_and_fates(),
        without=BY_HAND,
        mistakes={
            always_masked: "One chosen token in ten becomes a random one, and one in ten stays.",
            nothing_hidden: "The model is given the tokens as they were: it has only to copy.",
            labels_of_what_is_seen: "The label is the true token, not what stands there now.",
            kept_tokens_not_scored: "A chosen token that stays is scored too: that is why it was "
            "chosen.",
            every_token_scored: "Only the chosen tokens are scored; elsewhere the label is −100.",
        },
        hints=(
            "Start with copies: the tokens as seen, and labels that are all −100.",
            "np.flatnonzero(chosen) are the chosen places; go through them.",
            "if u[i] < 0.8 … elif u[i] < 0.9 …; the rest stays as it is.",
        ),
    ),
    Exercise(
        id="08.4",
        title="The loss of hidden tokens",
        objective="You can average a loss over the tokens that were hidden, and no others.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=mlm_loss,
        inputs=logits_and_labels(),
        without=BY_HAND,
        mistakes={
            averaged_over_all_places: "You divide by all places; divide by those with a label.",
            summed: "A mean is asked for; yours is the sum.",
            nan_when_nothing_is_scored: "Where nothing was hidden the loss is 0, not 0/0.",
            one_place_ahead: "BERT is asked for the token at the place itself. The next token is "
            "GPT's question.",
            ignored_labels_scored: "A label of −100 says: not scored. As an index it would count "
            "from the end.",
        },
        hints=(
            "labels != -100 picks the rows.",
            "−ln softmax(x)[label] = ln Σ exp(x) − x[label]",
            "Return 0.0 before you divide by a count of zero.",
        ),
    ),
    Exercise(
        id="08.5",
        title="The joint loss",
        objective="You can add two means that are taken over different things.",
        points=2,
        minutes=12,
        difficulty=2,
        reference=joint_loss,
        inputs=batches_of_two_losses(),
        without=BY_HAND,
        mistakes={
            mean_of_the_batches_means: "Batches have different numbers of chosen tokens: add up "
            "all nats and all counts, and divide once.",
            sum_beside_a_mean: "A sum over tokens beside a mean over pairs drowns the second task.",
            one_divisor_for_both: "Tokens are divided by tokens and pairs by pairs.",
            divided_by_the_pairs: "The first loss is a mean over chosen tokens, not over pairs.",
            nothing_chosen_is_nan: "Where no token was chosen the first term is 0.",
        },
        hints=(
            "Four sums first: nats and counts of each task.",
            "mlm / tokens + nsp / pairs",
            "Only the number of chosen tokens can be zero.",
        ),
    ),
    Exercise(
        id="08.6",
        title="Pairs that do follow",
        objective="You can take pairs of neighbours from documents without joining them.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=following_pairs,
        inputs=several_documents(),
        without=BY_HAND,
        mistakes={
            documents_joined: "The last sentence of one document is not followed by the first of "
            "the next.",
            last_followed_by_the_first: "The last sentence of a document has no next one; yours "
            "goes round to the first.",
            each_sentence_in_one_pair: "Every sentence but the last begins a pair: b follows a, "
            "and c follows b.",
            documents_as_sentences: "A document is a list of sentences, not one sentence.",
        },
        hints=(
            "A loop over the documents, and one over the places inside.",
            "The last place that begins a pair is len(document) − 2.",
            "A document of one sentence has no pair.",
        ),
    ),
    Exercise(
        id="08.7",
        title="Negatives that are none",
        objective="You can say which sentences may stand as a false next one.",
        points=2,
        minutes=12,
        difficulty=2,
        reference=negatives,
        inputs=documents_and_places(),
        without=BY_HAND,
        mistakes={
            any_sentence: "The true next sentence is among yours, labelled as false.",
            all_but_the_next: "Leave out the sentence itself, and every sentence that reads like "
            "it or like the next.",
            copies_of_the_next: "A sentence may stand in a document twice: compare what they say, "
            "not where they stand.",
            the_sentence_itself_again: "A sentence that is followed by itself is found without "
            "reading: leave it and its copies out.",
            only_later_ones: "Sentences that stand earlier are negatives as well.",
        },
        hints=(
            "Go through the places and the sentences together: enumerate.",
            "Two sentences are forbidden: document[i] and document[i + 1].",
            "Compare texts, so that copies are left out too.",
        ),
    ),
    Exercise(
        id="08.8",
        title="Three vectors, added",
        objective="You can embed a pair of sentences as BERT does.",
        points=2,
        minutes=12,
        difficulty=1,
        reference=embed,
        inputs=tokens_to_embed(),
        without=BY_HAND,
        tolerance=1e-6,
        mistakes={
            without_segments: "Add the vector of each token's segment.",
            positions_start_again: "Positions run through both sentences; they do not start again "
            "at the second.",
            without_the_norm: "The sum is brought to mean 0 and variance 1, token by token.",
            positions_by_token: "The position is where the token stands, not which token it is.",
        },
        hints=(
            "E[tokens] picks a row for each token, and S[segments] for each segment.",
            "The positions are the first len(tokens) rows of P.",
            "Mean and variance along the last axis, keepdims=True.",
        ),
    ),
    Exercise(
        id="08.9",
        title="The pooler",
        objective="You can make one vector of a whole input, as BERT does.",
        points=1,
        minutes=6,
        difficulty=1,
        reference=pooled,
        inputs=states_to_pool(),
        without=BY_HAND,
        mistakes={
            mean_of_the_tokens: "The pooler reads [CLS] alone, the first token. A mean of the "
            "tokens is what sentence encoders such as MiniLM use.",
            last_token: "[CLS] is the first token.",
            not_bent: "A tanh is missing at the end.",
            bent_too_early: "The tanh comes last: tanh(h W + b).",
        },
        hints=("states[0] is the vector of [CLS].", "np.tanh", "np.tanh(states[0] @ W + b)"),
    ),
    Exercise(
        id="08.10",
        title="The tied head",
        objective="You can guess hidden tokens with the embeddings that read them.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=mlm_logits,
        inputs=states_and_heads(),
        without=BY_HAND,
        tolerance=1e-6,
        mistakes={
            head_without_its_layer: "Before the embeddings comes a layer: LN(max(0, h W + b)).",
            head_without_norm: "The norm before the embeddings is missing.",
            head_without_bend: "The max(0, ·) is missing.",
            output_bias_forgotten: "Each token of the vocabulary has a bias of its own: + c.",
        },
        hints=(
            "Four steps: layer, bend, norm, product with Eᵀ plus c.",
            "A token's logit is the product of the vector with the token's own embedding.",
            "Mean and variance along axis 1 with keepdims=True.",
        ),
    ),
    Exercise(
        id="08.11",
        title="Which class is 'follows'?",
        objective="You can keep the labels of next-sentence prediction and its loss in step.",
        points=2,
        minutes=12,
        difficulty=2,
        reference=nsp_loss,
        inputs=pairs_and_answers(),
        without=BY_HAND,
        mistakes={
            labels_of_the_formula: "Class 0 is 'follows' here; yours takes it for class 1.",
            all_pairs_follow: "A pair that does not follow is scored by its second logit.",
            pairs_summed: "A mean over the pairs is asked for.",
            softmax_over_the_batch: "Each pair has a softmax of its own, over its two logits.",
        },
        hints=(
            "Pick logit 0 where the pair follows, logit 1 where it does not.",
            "−ln p = ln(e^x0 + e^x1) − x",
            "Add up and divide by the number of pairs.",
        ),
    ),
    Exercise(
        id="08.12",
        title="Spot the bug: a pretraining example",
        objective="You can repair the data set of a BERT tutorial.",
        points=4,
        minutes=25,
        difficulty=3,
        reference=example_repaired,
        inputs=pairs_and_chosen(),
        without=BY_HAND,
        mistakes={
            example_with_bugs: "This still does what the tutorial does.",
            second_text_never_masked: "Tokens of the second text are hidden too.",
            unmasked_tokens_fed: "The model is given the tokens before masking: the answers.",
            labels_too_short: "There is a label for every token, of both texts and of padding.",
            example_without_last_sep: "The second text is closed by [SEP] as well.",
            ragged: "All four lists are `width` long, or examples do not fit in one batch.",
            special_tokens_masked: "[CLS] and [SEP] are never hidden.",
        },
        hints=(
            "Put the whole input together first: [CLS] a [SEP] b [SEP]. Then mask.",
            "Return the masked tokens, not the original ones.",
            "Pad last, all four lists: 0, −100, 0, 0.",
        ),
    ),
    Exercise(
        id="08.13",
        title="A head trained on all texts",
        objective="You can train a head on the vectors of a BERT, by hand.",
        points=3,
        minutes=20,
        difficulty=3,
        elective=True,
        reference=trained_head,
        inputs=texts_to_classify(),
        without=BY_HAND,
        tolerance=1e-6,
        mistakes={
            one_text_every_time: "The same text in every step: go through all of them.",
            gradients_add_up: "The gradient of each step starts from zero; yours adds up those of "
            "all steps before.",
            labels_never_read: "The loss compares with the text's own label.",
            nothing_learned: "The weights are as they were.",
            uphill: "A step goes against the gradient: W − rate · gradient.",
        },
        hints=(
            "Two loops: epochs, and inside them the texts in order.",
            "p − one-hot: subtract 1 from the entry of the label.",
            "np.outer(x, p) has the shape of W.",
        ),
    ),
]
