"""One teacher and every way to distil it, with the students and the baselines they must beat.

    course experiment distilling-bert [--seeds N] [--resume]

The teacher is MiniLM, fine-tuned once on the 5,528 training sentences of Rotten Tomatoes. Students
of five shapes begin with MiniLM's own layers (never with the fine-tuned ones, or the student
without a teacher would have had one) or at random, and learn from labels, from the teacher's
probabilities, from both, or from what is inside the teacher too: the same sentences in the same
order, the same STEPS, the same learning rate for all. Four students also read 11,000 sentences of
IMDB that only the teacher labels, for LONG_STEPS; the slim one gets these steps without the text
too, and with labels alone, so that what the steps add is not taken for what the text adds.

A sixth shape, THIN, is after as much of the teacher's accuracy as a third of its time can hold. It
begins with the teacher's own layers and head, so it has no student "alone". "hidden" teaches it the
teacher's vectors after every second layer, token by token, and nothing else: no label, no
probability. With the text of IMDB it does so with all word pieces, as the teacher reads them, and
is trimmed when it is done. Its controls, at equal steps: without that text, and labels alone. As
vectors are learned at a higher rate and without dropout, so are labels and probabilities in two
controls more ("trained": "as for vectors").

All other students learn with the word pieces of the training sentences. A row reports the trimmed
student; `whole` is the same with all 30,522 pieces: those that no training sentence has got no
gradient, so they are put back as they were, and only test sentences that are then cut otherwise are
scored anew. The teacher is there whole and trimmed.

Scored are the 1,000 validation sentences, to choose by, the 2,000 test sentences, and beginnings
(64 tokens, as much as the trimmed models read) of IMDB reviews held out, in the trimmed pieces, for
the teacher in all: each seed another 1,000, the same for all methods, so that ten seeds score
10,000. Training and scoring of students use bfloat16 where that is faster, latencies and the
teacher's answers float32. Each seed measures latencies anew, all shapes in turn. The teacher, and
what it says of every sentence (2 GB with the vectors of its layers), are kept in the course's
cache for all runs; its seconds are given apart from the student's. All seconds are a processor's.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import nn

from course_lib.data.parcels import cache_dir
from course_lib.data.sentences import sentences
from course_lib.data.tasks import imdb, rotten_tomatoes
from course_lib.distillation.classifier import (
    TEACHING,
    TaughtExamples,
    Teaching,
    distil,
    joined,
    layers_needed,
    without_layers,
)
from course_lib.distillation.matching import HiddenMatching
from course_lib.distillation.reviews import (
    CONTEXT,
    fast_products,
    fine_tuned,
    in_bfloat16,
    load_reviews,
    unlabelled,
    weights_digest,
)
from course_lib.distillation.students import (
    copied_student,
    narrow_student,
    random_student,
    with_new_head,
)
from course_lib.distillation.teachers import TeacherOutputs, teacher_outputs
from course_lib.experiments import Experiment, Setting
from course_lib.files import write_atomically
from course_lib.latency import latencies, megabytes
from course_lib.models.bert_heads import BertForSequenceClassification
from course_lib.models.pretrained_bert import PretrainedBert
from course_lib.training.answers import scored
from course_lib.training.fine_tuning import Examples, Recipe, correct, fine_tune, predicted_logits
from course_lib.training.text_baselines import naive_bayes

STEPS, LONG_STEPS = 260, 776  # of 32 sentences: one and a half times through what is read
TEACHER_STEPS = 346  # twice through all sentences
TEACHER = Recipe(lr=5e-5)
TRAINED = {  # how: the recipe, and the student's dropout
    "as most": (Recipe(lr=3e-4), 0.1),
    "as for vectors": (Recipe(lr=1e-3), 0.0),  # the teacher's were made without dropout
}
EXTRA = 11_000  # sentences of IMDB
REVIEWS = 1000  # of IMDB, scored by each seed
TIMED, TIMED_BATCHES = 40, 3  # sentences alone, and batches of 32, timed by each seed
PROBED = 96  # sentences that a probe learns from

SLIM = "2 slim layers"  # the strongest 1,024 of 1,536 neurons: two whole layers are not 3× as fast
THIN = "3 thin layers"  # 448 of 1,536 neurons, for the same reason
SHAPES: dict[str, Callable[..., BertForSequenceClassification]] = {
    "3 layers": partial(copied_student, layers=(0, 2, 4)),
    "2 layers": partial(copied_student, layers=(0, 3)),
    SLIM: partial(copied_student, layers=(0, 3), d_ff=1024),
    THIN: partial(copied_student, layers=(1, 3, 5), d_ff=448),
    "narrow": partial(narrow_student, n_layers=3, d_model=192),
    "3 random layers": partial(random_student, n_layers=3),
}
OUTPUT_METHODS = {  # that do not look inside
    "hard": TEACHING["hard"],
    "soft alone": Teaching(alpha=1.0),
    "soft and hard": TEACHING["soft"],
}
TABLE_METHODS = OUTPUT_METHODS | {
    name: TEACHING[name] for name in TEACHING if name not in ("hard", "soft")
}
# The vectors of every token after every layer, and nothing else: the head is the teacher's own.
METHODS = TABLE_METHODS | {"hidden": Teaching(matching=HiddenMatching, inside_first=1.0)}
HIDDEN_LAYERS = (2, 4, 6)  # of the teacher, that "hidden" imitates
SCORED = ("validation", "test", "imdb")


# --- the teacher, once for all runs ---------------------------------------------------------


def kept_in() -> Path:
    """Where the teacher and what it says are kept."""
    return cache_dir() / "teachers" / "distilling-bert"


def one_process() -> FileLock:
    """Held by the process that trains the teacher, or asks it; the others wait and read."""
    kept_in().mkdir(parents=True, exist_ok=True)
    return FileLock(kept_in() / "teacher.lock")


@cache
def teacher() -> tuple[BertForSequenceClassification, float]:
    """The teacher, and the seconds that its training took."""
    reviews = load_reviews()
    with one_process():
        begin = time.process_time()
        model = fine_tuned(
            reviews.whole.model,
            reviews.examples["train"],
            steps=TEACHER_STEPS,
            recipe=TEACHER,
            folder=kept_in(),
        )
        taken = time.process_time() - begin
        file = kept_in() / f"seconds-{weights_digest(model)[:32]}.json"
        if not file.exists():  # otherwise it was read, not trained
            write_atomically(file, json.dumps(taken))
        return model, json.loads(file.read_text("utf-8"))


def answers(examples: Examples, layers: tuple[int, ...] = ()) -> TeacherOutputs:
    """What the teacher says of sentences in all word pieces."""
    model, _ = teacher()
    with one_process():
        return teacher_outputs(model, examples, layers, kept_in())


@cache
def own_sentences() -> TaughtExamples:
    """The training sentences, with all that is inside the teacher."""
    reviews = load_reviews()
    every_layer = tuple(range(len(reviews.whole.model.blocks) + 1))
    known = answers(reviews.examples["train"], every_layer)
    return TaughtExamples(reviews.trimmed_examples["train"], known)


@cache
def own_and_imdb(all_pieces: bool = False) -> TaughtExamples:
    """The training sentences without labels, and EXTRA ones of IMDB.

    The teacher reads all of them in all word pieces. The student does with `all_pieces`, and can
    be given the teacher's vectors, one a piece; otherwise it reads its own pieces, and cannot.
    """
    reviews, texts = load_reviews(), sentences(imdb()["train"]["text"], at_most=EXTRA)

    def read_in(pretrained: PretrainedBert, own: Examples) -> Examples:
        return joined(own, unlabelled(texts, pretrained), labelled=False)

    examples = read_in(reviews.whole, reviews.examples["train"])
    known = answers(examples, HIDDEN_LAYERS)
    if all_pieces:
        return TaughtExamples(examples, known)
    examples = read_in(reviews.trimmed, reviews.trimmed_examples["train"])
    return TaughtExamples(examples, without_layers(known, ()))


# --- students -------------------------------------------------------------------------------


def new_student(
    name: str, seed: int, model: BertForSequenceClassification
) -> BertForSequenceClassification:
    """A student that has learned nothing yet, with all word pieces; `model` is its teacher."""
    if name != THIN:
        return SHAPES[name](load_reviews().whole.model, seed=seed).eval()
    student = SHAPES[name](model.bert, seed=seed).eval()
    student.classifier.load_state_dict(model.classifier.state_dict())
    return student


def trimmed(whole: BertForSequenceClassification) -> BertForSequenceClassification:
    """The same with the word pieces of the training sentences."""
    return load_reviews().trimming.classifier(whole, CONTEXT)


def put_back(
    student: BertForSequenceClassification, whole: BertForSequenceClassification
) -> BertForSequenceClassification:
    """`whole`, with what the student that was trimmed from it has learned since."""
    kept = torch.from_numpy(load_reviews().trimming.kept)
    state = whole.state_dict()
    for name, learned in student.state_dict().items():
        if name == "bert.embeddings.tokens.weight":
            state[name][kept] = learned
        elif name == "bert.embeddings.positions.weight":
            state[name][: len(learned)] = learned
        else:
            state[name].copy_(learned)
    return whole


def taught(
    student: BertForSequenceClassification,
    lesson: TaughtExamples,
    method: str,
    model: BertForSequenceClassification,
    steps: int,
    trained: str,
    seed: int,
    bf16: bool,
) -> list[float]:
    """Let the student learn from `model`, its teacher; its training losses."""
    teaching = METHODS[method]
    layers = layers_needed(teaching, student.bert.config, model.bert.config)
    lesson = TaughtExamples(lesson.examples, without_layers(lesson.outputs, layers))
    recipe, dropout = TRAINED[trained]
    _, histories = distil(
        student,
        lesson,
        teaching,
        model,
        steps=steps,
        recipe=recipe,
        dropout=dropout,
        seed=seed,
        bf16=bf16,
    )
    if any(history.stopped == "interrupted" for history in histories):
        raise KeyboardInterrupt
    return [loss for history in histories for loss in history.train_loss]


def way_to_train(setting: Setting) -> str:
    """Its name in TRAINED; a setting that names none is trained as its method mostly is."""
    usual = "as for vectors" if setting["method"] == "hidden" else "as most"
    return setting.get("trained", usual)


# --- scores ---------------------------------------------------------------------------------


def logits_of(model: nn.Module, examples: Examples) -> np.ndarray:
    """A student's logits."""
    with fast_products():
        return predicted_logits(model, examples)


def held_out_reviews(pretrained: PretrainedBert, seed: int) -> Examples:
    """The beginnings of the IMDB reviews that this seed scores."""
    rows = imdb()["test"]
    first = seed * REVIEWS % len(rows)
    return Examples.of(rows.select(range(first, first + REVIEWS)), pretrained, CONTEXT)


def size(model: BertForSequenceClassification) -> dict[str, Any]:
    """The numbers of a model, and what they take."""
    return {
        "parameters": model.n_parameters(),
        "parameters_without_embeddings": model.n_parameters(embeddings=False),
        "megabytes": round(megabytes(model), 2),
    }


def scores_of(sets: Mapping[str, Examples], logits: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """On the sentences' validation and test splits and on reviews, by split."""
    return {
        "validation_accuracy": float(correct(logits["validation"], sets["validation"]).mean()),
        "rotten_tomatoes": scored(logits["test"], sets["test"].labels),
        "imdb": scored(logits["imdb"], sets["imdb"].labels),
    }


@cache
def cut_otherwise() -> np.ndarray:
    """The test sentences that have a piece which the trimmed vocabulary has not."""
    reviews = load_reviews()
    pairs = zip(
        reviews.examples["test"].tokens, reviews.trimmed_examples["test"].tokens, strict=True
    )
    kept = reviews.trimming.kept
    return np.flatnonzero([not np.array_equal(old, kept[new]) for old, new in pairs])


def with_all_pieces(
    trimmed_logits: np.ndarray, whole: BertForSequenceClassification
) -> dict[str, Any]:
    """The scores of a student that has all word pieces, from those of the trimmed one."""
    test, places = load_reviews().examples["test"], cut_otherwise()
    logits = trimmed_logits.copy()
    logits[places] = logits_of(whole, test.take(places))
    return size(whole) | {"rotten_tomatoes": scored(logits, test.labels)}


# --- the kinds of run -----------------------------------------------------------------------


def run_teacher(with_fewer_pieces: bool, seed: int) -> dict[str, Any]:
    """The teacher, with all word pieces or trimmed; what it says is computed once."""
    reviews, (model, seconds) = load_reviews(), teacher()
    pretrained = reviews.trimmed if with_fewer_pieces else reviews.whole
    sets = dict(reviews.trimmed_examples if with_fewer_pieces else reviews.examples)
    sets["imdb"] = held_out_reviews(pretrained, seed)
    if with_fewer_pieces:
        model = trimmed(model)
    logits = {
        split: teacher_outputs(model, sets[split], folder=kept_in()).logits for split in SCORED
    }
    return {
        "seconds": round(seconds, 1),
        "teacher": weights_digest(teacher()[0])[:16],
        **size(model),
        **scores_of(sets, logits),
    }


@cache
def word_counts() -> tuple[Any, float]:
    """Naive Bayes of the training sentences, and the seconds it took."""
    rows, begin = rotten_tomatoes(), time.process_time()
    train, validation = rows["train"], rows["validation"]
    model = naive_bayes(
        list(train["text"]), train["label"], list(validation["text"]), validation["label"]
    )
    return model, time.process_time() - begin


def run_counting(seed: int) -> dict[str, Any]:
    """Naive Bayes. Of a review it reads what the teacher reads."""
    reviews, rows, (model, seconds) = load_reviews(), rotten_tomatoes(), word_counts()
    sets = reviews.examples | {"imdb": held_out_reviews(reviews.whole, seed)}
    texts = {split: list(rows[split]["text"]) for split in ("validation", "test")}
    texts["imdb"] = [reviews.whole.tokenizer.decode(tokens) for tokens in sets["imdb"].tokens]
    logits = {split: model.predict_log_proba(texts[split]) for split in SCORED}
    n = 2 * len(model[0].vocabulary_) + 2
    return {"seconds": round(seconds, 1), "parameters": n} | scores_of(sets, logits)


def run_student(setting: Setting, seed: int) -> dict[str, Any]:
    """A student is taught, and scored trimmed and with all word pieces."""
    reviews, (model, training) = load_reviews(), teacher()
    method, only_own = setting["method"], setting["text"] == "own"
    steps, trained = setting["steps"], way_to_train(setting)
    all_pieces = METHODS[method].matching is not None and not only_own
    lesson = own_sentences() if only_own else own_and_imdb(all_pieces)
    whole = new_student(setting["student"], seed, model)
    student = whole if all_pieces else trimmed(whole)
    begin = time.process_time()
    losses = taught(student, lesson, method, model, steps, trained, seed, in_bfloat16())
    seconds = time.process_time() - begin
    if all_pieces:
        student = trimmed(whole)
    else:
        whole = put_back(student, whole)
    sets = reviews.trimmed_examples | {"imdb": held_out_reviews(reviews.trimmed, seed)}
    logits = {split: logits_of(student, sets[split]) for split in SCORED}
    costs = {"training": training, "answers": lesson.outputs.seconds}
    return {
        "teacher": weights_digest(model)[:16],  # the same in all rows
        "train_loss": float(np.mean(losses[-20:])),
        "seconds": round(seconds, 1),
        "teacher_seconds": {
            part: 0.0 if method == "hard" else round(cost, 1) for part, cost in costs.items()
        },
        **size(student),
        **scores_of(sets, logits),
        "whole": with_all_pieces(logits["test"], whole),
    }


def run_latency(seed: int) -> dict[str, Any]:
    """Milliseconds of every shape on test sentences, one by one and 32 together."""
    reviews = load_reviews()
    large = with_new_head(reviews.whole.model, 0).eval()  # its speed is that of the fine-tuned one
    models = {
        "teacher": (large, reviews.examples),
        "teacher, trimmed": (trimmed(large), reviews.trimmed_examples),
    }
    for name in SHAPES:
        student = new_student(name, 0, large)
        models[name] = trimmed(student), reviews.trimmed_examples
        models[f"{name}, whole"] = student, reviews.examples
    order = np.random.default_rng(seed).permutation(len(reviews.examples["test"]))
    groups = {
        "1": order[:TIMED, None],
        "32": order[TIMED : TIMED + 32 * TIMED_BATCHES].reshape(-1, 32),
    }
    taken = {size: {name: [] for name in models} for size in groups}
    for batch_size, batches in groups.items():
        for places in batches:
            calls = {
                name: partial(model, *sets["test"].batch(places)[0])
                for name, (model, sets) in models.items()
            }
            for name, seconds in latencies(calls, [()], rounds=2).items():
                taken[batch_size][name] += [round(1000 * s, 2) for s in seconds.tolist()]
    return {
        "milliseconds": taken,
        "sizes": {name: size(model) for name, (model, _) in models.items()},
    }


def run(setting: Setting, seed: int, folder: Path) -> dict[str, Any]:
    """One row of the table."""
    name = setting["student"]
    if name == "latency":
        return run_latency(seed)
    if name == "naive Bayes":
        return run_counting(seed)
    if name in ("teacher", "teacher, trimmed"):
        return run_teacher(name == "teacher, trimmed", seed)
    return run_student(setting, seed)


def probe(setting: Setting) -> list[float]:
    """The first losses of a student's training with seed 0, in float32, under a teacher that was
    not fine-tuned; of the teacher those of its fine-tuning; else what a run says of no training."""
    reviews, name = load_reviews(), setting["student"]
    few = reviews.examples["train"].take(range(PROBED))
    if name == "latency":
        start = with_new_head(reviews.whole.model, 0)
        both = ((m, trimmed(m)) for m in (new_student(shape, 0, start) for shape in SHAPES))
        return [float(model.n_parameters()) for pair in both for model in pair]
    if name == "naive Bayes":
        return [run_counting(0)["rotten_tomatoes"]["nats"]]
    if name in ("teacher", "teacher, trimmed"):
        return fine_tune(reviews.whole.model, TEACHER, few, steps=3)[1].train_loss
    model = with_new_head(reviews.whole.model, 0)
    student = trimmed(new_student(name, 0, model))
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows: still open
        layers = range(len(model.bert.blocks) + 1)
        outputs = teacher_outputs(model, few, layers, Path(folder))
        lesson = TaughtExamples(reviews.trimmed_examples["train"].take(range(PROBED)), outputs)
        trained = way_to_train(setting)
        return taught(student, lesson, setting["method"], model, 4, trained, seed=0, bf16=False)


# Who is taught for LONG_STEPS, how, on what; the last three have the steps alone.
LONG = (
    *((shape, "soft alone", "own + IMDB") for shape in ("3 layers", "2 layers", SLIM, THIN)),
    (THIN, "hidden", "own + IMDB"),
    (THIN, "hidden", "own"),
    (SLIM, "soft alone", "own"),
    *((shape, "hard", "own") for shape in (SLIM, THIN)),
)


def students() -> Iterator[Setting]:
    """Who is taught how, on what, for how many steps."""
    for shape in SHAPES:
        methods = TABLE_METHODS if shape in ("3 layers", "2 layers") else OUTPUT_METHODS
        for method in methods:
            yield {"student": shape, "method": method, "text": "own", "steps": STEPS}
    for shape, method, text in LONG:
        yield {"student": shape, "method": method, "text": text, "steps": LONG_STEPS}
    for method in ("hard", "soft alone"):
        setting = {"student": THIN, "method": method, "text": "own", "steps": LONG_STEPS}
        yield setting | {"trained": "as for vectors"}


NOT_TAUGHT = ("latency", "naive Bayes", "teacher", "teacher, trimmed")

EXPERIMENT = Experiment(
    name="distilling-bert",
    question="What does a smaller classifier gain from each way to learn from its teacher, and "
    "what does it save?",
    grid=tuple({"student": name, "method": "none"} for name in NOT_TAUGHT) + tuple(students()),
    seeds=10,
    run=run,
    probe=probe,
    texts=(),
)
