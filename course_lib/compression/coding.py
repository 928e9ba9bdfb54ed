"""An arithmetic coder: any model that predicts the next symbol becomes a compressor.

A text is written as one number in [0, 1). The symbols share out the interval in proportion to their
probabilities, the first symbol picks its part, the next picks its part of that part, and so on;
any number in the last interval names the whole text. Its width is p(text), so -log2 p(text) bits
are enough to write such a number: **the file is as long as the loss says.**

`encode` and `Decoder` are the coder (Witten, Neal & Cleary 1987), in whole numbers so that both
sides compute exactly the same. `compress` and `decompress` join it to a model. The file holds only
the code: model, number of tokens and history must be known on the other side.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, Int

from course_lib.errors import CourseError

# The interval [low, high] is a window of 32 bits on the endless binary digits of the number.
TOP, HALF, QUARTER = 2**32 - 1, 2**31, 2**30
# Probabilities are rounded to multiples of 1 / TOTAL. TOTAL must be far below QUARTER, so that even
# the rarest symbol keeps a part of the narrowest interval.
TOTAL = 2**24


def encode(parts: Iterable[tuple[int, int]]) -> bytes:
    """Write a sequence of symbols, each given as its part [start, end) of 0 … TOTAL.

    Invariant: low < HALF <= high and the interval is wider than QUARTER whenever a symbol arrives,
    so each symbol (end > start) keeps at least one number.
    """
    low, high, waiting, bits = 0, TOP, 0, []
    for start, end in parts:
        width = high - low + 1
        high = low + width * end // TOTAL - 1
        low = low + width * start // TOTAL
        while True:
            if high < HALF or low >= HALF:  # both ends agree on the next digit: write it
                digit = int(low >= HALF)
                bits += [digit] + [1 - digit] * waiting
                waiting, offset = 0, digit * HALF
            elif low >= QUARTER and high < 3 * QUARTER:  # 01… or 10…: the digit waits for the next
                waiting, offset = waiting + 1, QUARTER
            else:
                break
            low, high = 2 * (low - offset), 2 * (high - offset) + 1
    digit = int(low >= QUARTER)  # name a quarter that lies inside the last interval
    bits += [digit] + [1 - digit] * (waiting + 1)
    return np.packbits(np.array(bits, np.uint8)).tobytes()


class Decoder:
    """Read symbols back from `encode`'s bytes, one at a time; follows the encoder's every step."""

    def __init__(self, data: bytes):
        self.low, self.high, self.value = 0, TOP, 0
        self.bits = self._endless(data)
        for _ in range(32):
            self.value = 2 * self.value + next(self.bits)

    @staticmethod
    def _endless(data: bytes) -> Iterator[int]:
        """The data's binary digits, then zeros for ever."""
        yield from np.unpackbits(np.frombuffer(data, np.uint8)).tolist()
        while True:
            yield 0

    def read(self, edges: Int[np.ndarray, " vocab_and_one"]) -> int:
        """The next symbol, given the edges of all symbols' parts: 0 = edges[0] < … = TOTAL."""
        width = self.high - self.low + 1
        target = ((self.value - self.low + 1) * TOTAL - 1) // width
        symbol = int(edges.searchsorted(target, side="right")) - 1
        start, end = int(edges[symbol]), int(edges[symbol + 1])
        low, high, value = self.low, self.low + width * end // TOTAL - 1, self.value
        low = low + width * start // TOTAL
        while True:
            if high < HALF or low >= HALF:
                offset = HALF if low >= HALF else 0
            elif low >= QUARTER and high < 3 * QUARTER:
                offset = QUARTER
            else:
                break
            low, high = 2 * (low - offset), 2 * (high - offset) + 1
            value = 2 * (value - offset) + next(self.bits)
        self.low, self.high, self.value = low, high, value
        return symbol


def edges_from_probs(
    probs: Float64[np.ndarray, "batch vocab"],
) -> Int[np.ndarray, "batch vocab_and_one"]:
    """Cut 0 … TOTAL into a part for each symbol, in proportion to its probability.

    Every symbol gets at least 1, also one that the model thinks impossible, so that every text can
    be written. What rounding leaves over goes to the most likely symbol. Row by row, so that it
    does not matter how many rows come at once.

    Raises CourseError for more symbols than TOTAL has parts, or rows that are no distributions.
    """
    batch, vocab = probs.shape
    if not 1 <= vocab <= TOTAL // 2:
        raise CourseError(
            f"{vocab} symbols do not fit into {TOTAL} parts; use a coarser vocabulary"
        )
    if not ((probs >= 0).all() and (abs(probs.sum(axis=1) - 1) < 1e-6).all()):
        raise CourseError("each row of probabilities must be ≥ 0 and sum to 1; normalise the model")
    parts = 1 + (probs * (TOTAL - vocab)).astype(np.int64)
    parts[np.arange(batch), probs.argmax(axis=1)] += TOTAL - parts.sum(axis=1)
    return np.concatenate([np.zeros((batch, 1), np.int64), parts.cumsum(axis=1)], axis=1)


@runtime_checkable
class Predictor(Protocol):
    """What a model must offer to be used for compression."""

    context: int  # how many symbols of history it looks at
    vocab_size: int

    def next_token_probs(
        self, histories: Int[np.ndarray, "batch history"]
    ) -> Float64[np.ndarray, "batch vocab"]:
        """The same probabilities, to the last bit, however many rows are asked at once."""
        ...


def compress(
    model: Predictor,
    tokens: Int[np.ndarray, " n"],
    history: Int[np.ndarray, " history"] | None = None,
) -> bytes:
    """The tokens in about Σ -log2 p(token | tokens before it) bits.

    `history` is text that the reader of the file has too, such as the end of the training text;
    without it the first tokens are predicted from nothing. `decompress` needs the same.
    """
    text, begin = _with_history(history, tokens)
    return encode(_parts(model, text, begin))


def _parts(model: Predictor, text: Int[np.ndarray, " n"], begin: int) -> Iterator[tuple[int, int]]:
    """The part of 0 … TOTAL that each of text[begin:] takes, many positions at a time."""
    at_once = max(1, 2**17 // model.vocab_size)  # keeps the tables at some megabytes
    i = begin
    while i < len(text):
        reach = min(i, model.context)
        # Histories in one batch are of one length: near the text's start each stands alone.
        stop = i + 1 if reach < model.context else min(i + at_once, len(text))
        histories = text[np.arange(i, stop)[:, None] + np.arange(-reach, 0)]
        edges = edges_from_probs(model.next_token_probs(histories))
        row, symbol = np.arange(stop - i), text[i:stop]
        yield from zip(edges[row, symbol].tolist(), edges[row, symbol + 1].tolist(), strict=True)
        i = stop


def decompress(
    model: Predictor,
    data: bytes,
    n: int,
    history: Int[np.ndarray, " history"] | None = None,
) -> Int[np.ndarray, " n"]:
    """The n tokens that `compress` wrote into `data` with the same model and history.

    Each token must be known before the next can be predicted, so this goes one at a time;
    histories that return are looked up (the last 100,000 are kept). With another model, or another
    machine's rounding, what comes out is some other text: the code has no checksum.
    """
    text, begin = _with_history(history, np.zeros(n, np.int64))
    decoder, known = Decoder(data), {}
    for i in range(begin, len(text)):
        last = text[max(0, i - model.context) : i]
        edges = known.get(key := last.tobytes())
        if edges is None:
            if len(known) >= 100_000:
                known.clear()
            edges = edges_from_probs(model.next_token_probs(last[None]))[0].astype(np.int32)
            known[key] = edges
        text[i] = decoder.read(edges)
    return text[begin:]


def _with_history(
    history: Int[np.ndarray, " history"] | None, tokens: Int[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " both"], int]:
    """History and tokens in one array, and where the tokens begin."""
    history = np.zeros(0, np.int64) if history is None else history
    return np.concatenate([history, tokens]).astype(np.int64), len(history)
