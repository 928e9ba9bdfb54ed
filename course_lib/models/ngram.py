"""Count-based language models: how likely is a symbol, given the few symbols before it?

`NGramCounts.of(tokens, vocab_size, order)` counts every n-gram of a text up to a length, once.
The models share these counts and differ only in what they do with a history that was seen seldom:

    Uniform        knows nothing: 1/V
    AddK           pretends that every symbol was seen k times more (k = 0: relative frequencies)
    Interpolated   mixes all orders with one weight an order (Jelinek & Mercer 1980)
    Backoff        asks a shorter history only for symbols never seen after this one (Katz 1987)
    KneserNey      takes a discount from each count, and judges shorter histories by in how many
                   *different* places a symbol occurs (Kneser & Ney 1995; Chen & Goodman 1999)

Letters: w is a symbol (token), V the number of symbols, h a history (the symbols before w), h' the
history without its first symbol, hw the n-gram that is h followed by w, c(hw) its count. A model
of order n looks at n-1 symbols of history. Every model here can be written with two numbers: what
an n-gram gets on its own account, `own[hw]`, and what the history hands down, `lower[h]`:

    p(w | h)  =  mix( own[hw], lower[h], p(w | h') ),      and below order 1 stands 1/V.

Every array in this module is addressed by the *number* of an n-gram (see `NGramCounts`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from course_lib.errors import CourseError

UNSEEN = -1  # the number of an n-gram that the text does not have; tables keep its value at the end


# ---------------------------------------------------------------------------------------------
# Counting
# ---------------------------------------------------------------------------------------------


def sort_windows(padded: Int[np.ndarray, " padded"], order: int) -> Int[np.ndarray, " n"]:
    """Sort the positions of a text by the `order` symbols that stand there, as a dictionary does.

    `padded` holds the n tokens plus one, followed by `order` zeros, so that a window which the end
    of the text cuts off comes before the longer ones. Two windows of w symbols that start s <= w
    apart make one of w + s, so the width doubles each round: the number of a wide window is
    (number of its left part) * base + (number of its right part). When that would no longer fit
    in 64 bits, the numbers are replaced by their ranks, of which there are at most n.

    Manber & Myers (1993), "Suffix arrays", whose doubling this is, stopped at `order`.
    """
    n = len(padded) - order
    number, width, base = padded.astype(np.int64), 1, int(padded.max(initial=0)) + 1
    while width < order:
        if base >= 2**31:  # base² must stay below 2⁶³
            distinct, number = np.unique(number, return_inverse=True)
            base = len(distinct)
        step = min(width, order - width)
        number[:-step] = number[:-step] * base + number[step:]
        width, base = width + step, base**2
    return np.argsort(number[:n])


@dataclass(frozen=True)
class NGramCounts:
    """How often each n-gram of a text occurs, for all n from 1 to `order`.

    Each distinct n-gram has a number: 0 is the empty one, then come all 1-grams, all 2-grams, …,
    each length in dictionary order. So the n-grams that extend a history by one symbol stand next
    to each other, and an n-gram is found from its *prefix* (all but its last symbol) and its last
    symbol by one binary search in `key = prefix * V + symbol`, which is sorted over all lengths.

    Invariants: the counts of all n-grams that extend h sum to raw[h], or to one less if the text
    ends with h; each n-gram's prefix and suffix are n-grams of the text too.
    """

    vocab_size: int  # V
    order: int  # longest n-gram counted
    level: Int[np.ndarray, " levels"]  # n-grams of length m: numbers level[m] up to level[m + 1]
    key: Int[np.ndarray, " ngrams"]  # prefix * V + last symbol; increasing
    prefix: Int[np.ndarray, " ngrams"]  # number of the n-gram without its last symbol: its history
    suffix: Int[np.ndarray, " ngrams"]  # number of the n-gram without its first symbol
    raw: Int[np.ndarray, " ngrams"]  # c(hw): how often the n-gram occurs in the text
    first: Int[np.ndarray, " ngrams_and_one"]  # n-grams that extend h: first[h] up to first[h + 1]

    @classmethod
    def of(cls, tokens: Int[np.ndarray, " n"], vocab_size: int, order: int) -> "NGramCounts":
        """Count all n-grams of `tokens` (numbers below `vocab_size`) up to length `order`.

        One sort does it for all lengths: in a dictionary of all windows of `order` symbols, each
        shorter n-gram is a run of neighbours that begin alike. A text shorter than `order` simply
        has no n-grams of the longer lengths.

        Raises CourseError for an order below 1 or a token outside the vocabulary.
        """
        if order < 1:
            raise CourseError(f"order {order} counts nothing; choose an order of 1 or more")
        check_tokens(tokens, vocab_size)
        n = len(tokens)
        padded = np.concatenate([tokens + 1, np.zeros(order, tokens.dtype)]).astype(np.int32)
        at = sort_windows(padded, order)  # (n,) where each window stands in the text
        begins_run = np.arange(n) == 0  # (n,) in sorted order: starts another m-gram than before?
        here = np.zeros(n, np.int32)  # (n,) in sorted order: number of the (m-1)-gram there
        at_position = np.zeros(n + 1, np.int32)  # the same by position in the text
        key, prefix, suffix = [[-vocab_size - 1]], [[0]], [[0]]  # the empty one; no search finds it
        raw, level = [[n]], [0, 1]
        for m in range(1, order + 1):
            symbol = padded[at + (m - 1)]
            begins_run[1:] |= symbol[1:] != symbol[:-1]
            start = np.flatnonzero(begins_run)
            length = np.diff(start, append=n)
            whole = symbol[start] > 0  # a 0 says that the end of the text cuts the window off
            number = np.where(whole, level[m] + np.cumsum(whole) - 1, UNSEEN).astype(np.int32)
            kept = start[whole]
            prefix.append(here[kept])
            suffix.append(at_position[at[kept] + 1])
            key.append(here[kept].astype(np.int64) * vocab_size + (symbol[kept] - 1))
            raw.append(length[whole])
            level.append(level[m] + len(kept))
            here = np.repeat(number, length)
            at_position[at] = here
        prefix = np.concatenate(prefix).astype(np.int32)
        followers = np.bincount(prefix[1:], minlength=len(prefix))  # of each n-gram: N1+(h •)
        return cls(
            vocab_size,
            order,
            np.array(level),
            np.concatenate(key),
            prefix,
            np.concatenate(suffix).astype(np.int32),
            np.concatenate(raw).astype(np.int32),
            np.concatenate([[1], 1 + np.cumsum(followers)]).astype(np.int32),
        )

    def of_length(self, m: int) -> slice:
        """Where the n-grams of length `m` stand in every table."""
        return slice(int(self.level[m]), int(self.level[m + 1]))

    def continuations(self, m: int) -> Int[np.ndarray, " m_grams"]:
        """N1+(• g): how many different symbols were seen before each m-gram g (m < order).

        Each longer n-gram votes once for its suffix. The m-gram at the text's very start has
        nothing before it: if it occurs nowhere else, this is 0.
        """
        longer = self.suffix[self.of_length(m + 1)] - self.level[m]
        return np.bincount(longer, minlength=int(self.level[m + 1] - self.level[m]))

    def history(self, m: int) -> Int[np.ndarray, " m_grams"]:
        """For each m-gram hw, where its history h stands among the (m-1)-grams."""
        return self.prefix[self.of_length(m)] - self.level[m - 1]

    def sum_over_next(
        self, m: int, value: Int[np.ndarray, " m_grams"] | Float64[np.ndarray, " m_grams"]
    ) -> Float64[np.ndarray, " histories"]:
        """Σ_w value(hw) for each history h of m-1 symbols; 0 where nothing follows h."""
        n_histories = int(self.level[m] - self.level[m - 1])
        total = np.bincount(self.history(m), value, minlength=n_histories)
        return total.astype(np.float64, copy=False)  # bincount of nothing is of integers

    def extend(
        self, ngram: Int[np.ndarray, "*shape"], symbol: Int[np.ndarray, "*#shape"]
    ) -> Int[np.ndarray, "*shape"]:
        """The number of each n-gram with one more symbol behind it; UNSEEN if not in the text."""
        wanted = ngram.astype(np.int64, copy=False) * self.vocab_size + symbol
        found = self.key.searchsorted(wanted)
        return np.where(self.key.take(found, mode="clip") == wanted, found, UNSEEN)

    @property
    def nbytes(self) -> int:
        """Bytes that all tables take in memory."""
        tables = (self.level, self.key, self.prefix, self.suffix, self.raw, self.first)
        return sum(table.nbytes for table in tables)


def check_tokens(tokens: Int[np.ndarray, "*shape"], vocab_size: int) -> None:
    """Raise CourseError where a token is not one of the vocabulary's numbers 0 … V-1."""
    if tokens.size and not (tokens.min() >= 0 and tokens.max() < vocab_size):
        wrong = tokens[(tokens < 0) | (tokens >= vocab_size)][0]
        raise CourseError(
            f"token {wrong} is not in a vocabulary of {vocab_size}; encode the text with the "
            "tokenizer whose vocab_size you pass"
        )


# ---------------------------------------------------------------------------------------------
# Models
# ---------------------------------------------------------------------------------------------


class NGramModel:
    """What all models share: walk from 1/V up to the full history, mixing at each order.

    A subclass fills two tables over n-gram numbers, each with one more entry at the end for
    UNSEEN, and says in `mix` how they combine with the probability under the shorter history.
    Where a text or a history is too short for an order, the walk ends at the order before.

    Probabilities are computed symbol by symbol without sums over the batch, so a row is the same to
    the last bit in whatever batch it is asked: the arithmetic coder's decoder depends on it.
    """

    def __init__(self, counts: NGramCounts, order: int):
        """Empty tables: own[hw] = 0 and lower[h] = 1, right for whatever was never seen."""
        if not 1 <= order <= counts.order:
            raise CourseError(
                f"order {order} needs n-grams up to length {order}, but lengths 1 to "
                f"{counts.order} were counted; pass a larger order to NGramCounts.of"
            )
        self.counts, self.order, self.vocab_size = counts, order, counts.vocab_size
        self.own = np.zeros(int(counts.level[order + 1]) + 1)  # n-grams of lengths 0 … order
        self.lower = np.ones(int(counts.level[order]) + 1)  # histories of lengths 0 … order-1

    def mix(
        self,
        own: Float64[np.ndarray, "*shape"],
        lower: Float64[np.ndarray, "*#shape"],
        below: Float64[np.ndarray, "*shape"],
    ) -> Float64[np.ndarray, "*shape"]:
        """p(w | h) from own[hw], lower[h] and below = p(w | h'); symbol by symbol."""
        raise NotImplementedError

    def next_token_probs(
        self, histories: Int[np.ndarray, "batch history"]
    ) -> Float64[np.ndarray, "batch vocab"]:
        """The probability of every symbol after each history; rows sum to one.

        Only the last order-1 symbols of a history count; it may be shorter, or empty.
        """
        check_tokens(histories, self.vocab_size)
        counts, (batch, length) = self.counts, histories.shape
        reach = min(length, self.order - 1)
        # column k: number of the n-gram that is the last k symbols read so far
        ending = np.full((batch, reach + 1), UNSEEN)
        ending[:, 0] = 0
        for symbol in histories[:, length - reach :].T:
            ending[:, 1:] = counts.extend(ending[:, :-1], symbol[:, None])

        # own[hw] of all n-grams hw that extend these histories, spread over the alphabet
        h = ending.ravel()
        first = counts.first[h]
        followers = np.where(h == UNSEEN, 0, counts.first[h + 1] - first)
        row = np.arange(len(h)).repeat(followers)
        before = followers.cumsum() - followers  # n-grams in the rows above this one
        hw = np.arange(len(row)) + (first - before).repeat(followers)
        own = np.zeros((batch, reach + 1, self.vocab_size))
        own.reshape(-1)[counts.key[hw] + (row - h[row]) * self.vocab_size] = self.own[hw]

        lower = self.lower[ending]
        probs = np.full((batch, self.vocab_size), 1 / self.vocab_size)
        for k in range(reach + 1):  # shortest history first
            probs = self.mix(own[:, k], lower[:, k, None], probs)
        return probs

    def token_log_probs(
        self, tokens: Int[np.ndarray, " n"], start: int = 0
    ) -> Float64[np.ndarray, " scored"]:
        """ln p(token | all tokens before it), in nats, for tokens[start:].

        A symbol that the model thinks impossible has -inf.
        """
        check_tokens(tokens, self.vocab_size)
        skipped = max(0, start - (self.order - 1))  # no n-gram reaches that far back
        tokens, start = tokens[skipped:], start - skipped
        probs = np.full(len(tokens), 1 / self.vocab_size)
        ending = np.zeros(len(tokens) + 1, np.int64)  # [i]: number of the m-gram ending before i
        for m in range(1, min(self.order, len(tokens)) + 1):
            h = ending[m - 1 : -1]
            hw = self.counts.extend(h, tokens[m - 1 :])
            probs[m - 1 :] = self.mix(self.own[hw], self.lower[h], probs[m - 1 :])
            ending[m:] = hw
        with np.errstate(divide="ignore"):
            return np.log(probs[start:])

    @property
    def context(self) -> int:
        """How many symbols of history the model looks at."""
        return self.order - 1

    @property
    def stored_counts(self) -> int:
        """How many counts a table for use must hold: the distinct n-grams of all orders used."""
        return int(self.counts.level[self.order + 1]) - 1

    @property
    def nbytes(self) -> int:
        """Bytes that are needed to ask the model: its two tables, the n-gram keys and ranges."""
        ngrams, histories = len(self.own) - 1, len(self.lower) - 1
        return self.own.nbytes + self.lower.nbytes + 8 * ngrams + 4 * (histories + 1)


class Uniform(NGramModel):
    """p(w) = 1/V: what one knows before having read anything."""

    def __init__(self, vocab_size: int):
        """Needs no counts, only the number of symbols."""
        super().__init__(NGramCounts.of(np.zeros(0, np.int64), vocab_size, order=1), order=1)

    def mix(self, own, lower, below):
        """Nothing was counted, so nothing changes."""
        return below


class AddK(NGramModel):
    """p(w | h) = (c(hw) + k) / (c(h •) + k V), with c(h •) = Σ_w c(hw).

    k = 1 is Laplace's rule, k = 0 the relative frequency (maximum likelihood): then a symbol never
    seen after h has probability 0 and a loss of infinity. A history never seen says nothing about
    what follows: 1/V for every k. Only the longest history counts; shorter ones are not asked,
    except where the text has only just begun.

    Lidstone (1920); Jeffreys (1939).
    """

    def __init__(self, counts: NGramCounts, order: int, k: float | int = 1):
        super().__init__(counts, order)
        if not k >= 0:
            raise CourseError(f"k = {k} would make probabilities negative; choose k ≥ 0")
        self.k = k
        for m in range(1, order + 1):
            hw, h = counts.of_length(m), counts.of_length(m - 1)
            c = counts.raw[hw]
            total = counts.sum_over_next(m, c)  # c(h •)
            seen = total > 0
            weight = total + k * self.vocab_size
            self.own[hw] = c / weight[counts.history(m)]
            self.lower[h][seen] = k * self.vocab_size / weight[seen]

    def mix(self, own, lower, below):
        """(c + k) / (c(h •) + k V), as relative frequency and uniform distribution mixed."""
        return own + lower / self.vocab_size

    @property
    def stored_counts(self) -> int:
        """Only n-grams of the full length are needed (their histories' counts are their sums)."""
        return int(self.counts.level[self.order + 1] - self.counts.level[self.order])


class Interpolated(NGramModel):
    """p(w | h) = λ_n c(hw) / c(h •) + (1 - λ_n) p(w | h'): one weight λ for each order n.

    weights[m - 1] is λ_m, from order 1 up; each lies in [0, 1). A history never seen has no
    relative frequencies: there p(w | h) = p(w | h'). `Interpolated.fit` finds the weights.

    Jelinek & Mercer (1980), "Interpolated estimation of Markov source parameters from sparse data".
    """

    def __init__(self, counts: NGramCounts, order: int, weights: Float64[np.ndarray, " order"]):
        super().__init__(counts, order)
        if len(weights) != order or not ((weights >= 0) & (weights < 1)).all():
            raise CourseError(f"weights {weights} must be {order} numbers, each in [0, 1)")
        self.weights = weights
        for m in range(1, order + 1):
            hw, h = counts.of_length(m), counts.of_length(m - 1)
            c = counts.raw[hw]
            total = counts.sum_over_next(m, c)  # c(h •)
            self.own[hw] = weights[m - 1] * (c / total[counts.history(m)])
            self.lower[h] = np.where(total > 0, 1 - weights[m - 1], 1.0)

    def mix(self, own, lower, below):
        """λ c(hw) / c(h •) + (1 - λ) p(w | h')."""
        return own + lower * below

    @classmethod
    def fit(
        cls,
        counts: NGramCounts,
        order: int,
        held_out: Int[np.ndarray, " n"],
        rounds: int = 40,
    ) -> "Interpolated":
        """Weights that make `held_out` most likely, by expectation–maximisation.

        The text must be one that was not counted (on the counted text the longest order would
        take everything) and not the one on which the model is scored. Each round asks of every
        place how likely it is that each order "wrote" it (expectation), then sets λ_m to order m's
        share of the places that came down to it with a seen history (maximisation). A round never
        lowers the likelihood. λ stays below 1 - 1e-6, so that no symbol becomes impossible.

        Dempster, Laird & Rubin (1977).
        """
        check_tokens(held_out, counts.vocab_size)
        most = 1 - 1e-6
        relative = AddK(counts, order, k=0)  # own[hw] = c(hw) / c(h •), lower[h] = 0 where seen
        levels = []  # for each order: relative frequency at each place, whether h was seen there
        ending = np.zeros(len(held_out) + 1, np.int64)
        for m in range(1, min(order, len(held_out)) + 1):
            h = ending[m - 1 : -1]
            hw = counts.extend(h, held_out[m - 1 :])
            frequency, seen = np.zeros(len(held_out)), np.zeros(len(held_out), bool)
            frequency[m - 1 :], seen[m - 1 :] = relative.own[hw], relative.lower[h] == 0
            levels.append((frequency, seen))
            ending[m:] = hw

        weights = np.full(order, 0.5)
        for _ in range(rounds):
            below = np.full(len(held_out), 1 / counts.vocab_size)
            shares = []  # P(order m wrote this place | it was order m or a lower one)
            for (frequency, seen), λ in zip(levels, weights, strict=False):
                p = np.where(seen, λ * frequency + (1 - λ) * below, below)
                shares.append(λ * frequency / p)
                below = p
            came_down = np.ones(len(held_out))  # P(no higher order wrote this place)
            for m in reversed(range(len(levels))):
                places = came_down[levels[m][1]].sum()
                if places > 0:
                    weights[m] = min((came_down * shares[m]).sum() / places, most)
                came_down *= 1 - shares[m]
        return cls(counts, order, weights)


class Backoff(NGramModel):
    """Ask the shorter history only about symbols never seen after this one.

    p(w | h) = (c(hw) - D) / c(h •)   where hw was seen,
               b(h) p(w | h')         elsewhere,

    with b(h) chosen so that the row sums to one: the discounts' total D · N1+(h •) / c(h •), shared
    out over what p(· | h') gives the unseen symbols. If every symbol was seen after h, there is
    nobody to give to, and no discount is taken. D is estimated for each order as in KneserNey.

    Katz (1987) with the absolute discount of Ney, Essen & Kneser (1994) in place of Good–Turing.
    """

    def __init__(self, counts: NGramCounts, order: int):
        super().__init__(counts, order)
        self.discounts = np.zeros((order, 3))
        for m in range(1, order + 1):
            hw, h = counts.of_length(m), counts.of_length(m - 1)
            c, history = counts.raw[hw], counts.history(m)
            total = counts.sum_over_next(m, c)  # c(h •)
            followers = counts.sum_over_next(m, np.ones(len(c)))  # N1+(h •)
            self.discounts[m - 1] = estimate_discounts(c, how_many=1)
            D = np.where(followers < self.vocab_size, self.discounts[m - 1, 0], 0.0)  # of each h
            self.own[hw] = (c - D[history]) / total[history]
            below = np.full(len(c), 1 / self.vocab_size)  # p(w | h') of each n-gram hw
            if m > 1:
                below = self.own[counts.suffix[hw]]
            unseen = 1 - counts.sum_over_next(m, below)  # what p(· | h') gives the symbols unseen
            give = (followers > 0) & (D > 0)
            self.lower[h][give] = (D * followers)[give] / total[give] / unseen[give]  # b(h)

    def mix(self, own, lower, below):
        """own[hw] is above 0 exactly where hw was seen."""
        return np.where(own > 0, own, lower * below)


class KneserNey(NGramModel):
    """Discounted counts at every order, interpolated; lower orders count *places*, not times.

    p(w | h) = (c(hw) - D(c)) / c(h •)  +  γ(h) p(w | h'),     γ(h) = Σ_w D(c(hw)) / c(h •)

    At the highest order c is the number of times the n-gram occurs. Below it is the number of
    different symbols seen before it, N1+(• hw): "Francisco" may be frequent, but if only "San"
    comes before it, a shorter history should hardly propose it. Order 1 is mixed with 1/V.
    discounts = 1 takes one D from every count; discounts = 3 ("modified") takes D1 from counts of
    1, D2 from 2, D3 from 3 and more. `self.discounts[m - 1]` has the three in force at order m.

    Kneser & Ney (1995); Chen & Goodman (1999), "An empirical study of smoothing techniques for
    language modeling", the section on modified Kneser–Ney smoothing.
    """

    def __init__(self, counts: NGramCounts, order: int, discounts: int = 3):
        super().__init__(counts, order)
        self.discounts = np.zeros((order, 3))
        for m in range(1, order + 1):
            hw, h = counts.of_length(m), counts.of_length(m - 1)
            c = counts.raw[hw] if m == order else counts.continuations(m)
            self.discounts[m - 1] = estimate_discounts(c, discounts)
            D = np.array([0, *self.discounts[m - 1]])[np.minimum(c, 3)]  # D(c) of each n-gram
            total = counts.sum_over_next(m, c)  # c(h •)
            seen = total > 0
            self.own[hw] = (c - D) / np.maximum(total, 1)[counts.history(m)]
            self.lower[h][seen] = counts.sum_over_next(m, D)[seen] / total[seen]  # γ(h)

    def mix(self, own, lower, below):
        """(c(hw) - D) / c(h •) + γ(h) p(w | h')."""
        return own + lower * below


def estimate_discounts(c: Int[np.ndarray, " ngrams"], how_many: int) -> Float64[np.ndarray, "3"]:
    """The discounts (D1, D2, D3) for counts of 1, of 2, and of 3 or more, from counts of counts.

    With n_k n-grams counted k times, one discount for all is  Y = n1 / (n1 + 2 n2),  and three are
    D_k = k - (k + 1) Y n_{k+1} / n_k.  Y estimates how much smaller a count is on fresh text.

    Small texts and alphabets lack some n_k. If n1 or n2 is 0, Y is 1/2: half a count, so that
    every symbol stays possible. If any of n1 … n4 is 0, or a D_k falls outside (0, k), all three
    discounts are Y.

    Ney, Essen & Kneser (1994) for Y; Chen & Goodman (1999) for the three.
    """
    if how_many not in (1, 3):
        raise CourseError(f"discounts = {how_many} is not defined; choose 1, or 3 for modified")
    n = np.bincount(np.minimum(c, 5), minlength=6)  # n[k]: how many n-grams were counted k times
    Y = n[1] / (n[1] + 2 * n[2]) if n[1] and n[2] else 0.5
    if how_many == 3 and n[1:5].all():
        k = np.arange(1, 4)
        D = k - (k + 1) * Y * n[2:5] / n[1:4]
        if (D > 0).all() and (k > D).all():
            return D
    return np.full(3, Y)


# ---------------------------------------------------------------------------------------------
# Writing
# ---------------------------------------------------------------------------------------------


def sample(
    model: NGramModel,
    length: int,
    rng: np.random.Generator,
    prompt: Int[np.ndarray, " prompt"] | None = None,
    temperature: float | int = 1,
) -> Int[np.ndarray, " length"]:
    """Let a model write `length` tokens, each drawn from its distribution, after a prompt.

    `temperature` T draws from p^(1/T) normalised: below 1 safer, above 1 wilder, 0 always the most
    likely symbol. Returns only the new tokens.
    """
    if not temperature >= 0:
        raise CourseError(f"temperature {temperature} is not defined; choose 0 or more")
    prompt = np.zeros(0, np.int64) if prompt is None else prompt
    text = np.concatenate([prompt, np.zeros(length, np.int64)])
    for i in range(len(prompt), len(text)):
        probs = model.next_token_probs(text[None, max(0, i - model.context) : i])[0]
        if temperature == 0:
            text[i] = probs.argmax()
            continue
        if temperature != 1:
            probs = (probs / probs.max()) ** (1 / temperature)
        cumulative = np.cumsum(probs)
        text[i] = np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")
    return text[len(prompt) :]
