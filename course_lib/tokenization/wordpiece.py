"""WordPiece: the tokenizer of BERT, and of most encoders after it.

First the text is made plain: no control characters, for an uncased model small letters without
accents, spaces around every Chinese character. Then it is cut at white space and around each
punctuation mark. Each word becomes the longest piece of the vocabulary that it begins with, then
the longest with which the rest begins, written ##rest; a word that cannot be covered is [UNK].
So the way back is not exact: what the vocabulary or the plain text lost is gone.

    tokenizer = WordPieceTokenizer.train([text], vocab_size=4000)
    tokenizer.decode(tokenizer.encode("Très  CHIC!")) == "tres chic !"

Pieces and numbers are those of Hugging Face `tokenizers` with BERT's settings, whose tokenizer.json
is also the file that `save` writes and `load` reads.

Schuster & Nakajima (2012), "Japanese and Korean Voice Search"; Devlin et al. (2019), "BERT".
"""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import regex
from jaxtyping import Int

from course_lib.errors import CourseError
from course_lib.files import expand, write_atomically
from course_lib.tokenization.bpe import in_order, learn_merges, read_tokenizer_file

UNKNOWN = "[UNK]"
SPECIAL = ("[PAD]", UNKNOWN, "[CLS]", "[SEP]", "[MASK]")  # chapter 08 says what the others are for
PREFIX = "##"  # marks a piece that does not begin a word
LONGEST_WORD = 100  # characters; a longer one is [UNK]

_CACHED_WORDS = 100_000  # remembered by a tokenizer before it starts afresh
# Control, format and private-use characters, and the mark of a decoding error.
_NO_TEXT = regex.compile(r"(?V1)[[\p{Cc}\p{Cf}\p{Co}\uFFFD]--[\t\n\r]]")
# Chinese characters (not kana, not hangul). One block begins where `tokenizers` has it, 256 later
# than in BERT's first code.
_IDEOGRAPH = regex.compile(
    "[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\U00020000-\U0002a6df\U0002a700-\U0002b73f"
    "\U0002b740-\U0002b81f\U0002b920-\U0002ceaf\U0002f800-\U0002fa1f]"
)
_ACCENT = regex.compile(r"\p{Mn}")
# A punctuation mark (with $, + and others that Unicode calls symbols), or a run of anything else.
_WORD = regex.compile(r"[!-/:-@\[-`{-~\p{P}]|[^\s!-/:-@\[-`{-~\p{P}]+")


@dataclass(frozen=True)
class WordPieceTokenizer:
    """Turns text into numbers of word pieces, and pieces into text that reads like it.

    Raises ValueError when the vocabulary repeats a token or lacks [UNK].
    """

    tokens: tuple[str, ...]  # token i is tokens[i]; ## marks pieces that do not begin a word
    lowercase: bool = True  # small letters without accents, as in BERT's "uncased" models

    def __post_init__(self) -> None:
        if len(set(self.tokens)) < len(self.tokens):
            raise ValueError("a token stands in the vocabulary twice")
        if UNKNOWN not in self.tokens:
            raise ValueError(f"the vocabulary must have {UNKNOWN}, for what it cannot write")

    @classmethod
    def train(
        cls, texts: Iterable[str], vocab_size: int, lowercase: bool = True
    ) -> "WordPieceTokenizer":
        """Learn pieces from `texts`: the special tokens, every character, then frequent joins.

        BERT's own training code was never published; as everyone does, this joins the most frequent
        pair. Schuster & Nakajima join the one that raises the text's likelihood most.

        Raises CourseError for a vocabulary that cannot hold the characters of the texts.
        """
        counts = Counter(
            word for text in texts for word in words(text, lowercase) if len(word) <= LONGEST_WORD
        )
        spelled = {word: (word[0], *(PREFIX + c for c in word[1:])) for word in counts}
        characters = sorted({piece for pieces in spelled.values() for piece in pieces})
        tokens = [*SPECIAL, *(c for c in characters if c not in SPECIAL)]
        if len(tokens) > vocab_size:
            raise CourseError(
                f"these texts have {len(characters):,} different characters (at the start of words "
                f"and within); {vocab_size:,} tokens cannot hold them: choose more"
            )
        number = {token: i for i, token in enumerate(tokens)}
        numbered = {
            tuple(number[piece] for piece in spelled[word]): n for word, n in counts.items()
        }
        learned, _ = learn_merges(
            numbered, tokens, vocab_size, join=lambda a, b: a + b.removeprefix(PREFIX)
        )
        return cls(tuple(learned), lowercase)

    @property
    def vocab_size(self) -> int:
        return len(self.tokens)

    def encode(self, text: str) -> Int[np.ndarray, " n"]:
        """The tokens of `text`, as int64, without [CLS] and [SEP] around it.

        A word that came before is looked up. The names of special tokens are text like any other.
        """
        cache, tokens = self._cache, []
        for word in words(text, self.lowercase):
            found = cache.get(word)
            if found is None:
                if len(cache) >= _CACHED_WORDS:
                    cache.clear()
                found = cache[word] = [self._number[piece] for piece in self.pieces(word)]
            tokens += found
        return np.array(tokens, dtype=np.int64)

    def decode(self, tokens: Int[np.ndarray, " n"]) -> str:
        """The pieces put together to words, with a space between words.

        Raises ValueError when a token is negative or not below `vocab_size`.
        """
        if tokens.size and not 0 <= tokens.min() <= tokens.max() < self.vocab_size:
            raise ValueError(f"tokens must lie between 0 and {self.vocab_size - 1}")
        pieces = [self.tokens[token] for token in tokens.tolist()]
        rest = [p.removeprefix(PREFIX) if p.startswith(PREFIX) else f" {p}" for p in pieces[1:]]
        return "".join([*pieces[:1], *rest])

    def pieces(self, word: str) -> list[str]:
        """One word cut from the left, each time the longest piece that the vocabulary has."""
        found: list[str] = []
        start = 0
        while start < len(word) <= LONGEST_WORD:
            prefix = PREFIX if start else ""
            for end in range(len(word), start, -1):
                if prefix + word[start:end] in self._number:
                    break
            else:
                return [UNKNOWN]
            found.append(prefix + word[start:end])
            start = end
        return found if word and len(word) <= LONGEST_WORD else [UNKNOWN]

    @cached_property
    def _number(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens)}

    @cached_property
    def _cache(self) -> dict[str, list[int]]:
        return {}

    def save(self, path: str | Path) -> None:
        """Write a tokenizer.json, which `tokenizers.Tokenizer.from_file` reads too."""
        number = self._number
        added = [
            {
                "id": number[token],
                "content": token,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for token in SPECIAL
            if token in number
        ]
        content = {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": sorted(added, key=lambda token: token["id"]),
            "normalizer": {
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": True,
                "strip_accents": None,
                "lowercase": self.lowercase,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": None,
            "decoder": {"type": "WordPiece", "prefix": PREFIX, "cleanup": False},
            "model": {
                "type": "WordPiece",
                "unk_token": UNKNOWN,
                "continuing_subword_prefix": PREFIX,
                "max_input_chars_per_word": LONGEST_WORD,
                "vocab": number,
            },
        }
        write_atomically(expand(path), json.dumps(content, ensure_ascii=False, indent=1) + "\n")

    @classmethod
    def load(cls, path: str | Path) -> "WordPieceTokenizer":
        """Read a tokenizer.json that `save` wrote, or that of a BERT.

        Raises CourseError when there is no such file or it is of another kind.
        """
        content = read_tokenizer_file(path, "WordPiece")
        model, normalizer = content["model"], content.get("normalizer") or {}
        lowercase = normalizer.get("lowercase")
        same = (
            normalizer.get("type") == "BertNormalizer"
            and normalizer.get("clean_text")
            and normalizer.get("handle_chinese_chars")
            and normalizer.get("strip_accents") in (None, lowercase)
            and (content.get("pre_tokenizer") or {}).get("type") == "BertPreTokenizer"
            and model.get("unk_token") == UNKNOWN
            and model.get("continuing_subword_prefix") == PREFIX
            and model.get("max_input_chars_per_word") == LONGEST_WORD
        )
        if not same:
            raise CourseError(
                f"{path} is not BERT's WordPiece (another way to cut or to normalise text); "
                "read it with the package tokenizers"
            )
        special = {added["content"]: added["id"] for added in content.get("added_tokens", [])}
        try:
            return cls(tuple(in_order(model["vocab"] | special)), lowercase)
        except ValueError as error:
            raise CourseError(f"{path} is damaged ({error}); get it again") from None


def plain(text: str, lowercase: bool = True) -> str:
    """The text as BERT sees it: cleaned, Chinese characters apart, uncased if `lowercase`."""
    text = _NO_TEXT.sub("", text)
    text = _IDEOGRAPH.sub(r" \g<0> ", text)
    if lowercase:
        text = _ACCENT.sub("", unicodedata.normalize("NFD", text))
        text = text.replace("Σ", "σ").lower()  # Python alone would write ς at the end of a word
    return text


def words(text: str, lowercase: bool = True) -> list[str]:
    """The words and punctuation marks of the text as BERT sees it."""
    return _WORD.findall(plain(text, lowercase))
