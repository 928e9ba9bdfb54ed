"""The exercises of chapter 01, language models by counting: references and known mistakes.

Letters as in the book's notation: w is a symbol, V the number of symbols, h a history and h' the
same without its first symbol, c(hw) a count, Σ c(hw') the sum of a history's counts, k what add-k
adds, D a discount, N the length of a text, n_r how many n-grams were seen exactly r times.

For each exercise stand here its reference (which becomes the solutions page), its known mistakes,
and the strategy that draws its inputs; the list `EXERCISES` at the end puts them together.
"""

import math
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st
from jaxtyping import Float, Int

from course_lib.exercises.exercise import Exercise

LIBRARY = ("course_lib",)  # an answer is written by hand


def texts(alphabet: str, shortest: int, longest: int) -> st.SearchStrategy[str]:
    """Strings over a few characters."""
    characters = st.lists(st.sampled_from(alphabet), min_size=shortest, max_size=longest)
    return characters.map("".join)


def distributions(size: int) -> st.SearchStrategy[np.ndarray]:
    """Positive probabilities of `size` symbols."""
    weights = st.lists(st.integers(1, 6), min_size=size, max_size=size)
    return weights.map(lambda w: np.array(w) / sum(w))


# 01.1 ------------------------------------------------------------------ relative frequencies


def next_char_probs(text: str, history: str) -> dict[str, float]:
    """Relative frequencies of the characters that follow `history` in `text`.

    Only characters that follow it at least once are keys. The result is empty when none does.

    >>> next_char_probs("abracadabra", "a")
    {'b': 0.5, 'c': 0.25, 'd': 0.25}
    >>> next_char_probs("abracadabra", "x")
    {}
    """
    n = len(history)
    followers = Counter(text[i + n] for i in range(len(text) - n) if text[i : i + n] == history)
    times_followed = sum(followers.values())
    return {w: count / times_followed for w, count in followers.items()}


def divided_by_text_length(text, history):
    probs = next_char_probs(text, history)
    n = len(history)
    times = sum(text[i : i + n] == history for i in range(len(text) - n))
    return {w: p * times / len(text) for w, p in probs.items()}


def history_at_the_end_counted(text, history):
    probs = next_char_probs(text, history)
    n = len(history)
    times = sum(text[i : i + n] == history for i in range(len(text) - n))
    here = sum(text[i : i + n] == history for i in range(len(text) - n + 1))
    return {w: p * times / here for w, p in probs.items()}


def occurrences_do_not_overlap(text, history):
    if not history:
        return next_char_probs(text, history)
    followers = Counter(part[0] if part else history[0] for part in text.split(history)[1:-1])
    last = text.split(history)[-1]
    if len(text.split(history)) > 1 and last:
        followers[last[0]] += 1
    total = sum(followers.values())
    return {w: count / total for w, count in followers.items()}


def counted_by_str_count(text, history):
    return {
        w: text.count(history + w) / text.count(history) for w in next_char_probs(text, history)
    }


def last_place_left_out(text, history):
    return next_char_probs(text[:-1], history)


def what_comes_before(text, history):
    return next_char_probs(text[::-1], history[::-1])


@st.composite
def texts_and_histories(draw):
    text = draw(texts("ab", 1, 12))
    start = draw(st.integers(0, len(text)))
    history = text[start : start + draw(st.integers(0, 3))]
    return text, history


# 01.2 ----------------------------------------------------------------------------------- scores


def scores(text: str, log_probs: Float[np.ndarray, " characters"]) -> dict[str, float]:
    """Perplexity per character and bits per byte of a text, from natural log-probabilities.

    `log_probs[i]` is ln p(character i | all characters before it). Keys: "perplexity" and
    "bits_per_byte"; bytes are those of the text in UTF-8.

    >>> found = scores("hé", np.log([0.5, 0.125]))
    >>> round(found["perplexity"], 6), round(found["bits_per_byte"], 6)
    (4.0, 1.333333)
    """
    nats = -float(log_probs.sum())
    return {
        "perplexity": math.exp(nats / len(text)),
        "bits_per_byte": nats / math.log(2) / len(text.encode("utf-8")),
    }


def bytes_are_characters(text, log_probs):
    return scores(text, log_probs) | {"bits_per_byte": -log_probs.mean() / math.log(2)}


def nats_per_byte(text, log_probs):
    right = scores(text, log_probs)
    return right | {"bits_per_byte": right["bits_per_byte"] * math.log(2)}


def multiplied_by_log_two(text, log_probs):
    right = scores(text, log_probs)
    return right | {"bits_per_byte": right["bits_per_byte"] * math.log(2) ** 2}


def mean_of_perplexities(text, log_probs):
    return scores(text, log_probs) | {"perplexity": np.exp(-log_probs).mean()}


def two_to_the_nats(text, log_probs):
    return scores(text, log_probs) | {"perplexity": 2 ** -log_probs.mean()}


def e_to_the_bits(text, log_probs):
    return scores(text, log_probs) | {"perplexity": np.exp(-log_probs.mean() / math.log(2))}


@st.composite
def texts_with_log_probs(draw):
    text = draw(texts("aé猫", 1, 6))
    chances = [draw(st.sampled_from([1.0, 0.5, 0.25, 0.1])) for _ in text]
    return text, np.log(chances)


# 01.3 ------------------------------------------------------------------------------------ add-k


def add_k(counts: Int[np.ndarray, " vocab"], k: float) -> Float[np.ndarray, " vocab"]:
    """Add-k probabilities of all V symbols: (c(hw) + k) / (Σ c(hw') + k V).

    `counts[w]` is c(hw): how often symbol w followed the history h. Σ c(hw') is their sum.

    >>> add_k(np.array([3, 0, 1]), 1.0).round(3)
    array([0.571, 0.143, 0.286])
    """
    return (counts + k) / (counts.sum() + k * len(counts))


def without_vocabulary_size(counts, k):
    return (counts + k) / (counts.sum() + k)


def only_seen_symbols_in_the_denominator(counts, k):
    return (counts + k) / (counts.sum() + k * max((counts > 0).sum(), 1))


def only_unseen_get_k(counts, k):
    return np.where(counts > 0, counts, k) / (counts.sum() + k * len(counts))


def k_added_to_frequencies(counts, k):
    frequencies = counts / max(counts.sum(), 1) + k
    return frequencies / frequencies.sum()


def count_vectors() -> st.SearchStrategy[np.ndarray]:
    """How often each of a few symbols followed a history: often never, at times none of them."""
    count = st.sampled_from([0, 1, 2, 3, 4, 5, 0, 1])
    some = st.lists(count, min_size=2, max_size=5)
    none = st.lists(st.just(0), min_size=2, max_size=5)
    return st.one_of(some, some, some, none).map(np.array)


# 01.4 --------------------------------------------------------- interpolation weights by EM


def em_step(
    probs: Float[np.ndarray, "positions orders"], weights: Float[np.ndarray, " orders"]
) -> Float[np.ndarray, " orders"]:
    """One EM step for the weights of interpolated models.

    `probs[i, j]` is what model j gave the character that truly stands at held-out position i.
    E: how much of the mixture's probability at position i came from model j.
    M: a model's new weight is its mean share over the positions.

    >>> em_step(np.array([[0.5, 0.1], [0.1, 0.1]]), np.array([0.5, 0.5])).round(3)
    array([0.667, 0.333])
    """
    came_from = probs * weights
    share = came_from / came_from.sum(axis=1, keepdims=True)
    return share.mean(axis=0)


def shares_of_the_total(probs, weights):
    came_from = (probs * weights).sum(axis=0)
    return came_from / came_from.sum()


def old_weights_forgotten(probs, weights):
    return em_step(probs, np.ones(len(weights)))


def shares_not_averaged(probs, weights):
    return em_step(probs, weights) * len(probs)


def winner_takes_the_position(probs, weights):
    winners = (probs * weights).argmax(axis=1)
    return np.bincount(winners, minlength=len(weights)) / len(probs)


def normalised_over_positions(probs, weights):
    came_from = probs * weights
    return (came_from / came_from.sum(axis=0, keepdims=True)).mean(axis=0)


@st.composite
def held_out_probs_and_weights(draw):
    orders = draw(st.integers(2, 3))
    tenths = st.lists(st.integers(1, 9), min_size=orders, max_size=orders)
    probs = np.array(draw(st.lists(tenths, min_size=1, max_size=4))) / 10
    return probs, draw(distributions(orders))


# 01.5 --------------------------------------------------------------------------------- back-off


def back_off(
    counts: Int[np.ndarray, " vocab"], lower: Float[np.ndarray, " vocab"], discount: float
) -> Float[np.ndarray, " vocab"]:
    """Back-off: seen symbols keep (c(hw) - D) / Σ c(hw'), the unseen share the rest.

    The rest is divided among the unseen symbols in proportion to `lower`, which holds
    p(w | h') for the shorter history h'. Nothing seen: the result is `lower`. Everything
    seen: nobody is there to take the rest, so no discount D is taken and the result is
    c(hw) / Σ c(hw').

    >>> back_off(np.array([2, 0, 0, 2]), np.array([0.1, 0.3, 0.1, 0.5]), 0.5).round(4)
    array([0.375 , 0.1875, 0.0625, 0.375 ])
    """
    seen = counts > 0
    if not seen.any():
        return lower
    if seen.all():
        return counts / counts.sum()
    kept = np.where(seen, counts - discount, 0) / counts.sum()
    rest = 1 - kept.sum()
    return kept + np.where(seen, 0, rest * lower / lower[~seen].sum())


def rest_not_normalised(counts, lower, discount):
    seen = counts > 0
    if seen.all() or not seen.any():
        return back_off(counts, lower, discount)
    rest = discount * seen.sum() / counts.sum()
    return np.where(seen, (counts - discount) / counts.sum(), rest * lower)


def one_discount_to_share(counts, lower, discount):
    seen = counts > 0
    if seen.all() or not seen.any():
        return back_off(counts, lower, discount)
    share = discount / counts.sum() * lower / lower[~seen].sum()
    return np.where(seen, (counts - discount) / counts.sum(), share)


def rest_shared_equally(counts, lower, discount):
    return back_off(counts, np.ones(len(lower)) / len(lower), discount) if counts.any() else lower


def seen_symbols_share_too(counts, lower, discount):
    seen = counts > 0
    if seen.all() or not seen.any():
        return back_off(counts, lower, discount)
    rest = discount * seen.sum() / counts.sum()
    return np.where(seen, counts - discount, 0) / counts.sum() + rest * lower


def discounted_though_all_seen(counts, lower, discount):
    right = back_off(counts, lower, discount)
    return (counts - discount) / counts.sum() if (counts > 0).all() else right


def no_edge_cases(counts, lower, discount):
    seen = counts > 0
    kept = np.where(seen, counts - discount, 0) / counts.sum()
    return kept + np.where(seen, 0, (1 - kept.sum()) * lower / lower[~seen].sum())


def nothing_seen_forgotten(counts, lower, discount):
    return back_off(counts, lower, discount) if counts.any() else counts / counts.sum()


@st.composite
def counts_lower_discount(draw):
    counts = draw(count_vectors())
    return counts, draw(distributions(len(counts))), draw(st.sampled_from([0.25, 0.5, 0.75]))


# 01.6 --------------------------------------------------------------------- continuation counts


def continuation_probs(text: str) -> dict[str, float]:
    """Kneser–Ney's lowest order: in how many different places a character has stood.

    p(w) = (number of different characters seen just before w) / (number of different bigrams).
    Keys: the characters with at least one character before them. Empty for texts shorter than 2.

    >>> continuation_probs("aabab") == {"a": 2 / 3, "b": 1 / 3}
    True
    """
    bigrams = {text[i : i + 2] for i in range(len(text) - 1)}
    places = Counter(bigram[1] for bigram in bigrams)
    return {w: count / len(bigrams) for w, count in places.items()}


def occurrences_counted(text):
    return {w: count / (len(text) - 1) for w, count in Counter(text[1:]).items()}


def followers_counted(text):
    return continuation_probs(text[::-1])


def divided_by_occurrences(text):
    bigrams = {text[i : i + 2] for i in range(len(text) - 1)}
    return {w: p * len(bigrams) / (len(text) - 1) for w, p in continuation_probs(text).items()}


def divided_by_vocabulary(text):
    bigrams = {text[i : i + 2] for i in range(len(text) - 1)}
    return {w: p * len(bigrams) / len(set(text)) for w, p in continuation_probs(text).items()}


# 01.7 -------------------------------------------------------------------------------- Kneser–Ney


def kneser_ney(
    counts: Int[np.ndarray, " vocab"], lower: Float[np.ndarray, " vocab"], discount: float
) -> Float[np.ndarray, " vocab"]:
    """Interpolated Kneser–Ney: max(c(hw) - D, 0) / Σ c(hw') + γ · lower.

    γ is the probability that the discounts D set free: D · (number of symbols seen) /
    Σ c(hw'). `lower` holds the (continuation) probabilities given the shorter history.
    Nothing seen: the result is `lower`.

    >>> kneser_ney(np.array([2, 0, 0, 2]), np.array([0.1, 0.3, 0.1, 0.5]), 0.5).round(4)
    array([0.4  , 0.075, 0.025, 0.5  ])
    """
    total = counts.sum()
    if total == 0:
        return lower
    gamma = discount * (counts > 0).sum() / total
    return np.maximum(counts - discount, 0) / total + gamma * lower


def below_zero(counts, lower, discount):
    total = counts.sum()
    if total == 0:
        return lower
    return (counts - discount) / total + discount * (counts > 0).sum() / total * lower


def gamma_of_one_symbol(counts, lower, discount):
    total = counts.sum()
    if total == 0:
        return lower
    return np.maximum(counts - discount, 0) / total + discount / total * lower


def gamma_counts_occurrences(counts, lower, discount):
    total = counts.sum()
    return lower if total == 0 else np.maximum(counts - discount, 0) / total + discount * lower


def gamma_counts_the_vocabulary(counts, lower, discount):
    total = counts.sum()
    if total == 0:
        return lower
    return np.maximum(counts - discount, 0) / total + discount * len(counts) / total * lower


def divided_by_zero(counts, lower, discount):
    return kneser_ney(counts, lower, discount) if counts.any() else counts / counts.sum()


def lower_for_unseen_only(counts, lower, discount):
    total = counts.sum()
    if total == 0:
        return lower
    gamma = discount * (counts > 0).sum() / total
    return np.where(counts > 0, (counts - discount) / total, gamma * lower)


# 01.8 -------------------------------------------------------------- the three discounts


def three_discounts(counts: Int[np.ndarray, " ngrams"]) -> tuple[float, float, float]:
    """Modified Kneser–Ney's discounts D1, D2, D3 from the counts of all n-grams of one order.

    With n_r the number of n-grams seen exactly r times and Y = n1 / (n1 + 2 n2):
    D1 = 1 - 2Y n2/n1, D2 = 2 - 3Y n3/n2, D3 = 3 - 4Y n4/n3. All of n1 … n4 must be positive.
    Chen & Goodman (1999), "An empirical study of smoothing techniques for language modeling".

    >>> three_discounts(np.array([1, 1, 1, 1, 2, 2, 3, 4]))
    (0.5, 1.25, 1.0)
    """
    n1, n2, n3, n4 = (int((counts == r).sum()) for r in (1, 2, 3, 4))
    y = n1 / (n1 + 2 * n2)
    return 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3


def from_counts_of_counts(n, y):
    """The three formulas for other ideas of n[1..4] and Y."""
    return tuple(r - (r + 1) * y * n[r + 1] / n[r] for r in (1, 2, 3))


def y_without_the_two(counts):
    n = [(counts == r).sum() for r in range(5)]
    return from_counts_of_counts(n, n[1] / (n[1] + n[2]))


def at_least_r(counts):
    n = [(counts >= r).sum() for r in range(5)]
    return from_counts_of_counts(n, n[1] / (n[1] + 2 * n[2]))


def occurrences_instead_of_ngrams(counts):
    n = [r * (counts == r).sum() for r in range(5)]
    return from_counts_of_counts(n, n[1] / (n[1] + 2 * n[2]))


def ratio_upside_down(counts):
    n = [(counts == r).sum() for r in range(5)]
    y = n[1] / (n[1] + 2 * n[2])
    return tuple(r - (r + 1) * y * n[r] / n[r + 1] for r in (1, 2, 3))


def the_same_factor_twice(counts):
    n = [(counts == r).sum() for r in range(5)]
    y = n[1] / (n[1] + 2 * n[2])
    return tuple(r - 2 * y * n[r + 1] / n[r] for r in (1, 2, 3))


@st.composite
def counts_with_all_four(draw):
    extra = draw(st.lists(st.integers(0, 6), max_size=8))
    return (np.array([1, 2, 3, 4, *extra]),)


# 01.9 ---------------------------------------------------------------------------------- sampling


def sample(probs: Float[np.ndarray, " vocab"], temperature: float, u: float) -> int:
    """Draw a symbol at a temperature, with a random number u from [0, 1).

    The probabilities are raised to the power 1/temperature and normalised; the symbol drawn is
    the first whose cumulative probability exceeds u.

    >>> sample(np.array([0.5, 0.25, 0.25]), 1.0, u=0.6)
    1
    >>> sample(np.array([0.5, 0.25, 0.25]), 0.5, u=0.6)
    0
    """
    sharpened = probs ** (1 / temperature)
    cumulative = np.cumsum(sharpened / sharpened.sum())
    return int(np.argmax(cumulative > u))


def power_of_temperature(probs, temperature, u):
    return sample(probs, 1 / temperature, u)


def softmax_of_probs(probs, temperature, u):
    return sample(np.exp(probs), temperature, u)


def temperature_ignored(probs, temperature, u):
    return sample(probs, 1.0, u)


def not_normalised_again(probs, temperature, u):
    return min(int(np.sum(np.cumsum(probs ** (1 / temperature)) <= u)), len(probs) - 1)


def reaches_instead_of_exceeds(probs, temperature, u):
    sharpened = probs ** (1 / temperature)
    return int(np.argmax(np.cumsum(sharpened / sharpened.sum()) >= u))


def always_the_likeliest(probs, temperature, u):
    return int(np.argmax(probs))


@st.composite
def probs_temperature_u(draw):
    weights = draw(st.lists(st.integers(0, 6), min_size=2, max_size=4).filter(any))
    # 0, or a number that no cumulative probability equals
    u = draw(st.one_of(st.just(0), st.integers(0, 996))) / 997
    return np.array(weights) / sum(weights), draw(st.sampled_from([0.5, 1.0, 2.0])), u


# 01.10 ----------------------------------------------------------------------- arithmetic coding


def encode(message: str, counts: dict[str, int]) -> tuple[Fraction, Fraction]:
    """The interval that stands for a message: its lower end and its width, exactly.

    Start with [0, 1). For each symbol, keep the part of the interval that belongs to it: the
    symbols lie side by side in sorted order, each with its probability as its share.

    >>> encode("ba", {"a": 3, "b": 1})
    (Fraction(3, 4), Fraction(3, 16))
    """
    total, low, width = sum(counts.values()), Fraction(0), Fraction(1)
    for symbol in message:
        below = sum(count for other, count in counts.items() if other < symbol)
        low += width * Fraction(below, total)
        width *= Fraction(counts[symbol], total)
    return low, width


def decode(number: Fraction, counts: dict[str, int], length: int) -> str:
    """The message of `length` symbols whose interval holds the number.

    >>> decode(Fraction(4, 5), {"a": 3, "b": 1}, 2)
    'ba'
    """
    total, message = sum(counts.values()), ""
    for _ in range(length):
        below = Fraction(0)
        for symbol in sorted(counts):
            share = Fraction(counts[symbol], total)
            if number < below + share:
                break
            below += share
        message += symbol
        number = (number - below) / share  # where the number lies within that symbol's part
    return message


def interval_and_decoded(
    encode: Callable[..., Any], decode: Callable[..., Any]
) -> Callable[..., Any]:
    """The pair as one function: the interval, and what its two ends' neighbours decode to."""

    def coded(message: str, counts: dict[str, int]) -> dict[str, Any]:
        low, width = encode(message, counts)
        inside = [low, low + width / 2, low + width * Fraction(999, 1000)]
        decoded = [decode(number, counts, len(message)) for number in inside]
        return {"low": low, "width": width, "decoded": decoded}

    return coded


def part_of_the_whole(message, counts):
    total, low, width = sum(counts.values()), Fraction(0), Fraction(1)
    for symbol in message:
        low += Fraction(sum(c for s, c in counts.items() if s < symbol), total)
        width *= Fraction(counts[symbol], total)
    return low, width


def width_first(message, counts):
    total, low, width = sum(counts.values()), Fraction(0), Fraction(1)
    for symbol in message:
        width *= Fraction(counts[symbol], total)
        low += width * Fraction(sum(c for s, c in counts.items() if s < symbol), total)
    return low, width


def own_share_below(message, counts):
    total, low, width = sum(counts.values()), Fraction(0), Fraction(1)
    for symbol in message:
        low += width * Fraction(sum(c for s, c in counts.items() if s <= symbol), total)
        width *= Fraction(counts[symbol], total)
    return low, width


def encode_in_dict_order(message, counts):
    place = {symbol: chr(number) for number, symbol in enumerate(counts)}
    renamed = {place[symbol]: count for symbol, count in counts.items()}
    return encode("".join(place[symbol] for symbol in message), renamed)


def decode_in_dict_order(number, counts, length):
    symbols = list(counts)
    renamed = {chr(number): count for number, count in enumerate(counts.values())}
    return "".join(symbols[ord(place)] for place in decode(number, renamed, length))


def number_never_rescaled(number, counts, length):
    return decode(number, counts, 1) * length


def number_only_shifted(number, counts, length):
    total, message = sum(counts.values()), ""
    for _ in range(length):
        symbol = decode(number, counts, 1)
        message += symbol
        number -= Fraction(sum(c for s, c in counts.items() if s < symbol), total)
    return message


@st.composite
def messages_and_counts(draw):
    alphabet = draw(st.sampled_from(["ab", "ba", "abc", "cab"]))
    counts = {symbol: draw(st.integers(1, 4)) for symbol in alphabet}
    return draw(texts("".join(counts), 0, 5)), counts


# 01.11 -------------------------------------------------------------------------- spot the bug


def perplexity_repaired(model: Callable[[str, str], float], training: str, held_out: str) -> float:
    """Perplexity of `held_out`, each character given all text before it, training text included.

    `model(history, character)` is the probability of the character after the history.

    >>> round(perplexity_repaired(echo_model, "aa", "ab"), 3)
    2.582
    """
    text, nats = training + held_out, 0.0
    for i in range(len(training), len(text)):
        nats -= math.log(model(text[:i], text[i]))
    return math.exp(nats / len(held_out))


def perplexity_with_bugs(model, training, held_out):
    text, blocks = training + held_out, []
    for start in range(0, len(text), 4):
        block, nats = text[start : start + 4], 0.0
        for i in range(len(block)):
            nats -= math.log(model(block[:i], block[i]))
        blocks.append(math.exp(nats / len(block)))
    return sum(blocks) / len(blocks)


def history_still_restarts(model, training, held_out):
    nats = 0.0
    for i in range(len(held_out)):
        nats -= math.log(model(held_out[i - i % 4 : i], held_out[i]))
    return math.exp(nats / len(held_out))


def held_out_starts_cold(model, training, held_out):
    return perplexity_repaired(model, "", held_out)


def training_text_still_scored(model, training, held_out):
    return perplexity_repaired(model, "", training + held_out)


def target_in_its_own_history(model, training, held_out):
    text, nats = training + held_out, 0.0
    for i in range(len(training), len(text)):
        nats -= math.log(model(text[: i + 1], text[i]))
    return math.exp(nats / len(held_out))


def perplexities_still_averaged(model, training, held_out):
    text, blocks = training + held_out, []
    for start in range(len(training), len(text), 4):
        block = text[start : start + 4]
        blocks.append(perplexity_repaired(model, text[:start], block))
    return sum(blocks) / len(blocks)


def on_the_echo_model(perplexity: Callable[..., float]) -> Callable[[str, str], float]:
    """The evaluation as a function of two texts, with a model that follows its history closely."""

    def evaluated(training: str, held_out: str) -> float:
        return perplexity(echo_model, training, held_out)

    return evaluated


def echo_model(history: str, character: str) -> float:
    """A model of the characters a and b that expects what it saw lately: add-one on the last 3."""
    recent = history[-3:]
    return (1 + recent.count(character)) / (2 + len(recent))


# -------------------------------------------------------------------------------------- the list

EXERCISES = [
    Exercise(
        id="01.1",
        title="What follows this history?",
        objective="You can estimate a conditional distribution by counting.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=next_char_probs,
        inputs=texts_and_histories(),
        without=LIBRARY,
        mistakes={
            divided_by_text_length: "You divide by the length of the text: divide by how often "
            "this history was followed by anything, so that the result sums to one.",
            history_at_the_end_counted: "A history at the very end of the text has no next "
            "character: leave it out of the denominator.",
            occurrences_do_not_overlap: "Occurrences may overlap: aa occurs twice in aaa. Look at "
            "every position instead of using split or count.",
            counted_by_str_count: "str.count skips occurrences that overlap, and counts one at the "
            "very end, which nothing follows: look at every position.",
            last_place_left_out: "You stop one place too early: the last character of the text "
            "follows a history too.",
            what_comes_before: "You count the characters before the history; p(w | h) asks which "
            "come after it.",
        },
        hints=(
            "Go through all positions i and ask whether the history starts at i.",
            "If text[i : i + n] == history, the next character is text[i + n], if there is one.",
            "Count these characters in a Counter and divide each count by the sum of the counts.",
        ),
    ),
    Exercise(
        id="01.2",
        title="Perplexity and bits per byte",
        objective="You can turn log-probabilities into the scores by which models are compared.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=scores,
        inputs=texts_with_log_probs(),
        without=LIBRARY,
        mistakes={
            bytes_are_characters: "Bytes are not characters: é has two and 猫 has three in UTF-8. "
            "Divide by len(text.encode()).",
            nats_per_byte: "These are nats per byte: one bit is ln 2 nats, so divide by ln 2.",
            multiplied_by_log_two: "To go from nats to bits divide by ln 2; you multiply.",
            mean_of_perplexities: "You average 1/p over the characters: take the mean of the "
            "log-probabilities first and the exponential last.",
            two_to_the_nats: "The log-probabilities are natural, so the perplexity is e (not 2) "
            "to the power of the mean loss.",
            e_to_the_bits: "You raise e to the bits per character: e goes with nats, 2 with bits.",
        },
        hints=(
            "The loss of the whole text in nats is minus the sum of its log-probabilities.",
            "Perplexity: e to the power of the nats per character. Bits: nats divided by ln 2.",
            "Divide the bits by len(text.encode()) and not by len(text).",
        ),
    ),
    Exercise(
        id="01.3",
        title="Add-k smoothing",
        objective="You can give unseen symbols a probability and still sum to one.",
        points=2,
        minutes=8,
        difficulty=1,
        reference=add_k,
        inputs=st.tuples(count_vectors(), st.sampled_from([0.5, 1.0, 2.0])),
        without=LIBRARY,
        mistakes={
            without_vocabulary_size: "Each of the V symbols got k, so the denominator grows by "
            "k·V; yours grows by k.",
            only_seen_symbols_in_the_denominator: "V is the size of the whole vocabulary, unseen "
            "symbols included.",
            only_unseen_get_k: "Every symbol gets k more, those that were seen too.",
            k_added_to_frequencies: "Add k to the counts, before you divide: added to the "
            "frequencies it weighs the same however much was seen.",
        },
        hints=(
            "Pretend that each symbol was seen k times more than it was.",
            "The numerators are counts + k. What do they sum to?",
            "To counts.sum() + k * len(counts): that is the denominator.",
        ),
    ),
    Exercise(
        id="01.4",
        title="One EM step for interpolation weights",
        objective="You can fit the weights of a mixture on held-out text.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=em_step,
        inputs=held_out_probs_and_weights(),
        without=LIBRARY,
        mistakes={
            shares_of_the_total: "Normalise within each position first: every position has one "
            "vote, or those with high probabilities outvote the others.",
            old_weights_forgotten: "The shares come from weight × probability; you use the "
            "probabilities alone.",
            shares_not_averaged: "You add the shares up: divide by the number of positions, so "
            "that the weights sum to one.",
            winner_takes_the_position: "EM divides a position among the models in proportion; "
            "you give all of it to the best one.",
            normalised_over_positions: "You normalise along the wrong axis: at each position the "
            "shares of the models must sum to one.",
        },
        hints=(
            "At position i the mixture gives Σ_j weights[j] · probs[i, j]. Which part is from j?",
            "E step: came_from = probs * weights, divided by its sum over the models (axis 1).",
            "M step: the mean of these shares over the positions (axis 0).",
        ),
    ),
    Exercise(
        id="01.5",
        title="Back off, and still sum to one",
        objective="You can hand the probability that a discount frees to unseen symbols only.",
        points=3,
        minutes=20,
        difficulty=2,
        reference=back_off,
        inputs=counts_lower_discount(),
        without=LIBRARY,
        mistakes={
            rest_not_normalised: "Only the unseen symbols share the rest, so divide `lower` by its "
            "sum over the unseen ones first.",
            one_discount_to_share: "Each symbol that was seen gave D, so the rest is D times their "
            "number, divided by the sum of the counts.",
            rest_shared_equally: "The rest is shared in proportion to `lower`, not equally.",
            seen_symbols_share_too: "That is interpolation: in back-off a symbol that was seen "
            "gets nothing from the shorter history.",
            discounted_though_all_seen: "When every symbol was seen nobody takes the rest: then "
            "take no discount.",
            no_edge_cases: "Both edge cases are missing: where nothing was seen you divide 0 by 0, "
            "and where everything was seen nobody takes the rest.",
            nothing_seen_forgotten: "Where nothing was seen you divide 0 by 0: return `lower` "
            "there.",
        },
        hints=(
            "Handle the two special cases first: nothing seen, everything seen.",
            "kept = (counts - discount) / counts.sum() where counts > 0; the rest is "
            "1 - kept.sum().",
            "Unseen symbols get rest * lower / lower[counts == 0].sum().",
        ),
    ),
    Exercise(
        id="01.6",
        title="In how many places?",
        objective="You can count the places in which a character stood, Kneser–Ney's idea.",
        points=2,
        minutes=10,
        difficulty=2,
        reference=continuation_probs,
        inputs=st.tuples(texts("abc", 0, 12)),
        without=LIBRARY,
        mistakes={
            occurrences_counted: "You count occurrences; count *different* characters before w, "
            "each once however often it occurs.",
            followers_counted: "You count different characters after w; what counts is how many "
            "different ones came before it.",
            divided_by_occurrences: "Divide by the number of different bigrams, not by the number "
            "of bigrams in the text.",
            divided_by_vocabulary: "Divide by the number of different bigrams, not of different "
            "characters: the result must sum to one.",
        },
        hints=(
            "A set keeps each bigram once.",
            "bigrams = {text[i : i + 2] for i in range(len(text) - 1)}",
            "Count the second characters of the set's bigrams; divide by the size of the set.",
        ),
    ),
    Exercise(
        id="01.7",
        title="Interpolated Kneser–Ney",
        objective="You can discount counts and mix in the shorter history, and still sum to one.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=kneser_ney,
        inputs=counts_lower_discount(),
        without=LIBRARY,
        mistakes={
            below_zero: "A symbol that was not seen has no count to take a discount from: "
            "max(c(hw) - D, 0).",
            gamma_of_one_symbol: "γ must hold all that was discounted: D for each different "
            "symbol seen, not D once.",
            gamma_counts_occurrences: "γ counts the different symbols that were seen, not their "
            "occurrences.",
            gamma_counts_the_vocabulary: "Only symbols that were seen gave a discount; you count "
            "the whole vocabulary in γ.",
            lower_for_unseen_only: "That is back-off: in interpolation every symbol gets its part "
            "of γ · lower, seen or not.",
            divided_by_zero: "A history that was never seen has the sum 0: return `lower` before "
            "you divide by it.",
        },
        hints=(
            "How much probability do the discounts set free? That is γ.",
            "With total = counts.sum(), each different symbol seen gave discount / total, so "
            "gamma = discount * (counts > 0).sum() / total.",
            "np.maximum(counts - discount, 0) / total + gamma * lower; `lower` when total is 0.",
        ),
    ),
    Exercise(
        id="01.8",
        title="Three discounts from four numbers",
        objective="You can estimate modified Kneser–Ney's discounts from counts of counts.",
        points=2,
        minutes=12,
        difficulty=2,
        elective=True,
        reference=three_discounts,
        inputs=counts_with_all_four(),
        without=LIBRARY,
        mistakes={
            y_without_the_two: "Y = n1 / (n1 + 2 n2): the 2 is missing.",
            at_least_r: "n_r counts n-grams seen exactly r times; you count those seen at least r "
            "times.",
            occurrences_instead_of_ngrams: "n_r is a number of n-grams; you multiplied it by r, "
            "which gives their occurrences.",
            ratio_upside_down: "The ratio is n_(r+1) / n_r; yours is upside down.",
            the_same_factor_twice: "The factor grows with the order of the discount: 2, 3, 4.",
        },
        hints=(
            "n_r is (counts == r).sum().",
            "Compute Y = n1 / (n1 + 2 * n2) once; all three discounts use it.",
            "D_r = r - (r + 1) * Y * n_(r+1) / n_r for r = 1, 2, 3.",
        ),
    ),
    Exercise(
        id="01.9",
        title="Sampling at a temperature",
        objective="You can draw from a distribution with one random number.",
        points=2,
        minutes=12,
        difficulty=2,
        reference=sample,
        inputs=probs_temperature_u(),
        without=(*LIBRARY, "numpy.random", "random"),
        mistakes={
            power_of_temperature: "You raise to the power T: it is 1/T, so that a low temperature "
            "sharpens.",
            softmax_of_probs: "You take the softmax of p/T: a softmax belongs to ln p, not to p. "
            "Raise p to the power 1/T and divide by the sum.",
            temperature_ignored: "The temperature changes nothing: dividing all probabilities by T "
            "is undone by normalising. Raise them to the power 1/T.",
            not_normalised_again: "After the power the probabilities no longer sum to one: "
            "normalise before you accumulate.",
            reaches_instead_of_exceeds: "The cumulative probability must exceed u: with ≥ a symbol "
            "of probability zero is drawn at u = 0.",
            always_the_likeliest: "You always take the likeliest symbol; the random number u must "
            "decide.",
        },
        hints=(
            "Lay the probabilities side by side on [0, 1): u falls into one of them.",
            "sharpened = probs ** (1 / temperature), divided by its sum.",
            "np.cumsum gives the right edges; take the first edge that is greater than u.",
        ),
    ),
    Exercise(
        id="01.10",
        title="A coder of exact fractions",
        objective="You can turn a model into a compressor and back.",
        points=4,
        minutes=30,
        difficulty=3,
        elective=True,
        reference=(encode, decode),
        adapter=interval_and_decoded,
        inputs=messages_and_counts(),
        without=LIBRARY,
        mistakes={
            (part_of_the_whole, decode): "encode: each symbol takes its part of the *current* "
            "interval, so multiply the symbol's start by the width.",
            (width_first, decode): "encode: move the lower end before you shrink the width; the "
            "start is a part of the old width.",
            (own_share_below, decode): "encode: the symbol's own share does not lie below it; "
            "add up only the symbols before it.",
            (encode_in_dict_order, decode_in_dict_order): "encode and decode: the symbols lie "
            "side by side in sorted order, not in the dictionary's.",
            (encode_in_dict_order, decode): "encode: the symbols lie side by side in sorted "
            "order, not in the dictionary's.",
            (encode, decode_in_dict_order): "decode: the symbols lie side by side in sorted "
            "order, not in the dictionary's.",
            (encode, number_never_rescaled): "decode: after each symbol, zoom in: subtract the "
            "start of its part and divide by its share.",
            (encode, number_only_shifted): "decode: after subtracting the start of the symbol's "
            "part, divide by its share.",
        },
        hints=(
            "The interval is (low, width); the first is 0 and 1. Use Fraction throughout.",
            "encode: low += width * below / total, then width *= counts[symbol] / total.",
            "decode: find the symbol whose part holds the number; then number = (number - start "
            "of the part) / share.",
        ),
    ),
    Exercise(
        id="01.11",
        title="Spot the bug: an evaluation that cannot be trusted",
        objective="You can find what makes a reported perplexity wrong.",
        points=3,
        minutes=20,
        difficulty=3,
        reference=perplexity_repaired,
        adapter=on_the_echo_model,
        inputs=st.tuples(texts("ab", 0, 6), texts("ab", 1, 9)),
        without=LIBRARY,
        mistakes={
            perplexity_with_bugs: "This still does what the broken code does: it scores the "
            "training text, restarts the history and averages perplexities.",
            history_still_restarts: "The history still restarts at each block: a character must "
            "see all text before it.",
            held_out_starts_cold: "The first held-out characters have a history too: the training "
            "text.",
            training_text_still_scored: "The training text is history, not examination: score "
            "only the held-out characters.",
            target_in_its_own_history: "The character to be predicted stands in its own history: "
            "text[:i] ends just before it.",
            perplexities_still_averaged: "You average the perplexities of blocks: average the "
            "losses of all characters and take one exponential at the end.",
        },
        hints=(
            "There are three bugs: which text is scored, what a character sees, what is averaged.",
            "Let text = training + held_out, and score text[i] given text[:i] for the right i.",
            "i runs from len(training); add up -log p; the exponential of the mean comes last.",
        ),
    ),
]
