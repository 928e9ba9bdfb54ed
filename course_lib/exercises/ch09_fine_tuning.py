"""The exercises of chapter 09, fine-tuning: references and known mistakes.

Letters as in the chapter: W is a pretrained matrix, A and B the two of LoRA, r their rank, alpha
their strength; L layers are numbered from 0 (the lowest) to L − 1.

For each exercise stand here its reference (which becomes the solutions page), its known mistakes,
and the strategy that draws its inputs; the list `EXERCISES` at the end puts them together.
"""

from collections import Counter

import numpy as np
from hypothesis import strategies as st
from jaxtyping import Float, Int

from course_lib.exercises.exercise import Exercise

BY_HAND = ("course_lib", "torch", "sklearn", "peft")  # an answer is written by hand


def matrices(rows: int, columns: int) -> st.SearchStrategy[np.ndarray]:
    """Matrices of small numbers, few of them zero."""
    number = st.sampled_from([0.5, -0.5, 1.0, -1.0, 0.25, 2.0, -0.75, 0.0])
    row = st.lists(number, min_size=columns, max_size=columns)
    return st.lists(row, min_size=rows, max_size=rows).map(
        lambda m: np.array(m).reshape(rows, columns)
    )


# 09.1 ------------------------------------------------------------------------- mean pooling


def mean_pool(
    states: Float[np.ndarray, "texts tokens d"], mask: Int[np.ndarray, "texts tokens"]
) -> Float[np.ndarray, "texts d"]:
    """The mean of each text's vectors where `mask` is 1; where it is 0 there is padding.

    >>> states = np.array([[[1.0], [3.0], [100.0]]])
    >>> mean_pool(states, np.array([[1, 1, 0]]))
    array([[2.]])
    """
    weights = mask[:, :, None]
    return (states * weights).sum(1) / weights.sum(1)


def padding_in_the_mean(states, mask):
    return states.mean(1)


def divided_by_all_places(states, mask):
    return (states * mask[:, :, None]).mean(1)


def the_first_vector(states, mask):
    return states[:, 0]


def one_count_for_all(states, mask):
    return (states * mask[:, :, None]).sum(1) / mask.sum() * len(mask)


@st.composite
def padded_texts(draw):
    n, longest, d = draw(st.integers(1, 3)), draw(st.integers(2, 4)), draw(st.integers(1, 2))
    lengths = draw(st.lists(st.integers(1, longest), min_size=n, max_size=n))
    mask = (np.arange(longest) < np.array(lengths)[:, None]).astype(int)
    return draw(matrices(n * longest, d)).reshape(n, longest, d), mask


# 09.2 ------------------------------------------------------------------ rates, layer by layer


def layer_rates(
    n_layers: int, lr: float, decay: float, n_frozen: int
) -> Float[np.ndarray, " layers_and_embeddings"]:
    """The learning rates of the embeddings, then of the layers from the lowest to the highest.

    The highest layer learns at lr, each part below at `decay` times the rate of the one above it.
    The lowest `n_frozen` layers stay as they are (rate 0), and then the embeddings too.

    >>> layer_rates(2, 1.0, 0.5, 0)
    array([0.25, 0.5 , 1.  ])
    >>> layer_rates(2, 1.0, 0.5, 1)
    array([0., 0., 1.])
    """
    rates = np.array([lr * decay ** (n_layers - part) for part in range(n_layers + 1)])
    if n_frozen:
        rates[: n_frozen + 1] = 0.0
    return rates


def highest_slowest(n_layers, lr, decay, n_frozen):
    rates = np.array([lr * decay**part for part in range(n_layers + 1)])
    if n_frozen:
        rates[: n_frozen + 1] = 0.0
    return rates


def embeddings_left_free(n_layers, lr, decay, n_frozen):
    rates = layer_rates(n_layers, lr, decay, 0)
    rates[1 : n_frozen + 1] = 0.0
    return rates


def embeddings_as_the_lowest_layer(n_layers, lr, decay, n_frozen):
    rates = layer_rates(n_layers, lr, decay, n_frozen)
    rates[0] = rates[1]
    return rates


def decayed_at_the_top_too(n_layers, lr, decay, n_frozen):
    return layer_rates(n_layers, lr, decay, n_frozen) * decay


def frozen_means_slow(n_layers, lr, decay, n_frozen):
    rates = layer_rates(n_layers, lr, decay, 0)
    if n_frozen:
        rates[: n_frozen + 1] *= 0.1
    return rates


@st.composite
def stacks_of_layers(draw):
    n_layers = draw(st.integers(1, 5))
    lr, decay = draw(st.sampled_from([1.0, 0.5])), draw(st.sampled_from([0.5, 0.75, 0.9]))
    return n_layers, lr, decay, draw(st.integers(0, n_layers))


# 09.3 --------------------------------------------------------------------- what a step moves


def frozen_step(
    weights: dict[str, np.ndarray],
    gradients: dict[str, np.ndarray],
    lr: float,
    weight_decay: float,
    frozen: tuple[str, ...],
) -> dict[str, np.ndarray]:
    """Every weight after one step, w ← w − lr · (gradient + weight_decay · w).

    A weight whose name begins with one of `frozen` is frozen: it stays exactly as it is. Weights of
    one dimension (biases) do not decay. The dictionaries given stay as they are.

    >>> w = {"a.w": np.array([[1.0]]), "b.w": np.array([[1.0]])}
    >>> frozen_step(w, {"a.w": np.array([[2.0]]), "b.w": np.array([[2.0]])}, 0.5, 1.0, ("a.",))
    {'a.w': array([[1.]]), 'b.w': array([[-0.5]])}
    """
    moved = {}
    for name, w in weights.items():
        if name.startswith(frozen):
            moved[name] = w.copy()
            continue
        decay = weight_decay if w.ndim >= 2 else 0.0
        moved[name] = w - lr * (gradients[name] + decay * w)
    return moved


def frozen_but_decaying(weights, gradients, lr, weight_decay, frozen):
    moved = frozen_step(weights, gradients, lr, weight_decay, frozen)
    for name, w in weights.items():
        if name.startswith(frozen) and w.ndim >= 2:
            moved[name] = w - lr * weight_decay * w
    return moved


def frozen_at_a_small_rate(weights, gradients, lr, weight_decay, frozen):
    moved = frozen_step(weights, gradients, lr, weight_decay, ())
    slow = frozen_step(weights, gradients, 0.1 * lr, weight_decay, ())
    return {name: slow[name] if name.startswith(frozen) else moved[name] for name in weights}


def frozen_turned_round(weights, gradients, lr, weight_decay, frozen):
    moved = frozen_step(weights, gradients, lr, weight_decay, ())
    return {
        name: moved[name] if name.startswith(frozen) else w.copy() for name, w in weights.items()
    }


def biases_decay_too(weights, gradients, lr, weight_decay, frozen):
    return {
        name: w.copy() if name.startswith(frozen) else w - lr * (gradients[name] + weight_decay * w)
        for name, w in weights.items()
    }


def nothing_frozen(weights, gradients, lr, weight_decay, frozen):
    return frozen_step(weights, gradients, lr, weight_decay, ())


@st.composite
def weights_and_gradients(draw):
    names = ("bert.w", "bert.b", "head.w", "head.b")
    shapes = {name: (2, 2) if name.endswith("w") else (2,) for name in names}

    def drawn():
        return {n: draw(matrices(2, 2)) if len(s) == 2 else draw(matrices(1, 2))[0]
                for n, s in shapes.items()}  # fmt: skip

    frozen = draw(st.sampled_from([("bert.",), ("head.w",), ("bert.w", "head.b"), ("bert.b",)]))
    return drawn(), drawn(), 0.5, draw(st.sampled_from([0.0, 1.0, 0.5])), frozen


# 09.4 ---------------------------------------------------------------------------------- LoRA


def lora(
    x: Float[np.ndarray, "rows d_in"],
    W: Float[np.ndarray, "d_out d_in"],
    A: Float[np.ndarray, "r d_in"],
    B: Float[np.ndarray, "d_out r"],
    alpha: float,
) -> Float[np.ndarray, "rows d_out"]:
    """W x + (alpha / r) · B A x, for each row x, without ever making a matrix as large as W.

    >>> x, W = np.array([[1.0, 2.0]]), np.eye(2)
    >>> lora(x, W, np.array([[1.0, 1.0]]), np.array([[1.0], [0.0]]), 2.0)
    array([[7., 2.]])
    """
    r = len(A)
    low = x @ A.T
    return x @ W.T + alpha / r * (low @ B.T)


def not_scaled(x, W, A, B, alpha):
    return x @ W.T + x @ A.T @ B.T


def scaled_without_the_rank(x, W, A, B, alpha):
    return x @ W.T + alpha * (x @ A.T @ B.T)


def scaled_by_the_root(x, W, A, B, alpha):
    return x @ W.T + alpha / np.sqrt(len(A)) * (x @ A.T @ B.T)


def in_place_of_the_matrix(x, W, A, B, alpha):
    return alpha / len(A) * (x @ A.T @ B.T)


@st.composite
def lora_layers(draw):
    d_in, d_out, r = draw(st.integers(2, 3)), draw(st.integers(2, 3)), draw(st.integers(1, 3))
    x = draw(matrices(draw(st.integers(1, 2)), d_in))
    alpha = draw(st.sampled_from([1.0, 2.0, 4.0]))
    return x, draw(matrices(d_out, d_in)), draw(matrices(r, d_in)), draw(matrices(d_out, r)), alpha


# 09.5 -------------------------------------------------------------------------- LoRA, merged


def merge_and_count(
    W: Float[np.ndarray, "d_out d_in"],
    A: Float[np.ndarray, "r d_in"],
    B: Float[np.ndarray, "d_out r"],
    alpha: float,
) -> tuple[Float[np.ndarray, "d_out d_in"], float]:
    """The one matrix W + (alpha / r) · B A, and how many numbers learned, as a share of W's.

    >>> merge_and_count(np.zeros((2, 2)), np.array([[1.0, 0.0]]), np.array([[0.0], [3.0]]), 2.0)
    (array([[0., 0.],
           [6., 0.]]), 1.0)
    """
    r = len(A)
    return W + alpha / r * (B @ A), (A.size + B.size) / W.size


def merged_the_other_way_round(W, A, B, alpha):
    d_out, d_in = W.shape
    product = (A.T @ B.T).reshape(d_out, d_in)
    return W + alpha / len(A) * product, (A.size + B.size) / W.size


def merged_unscaled(W, A, B, alpha):
    return W + B @ A, (A.size + B.size) / W.size


def share_of_all_numbers(W, A, B, alpha):
    merged, _ = merge_and_count(W, A, B, alpha)
    return merged, (A.size + B.size) / (W.size + A.size + B.size)


def one_of_two_counted(W, A, B, alpha):
    merged, _ = merge_and_count(W, A, B, alpha)
    return merged, A.size / W.size


@st.composite
def lora_weights(draw):
    _, W, A, B, alpha = draw(lora_layers())
    return W, A, B, alpha


# 09.6 ------------------------------------------------------------------- the best checkpoint


def chosen_and_reported(
    validation: Float[np.ndarray, " checkpoints"],
    test: Float[np.ndarray, " checkpoints"],
    patience: int,
) -> tuple[int, float]:
    """The checkpoint that early stopping keeps, counted from 0, and the accuracy one may report.

    Both arrays hold accuracies. Training ends once `patience` checkpoints in a row were not better
    on `validation` than the best so far. Kept is the best that was seen; of equals the first.
    Reported is its `test`.

    >>> chosen_and_reported(np.array([0.7, 0.8, 0.75, 0.78, 0.9]), np.array([1, 2, 3, 4, 5.0]), 2)
    (1, 2.0)
    """
    best = 0
    for i, accuracy in enumerate(validation):
        if accuracy > validation[best]:
            best = i
        elif i - best >= patience:
            break
    return best, float(test[best])


def chosen_on_the_test(validation, test, patience):
    best, _ = chosen_and_reported(test, test, patience)
    return best, float(test[best])


def best_of_the_test_reported(validation, test, patience):
    best, _ = chosen_and_reported(validation, test, patience)
    return best, float(test.max())


def validation_reported(validation, test, patience):
    best, _ = chosen_and_reported(validation, test, patience)
    return best, float(validation[best])


def the_last_kept(validation, test, patience):
    best = 0
    for i in range(1, len(validation)):
        if validation[i] > validation[best]:
            best = i
        elif i - best >= patience:
            return i, float(test[i])
    return len(validation) - 1, float(test[-1])


def never_stopped(validation, test, patience):
    best = int(validation.argmax())
    return best, float(test[best])


def worse_than_the_one_before(validation, test, patience):
    best, bad = 0, 0
    for i in range(1, len(validation)):
        bad = 0 if validation[i] > validation[i - 1] else bad + 1
        if validation[i] > validation[best]:
            best = i
        if bad >= patience:
            break
    return best, float(test[best])


@st.composite
def curves(draw):
    n = draw(st.integers(2, 7))
    steps = st.sampled_from([0.6, 0.65, 0.7, 0.75, 0.8])
    validation = draw(st.lists(steps, min_size=n, max_size=n))
    test = draw(st.permutations([0.5 + 0.05 * i for i in range(n)]))
    return np.array(validation), np.array(test), draw(st.integers(1, 3))


# 09.7 --------------------------------------------------------------------- calibration error


def calibration_error(
    probabilities: Float[np.ndarray, "n classes"], labels: Int[np.ndarray, " n"], n_bins: int
) -> float:
    """The expected calibration error: Σ over bins of (share of examples) · |accuracy − confidence|.

    The confidence is the highest probability of an example, its class the prediction. Bin k of
    `n_bins` holds confidences above k / n_bins, up to (k + 1) / n_bins.

    >>> p = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    >>> round(calibration_error(p, np.array([0, 1, 1]), 10), 4)  # 2/3 · 0.4 + 1/3 · 0.4
    0.4
    """
    confidence, predicted = probabilities.max(1), probabilities.argmax(1)
    right = predicted == labels
    bins = np.ceil(confidence * n_bins)
    error = 0.0
    for k in np.unique(bins):
        chosen = bins == k
        gap = right[chosen].mean() - confidence[chosen].mean()
        error += chosen.mean() * abs(gap)
    return float(error)


def bins_unweighted(probabilities, labels, n_bins):
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    bins = np.ceil(confidence * n_bins) - 1
    gaps = [
        abs(right[bins == k].mean() - confidence[bins == k].mean())
        for k in range(n_bins)
        if (bins == k).any()
    ]
    return float(np.mean(gaps))


def no_bins(probabilities, labels, n_bins):
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    return float(abs(right.mean() - confidence.mean()))


def gap_without_its_size(probabilities, labels, n_bins):
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    bins = np.ceil(confidence * n_bins) - 1
    gaps = [
        (bins == k).mean() * (confidence[bins == k].mean() - right[bins == k].mean())
        for k in range(n_bins)
        if (bins == k).any()
    ]
    return float(sum(gaps))


def confidence_of_the_label(probabilities, labels, n_bins):
    confidence = probabilities[np.arange(len(labels)), labels]
    right = probabilities.argmax(1) == labels
    bins = np.ceil(confidence * n_bins) - 1
    gaps = [
        (bins == k).mean() * abs(right[bins == k].mean() - confidence[bins == k].mean())
        for k in range(n_bins)
        if (bins == k).any()
    ]
    return float(sum(gaps))


@st.composite
def predictions(draw):
    n, n_classes = draw(st.integers(1, 6)), draw(st.integers(2, 3))
    high = draw(
        st.lists(st.sampled_from([0.55, 0.6, 0.68, 0.8, 0.75, 0.93]), min_size=n, max_size=n)
    )
    places = draw(st.lists(st.integers(0, n_classes - 1), min_size=n, max_size=n))
    labels = draw(st.lists(st.integers(0, n_classes - 1), min_size=n, max_size=n))
    probabilities = np.array([[(1 - p) / (n_classes - 1)] * n_classes for p in high])
    probabilities[np.arange(n), places] = high
    return probabilities, np.array(labels), draw(st.sampled_from([5, 10, 4]))


# 09.8 ------------------------------------------------------------------------- the best span


def best_span(
    start: Float[np.ndarray, " tokens"], end: Float[np.ndarray, " tokens"], longest: int
) -> tuple[int, int]:
    """The first and the last token of the answer: the span with the highest start + end score.

    The last token is not before the first, and the span has at most `longest` tokens. Of equal
    spans the one that starts first, and of those the shortest.

    >>> best_span(np.array([1.0, 0.0, 5.0]), np.array([4.0, 0.0, 0.0]), 2)
    (0, 0)
    """
    n = len(start)
    spans = [(i, j) for i in range(n) for j in range(i, min(i + longest, n))]
    return max(spans, key=lambda span: start[span[0]] + end[span[1]])  # the first of equals


def each_for_itself(start, end, longest):
    return int(start.argmax()), int(end.argmax())


def one_token_too_long(start, end, longest):
    return best_span(start, end, longest + 1)


def length_forgotten(start, end, longest):
    return best_span(start, end, len(start))


def start_chosen_first(start, end, longest):
    i = int(start.argmax())
    return i, i + int(end[i : i + longest].argmax())


def two_tokens_at_least(start, end, longest):
    best, place = -np.inf, (0, 0)
    for i in range(len(start)):
        for j in range(i + 1, min(i + longest, len(end))):
            if start[i] + end[j] > best:
                best, place = start[i] + end[j], (i, j)
    return place


def scores_swapped(start, end, longest):
    return best_span(end, start, longest)


@st.composite
def span_scores(draw):
    n = draw(st.integers(2, 5))
    return draw(matrices(1, n))[0], draw(matrices(1, n))[0], draw(st.integers(1, 3))


# 09.9 ---------------------------------------------------------------- exact match and overlap


def match_and_f1(answer: str, gold: str) -> tuple[bool, float]:
    """Exact match, and the F1 of the words: how an extracted answer is scored.

    Words are split at spaces and compared in small letters. A word counts as often as it is in
    both. F1 is 2 · common / (words of the answer + words of the gold).

    >>> match_and_f1("the river Seine", "Seine river")
    (False, 0.8)
    """
    a, b = answer.lower().split(), gold.lower().split()
    common = sum(min(a.count(word), b.count(word)) for word in set(a))
    return a == b, 2 * common / (len(a) + len(b))


def case_matters(answer, gold):
    a, b = answer.split(), gold.split()
    common = sum((Counter(a) & Counter(b)).values())
    return a == b, 2 * common / (len(a) + len(b)) if common else 0.0


def words_as_sets(answer, gold):
    a, b = answer.lower().split(), gold.lower().split()
    common = len(set(a) & set(b))
    return a == b, 2 * common / (len(set(a)) + len(set(b))) if common else 0.0


def precision_only(answer, gold):
    a, b = answer.lower().split(), gold.lower().split()
    common = sum((Counter(a) & Counter(b)).values())
    return a == b, common / len(a) if common else 0.0


def order_does_not_count(answer, gold):
    _, f1 = match_and_f1(answer, gold)
    return sorted(answer.lower().split()) == sorted(gold.lower().split()), f1


def of_letters(answer, gold):
    a, b = answer.lower(), gold.lower()
    common = sum((Counter(a) & Counter(b)).values())
    return a.split() == b.split(), 2 * common / (len(a) + len(b)) if common else 0.0


@st.composite
def answers(draw):
    word = st.sampled_from(["the", "The", "Seine", "seine", "river", "of", "Rhine"])
    gold = draw(st.lists(word, min_size=1, max_size=4))
    other = st.one_of(st.lists(word, min_size=1, max_size=4), st.permutations(gold))
    return " ".join(draw(other)), " ".join(gold)


# 09.10 ------------------------------------------------------------ from characters to tokens


def answer_tokens(offsets: Int[np.ndarray, "tokens 2"], start: int, end: int) -> tuple[int, int]:
    """The first and the last token of the answer that stands at characters [start, end).

    Token i covers the characters [offsets[i, 0], offsets[i, 1]) of the context. A token belongs to
    the answer if they share a character. Where the tokens end before the answer does, it was cut
    off: (-1, -1).

    >>> offsets = np.array([[0, 3], [4, 9], [9, 12]])
    >>> answer_tokens(offsets, 4, 9)
    (1, 1)
    >>> answer_tokens(offsets, 10, 14)
    (-1, -1)
    """
    if offsets[-1, 1] < end:
        return -1, -1
    inside = [i for i, (a, b) in enumerate(offsets) if b > start and a < end]
    return inside[0], inside[-1]


def end_taken_for_a_character(offsets, start, end):
    if offsets[-1, 1] < end:
        return -1, -1
    inside = [i for i, (a, b) in enumerate(offsets) if b > start and a <= end]
    return inside[0], inside[-1]


def one_behind_the_last(offsets, start, end):
    first, last = answer_tokens(offsets, start, end)
    return (first, last) if first < 0 else (first, last + 1)


def cut_off_but_kept(offsets, start, end):
    inside = [i for i, (a, b) in enumerate(offsets) if b > start and a < end]
    return (inside[0], inside[-1]) if inside else (-1, -1)


def only_whole_tokens(offsets, start, end):
    if offsets[-1, 1] < end:
        return -1, -1
    inside = [i for i, (a, b) in enumerate(offsets) if a >= start and b <= end]
    return (inside[0], inside[-1]) if inside else (-1, -1)


def in_characters(offsets, start, end):
    return (-1, -1) if offsets[-1, 1] < end else (start, end - 1)


@st.composite
def answers_in_tokens(draw):
    n = draw(st.integers(1, 5))
    offsets, place = [], 0
    for _ in range(n):
        place += draw(st.integers(0, 1))  # a space, or none
        length = draw(st.integers(1, 3))
        offsets.append((place, place + length))
        place += length
    first = draw(st.integers(0, n - 1))
    last = draw(st.integers(first, n - 1))
    start = draw(st.integers(offsets[first][0], offsets[first][1] - 1))
    end = draw(st.integers(max(start, offsets[last][0]) + 1, offsets[last][1]))
    kept = draw(st.integers(1, n)) if draw(st.booleans()) else n
    return np.array(offsets[:kept]), start, end


# 09.11 ------------------------------------------------------------------- found at which rank


def recall_and_mrr(similarity: Float[np.ndarray, "n n"], k: int) -> tuple[float, float]:
    """Recall at k and mean reciprocal rank: similarity[i, j] is that of query i and text j.

    The right text of query i is text i. Its rank is 1 where no other is as similar; one that is
    exactly as similar counts as found before it. Recall at k is the share of queries whose right
    text has a rank of at most k.

    >>> recall_and_mrr(np.array([[0.5, 0.9], [0.1, 0.3]]), 1)  # ranks 2 and 1
    (0.5, 0.75)
    """
    right = np.diag(similarity)[:, None]
    ranks = (similarity >= right).sum(1)
    return float((ranks <= k).mean()), float((1 / ranks).mean())


def texts_look_for_queries(similarity, k):
    return recall_and_mrr(similarity.T, k)


def equals_come_after(similarity, k):
    ranks = 1 + (similarity > np.diag(similarity)[:, None]).sum(1)
    return float((ranks <= k).mean()), float((1 / ranks).mean())


def one_rank_too_many(similarity, k):
    return recall_and_mrr(similarity, k + 1)[0], recall_and_mrr(similarity, k)[1]


def one_over_the_mean_rank(similarity, k):
    recall, _ = recall_and_mrr(similarity, k)
    ranks = (similarity >= np.diag(similarity)[:, None]).sum(1)
    return recall, float(1 / ranks.mean())


def cut_at_k(similarity, k):
    ranks = (similarity >= np.diag(similarity)[:, None]).sum(1)
    found = ranks <= k
    return float(found.mean()), float((found / ranks).mean())


@st.composite
def similarities(draw):
    n = draw(st.integers(1, 4))
    return draw(matrices(n, n)), draw(st.integers(1, 3))


EXERCISES = [
    Exercise(
        id="09.1",
        title="One vector for a text",
        objective="You can take the mean of a text's vectors without its padding.",
        points=2,
        minutes=8,
        difficulty=1,
        reference=mean_pool,
        inputs=padded_texts(),
        without=BY_HAND,
        mistakes={
            padding_in_the_mean: "The padding is in your mean: leave out the places where the mask "
            "is 0.",
            divided_by_all_places: "You left the padding out of the sum but not out of the count: "
            "divide by how many places the mask has.",
            the_first_vector: "That is the vector of [CLS]; asked is the mean of all.",
            one_count_for_all: "Each text has its own length: divide by its own count.",
        },
        hints=(
            "Give the mask a third axis, so that it multiplies every number of a vector.",
            "weights = mask[:, :, None]",
            "(states * weights).sum(1) / weights.sum(1)",
        ),
    ),
    Exercise(
        id="09.2",
        title="Rates, layer by layer",
        objective="You can give each layer its learning rate, and freeze some.",
        points=2,
        minutes=12,
        difficulty=1,
        reference=layer_rates,
        inputs=stacks_of_layers(),
        without=BY_HAND,
        mistakes={
            highest_slowest: "The highest layer learns fastest, the embeddings slowest; yours is "
            "the other way round.",
            embeddings_left_free: "With frozen layers above them the embeddings are frozen too.",
            embeddings_as_the_lowest_layer: "The embeddings are one part below the lowest layer: "
            "their rate is once more multiplied by the decay.",
            decayed_at_the_top_too: "The highest layer learns at lr itself.",
            frozen_means_slow: "Frozen means a rate of 0, not a small one.",
        },
        hints=(
            "Number the parts 0 (embeddings) to n_layers (the highest layer).",
            "Part p is n_layers − p parts below the top.",
            "lr * decay ** (n_layers - part); then set the first n_frozen + 1 to 0 if n_frozen",
        ),
    ),
    Exercise(
        id="09.3",
        title="What a step moves",
        objective="You can make a training step that leaves frozen weights exactly as they are.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=frozen_step,
        inputs=weights_and_gradients(),
        without=BY_HAND,
        mistakes={
            frozen_but_decaying: "Your frozen weights still decay: weight decay moves them, though "
            "they get no gradient.",
            frozen_at_a_small_rate: "Your frozen weights still move, at a small rate. That is not "
            "freezing.",
            frozen_turned_round: "You froze what should learn, and moved what is frozen.",
            biases_decay_too: "Weights of one dimension, the biases, do not decay.",
            nothing_frozen: "Nothing is frozen: every weight moved.",
        },
        hints=(
            "name.startswith(frozen) takes a tuple of beginnings.",
            "A frozen weight is copied before anything else is computed.",
            "decay = weight_decay if w.ndim >= 2 else 0.0",
        ),
    ),
    Exercise(
        id="09.4",
        title="LoRA",
        objective="You can compute a layer with a low-rank correction.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=lora,
        inputs=lora_layers(),
        without=BY_HAND,
        mistakes={
            not_scaled: "The correction is multiplied by alpha / r.",
            scaled_without_the_rank: "Divide alpha by the rank r, the number of rows of A.",
            scaled_by_the_root: "Divide alpha by r, not by its root.",
            in_place_of_the_matrix: "The correction is added to W x; yours replaces it.",
        },
        hints=(
            "x has one text a row, so W x is x @ W.T here.",
            "First x @ A.T, which has r columns, then @ B.T.",
            "x @ W.T + alpha / len(A) * (x @ A.T @ B.T)",
        ),
    ),
    Exercise(
        id="09.5",
        title="LoRA, merged",
        objective="You can merge a correction into its matrix, and say how little of it learned.",
        points=2,
        minutes=10,
        difficulty=2,
        reference=merge_and_count,
        inputs=lora_weights(),
        without=BY_HAND,
        mistakes={
            merged_the_other_way_round: "B A has the shape of W, rows for outputs; you multiplied "
            "their transposes and reshaped, which mixes the entries up.",
            merged_unscaled: "The factor alpha / r belongs into the merged matrix too.",
            share_of_all_numbers: "The share is of W's numbers: divide by W.size.",
            one_of_two_counted: "Both A and B learn: count both.",
        },
        hints=(
            "B @ A has d_out rows and d_in columns, like W.",
            "array.size counts the numbers of an array.",
            "W + alpha / len(A) * (B @ A), (A.size + B.size) / W.size",
        ),
    ),
    Exercise(
        id="09.6",
        title="Chosen on validation, reported on test",
        objective="You can stop early, keep the best checkpoint and report its honest accuracy.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=chosen_and_reported,
        inputs=curves(),
        without=BY_HAND,
        mistakes={
            chosen_on_the_test: "You chose by the test accuracies: then they are no test any more.",
            best_of_the_test_reported: "Report the test accuracy of the checkpoint that was kept, "
            "not the best of all.",
            validation_reported: "The validation accuracy was used to choose, so it is too good; "
            "report the test's.",
            the_last_kept: "Keep the best checkpoint that was seen, not the last.",
            never_stopped: "Training ends after `patience` checkpoints without a better one; what "
            "comes later was never seen.",
            worse_than_the_one_before: "Compare with the best so far, not with the checkpoint "
            "before.",
        },
        hints=(
            "Walk through the checkpoints, and keep the place of the best so far.",
            "Better means greater: of equals the first stays.",
            "Where it is not better and i − best >= patience, stop.",
        ),
    ),
    Exercise(
        id="09.7",
        title="Calibration error",
        objective="You can measure whether a classifier is right as often as it says.",
        points=3,
        minutes=18,
        difficulty=2,
        reference=calibration_error,
        inputs=predictions(),
        without=BY_HAND,
        mistakes={
            bins_unweighted: "Weigh each bin by the share of the examples in it.",
            no_bins: "Within bins: over all examples, too sure here and too unsure there cancel.",
            gap_without_its_size: "Take the size of each bin's gap, |accuracy − confidence|, or "
            "gaps of different signs cancel.",
            confidence_of_the_label: "The confidence is the highest probability, the predicted "
            "class's, not that of the true label.",
        },
        hints=(
            "confidence = probabilities.max(1); right = probabilities.argmax(1) == labels",
            "Two confidences c share a bin when ceil(c · n_bins) is the same.",
            "Sum chosen.mean() * abs(right[chosen].mean() − confidence[chosen].mean())",
        ),
    ),
    Exercise(
        id="09.8",
        title="The best span",
        objective="You can choose an answer's first and last token together.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=best_span,
        inputs=span_scores(),
        without=BY_HAND,
        elective=True,
        mistakes={
            each_for_itself: "Start and end were chosen each for itself: the end may come before "
            "the start, or far behind it.",
            one_token_too_long: "A span from i to j has j − i + 1 tokens: yours may be one too "
            "long.",
            length_forgotten: "The span has at most `longest` tokens.",
            start_chosen_first: "The best start need not belong to the best span: compare the "
            "sums.",
            two_tokens_at_least: "An answer may be one token: the end may be the start.",
            scores_swapped: "You took the start's score for the end, and the end's for the start.",
        },
        hints=(
            "Try every start i, and every end j from i on.",
            "j runs from i to min(i + longest, n) − 1.",
            "max(spans, key=…) gives the first of equals.",
        ),
    ),
    Exercise(
        id="09.9",
        title="Exact match and overlap",
        objective="You can score an extracted answer.",
        points=2,
        minutes=12,
        difficulty=1,
        reference=match_and_f1,
        inputs=answers(),
        without=BY_HAND,
        elective=True,
        mistakes={
            case_matters: "Compare in small letters: “The” and “the” are the same word.",
            words_as_sets: "A word counts as often as it is in both; in a set it counts once.",
            precision_only: "That is the share of the answer's words that are right; F1 divides "
            "twice the common words by both lengths together.",
            order_does_not_count: "For an exact match the words must stand in the same order.",
            of_letters: "Count common words, not common letters.",
        },
        hints=(
            "answer.lower().split()",
            "Common: min(a.count(word), b.count(word)), summed over the words of set(a).",
            "2 * common / (len(a) + len(b))",
        ),
    ),
    Exercise(
        id="09.10",
        title="From characters to tokens",
        objective="You can find the tokens of an answer, and notice that it was cut off.",
        points=2,
        minutes=12,
        difficulty=2,
        reference=answer_tokens,
        inputs=answers_in_tokens(),
        without=BY_HAND,
        elective=True,
        mistakes={
            end_taken_for_a_character: "Character `end` is the first that does not belong to the "
            "answer; the token that begins there does not belong to it.",
            one_behind_the_last: "Return the last token itself, not the one behind it.",
            cut_off_but_kept: "Half an answer is a wrong answer: where the tokens end before it "
            "does, return (-1, -1).",
            only_whole_tokens: "A token that is only partly in the answer belongs to it too.",
            in_characters: "You returned places of characters; count in tokens.",
        },
        hints=(
            "The answer was cut off where the last token's end, offsets[-1, 1], lies before end.",
            "[a, b) and [start, end) share a character when b > start and a < end.",
            "Collect the i of these tokens; return the first and the last of them.",
        ),
    ),
    Exercise(
        id="09.11",
        title="Found at which rank",
        objective="You can measure how well texts are found by others.",
        points=2,
        minutes=12,
        difficulty=2,
        reference=recall_and_mrr,
        inputs=similarities(),
        without=BY_HAND,
        elective=True,
        mistakes={
            texts_look_for_queries: "Each query, a row, ranks all texts; yours rank the queries of "
            "a text.",
            equals_come_after: "What is exactly as similar counts as found before the right text: "
            "a model that finds all alike must not come first.",
            one_rank_too_many: "Ranks begin at 1: at most k means rank <= k.",
            one_over_the_mean_rank: "Take 1 / rank for each query, then the mean.",
            cut_at_k: "The mean reciprocal rank counts every query, also those found after k.",
        },
        hints=(
            "np.diag(similarity) holds how similar the right texts are.",
            "rank = how many entries of the row are at least as high as the right one.",
            "ranks = (similarity >= right[:, None]).sum(1)",
        ),
    ),
]
