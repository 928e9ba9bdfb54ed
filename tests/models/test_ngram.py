"""The fast models against slow ones written from the papers' formulas with dictionaries."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.errors import CourseError
from course_lib.models.ngram import (
    AddK,
    Backoff,
    Interpolated,
    KneserNey,
    NGramCounts,
    Uniform,
    estimate_discounts,
    sample,
)

# --- the slow versions: tuples, dictionaries, recursion ---------------------------------------


def grams(text, m):
    """All m-grams of a list, as tuples."""
    return [tuple(text[i : i + m]) for i in range(len(text) - m + 1)]


def slow_discounts(counts, how_many):
    n1, n2, n3, n4 = (sum(c == k for c in counts.values()) for k in (1, 2, 3, 4))
    Y = n1 / (n1 + 2 * n2) if n1 > 0 and n2 > 0 else 0.5
    if how_many == 3 and n1 > 0 and n2 > 0 and n3 > 0 and n4 > 0:
        D1, D2, D3 = 1 - 2 * Y * n2 / n1, 2 - 3 * Y * n3 / n2, 3 - 4 * Y * n4 / n3
        if 0 < D1 < 1 and 0 < D2 < 2 and 0 < D3 < 3:
            return {1: D1, 2: D2, 3: D3}
    return {1: Y, 2: Y, 3: Y}


def slow_kneser_ney(text, V, order, how_many):
    tables = {}
    for m in range(1, order + 1):
        if m == order:
            tables[m] = Counter(grams(text, m))
        else:
            tables[m] = Counter(g[1:] for g in set(grams(text, m + 1)))
    discounts = {m: slow_discounts(tables[m], how_many) for m in tables}

    def p(w, h):
        m = len(h) + 1
        below = p(w, h[1:]) if m > 1 else 1 / V
        followers = {v: tables[m][(*h, v)] for v in range(V) if (*h, v) in tables[m]}
        total = sum(followers.values())
        if total == 0:
            return below
        taken = {v: discounts[m][min(c, 3)] for v, c in followers.items()}
        own = (followers[w] - taken[w]) / total if w in followers else 0
        return own + sum(taken.values()) / total * below

    return p


def slow_backoff(text, V, order):
    tables = {m: Counter(grams(text, m)) for m in range(1, order + 1)}
    D = {m: slow_discounts(tables[m], 1)[1] for m in tables}

    def p(w, h):
        m = len(h) + 1
        below = lambda v: p(v, h[1:]) if m > 1 else 1 / V  # noqa: E731
        followers = {v: tables[m][(*h, v)] for v in range(V) if (*h, v) in tables[m]}
        total = sum(followers.values())
        if total == 0:
            return below(w)
        discount = D[m] if len(followers) < V else 0
        if w in followers:
            return (followers[w] - discount) / total
        left = 1 - sum((c - discount) / total for c in followers.values())
        return left * below(w) / sum(below(v) for v in range(V) if v not in followers)

    return p


def slow_jelinek_mercer(text, V, order, weights):
    tables = {m: Counter(grams(text, m)) for m in range(1, order + 1)}

    def p(w, h):
        m = len(h) + 1
        below = p(w, h[1:]) if m > 1 else 1 / V
        total = sum(tables[m][(*h, v)] for v in range(V))
        if total == 0:
            return below
        return weights[m - 1] * tables[m][(*h, w)] / total + (1 - weights[m - 1]) * below

    return p


def slow_add_k(text, V, k):
    def p(w, h):
        table = Counter(grams(text, len(h) + 1))
        total = sum(table[(*h, v)] for v in range(V))
        return (table[(*h, w)] + k) / (total + k * V) if total + k * V > 0 else 1 / V

    return p


@st.composite
def texts(draw):
    """A small text over a small alphabet: few symbols repeat often, so that all counts occur."""
    V = draw(st.integers(1, 4))
    return draw(st.lists(st.integers(0, V - 1), max_size=60)), V


orders = st.integers(1, 4)


def agree(model, slow, V, order):
    """Every history up to one longer than the model can use, every symbol: equal to 1e-12."""
    for length in range(order + 1):
        histories = np.array(list(itertools.product(range(V), repeat=length)), np.int64)
        got = model.next_token_probs(histories.reshape(V**length, length))
        for history, row in zip(histories.reshape(V**length, length).tolist(), got, strict=True):
            h = tuple(history[max(0, length - (order - 1)) :])
            np.testing.assert_allclose(row, [slow(w, h) for w in range(V)], rtol=0, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(texts(), orders, st.sampled_from([1, 3]))
def test_kneser_ney_is_the_papers_formula(text, order, discounts):
    tokens, V = text
    model = KneserNey(NGramCounts.of(np.array(tokens, np.int64), V, 4), order, discounts)
    agree(model, slow_kneser_ney(tokens, V, order, discounts), V, order)


@settings(max_examples=40, deadline=None)
@given(texts(), orders)
def test_backoff_is_the_papers_formula(text, order):
    tokens, V = text
    model = Backoff(NGramCounts.of(np.array(tokens, np.int64), V, 4), order)
    agree(model, slow_backoff(tokens, V, order), V, order)


@settings(max_examples=40, deadline=None)
@given(texts(), orders, st.data())
def test_interpolation_is_the_papers_formula(text, order, data):
    tokens, V = text
    weights = data.draw(st.lists(st.floats(0, 0.99), min_size=order, max_size=order))
    counts = NGramCounts.of(np.array(tokens, np.int64), V, 4)
    model = Interpolated(counts, order, np.array(weights))
    agree(model, slow_jelinek_mercer(tokens, V, order, weights), V, order)


@settings(max_examples=40, deadline=None)
@given(texts(), orders, st.sampled_from([0.0, 0.01, 1.0]))
def test_add_k_is_the_formula_and_an_unseen_history_says_nothing(text, order, k):
    tokens, V = text
    model = AddK(NGramCounts.of(np.array(tokens, np.int64), V, 4), order, k)
    agree(model, slow_add_k(tokens, V, k), V, order)


# --- counting ----------------------------------------------------------------------------------


def spell(counts, number):
    """The symbols of an n-gram, found by walking its prefixes."""
    symbols = []
    while number != 0:
        symbols.append(int(counts.key[number] - counts.prefix[number] * counts.vocab_size))
        number = counts.prefix[number]
    return tuple(reversed(symbols))


def assert_counts_are_right(tokens, vocab_size, order):
    counts = NGramCounts.of(np.array(tokens, np.int64), vocab_size, order)
    for m in range(1, order + 1):
        ids = range(counts.of_length(m).start, counts.of_length(m).stop)
        assert {spell(counts, i): counts.raw[i] for i in ids} == Counter(grams(tokens, m))
        assert all(spell(counts, counts.suffix[i]) == spell(counts, i)[1:] for i in ids)
        if m < order:
            places = Counter(g[1:] for g in set(grams(tokens, m + 1)))
            got = dict(zip((spell(counts, i) for i in ids), counts.continuations(m), strict=True))
            assert {g: c for g, c in got.items() if c > 0} == places
        last = tuple(tokens[len(tokens) - (m - 1) :]) if m > 1 else None  # nothing follows it there
        histories = [spell(counts, h) for h in range(*counts.level[m - 1 : m + 1])]
        followed = counts.raw[counts.of_length(m - 1)] - [h == last for h in histories]
        got = counts.sum_over_next(m, counts.raw[counts.of_length(m)])
        np.testing.assert_array_equal(got, followed)
    assert (np.diff(counts.key) > 0).all()


@settings(max_examples=60, deadline=None)
@given(texts(), st.integers(1, 6))
def test_counts_are_those_of_a_dictionary(text, order):
    assert_counts_are_right(*text, order)


def test_counts_hold_for_long_n_grams_over_a_chinese_alphabet():
    """5,000 symbols to the 9th is beyond 64 bits: the windows' numbers are ranked on the way."""
    rng = np.random.default_rng(0)
    phrases = [rng.integers(0, 5000, 7).tolist() for _ in range(12)]
    text = [w for i in rng.integers(0, 12, 120) for w in phrases[i]] + [4999] * 20
    assert_counts_are_right(text, 5000, 9)


def test_kneser_ney_counts_places_not_times():
    """San Francisco: c = "Francisco" is frequent, but only after "San"; d occurs in two places."""
    a, s, c, d = range(4)
    text = np.array([s, c, s, c, s, c, s, c, a, d, s, d, a])
    probs = KneserNey(NGramCounts.of(text, 4, 2), 2).next_token_probs(np.array([[d]]))[0]
    assert NGramCounts.of(text, 4, 2).continuations(1).tolist() == [2, 2, 1, 2]
    assert probs[d] > probs[c]


def test_a_token_outside_the_vocabulary_is_refused():
    with pytest.raises(CourseError, match="token 7 is not in a vocabulary of 3"):
        NGramCounts.of(np.array([0, 7]), 3, 2)
    model = Uniform(3)
    with pytest.raises(CourseError, match="token -1"):
        model.next_token_probs(np.array([[-1]]))


def test_a_model_cannot_be_longer_than_its_counts():
    with pytest.raises(CourseError, match="lengths 1 to 2 were counted"):
        KneserNey(NGramCounts.of(np.array([0, 1]), 2, 2), 3)


# --- every model -------------------------------------------------------------------------------


def every_model(counts, order):
    return [
        Uniform(counts.vocab_size),
        AddK(counts, order, 0),
        AddK(counts, order, 0.5),
        Interpolated(counts, order, np.full(order, 0.6)),
        Backoff(counts, order),
        KneserNey(counts, order, 1),
        KneserNey(counts, order, 3),
    ]


@pytest.fixture(scope="module")
def english():
    """Words drawn with a few favourites: 30,000 characters over 27 symbols."""
    rng = np.random.default_rng(3)
    words = ["".join(rng.choice(list("aeionrstlhdc"), rng.integers(2, 7))) for _ in range(300)]
    favourites = 1 / np.arange(1, 301)
    chosen = rng.choice(words, 6000, p=favourites / favourites.sum())
    return np.array([ord(c) - 96 if c != " " else 0 for c in " ".join(chosen)])


@pytest.mark.parametrize("which", range(7))
def test_rows_sum_to_one_after_random_histories(english, which):
    model = every_model(NGramCounts.of(english, 27, 6), 6)[which]
    rng = np.random.default_rng(0)
    asked = english[rng.integers(0, len(english) - 9, 500)[:, None] + np.arange(9)]
    noise = rng.integers(0, 27, (500, 9))
    for histories in (asked, noise, noise[:, :2], noise[:, :0]):
        probs = model.next_token_probs(histories)
        assert (probs >= 0).all()
        np.testing.assert_allclose(probs.sum(axis=1), 1, rtol=0, atol=1e-9)


@settings(max_examples=20, deadline=None)
@given(texts(), orders, st.integers(0, 6), st.data())
def test_a_row_is_the_same_to_the_last_bit_in_any_batch(text, order, length, data):
    tokens, V = text
    rows = st.lists(st.integers(0, V - 1), min_size=length, max_size=length)
    histories = np.array(data.draw(st.lists(rows, min_size=2, max_size=6)), np.int64)
    for model in every_model(NGramCounts.of(np.array(tokens, np.int64), V, 4), order):
        together = model.next_token_probs(histories)
        for i in range(len(histories)):
            alone = model.next_token_probs(histories[i : i + 1])
            assert alone.tobytes() == together[i].tobytes()


def test_a_row_is_the_same_to_the_last_bit_in_a_batch_of_thousands(english):
    model = KneserNey(NGramCounts.of(english, 27, 6), 6)
    histories = english[np.arange(3000)[:, None] + np.arange(5)]
    together = model.next_token_probs(histories)
    alone = np.concatenate([model.next_token_probs(h[None]) for h in histories])
    assert alone.tobytes() == together.tobytes()


@settings(max_examples=15, deadline=None)
@given(texts(), texts(), orders, st.data())
def test_scoring_a_text_asks_for_each_token_after_all_before_it(text, other, order, data):
    tokens, V = text
    scored = np.array([w % V for w in other[0][:12]], np.int64)
    start = data.draw(st.integers(0, len(scored)))
    for model in every_model(NGramCounts.of(np.array(tokens, np.int64), V, 4), order):
        got = np.exp(model.token_log_probs(scored, start))
        probs = [model.next_token_probs(scored[None, :i])[0] for i in range(start, len(scored))]
        expected = [row[w] for row, w in zip(probs, scored[start:], strict=True)]
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)


def test_relative_frequencies_lose_infinitely_much_on_something_new():
    model = AddK(NGramCounts.of(np.array([0, 1, 0, 1]), 3, 2), 2, 0)
    assert model.token_log_probs(np.array([0, 2]))[1] == -math.inf


@pytest.mark.parametrize("text", [[], [0], [0, 0, 0, 0, 0], [0, 1], [0, 1, 2]])
@pytest.mark.parametrize("V", [3, 50])
def test_tiny_texts_give_finite_losses(text, V):
    counts = NGramCounts.of(np.array(text, np.int64), V, 8)
    for model in (Backoff(counts, 8), KneserNey(counts, 8, 1), KneserNey(counts, 8, 3)):
        assert np.isfinite(model.token_log_probs(np.array([0, 2, 1, 1, 0]))).all()


def test_discounts_of_three_are_chen_and_goodmans():
    """n1 … n4 = 10, 5, 3, 2: Y = 10/20; D = 1 - 2·½·5/10, 2 - 3·½·3/5, 3 - 4·½·2/3."""
    counts = np.repeat([1, 2, 3, 4, 9], [10, 5, 3, 2, 4])
    np.testing.assert_allclose(estimate_discounts(counts, 3), [0.5, 1.1, 3 - 4 / 3], atol=1e-12)
    np.testing.assert_allclose(estimate_discounts(counts, 1), [0.5, 0.5, 0.5], atol=1e-12)


def test_missing_counts_of_counts_fall_back_as_documented():
    assert estimate_discounts(np.array([7, 8, 9]), 3).tolist() == [0.5, 0.5, 0.5]
    no_fours = np.repeat([1, 2, 3], [10, 5, 3])
    assert estimate_discounts(no_fours, 3).tolist() == estimate_discounts(no_fours, 1).tolist()


def test_a_round_of_em_never_lowers_the_likelihood(english):
    counts, held_out = NGramCounts.of(english[:20000], 27, 5), english[20000:25000]
    fits = [Interpolated.fit(counts, 5, held_out, rounds) for rounds in range(12)]
    losses = [-m.token_log_probs(held_out).mean() for m in fits]
    assert (np.diff(losses) <= 1e-12).all()
    assert losses[0] > losses[-1] + 0.01


def test_em_ends_where_no_weight_can_be_improved(english):
    counts, held_out = NGramCounts.of(english[:20000], 27, 4), english[20000:25000]
    best = Interpolated.fit(counts, 4, held_out, rounds=300)
    loss = -best.token_log_probs(held_out).mean()
    for m, step in itertools.product(range(4), (-0.01, 0.01)):
        weights = best.weights.copy()
        weights[m] = np.clip(weights[m] + step, 0, 1 - 1e-6)
        assert loss <= -Interpolated(counts, 4, weights).token_log_probs(held_out).mean() + 1e-9


def test_modified_kneser_ney_wins_on_text_of_words(english):
    """Modified <= add-k by far; and smoothing beats relative frequencies, which are infinite."""
    counts, rest = NGramCounts.of(english[:20000], 27, 6), english[20000:]
    loss = {type(m).__name__: -m.token_log_probs(rest).mean() for m in every_model(counts, 6)}
    assert loss["KneserNey"] < loss["Interpolated"] < loss["Uniform"]
    assert loss["KneserNey"] < loss["AddK"]


def test_stored_counts_are_the_distinct_n_grams_of_the_orders_used(english):
    tokens = english.tolist()
    counts = NGramCounts.of(english, 27, 5)
    distinct = [len(set(grams(tokens, m))) for m in (1, 2, 3)]
    assert KneserNey(counts, 3).stored_counts == sum(distinct)
    assert AddK(counts, 3).stored_counts == distinct[-1]
    assert Uniform(27).stored_counts == 0


# --- writing -----------------------------------------------------------------------------------


def test_samples_follow_the_distribution(english):
    """Of 4,000 draws each frequency lies within 5 standard errors of its probability."""
    model = AddK(NGramCounts.of(english, 27, 1), 1)
    p = model.next_token_probs(np.zeros((1, 0), np.int64))[0]
    drawn = sample(model, 4000, np.random.default_rng(0))
    frequency = np.bincount(drawn, minlength=27) / 4000
    assert (abs(frequency - p) <= 5 * np.sqrt(p * (1 - p) / 4000)).all()


def test_temperature_zero_writes_the_most_likely_symbol(english):
    model = KneserNey(NGramCounts.of(english, 27, 4), 4)
    written = sample(model, 20, np.random.default_rng(0), prompt=english[:5], temperature=0)
    text = np.concatenate([english[:5], written])
    for i in range(5, len(text)):
        assert text[i] == model.next_token_probs(text[None, :i])[0].argmax()


def test_low_temperature_is_safer_than_high(english):
    model = KneserNey(NGramCounts.of(english, 27, 4), 4)
    safe, wild = (
        -model.token_log_probs(sample(model, 500, np.random.default_rng(1), temperature=t)).mean()
        for t in (0.5, 2.0)
    )
    assert safe < wild
