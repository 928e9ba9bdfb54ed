"""Byte-level byte-pair encoding: the tokenizer of GPT-2, and of most models after it.

Begin with the 256 bytes, so that nothing is ever unknown. Learning joins the most frequent pair of
neighbours into a new token, again and again; encoding replays these merges, the earliest learned
first. A pattern first cuts the text into pieces (a word with the space before it, a number, …), and
no token crosses from one piece to the next.

    tokenizer = BPETokenizer.train([text], vocab_size=2256)     # the 256 bytes and 2,000 merges
    tokenizer.decode(tokenizer.encode(any_text)) == any_text    # for every string

Tokens, numbers and ties are those of Hugging Face `tokenizers`, whose tokenizer.json is also the
file that `save` writes and `load` reads.

Sennrich, Haddow & Birch (2016), "Neural Machine Translation of Rare Words with Subword Units";
Radford et al. (2019), "Language Models are Unsupervised Multitask Learners", on bytes.
"""

import heapq
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from operator import add
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import regex
from jaxtyping import Int

from course_lib.errors import CourseError
from course_lib.files import expand, write_atomically

Pair = tuple[int, int]
Token = TypeVar("Token", bytes, str)

# GPT-2's pieces: an English contraction; letters, digits, or other symbols, each with at most one
# space before; white space, of which the last space is left to the word that follows.
GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

# A JSON file cannot hold a lone byte, so GPT-2 writes each as a character that can be printed: the
# printable bytes as themselves, the others as the characters from U+0100 on (a space is Ġ). The
# bytes are numbered in the order of these characters, which decides between equal counts.
_PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
BYTE_ORDER = bytes(_PRINTABLE + [byte for byte in range(256) if byte not in set(_PRINTABLE)])
_WRITTEN = dict(zip(BYTE_ORDER, map(chr, [*_PRINTABLE, *range(0x100, 0x144)]), strict=True))
_BYTE_OF = {written: byte for byte, written in _WRITTEN.items()}

GONE = -1  # a symbol that was merged into the one before it

_CACHED_PIECES = 100_000  # remembered by a tokenizer before it starts afresh


@dataclass(frozen=True)
class BPETokenizer:
    """Turns any text into numbers of byte strings, and back without loss.

    Raises ValueError when a byte is not a token, or a merge does not make a token.
    """

    tokens: tuple[
        bytes, ...
    ]  # token i stands for the bytes tokens[i]; all 256 bytes are among them
    merges: tuple[Pair, ...]  # pairs of tokens, in the order in which they were learned
    pattern: str = GPT2_PATTERN  # what is one piece; text that it does not match is one as well
    unknown: int | None = None  # stands for each byte that is no token, where some bytes are none

    def __post_init__(self) -> None:
        missing = set(range(256)) - {token[0] for token in self.tokens if len(token) == 1}
        if missing and self.unknown is None:
            raise ValueError(f"the byte {min(missing)} is not a token: some text could not be said")
        if len(self._number) < len(self.tokens):
            raise ValueError("two tokens stand for the same bytes")
        for left, right in self.merges:
            if self.tokens[left] + self.tokens[right] not in self._number:
                raise ValueError(f"the merge of tokens {left} and {right} makes no token")

    @classmethod
    def train(
        cls, texts: Iterable[str], vocab_size: int, pattern: str = GPT2_PATTERN
    ) -> "BPETokenizer":
        """Learn merges from `texts` until there are `vocab_size` tokens or no pair is left.

        Raises CourseError for a vocabulary that cannot hold the 256 bytes.
        """
        if vocab_size < 256:
            raise CourseError(f"{vocab_size} tokens cannot hold the 256 bytes; choose more")
        first = tuple(bytes([byte]) for byte in BYTE_ORDER)
        number = {token[0]: i for i, token in enumerate(first)}
        counts = Counter(piece for text in texts for piece in cut(text, pattern))
        words = {tuple(number[byte] for byte in utf8(piece)): n for piece, n in counts.items()}
        tokens, merges = learn_merges(words, first, vocab_size)
        return cls(tuple(tokens), tuple(merges), pattern)

    def first(self, vocab_size: int) -> "BPETokenizer":
        """The tokenizer that `train` would have given, had it been asked for fewer tokens.

        Training with a larger vocabulary goes on where a smaller one stops, so learning once serves
        every size. Raises ValueError for a size below 256 or above this vocabulary's.
        """
        if not 256 <= vocab_size <= self.vocab_size:
            raise ValueError(f"{vocab_size} is not between 256 and {self.vocab_size}")
        made, kept = 256, 0
        while kept < len(self.merges) and made < vocab_size:
            made = max(made, self._results[kept] + 1)
            kept += 1
        return BPETokenizer(
            self.tokens[:vocab_size], self.merges[:kept], self.pattern, self.unknown
        )

    @property
    def vocab_size(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> Int[np.ndarray, " n"]:
        """The tokens of `text`, as int64.

        A piece that came before is looked up. The names of special tokens are text like any other.
        """
        cache, tokens = self._cache, []
        for piece in cut(text, self.pattern):
            found = cache.get(piece)
            if found is None:
                if len(cache) >= _CACHED_PIECES:
                    cache.clear()
                found = cache[piece] = self.merge([self._byte_tokens[b] for b in utf8(piece)])
            tokens += found
        return np.array(tokens, dtype=np.int64)

    def decode(self, tokens: Int[np.ndarray, " n"]) -> str:
        """The text whose tokens these are.

        Tokens that a model wrote may break off within a character: such bytes become � (U+FFFD).
        Raises ValueError when a token is negative or not below `vocab_size`.
        """
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < self.vocab_size:
            raise ValueError(f"tokens must lie between 0 and {self.vocab_size - 1}")
        data = b"".join([self.tokens[token] for token in tokens.tolist()])
        try:
            return data.decode("utf-8", "surrogatepass")  # half characters go round like any other
        except UnicodeDecodeError:
            return data.decode("utf-8", "replace")

    def merge(self, symbols: Sequence[int]) -> list[int]:
        """Join neighbours of one piece until no merge applies, always the earliest learned first.

        Of equal ones the leftmost. The candidates wait in a heap and the piece is a linked list, so
        that a piece of n bytes takes n log n steps: a line of 100,000 letters does not hang.
        """
        ranks, n = self._ranks, len(symbols)
        symbols = [*symbols, GONE]  # the end, too, is a place where no merge applies
        before, after = list(range(-1, n)), [*range(1, n + 1), n]  # neighbours still there
        pairs = pairwise(symbols)
        heap = [(ranks[pair], i) for i, pair in enumerate(pairs) if pair in ranks]
        heapq.heapify(heap)
        while heap:
            rank, i = heapq.heappop(heap)
            if ranks.get((symbols[i], symbols[after[i]])) != rank:
                continue  # one of the two was merged with its other neighbour meanwhile
            joined = after[i]
            symbols[i], symbols[joined] = self._results[rank], GONE
            after[i] = after[joined]
            before[after[i]] = i
            for start in (before[i], i):
                pair = symbols[start], symbols[after[start]]
                if pair in ranks:
                    heapq.heappush(heap, (ranks[pair], start))
        return [symbol for symbol in symbols if symbol != GONE]

    @cached_property
    def _number(self) -> dict[bytes, int]:
        return {token: i for i, token in enumerate(self.tokens)}

    @cached_property
    def _byte_tokens(self) -> list[int]:
        """The token of each byte."""
        return [self._number.get(bytes([byte]), self.unknown) for byte in range(256)]

    @cached_property
    def _ranks(self) -> dict[Pair, int]:
        return {pair: rank for rank, pair in enumerate(self.merges)}

    @cached_property
    def _results(self) -> list[int]:
        """What each merge makes."""
        return [self._number[self.tokens[a] + self.tokens[b]] for a, b in self.merges]

    @cached_property
    def _cache(self) -> dict[str, list[int]]:
        return {}

    def save(self, path: str | Path) -> None:
        """Write a tokenizer.json, which `tokenizers.Tokenizer.from_file` reads too."""
        written = ["".join(_WRITTEN[byte] for byte in token) for token in self.tokens]
        byte_level = {
            "type": "ByteLevel",
            "add_prefix_space": False,
            "trim_offsets": True,
            "use_regex": True,
        }
        cutter = byte_level
        if self.pattern != GPT2_PATTERN:
            split = {"type": "Split", "behavior": "Isolated", "invert": False}
            split["pattern"] = {"Regex": self.pattern}
            cutter = {
                "type": "Sequence",
                "pretokenizers": [split, byte_level | {"use_regex": False}],
            }
        content = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [],
            "normalizer": None,
            "pre_tokenizer": cutter,
            "post_processor": None,
            "decoder": byte_level,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None if self.unknown is None else written[self.unknown],
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": {token: i for i, token in enumerate(written)},
                "merges": [[written[left], written[right]] for left, right in self.merges],
            },
        }
        write_atomically(expand(path), json.dumps(content, ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "BPETokenizer":
        """Read a tokenizer.json that `save` wrote, or GPT-2's own.

        Special tokens that the file adds (<|endoftext|>) keep their numbers, as the bytes of their
        names. Raises CourseError when there is no such file or it is of another kind.
        """
        content = read_tokenizer_file(path, "BPE")
        model, cutter = content["model"], content.get("pre_tokenizer") or {}
        steps = cutter.get("pretokenizers", [cutter])
        pattern, byte_level = GPT2_PATTERN, steps[-1]
        if len(steps) == 2 and steps[0].get("type") == "Split":
            pattern = steps[0].get("pattern", {}).get("Regex", "")
        same = (
            byte_level.get("type") == "ByteLevel"
            and not byte_level.get("add_prefix_space")
            and byte_level.get("use_regex", True) == (len(steps) == 1)
            and pattern
            and content.get("normalizer") is None
            and not any(
                model.get(option)
                for option in ("dropout", "ignore_merges", "byte_fallback", "end_of_word_suffix")
            )
        )
        if not same:
            raise CourseError(
                f"{path} is not byte-level BPE as this course writes it (another way to cut or to "
                "normalise text); read it with the package tokenizers"
            )
        special = {added["content"]: added["id"] for added in content.get("added_tokens", [])}
        number = model["vocab"] | special
        pairs = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
        try:
            unknown = number.get(model.get("unk_token"))
            return cls.from_written(in_order(number), pairs, special, pattern, unknown)
        except (KeyError, ValueError) as error:
            raise CourseError(f"{path} is damaged ({error}); get it again") from None

    @classmethod
    def from_written(
        cls,
        written: Iterable[str],
        pairs: Iterable[Sequence[str]],
        special: Collection[str] = (),
        pattern: str = GPT2_PATTERN,
        unknown: int | None = None,
    ) -> "BPETokenizer":
        """From tokens and merges as files write them, a printable character a byte (a space is Ġ).

        `special` tokens stand for the bytes of their names. Raises KeyError for a character that is
        no byte and for a merge of what is no token, ValueError as the class does.
        """
        written = list(written)
        number = {token: i for i, token in enumerate(written)}
        spelled = [
            token.encode() if token in special else bytes(_BYTE_OF[c] for c in token)
            for token in written
        ]
        merges = [(number[left], number[right]) for left, right in pairs]
        return cls(tuple(spelled), tuple(merges), pattern, unknown)


def cut(text: str, pattern: str = GPT2_PATTERN) -> Iterator[str]:
    """The pieces of a text, which together are the text: the matches, and what is between them."""
    end = 0
    for match in regex.finditer(pattern, text):
        if match.start() > end:
            yield text[end : match.start()]
        if match.end() > match.start():
            yield match.group()
        end = match.end()
    if end < len(text):
        yield text[end:]


def utf8(text: str) -> bytes:
    """The bytes of a text, those of half characters (which Python strings may hold) included."""
    return text.encode("utf-8", "surrogatepass")


def learn_merges(
    words: Mapping[tuple[int, ...], int],
    tokens: Sequence[Token],
    vocab_size: int,
    join: Callable[[Token, Token], Token] = add,
) -> tuple[list[Token], list[Pair]]:
    """Join the most frequent pair of neighbours in `words` until there are `vocab_size` tokens.

    `words` maps each different word, as numbers of `tokens`, to how often it occurs. Among pairs of
    equal count the one with the smallest numbers is first. Ends early when no pair is left.
    `join` says which token two tokens make. Two merges may make the same one (a + bc and ab + c):
    it is listed once. Returns all tokens, and the merges in their order.

    The counts are kept up to date rather than counted anew: a merge changes only the words that
    hold its pair, so it costs as much as these and not another reading of the text. Counts that
    have fallen since they were put into the heap are put back with their new value when they come
    to the top.
    """
    tokens, merges = list(tokens), []
    number = {token: i for i, token in enumerate(tokens)}
    symbols, times = [list(word) for word in words], list(words.values())
    count: Counter[Pair] = Counter()
    where: defaultdict[Pair, set[int]] = defaultdict(set)  # words that have, or had, the pair
    for w, word in enumerate(symbols):
        for pair in pairwise(word):
            count[pair] += times[w]
            where[pair].add(w)
    heap = [(-n, pair) for pair, n in count.items()]
    heapq.heapify(heap)

    while heap and len(tokens) < vocab_size:
        n, pair = heapq.heappop(heap)
        if count[pair] != -n:
            if count[pair] > 0:
                heapq.heappush(heap, (-count[pair], pair))
            continue
        joined = join(tokens[pair[0]], tokens[pair[1]])
        new = number.setdefault(joined, len(tokens))
        if new == len(tokens):
            tokens.append(joined)
        merges.append(pair)
        grown = set()
        for w in where.pop(pair):
            for changed, by in replace_pair(symbols[w], pair, new).items():
                count[changed] += by * times[w]
                if by > 0:
                    where[changed].add(w)
                    grown.add(changed)
        del count[pair]
        for changed in grown:
            heapq.heappush(heap, (-count[changed], changed))
    return tokens, merges


def replace_pair(word: list[int], pair: Pair, new: int) -> Mapping[Pair, int]:
    """Put `new` for each `pair` in `word`, from the left, in place.

    Returns by how much each pair of neighbours occurs more or less often than before.
    """
    before = Counter(pairwise(word))
    i = 0
    while i < len(word) - 1:
        if (word[i], word[i + 1]) == pair:
            word[i : i + 2] = [new]
        i += 1
    after = Counter(pairwise(word))
    after.subtract(before)
    return after


def in_order(number: Mapping[str, int]) -> list[str]:
    """The tokens of a vocabulary by number; ValueError unless these run from 0 without a gap."""
    tokens = sorted(number, key=number.__getitem__)
    if [number[token] for token in tokens] != list(range(len(tokens))):
        raise ValueError("its tokens are not numbered without a gap")
    return tokens


def read_tokenizer_file(path: str | Path, kind: str) -> dict[str, Any]:
    """The content of a tokenizer.json whose model is of this kind; CourseError if it is not."""
    try:
        content = json.loads(expand(path).read_text("utf-8"))
        found = content["model"]["type"]
    except OSError as error:
        raise CourseError(f"cannot read {path} ({error.strerror}); name a tokenizer.json") from None
    except (ValueError, KeyError, TypeError):
        raise CourseError(f"{path} holds no tokenizer; name a tokenizer.json") from None
    if found != kind:
        raise CourseError(f"{path} holds a tokenizer of the kind {found}; {kind} is needed")
    return content
