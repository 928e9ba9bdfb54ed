"""The exercises of chapter 02, tokenization: references and known mistakes.

Letters and words as in the lessons: a pair is two neighbouring tokens, a merge is a pair that was
learned, its rank the place in the list of merges, and ## marks a piece that does not begin a word.

For each exercise stand here its reference (which becomes the solutions page), its known mistakes,
and the strategy that draws its inputs; the list `EXERCISES` at the end puts them together.
"""

import math
from collections import Counter
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from course_lib.exercises.exercise import Exercise

LIBRARY = ("course_lib", "tokenizers")  # an answer is written by hand


def texts(alphabet: str, shortest: int, longest: int) -> st.SearchStrategy[str]:
    """Strings over a few characters."""
    characters = st.lists(st.sampled_from(alphabet), min_size=shortest, max_size=longest)
    return characters.map("".join)


# 02.1 ------------------------------------------------------------------ a character in bytes


def utf8_bytes(code_point: int) -> list[int]:
    """The bytes of one character in UTF-8, from its number in Unicode.

    >>> utf8_bytes(ord("a")), utf8_bytes(ord("é")), utf8_bytes(ord("猫"))
    ([97], [195, 169], [231, 140, 171])
    """
    if code_point < 0x80:
        return [code_point]
    following = 1 if code_point < 0x800 else 2 if code_point < 0x10000 else 3
    lead = [0b11000000, 0b11100000, 0b11110000][following - 1]
    first = lead + (code_point >> 6 * following)
    rest = [0b10000000 + (code_point >> 6 * k) % 64 for k in reversed(range(following))]
    return [first, *rest]


def number_in_bytes(code_point):
    length = max(1, (code_point.bit_length() + 7) // 8)
    return list(code_point.to_bytes(length, "big"))


def one_byte_below_256(code_point):
    return [code_point] if code_point < 256 else utf8_bytes(code_point)


def two_bytes_lead_always(code_point):
    first, *rest = utf8_bytes(code_point)
    return [0b11000000 + (code_point >> 6 * len(rest)), *rest] if rest else [first]


def following_bytes_unmarked(code_point):
    first, *rest = utf8_bytes(code_point)
    return [first, *(byte - 0b10000000 for byte in rest)]


def last_bits_first(code_point):
    first, *rest = utf8_bytes(code_point)
    return [first, *reversed(rest)]


def never_four_bytes(code_point):
    if code_point < 0x10000:
        return utf8_bytes(code_point)
    rest = [0b10000000 + (code_point >> shift) % 64 for shift in (6, 0)]
    return [0b11100000 + (code_point >> 12), *rest]


@st.composite
def code_points(draw):
    edges = st.sampled_from([0x7F, 0x80, 0xFF, 0x7FF, 0x800, 0xFFFF, 0x10000, 0x10FFFF])
    low, high = draw(
        st.sampled_from([(0, 0x7F), (0x80, 0x7FF), (0x4E00, 0x9FFF), (0x1F300, 0x1FAFF)])
    )
    return (draw(st.one_of(st.integers(low, high), edges)),)


# 02.2 ------------------------------------------------------------------------- pairs, weighted


def count_pairs(words: dict[tuple[str, ...], int]) -> dict[tuple[str, str], int]:
    """How often each pair of neighbouring tokens occurs.

    `words` maps each different word, cut into tokens, to how often the word occurs in the text.

    >>> count_pairs({("l", "o", "w"): 5, ("l", "o"): 2})
    {('l', 'o'): 7, ('o', 'w'): 5}
    """
    count: Counter[tuple[str, str]] = Counter()
    for word, times in words.items():
        for i in range(len(word) - 1):
            count[word[i], word[i + 1]] += times
    return dict(count)


def each_word_once(words):
    return count_pairs(dict.fromkeys(words, 1))


def across_words(words):
    return count_pairs({tuple(token for word in words for token in word * words[word]): 1})


def once_a_word(words):
    count = Counter()
    for word, times in words.items():
        for pair in set(pairwise(word)):
            count[pair] += times
    return dict(count)


def order_ignored(words):
    count = Counter()
    for (left, right), times in count_pairs(words).items():
        count[min(left, right), max(left, right)] += times
    return dict(count)


def every_second_pair(words):
    count = Counter()
    for word, times in words.items():
        for i in range(0, len(word) - 1, 2):
            count[word[i], word[i + 1]] += times
    return dict(count)


def words_in_tokens() -> st.SearchStrategy[Any]:
    tokens = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=5).map(tuple)
    return st.tuples(st.dictionaries(tokens, st.integers(1, 4), max_size=4))


# 02.3 ---------------------------------------------------------------------------------- a merge


def merge_pair(tokens: list[str], pair: tuple[str, str]) -> list[str]:
    """The tokens with every occurrence of the pair joined, from the left.

    >>> merge_pair(["a", "a", "a", "b"], ("a", "a"))
    ['aa', 'a', 'b']
    """
    merged, i = [], 0
    while i < len(tokens):
        if tuple(tokens[i : i + 2]) == pair:
            merged.append(pair[0] + pair[1])
            i += 2
        else:
            merged.append(tokens[i])
            i += 1
    return merged


def overlapping(tokens, pair):
    merged = []
    for i, token in enumerate(tokens):
        if tuple(tokens[i : i + 2]) == pair:
            merged.append(pair[0] + pair[1])
        elif i == 0 or tuple(tokens[i - 1 : i + 1]) != pair:
            merged.append(token)
    return merged


def from_the_right(tokens, pair):
    backwards = merge_pair(
        [token[::-1] for token in reversed(tokens)], (pair[1][::-1], pair[0][::-1])
    )
    return [token[::-1] for token in reversed(backwards)]


def first_occurrence_only(tokens, pair):
    for i in range(len(tokens) - 1):
        if tuple(tokens[i : i + 2]) == pair:
            return [*tokens[:i], pair[0] + pair[1], *tokens[i + 2 :]]
    return list(tokens)


def same_letters(tokens, pair):
    merged, i = [], 0
    while i < len(tokens):
        if i + 1 < len(tokens) and tokens[i] + tokens[i + 1] == pair[0] + pair[1]:
            merged.append(pair[0] + pair[1])
            i += 2
        else:
            merged.append(tokens[i])
            i += 1
    return merged


def last_token_lost(tokens, pair):
    merged, i = [], 0
    while i < len(tokens) - 1:
        if (tokens[i], tokens[i + 1]) == pair:
            merged.append(pair[0] + pair[1])
            i += 2
        else:
            merged.append(tokens[i])
            i += 1
    return merged


@st.composite
def tokens_and_pair(draw):
    token = st.sampled_from(["a", "a", "b", "ab", "aa"])
    tokens = draw(st.lists(token, max_size=8))
    pair = (draw(token), draw(token))
    if len(tokens) >= 2 and draw(st.booleans()):
        i = draw(st.integers(0, len(tokens) - 2))
        pair = (tokens[i], tokens[i + 1])
    return tokens, pair


# 02.4 --------------------------------------------------------------------------- learning merges


def learn_bpe(words: dict[str, int], n_merges: int) -> list[tuple[str, str]]:
    """The first merges of byte-pair encoding, here over characters.

    Each round joins the most frequent pair of neighbours; among equally frequent ones that which
    Python sorts first. Fewer merges are returned when no pair is left.

    >>> learn_bpe({"low": 5, "lower": 2, "new": 3}, 3)
    [('l', 'o'), ('lo', 'w'), ('e', 'w')]
    """
    split = {word: list(word) for word in words}
    merges = []
    for _ in range(n_merges):
        count: Counter[tuple[str, str]] = Counter()
        for word, times in words.items():
            for pair in pairwise(split[word]):
                count[pair] += times
        if not count:
            break
        best = min(count, key=lambda pair: (-count[pair], pair))
        merges.append(best)
        for tokens in split.values():
            i = 0
            while i < len(tokens) - 1:
                if (tokens[i], tokens[i + 1]) == best:
                    tokens[i : i + 2] = [best[0] + best[1]]
                i += 1
    return merges


def learn_with(words, n_merges, count_of, choose):
    """BPE for other ideas of what a pair's count is and which pair is the best."""
    split, merges = {word: list(word) for word in words}, []
    for _ in range(n_merges):
        count = Counter()
        for word in words:
            for pair in count_of(split[word]):
                count[pair] += words[word]
        if not count:
            break
        merges.append(choose(count))
        split = {word: merge_pair(tokens, merges[-1]) for word, tokens in split.items()}
    return merges


def first_in_order(count):
    return min(count, key=lambda pair: (-count[pair], pair))


def counted_only_once(words, n_merges):
    count = Counter()
    for word, times in words.items():
        for pair in pairwise(word):
            count[pair] += times
    return sorted(count, key=lambda pair: (-count[pair], pair))[:n_merges]


def words_not_weighted(words, n_merges):
    return learn_bpe(dict.fromkeys(words, 1), n_merges)


def ties_to_the_first_seen(words, n_merges):
    return learn_with(words, n_merges, pairwise, lambda count: max(count, key=count.__getitem__))


def ties_to_the_last_in_order(words, n_merges):
    return learn_with(
        words, n_merges, pairwise, lambda count: max(count, key=lambda pair: (count[pair], pair))
    )


def pairs_once_a_word(words, n_merges):
    return learn_with(words, n_merges, lambda tokens: set(pairwise(tokens)), first_in_order)


def ends_at_a_count_of_one(words, n_merges):
    merges = []
    for n in range(1, n_merges + 1):
        found = learn_bpe(words, n)
        if len(found) < n or times_found(words, found[:-1], found[-1]) == 1:
            break
        merges = found
    return merges


def times_found(words, merges, pair):
    """How often a pair occurs once these merges have been made."""
    total = 0
    for word, times in words.items():
        tokens = list(word)
        for merge in merges:
            tokens = merge_pair(tokens, merge)
        total += times * list(pairwise(tokens)).count(pair)
    return total


def words_and_n_merges() -> st.SearchStrategy[Any]:
    words = st.dictionaries(texts("abc", 1, 6), st.integers(1, 3), max_size=4)
    return st.tuples(words, st.integers(0, 6))


# 02.5 ------------------------------------------------------------------------- encoding a word


def encode_word(word: str, merges: list[tuple[str, str]]) -> list[str]:
    """The tokens of a word: join the neighbours whose merge was learned earliest, until none is.

    >>> encode_word("abc", [("b", "c"), ("a", "b"), ("ab", "c")])
    ['a', 'bc']
    """
    tokens = list(word)
    while True:
        ranks = [
            (merges.index(pair), i) for i, pair in enumerate(pairwise(tokens)) if pair in merges
        ]
        if not ranks:
            return tokens
        rank, i = min(ranks)
        tokens[i : i + 2] = ["".join(merges[rank])]


def longest_token_first(word, merges):
    vocabulary = {"".join(pair) for pair in merges} | set(word)
    tokens, start = [], 0
    while start < len(word):
        end = max(e for e in range(start + 1, len(word) + 1) if word[start:e] in vocabulary)
        tokens.append(word[start:end])
        start = end
    return tokens


def leftmost_merge_first(word, merges):
    tokens = list(word)
    while True:
        places = [i for i, pair in enumerate(pairwise(tokens)) if pair in merges]
        if not places:
            return tokens
        i = places[0]
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]


def latest_learned_first(word, merges):
    tokens = list(word)
    while True:
        ranks = [
            (-merges.index(pair), i) for i, pair in enumerate(pairwise(tokens)) if pair in merges
        ]
        if not ranks:
            return tokens
        i = min(ranks)[1]
        tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]


def each_merge_once(word, merges):
    tokens = list(word)
    for merge in merges:
        tokens = first_occurrence_only(tokens, merge)
    return tokens


def one_merge_only(word, merges):
    tokens = list(word)
    for merge in merges:
        merged = merge_pair(tokens, merge)
        if merged != tokens:
            return merged
    return tokens


@st.composite
def words_and_merges(draw):
    # Any merges of tokens that are there, each with a result of its own.
    tokens, merges = ["a", "b", "c"], []
    for _ in range(draw(st.integers(1, 7))):
        pair = draw(st.sampled_from(tokens)), draw(st.sampled_from(tokens))
        if "".join(pair) not in tokens and len("".join(pair)) <= 4:
            merges.append(pair)
            tokens.append("".join(pair))
    pieces = draw(st.lists(st.sampled_from(tokens), max_size=4))
    return "".join(pieces), merges


# 02.6 ------------------------------------------------------------------------------- WordPiece


def wordpiece(word: str, vocabulary: set[str]) -> list[str]:
    """The pieces of a word: from the left, each time the longest that is in the vocabulary.

    Pieces after the first are looked up, and returned, with ## in front. Where nothing fits, the
    whole word is ["[UNK]"].

    >>> wordpiece("unable", {"un", "u", "##a", "##able", "able"})
    ['un', '##able']
    """
    pieces, start = [], 0
    while start < len(word):
        prefix = "##" if start > 0 else ""
        end = len(word)
        while end > start and prefix + word[start:end] not in vocabulary:
            end -= 1
        if end == start:
            return ["[UNK]"]
        pieces.append(prefix + word[start:end])
        start = end
    return pieces


def pieces_with(word, vocabulary, prefix, ends, unknown):
    """WordPiece for another prefix, order of ends, or treatment of what does not fit."""
    pieces, start = [], 0
    while start < len(word):
        before = prefix if start else ""
        fitting = [e for e in ends(start, len(word)) if before + word[start:e] in vocabulary]
        if not fitting:
            return unknown(pieces, word, start)
        pieces.append(before + word[start : fitting[0]])
        start = fitting[0]
    return pieces


def falling(start, stop):
    return range(stop, start, -1)


def whole_word_unknown(pieces, word, start):
    return ["[UNK]"]


def without_prefix(word, vocabulary):
    return pieces_with(word, vocabulary, "", falling, whole_word_unknown)


def shortest_piece_first(word, vocabulary):
    return pieces_with(
        word, vocabulary, "##", lambda start, stop: range(start + 1, stop + 1), whole_word_unknown
    )


def only_the_rest_unknown(word, vocabulary):
    return pieces_with(
        word, vocabulary, "##", falling, lambda pieces, word, start: [*pieces, "[UNK]"]
    )


def unknown_character_skipped(word, vocabulary):
    pieces, start = [], 0
    while start < len(word):
        prefix = "##" if start else ""
        fitting = [e for e in falling(start, len(word)) if prefix + word[start:e] in vocabulary]
        pieces.append(prefix + word[start : fitting[0]] if fitting else "[UNK]")
        start = fitting[0] if fitting else start + 1
    return pieces


def prefix_not_returned(word, vocabulary):
    return [piece.removeprefix("##") for piece in wordpiece(word, vocabulary)]


def all_ways_tried(word, vocabulary):
    def cover(start):
        if start == len(word):
            return []
        prefix = "##" if start else ""
        for end in falling(start, len(word)):
            piece = prefix + word[start:end]
            if piece in vocabulary and (rest := cover(end)) is not None:
                return [piece, *rest]
        return None

    found = cover(0)
    return ["[UNK]"] if found is None else found


@st.composite
def words_and_vocabularies(draw):
    word = draw(texts("ab", 0, 6))
    pieces = st.builds(lambda p, s: p + s, st.sampled_from(["", "##"]), texts("ab", 1, 3))
    vocabulary = set(draw(st.lists(pieces, max_size=7)))
    if draw(st.booleans()):
        vocabulary |= {"a", "b", "##a", "##b"}
    return word, vocabulary


# 02.7 -------------------------------------------------------------------- units that compare


def restate(nats_per_token: float, n_tokens: int, text: str) -> dict[str, float]:
    """One loss in units that do not depend on the tokenizer.

    `n_tokens` tokens make up `text` and cost `nats_per_token` each on average. Keys:
    "nats_per_character", "bits_per_byte" (bytes in UTF-8), and "perplexity_per_word", with words
    as `text.split()` finds them (there is at least one).

    >>> found = restate(math.log(4), 3, "ab cd")
    >>> {unit: round(value, 3) for unit, value in found.items()}
    {'nats_per_character': 0.832, 'bits_per_byte': 1.2, 'perplexity_per_word': 8.0}
    """
    nats = nats_per_token * n_tokens
    return {
        "nats_per_character": nats / len(text),
        "bits_per_byte": nats / math.log(2) / len(text.encode("utf-8")),
        "perplexity_per_word": math.exp(nats / len(text.split())),
    }


def tokens_are_characters(nats_per_token, n_tokens, text):
    return restate(nats_per_token, n_tokens, text) | {"nats_per_character": nats_per_token}


def characters_are_bytes(nats_per_token, n_tokens, text):
    bits = nats_per_token * n_tokens / math.log(2)
    return restate(nats_per_token, n_tokens, text) | {"bits_per_byte": bits / len(text)}


def bits_per_token(nats_per_token, n_tokens, text):
    bits = nats_per_token / math.log(2)
    return restate(nats_per_token, n_tokens, text) | {"bits_per_byte": bits}


def still_nats(nats_per_token, n_tokens, text):
    right = restate(nats_per_token, n_tokens, text)
    return right | {"bits_per_byte": right["bits_per_byte"] * math.log(2)}


def perplexity_per_token(nats_per_token, n_tokens, text):
    right = restate(nats_per_token, n_tokens, text)
    return right | {"perplexity_per_word": math.exp(nats_per_token)}


def perplexity_scaled(nats_per_token, n_tokens, text):
    right = restate(nats_per_token, n_tokens, text)
    per_word = n_tokens / len(text.split())
    return right | {"perplexity_per_word": math.exp(nats_per_token) * per_word}


def two_to_the_nats(nats_per_token, n_tokens, text):
    right = restate(nats_per_token, n_tokens, text)
    return right | {"perplexity_per_word": 2 ** (nats_per_token * n_tokens / len(text.split()))}


@st.composite
def losses_of_texts(draw):
    words = draw(st.lists(texts("aé猫", 1, 3), min_size=1, max_size=3))
    text = " ".join(words)
    n_tokens = draw(st.integers(1, len(text.encode("utf-8"))))
    return draw(st.sampled_from([0.5, 1.0, 1.75, 2.5])), n_tokens, text


# 02.8 ---------------------------------------------------------------------- all segmentations


def marginal(text: str, probs: dict[str, float]) -> float:
    """The probability of a text, summed over all ways to cut it into tokens.

    Each token is drawn on its own: a way to cut has the product of its tokens' probabilities. A
    token that is not in `probs` has probability 0, and the empty text has 1.

    >>> round(marginal("ab", {"a": 0.5, "b": 0.2, "ab": 0.3}), 6)
    0.4
    """
    total = [1.0] + [0.0] * len(text)
    for end in range(len(text) + 1):
        for start in range(end):
            total[end] += total[start] * probs.get(text[start:end], 0.0)
    return total[len(text)]


def likeliest_way_only(text, probs):
    best = [1.0] + [0.0] * len(text)
    for end in range(1, len(text) + 1):
        best[end] = max(best[start] * probs.get(text[start:end], 0.0) for start in range(end))
    return best[-1]


def longest_tokens_only(text, probs):
    product, start = 1.0, 0
    while start < len(text):
        ends = [e for e in range(len(text), start, -1) if text[start:e] in probs]
        if not ends:
            return 0.0
        product *= probs[text[start : ends[0]]]
        start = ends[0]
    return product


def mean_over_the_ways(text, probs):
    ways = marginal(text, dict.fromkeys(probs, 1.0))
    return marginal(text, probs) / ways if ways else 0.0


def ways_counted(text, probs):
    return marginal(text, dict.fromkeys(probs, 1.0))


def two_tokens_at_most(text, probs):
    halves = (probs.get(text[:i], 0.0) * probs.get(text[i:], 0.0) for i in range(1, len(text)))
    return (probs.get(text, 0.0) + sum(halves)) if text else 1.0


TOKENS = ("a", "b", "ab", "ba", "aa", "aab", "bb")


@st.composite
def texts_and_probs(draw):
    chances = [0.31, 0.23, 0.17, 0.11, 0.07, 0.05, 0.03]
    tokens = draw(st.permutations(TOKENS))
    kept = draw(st.integers(3, len(TOKENS)))
    return draw(texts("ab", 0, 6)), dict(zip(tokens[:kept], chances, strict=False))


# 02.9 ------------------------------------------------------------------ the best segmentation


def best_segmentation(text: str, probs: dict[str, float]) -> tuple[float, list[str]]:
    """The likeliest way to cut a text into tokens that are drawn on their own.

    Returns the logarithm of its probability, and its tokens. Every character of the text is a
    token. The empty text has no tokens and probability 1.

    >>> log_prob, tokens = best_segmentation("aab", {"a": 0.5, "b": 0.2, "ab": 0.2, "aab": 0.04})
    >>> round(math.exp(log_prob), 6), tokens
    (0.1, ['a', 'ab'])
    """
    best: list[tuple[float, list[str]]] = [(0.0, [])]  # of text[:end]
    for end in range(1, len(text) + 1):
        candidates = []
        for start in range(end):
            token = text[start:end]
            if token in probs:
                log_prob, tokens = best[start]
                candidates.append((log_prob + math.log(probs[token]), [*tokens, token]))
        best.append(max(candidates))
    return best[-1]


def with_log_prob(tokens, probs):
    return sum(math.log(probs[token]) for token in tokens), tokens


def greedy_from_the_left(text, probs):
    tokens, start = [], 0
    while start < len(text):
        end = max(e for e in range(start + 1, len(text) + 1) if text[start:e] in probs)
        tokens.append(text[start:end])
        start = end
    return with_log_prob(tokens, probs)


def likeliest_token_each_time(text, probs):
    tokens, start = [], 0
    while start < len(text):
        ends = [e for e in range(start + 1, len(text) + 1) if text[start:e] in probs]
        end = max(ends, key=lambda e: probs[text[start:e]])
        tokens.append(text[start:end])
        start = end
    return with_log_prob(tokens, probs)


def segmented_with(text, probs, value, better):
    """The best way to cut for another value of a token or another choice among ways."""
    best = [(0.0, [])]
    for end in range(1, len(text) + 1):
        ways = [
            (best[start][0] + value(probs[text[start:end]]), [*best[start][1], text[start:end]])
            for start in range(end)
            if text[start:end] in probs
        ]
        best.append(better(ways))
    return with_log_prob(best[-1][1], probs)


def fewest_tokens(text, probs):
    return segmented_with(text, probs, lambda p: -1 + 1e-6 * math.log(p), max)


def probabilities_added(text, probs):
    return segmented_with(text, probs, lambda p: p, max)


def least_likely(text, probs):
    return segmented_with(text, probs, math.log, min)


def in_bits(text, probs):
    log_prob, tokens = best_segmentation(text, probs)
    return log_prob / math.log(2), tokens


# Not aa or bb: with these, aaa could be cut as aa a and as a aa, equally likely.
WITHOUT_TIES = ("ab", "ba", "aab", "bab", "abb")


@st.composite
def texts_and_full_probs(draw):
    tokens = ["a", "b", *draw(st.permutations(WITHOUT_TIES))[: draw(st.integers(1, 5))]]
    chances = draw(st.permutations([0.313, 0.171, 0.097, 0.0531, 0.0293, 0.0161, 0.0089]))
    return draw(texts("ab", 0, 7)), dict(zip(tokens, chances, strict=False))


# 02.10 --------------------------------------------------------------------------- spot the bug


def stream(tokens: list[bytes]) -> list[str]:
    """What can be shown of a text after each of its tokens: whole characters, each once.

    The bytes of all tokens together are a text in UTF-8; a token may end within a character.

    >>> stream([b"caf", b"\\xc3", b"\\xa9!"])
    ['caf', '', 'é!']
    """
    shown, waiting = [], b""
    for token in tokens:
        waiting += token
        end = len(waiting)
        while True:
            try:
                text = waiting[:end].decode("utf-8")
                break
            except UnicodeDecodeError:
                end -= 1
        shown.append(text)
        waiting = waiting[end:]
    return shown


def stream_with_bug(tokens):
    return [token.decode("utf-8", "replace") for token in tokens]


def unfinished_bytes_dropped(tokens):
    return [token.decode("utf-8", "ignore") for token in tokens]


def everything_shown_again(tokens):
    return [b"".join(tokens[: i + 1]).decode("utf-8", "ignore") for i in range(len(tokens))]


def waits_for_the_end(tokens):
    whole = b"".join(tokens).decode("utf-8")
    return [""] * (len(tokens) - 1) + [whole] if tokens else []


def all_or_nothing(tokens):
    shown, waiting = [], b""
    for token in tokens:
        waiting += token
        try:
            shown.append(waiting.decode("utf-8"))
            waiting = b""
        except UnicodeDecodeError:
            shown.append("")
    return shown


@st.composite
def cut_bytes(draw):
    data = draw(texts("aé猫😀", 0, 5)).encode("utf-8")
    cuts = draw(st.lists(st.integers(0, len(data)), max_size=5).map(lambda c: sorted(set(c))))
    edges = [0, *(c for c in cuts if 0 < c < len(data)), len(data)]
    return ([data[a:b] for a, b in pairwise(edges) if b > a],)


# -------------------------------------------------------------------------------------- the list

EXERCISES = [
    Exercise(
        id="02.1",
        title="A character in bytes",
        objective="You can say why a Chinese character costs a byte-level model three tokens.",
        points=2,
        minutes=15,
        difficulty=2,
        elective=True,
        reference=utf8_bytes,
        inputs=code_points(),
        without=LIBRARY,
        mistakes={
            number_in_bytes: "These are the bytes of the number itself: UTF-8 marks each byte, the "
            "first with how many belong together, the others with 10.",
            one_byte_below_256: "Only numbers below 128 are one byte: the byte's first bit must "
            "stay 0.",
            two_bytes_lead_always: "The first byte says how many follow: it begins with 110, "
            "1110 or 11110.",
            following_bytes_unmarked: "Every byte after the first begins with 10: add 0b10000000.",
            last_bits_first: "The bytes after the first are in the wrong order: the highest bits "
            "come first.",
            never_four_bytes: "From 0x10000 on it takes four bytes: most emoji are there.",
        },
        hints=(
            "How many bytes? One below 0x80, two below 0x800, three below 0x10000, else four.",
            "Each byte after the first is 0b10000000 plus six bits: (code_point >> 6 * k) % 64.",
            "The first byte: 0b11000000, 0b11100000 or 0b11110000, plus the bits that are left, "
            "code_point >> 6 * following.",
        ),
    ),
    Exercise(
        id="02.2",
        title="Count the pairs",
        objective="You can count neighbours over a list of different words.",
        points=2,
        minutes=8,
        difficulty=1,
        reference=count_pairs,
        inputs=words_in_tokens(),
        without=LIBRARY,
        mistakes={
            each_word_once: "A word that occurs five times has each of its pairs five times: add "
            "the word's count, not 1.",
            across_words: "The last token of one word and the first of the next are no pair: no "
            "merge crosses from word to word.",
            once_a_word: "A pair that stands twice in a word counts twice.",
            order_ignored: "(a, b) and (b, a) are different pairs: keep the order.",
            every_second_pair: "Pairs overlap when you count them: go forward by one token, not by "
            "two.",
        },
        hints=(
            "itertools.pairwise(word) gives the neighbours of one word.",
            "For each word and each of its pairs: count[pair] += times.",
        ),
    ),
    Exercise(
        id="02.3",
        title="Join a pair",
        objective="You can apply one merge to a list of tokens.",
        points=2,
        minutes=10,
        difficulty=1,
        reference=merge_pair,
        inputs=tokens_and_pair(),
        without=LIBRARY,
        mistakes={
            overlapping: "A token that was joined is used up: in a, a, a only the first two are "
            "joined.",
            from_the_right: "Go from the left: of three in a row the first two are joined.",
            first_occurrence_only: "You join the first occurrence only: join them all.",
            same_letters: "Compare the two tokens with the pair's two: (a, ab) and (aa, b) spell "
            "the same letters and are different pairs.",
            last_token_lost: "You stop before the last token: what is not joined stays as it is.",
        },
        hints=(
            "Walk with an index i; compare tokens[i] and tokens[i + 1] with the pair.",
            "Where they match, append the joined token and go forward by two; else by one.",
        ),
    ),
    Exercise(
        id="02.4",
        title="Learn byte-pair encoding",
        objective="You can train the tokenizer of GPT-2 on a toy text.",
        points=4,
        minutes=25,
        difficulty=2,
        reference=learn_bpe,
        inputs=words_and_n_merges(),
        without=LIBRARY,
        mistakes={
            counted_only_once: "Count again after each merge: the new token has pairs of its own, "
            "and others became rarer.",
            words_not_weighted: "Each word weighs as often as it occurs: its pairs count "
            "words[word] times.",
            ties_to_the_first_seen: "Among equally frequent pairs take the one that sorts first, "
            "not the one that was seen first.",
            ties_to_the_last_in_order: "Among equally frequent pairs you take the one that sorts "
            "last: the first is asked for.",
            pairs_once_a_word: "A pair that stands twice in a word counts twice.",
            ends_at_a_count_of_one: "Go on while there is any pair, also when the best occurs "
            "once.",
        },
        hints=(
            "Keep each word as a list of tokens, at first its characters.",
            "In each round: count all pairs (02.2), take the best, join it in every word (02.3).",
            "best = min(count, key=lambda pair: (-count[pair], pair)); stop when count is empty.",
        ),
    ),
    Exercise(
        id="02.5",
        title="Encode a word",
        objective="You can replay learned merges on new text.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=encode_word,
        inputs=words_and_merges(),
        without=LIBRARY,
        mistakes={
            longest_token_first: "That is WordPiece's way: BPE does not look for the longest token "
            "but replays merges in the order in which they were learned.",
            leftmost_merge_first: "Of all pairs that can be joined take the one learned earliest, "
            "wherever it stands.",
            latest_learned_first: "The earliest learned merge goes first; you begin with the "
            "latest.",
            each_merge_once: "A merge applies to every occurrence, not only to the first.",
            one_merge_only: "Go on until no pair of neighbours is a merge.",
        },
        hints=(
            "Begin with the characters.",
            "Among the neighbours that are in `merges`, find the one with the smallest index.",
            "Join it and look again; return the tokens when there is none.",
        ),
    ),
    Exercise(
        id="02.6",
        title="WordPiece",
        objective="You can cut a word as BERT does.",
        points=3,
        minutes=15,
        difficulty=2,
        reference=wordpiece,
        inputs=words_and_vocabularies(),
        without=LIBRARY,
        mistakes={
            without_prefix: "A piece that does not begin the word is looked up, and returned, with "
            "## in front.",
            shortest_piece_first: "Try the longest piece first and make it shorter until it is in "
            "the vocabulary.",
            only_the_rest_unknown: "If any part does not fit, the whole word is one [UNK]: drop "
            "the pieces found so far.",
            unknown_character_skipped: "There is no [UNK] within a word: if any part does not "
            "fit, the whole word is one [UNK].",
            prefix_not_returned: "The pieces are returned as they stand in the vocabulary, with "
            "their ##.",
            all_ways_tried: "WordPiece never takes a piece back: if the longest leads nowhere, the "
            "word is [UNK], even where shorter pieces would do.",
        },
        hints=(
            "Two loops: start moves over the word, end comes down from the end of the word.",
            "The piece is word[start:end], with ## in front when start > 0.",
            "If end comes down to start, return ['[UNK]'] at once.",
        ),
    ),
    Exercise(
        id="02.7",
        title="Units that compare",
        objective="You can compare models that cut text in different ways.",
        points=2,
        minutes=12,
        difficulty=1,
        reference=restate,
        inputs=losses_of_texts(),
        without=LIBRARY,
        mistakes={
            tokens_are_characters: "A loss per token is not one per character: multiply by the "
            "number of tokens, divide by the number of characters.",
            characters_are_bytes: "Bytes are not characters: divide the bits by "
            "len(text.encode()).",
            bits_per_token: "These are bits per token: multiply by the number of tokens and divide "
            "by that of bytes.",
            still_nats: "These are nats per byte: divide by ln 2.",
            perplexity_per_token: "This is the perplexity per token: first share all nats out over "
            "the words.",
            perplexity_scaled: "A perplexity cannot be rescaled afterwards: rescale the loss, then "
            "take the exponential.",
            two_to_the_nats: "The loss is in nats, so the perplexity is e (not 2) to its power.",
        },
        hints=(
            "What does the whole text cost? nats_per_token * n_tokens.",
            "Share it out: by len(text), by len(text.encode()), by len(text.split()).",
            "Bits are nats / ln 2; the perplexity is math.exp of the nats per word.",
        ),
    ),
    Exercise(
        id="02.8",
        title="All the ways to cut a text",
        objective="You can sum over exponentially many segmentations in n² steps.",
        points=3,
        minutes=20,
        difficulty=3,
        reference=marginal,
        inputs=texts_and_probs(),
        without=LIBRARY,
        mistakes={
            likeliest_way_only: "This is the probability of the likeliest way: add up all of them.",
            longest_tokens_only: "This follows one way, the longest token each time: add up all "
            "ways.",
            mean_over_the_ways: "The ways exclude each other, so their probabilities are added, "
            "not averaged.",
            ways_counted: "You count the ways: each must be weighed with its tokens' "
            "probabilities.",
            two_tokens_at_most: "A text may have more than two tokens.",
        },
        hints=(
            "Let total[end] be the answer for text[:end]; total[0] is 1.",
            "The last token of text[:end] is text[start:end] for some start, and before it stands "
            "text[:start].",
            "total[end] is the sum over start of total[start] * probs.get(text[start:end], 0).",
        ),
    ),
    Exercise(
        id="02.9",
        title="The likeliest way to cut",
        objective="You can find the best segmentation without trying them all.",
        points=3,
        minutes=20,
        difficulty=3,
        elective=True,
        reference=best_segmentation,
        inputs=texts_and_full_probs(),
        without=LIBRARY,
        mistakes={
            greedy_from_the_left: "Taking the longest token each time can end in a bad place: "
            "compare whole ways.",
            likeliest_token_each_time: "Taking the likeliest token each time is greedy: compare "
            "whole ways.",
            fewest_tokens: "The fewest tokens need not be the likeliest.",
            probabilities_added: "Probabilities of independent tokens multiply: add their "
            "logarithms.",
            in_bits: "The tokens are right; the logarithm should be the natural one, math.log.",
            least_likely: "You take the least likely way: the logarithms are negative, the best is "
            "the largest.",
        },
        hints=(
            "As 02.8, with a maximum in place of the sum.",
            "For each end keep the best log-probability of text[:end], and its tokens.",
            "Candidates: best of text[:start] plus ln p(text[start:end]), for every start.",
        ),
    ),
    Exercise(
        id="02.10",
        title="Spot the bug: question marks on the screen",
        objective="You can show a byte-level model's text while it is being written.",
        points=3,
        minutes=20,
        difficulty=2,
        reference=stream,
        inputs=cut_bytes(),
        without=(*LIBRARY, "codecs"),
        mistakes={
            stream_with_bug: "This still does what the broken code does: half a character cannot "
            "be decoded; wait for its other bytes.",
            unfinished_bytes_dropped: "The bytes of an unfinished character must not be dropped: "
            "keep them for the next token.",
            everything_shown_again: "Show only what is new: what was shown before comes again.",
            waits_for_the_end: "Nothing is shown before the end: show every whole character as "
            "soon as its last byte is there.",
            all_or_nothing: "Whole characters wait for one that is unfinished: show them, and keep "
            "back the unfinished bytes alone.",
        },
        hints=(
            "Keep the bytes that wait; add each token to them.",
            "Find the longest beginning of them that can be decoded.",
            "Decode waiting[:end] for end = len(waiting), one less, …: the first that raises no "
            "UnicodeDecodeError is shown, waiting[end:] waits on.",
        ),
    ),
]
