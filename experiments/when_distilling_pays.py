"""When does distilling pay? Labels, text without labels, the student's start, and the teacher.

    course experiment when-distilling-pays [--seeds N] [--resume]

Few or many labelled sentences of Rotten Tomatoes (there are 5,528 to train on), drawn anew by each
seed; beside them no other text, 2,000 of the sentences that were not drawn, all of these ("rest"),
or all and so many sentences of IMDB that there are 11,000 ("rest + IMDB"). The teacher is MiniLM
fine-tuned on the *same labels*, which costs no label more; or on *all labels*, somebody else's; or
it is *naive Bayes* on the same labels. The student has two layers with 1,024 neurons each, MiniLM's
own ("copied") or of random numbers, and learns from labels and teacher half and half. The student
alone ("none") has the labels, and as many steps as the shortest, the longest or a middling one of
its rivals: which of these counts is chosen by its accuracy on the 1,000 validation sentences,
labels that its rivals do not get, so that a teacher is never praised for a control that was badly
trained.

Students with more to read are given more steps (`steps_for`), up to 176, which is once through all
training sentences: the teacher's students with "rest" and with "rest + IMDB" have as many, so that
between them only the text differs. Everything has the vocabulary of the training sentences, and
products are in bfloat16 where that is faster. A network that teaches is trained once
for all runs of its labels and seed (the one on all labels once for all seeds), and kept, with what
it says of every sentence, in the course's cache. Its seconds, and how often it is right on the
2,000 test sentences, are in each row that it taught. All seconds are a processor's.
"""

import json
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from filelock import FileLock
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

from course_lib.data.parcels import cache_dir
from course_lib.data.sentences import sentences
from course_lib.data.tasks import imdb, rotten_tomatoes
from course_lib.distillation.classifier import TEACHING, TaughtExamples, distil, joined
from course_lib.distillation.losses import IGNORE
from course_lib.distillation.reviews import (
    fast_products,
    fine_tuned,
    in_bfloat16,
    load_reviews,
    unlabelled,
)
from course_lib.distillation.students import copied_student, random_student, with_new_head
from course_lib.distillation.teachers import TeacherOutputs, teacher_outputs
from course_lib.experiments import Experiment, Setting
from course_lib.files import write_atomically
from course_lib.models.bert_heads import BertForSequenceClassification
from course_lib.training.answers import scored
from course_lib.training.fine_tuning import Examples, Recipe, correct, fine_tune, predicted_logits
from course_lib.training.history import History
from course_lib.training.text_baselines import WORDS

LABELS = (50, 200, 1000, 5000)
ALL_TEXT = 11_000  # sentences without a label in "rest + IMDB"
TEXTS = ("none", "2,000", "rest", "rest + IMDB")  # without a label
STEPS = (60, 120, 176)  # of 32 sentences
PROBED = 32  # sentences with labels that a probe learns from, and half as many without
TEACHER_STEPS = {50: 40, 200: 60, 1000: 100, 5000: 180, "all": 346}
TEACHER, STUDENT = Recipe(lr=1e-4), Recipe(lr=3e-4)


# --- sentences ------------------------------------------------------------------------------


@cache
def every_sentence() -> Examples:
    """The training sentences, and after them those of IMDB."""
    reviews = load_reviews()
    more = unlabelled(imdb_sentences(), reviews.trimmed)
    return joined(reviews.trimmed_examples["train"], more, labelled=False)


@cache
def imdb_sentences() -> list[str]:
    """As many as are needed beside the most labels."""
    return sentences(imdb()["train"]["text"], at_most=n_imdb(max(LABELS)))


def n_imdb(labels: int) -> int:
    """Sentences of IMDB that, with the training sentences that have no label, are ALL_TEXT."""
    return ALL_TEXT - (n_train() - labels)


def n_train() -> int:
    """Training sentences that there are."""
    return len(load_reviews().trimmed_examples["train"])


def drawn(labels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of the sentences whose labels are known, and of the other training sentences."""
    train = load_reviews().trimmed_examples["train"]
    known = train.places_of_few(labels, seed)
    rest = np.setdiff1d(np.arange(len(train)), known)
    return known, np.random.default_rng(seed).permutation(rest)


def places_of(setting: Setting, seed: int) -> np.ndarray:
    """What a student reads, as places in `every_sentence`: those with labels first."""
    labels, text = setting["labels"], setting["unlabelled"]
    known, rest = drawn(labels, seed)
    more = {
        "none": rest[:0],
        "2,000": rest[:2000],
        "rest": rest,
        "rest + IMDB": np.concatenate([rest, n_train() + np.arange(n_imdb(labels))]),
    }
    return np.concatenate([known, more[text]])


# --- teachers -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """What a teacher says."""

    logits: np.ndarray  # of the first of `every_sentence`, as many as its students read
    accuracy: float  # on the test sentences
    seconds: float  # to train it and to ask it


def kept_in() -> Path:
    """Where teachers and what they say are kept."""
    return cache_dir() / "teachers" / "when-distilling-pays"


@cache
def network(labels: int | str, seed: int) -> Said:
    """MiniLM fine-tuned on some labels, or "all" of them: trained and asked by the process that
    comes first."""
    reviews, asked = load_reviews(), every_sentence()
    train = reviews.trimmed_examples["train"]
    if labels != "all":
        asked = asked.take(range(n_train() + n_imdb(labels)))
        train = train.take(drawn(labels, seed)[0])
    kept_in().mkdir(parents=True, exist_ok=True)
    name = f"{labels}-{seed}-{TEACHER_STEPS[labels]}-{len(asked)}"
    with FileLock(kept_in() / f"{name}.lock"):
        begin = time.process_time()
        model = fine_tuned(
            reviews.trimmed.model,
            train,
            steps=TEACHER_STEPS[labels],
            recipe=TEACHER,
            seed=seed,
            folder=kept_in(),
        )
        with fast_products():
            logits = teacher_outputs(model, asked, folder=kept_in()).logits
        taken, file = time.process_time() - begin, kept_in() / f"{name}.json"
        if not file.exists():  # otherwise all of it was read, not computed
            write_atomically(file, json.dumps(taken))
        with fast_products():
            test = teacher_outputs(model, reviews.trimmed_examples["test"], folder=kept_in())
    right = correct(test.logits, reviews.trimmed_examples["test"])
    return Said(logits, float(right.mean()), json.loads(file.read_text("utf-8")))


def word_counts(labels: int, seed: int) -> Said:
    """Naive Bayes of some labels, one added to every count: there is no label to choose by."""
    begin, rows = time.process_time(), rotten_tomatoes()
    texts, labels_of_all = list(rows["train"]["text"]), np.array(rows["train"]["label"])
    known, _ = drawn(labels, seed)
    model = make_pipeline(CountVectorizer(binary=True, **WORDS), MultinomialNB())
    model.fit([texts[i] for i in known], labels_of_all[known])
    asked = texts + imdb_sentences()[: n_imdb(labels)]
    logits = model.predict_log_proba(asked).astype(np.float32)
    seconds = time.process_time() - begin
    return Said(logits, model.score(list(rows["test"]["text"]), rows["test"]["label"]), seconds)


def teacher_of(setting: Setting, seed: int) -> Said | None:
    """What the setting's teacher says, if it has one."""
    if setting["teacher"] == "none":
        return None
    if setting["teacher"] == "naive Bayes":
        return word_counts(setting["labels"], seed)
    if setting["teacher"] == "all labels":
        return network("all", 0)
    return network(setting["labels"], seed)


# --- students -------------------------------------------------------------------------------


def new_student(start: str, seed: int) -> BertForSequenceClassification:
    """Two slim layers that have learned nothing yet: MiniLM's, or the same shape at random."""
    copied = copied_student(load_reviews().trimmed.model, (0, 3), seed=seed, d_ff=1024)
    return copied if start == "copied" else random_student(copied.bert, 2, seed=seed)


def learn(
    student: BertForSequenceClassification,
    examples: Examples,
    logits: np.ndarray | None,
    steps: int,
    seed: int,
    bf16: bool,
) -> History:
    """Train the student on labels, and on what the teacher says of all examples, if it has one."""
    said = np.zeros((len(examples), 2), np.float32) if logits is None else logits
    outputs = TeacherOutputs(said, {}, np.cumsum(examples.lengths + 2), 0.0)
    teaching = TEACHING["hard" if logits is None else "soft"]
    lesson = TaughtExamples(examples, outputs)
    _, [history] = distil(
        student, lesson, teaching, steps=steps, recipe=STUDENT, seed=seed, bf16=bf16
    )
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    return history


def lesson_of(setting: Setting, seed: int) -> tuple[Examples, np.ndarray]:
    """What the student reads, with labels where they are known; and the places of it."""
    places = places_of(setting, seed)
    examples = every_sentence().take(places)
    labels = examples.labels.copy()
    labels[setting["labels"] :] = IGNORE
    return Examples(examples.tokens, labels, examples.special), places


def run(setting: Setting, seed: int, folder: Path) -> dict[str, Any]:
    """Teach a student, and score it on the test sentences."""
    sets, said = load_reviews().trimmed_examples, teacher_of(setting, seed)
    examples, places = lesson_of(setting, seed)
    student, begin = new_student(setting["start"], seed), time.process_time()
    logits = None if said is None else said.logits[places]
    history = learn(student, examples, logits, setting["steps"], seed, in_bfloat16())
    seconds = time.process_time() - begin
    with fast_products():
        answers = {
            split: predicted_logits(student, sets[split]) for split in ("validation", "test")
        }
    return scored(answers["test"], sets["test"].labels) | {
        "validation_accuracy": float(correct(answers["validation"], sets["validation"]).mean()),
        "teacher_accuracy": None if said is None else said.accuracy,
        "sentences_without_labels": len(examples) - setting["labels"],
        "train_loss": float(np.mean(history.train_loss[-20:])),
        "seconds": round(seconds, 1),
        "teacher_seconds": 0.0 if said is None else round(said.seconds, 3),
    }


def probe(setting: Setting) -> list[float]:
    """The first losses of the student with seed 0, in float32, and of MiniLM's fine-tuning where
    it is the teacher; what it says here is what it says untrained."""
    reviews, (examples, places) = load_reviews(), lesson_of(setting, 0)
    some = [*range(PROBED), *range(len(examples) - PROBED // 2, len(examples))]
    few, losses, logits = examples.take(some), [], None
    if setting["teacher"] == "naive Bayes":
        logits = word_counts(setting["labels"], 0).logits[places[some]]
    elif setting["teacher"] != "none":
        labelled = examples.take(range(PROBED))
        losses = fine_tune(reviews.trimmed.model, TEACHER, labelled, steps=2)[1].train_loss
        with TemporaryDirectory() as folder:
            model = with_new_head(reviews.trimmed.model, 0)
            logits = teacher_outputs(model, few, folder=Path(folder)).logits
    student = new_student(setting["start"], 0)
    return [*losses, *learn(student, few, logits, 3, 0, bf16=False).train_loss]


# --- the map --------------------------------------------------------------------------------


def steps_for(labels: int, text: str) -> int:
    """The steps of a student that is taught."""
    few, middling, many = STEPS
    if text == "none":
        return {1000: middling, 5000: many}.get(labels, few)
    return middling if text == "2,000" else many


def cell(start: str, teacher: str, labels: int, text: str) -> Setting:
    """A student that is taught."""
    return {
        "start": start,
        "teacher": teacher,
        "labels": labels,
        "unlabelled": text,
        "steps": steps_for(labels, text),
    }


FEW = LABELS[:-1]  # labels, with most of the sentences left to be text without
ALONE = tuple(
    cell(start, "none", labels, "none") | {"steps": steps}
    for start in ("copied", "random")
    for labels in LABELS
    for steps in STEPS
)
TAUGHT = tuple(
    cell("copied", teacher, labels, text)
    for teacher in ("same labels", "all labels")
    for labels in LABELS
    for text in (TEXTS if labels in FEW else ("none", "rest + IMDB"))
)
LESS_TEXT = tuple(
    cell(start, teacher, labels, text)
    for start, teacher in (
        ("copied", "naive Bayes"),
        ("random", "same labels"),
        ("random", "all labels"),
    )
    for labels in LABELS
    for text in (("none", "rest") if labels in FEW else ("none",))
)

EXPERIMENT = Experiment(
    name="when-distilling-pays",
    question="With how many labels, how much other text, which start and which teacher does "
    "distilling pay?",
    grid=ALONE + TAUGHT + LESS_TEXT,
    seeds=3,
    run=run,
    probe=probe,
    texts=(),
)
