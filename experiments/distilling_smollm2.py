"""SmolLM2 as the teacher of a small model of one kind of text: when does its advice pay?

    course experiment distilling-smollm2 [--seeds N] [--resume]

The text is what presidents told Congress since 1946, split by speech. The teacher, a general model
of 135 million parameters, knows far more English than the speeches hold (and has probably read some
of them: what it brings is not only knowledge of English). The student has a hundredth of its
parameters, its tokenizer, and of its tokens those that the speeches have. It learns from the text
alone, from the teacher's rows (soft), or from both (mixed), given the beginnings of 10 speeches or
of 50, the same number of tokens of each. Each does so for fewer and for more steps, with a learning
rate that falls at the end of these, for a student alone is best before it knows its text by heart.
Beside them stands what counting makes of the same tokens.

The teacher is asked once about each token of the text and the 32 likeliest tokens are stored
(`asked`), in parts, for all runs and processes of the grid; what that takes is recorded apart. The
weights that did best on validation are scored on other speeches, in windows that begin with an
empty history, for the teacher as for the students. One answer is for all tokens that the student
has not, and counts as one.

Matrix products are in bfloat16 where that is faster: on one core the teacher then takes 2.6
instead of 6.2 CPU milliseconds a token, and 1,024 tokens cost it 3.391 nats each either way.
"""

import hashlib
import time
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from filelock import FileLock
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.data.corpora import sotu_split, speeches
from course_lib.distillation.ladder_student import STUDENT, nats_by_place
from course_lib.distillation.recorded import train_recorded
from course_lib.distillation.sequence import next_token_loss
from course_lib.distillation.trimmed import Asked, StoredRows, TrimmedVocabulary, ask, from_stored
from course_lib.distillation.writing import continue_texts
from course_lib.experiments import Experiment, Setting
from course_lib.files import write_atomically
from course_lib.models.gguf import read_gguf
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.models.ngram import KneserNey, NGramCounts
from course_lib.models.pretrained import load_smollm2, smollm2_file, tokenizer_from_gguf
from course_lib.tokenization.bpe import BPETokenizer
from course_lib.training.batches import RandomWindows, blocks
from course_lib.training.loop import train
from course_lib.training.objectives import mean_loss
from course_lib.training.optimizers import fastest_matmul_dtype, muon_and_adamw

SINCE = 1946
OF_EACH = 4_096  # tokens of each speech that is learned from
AMOUNTS = (10 * OF_EACH, 50 * OF_EACH)  # tokens to learn from
AT_LEAST = 5  # times that the larger amount has a token, for the student to have it too
VALIDATION, TEST = 1_024, 2_048  # tokens of each of SPEECHES speeches that are held out
SPEECHES = 10
WINDOW = 256  # tokens that teacher and student read at once
K = 32  # the teacher's likeliest tokens at each place, stored
PART = 20_480  # tokens that are asked about and stored together
STEPS, LOOKS = (100, 400, 1_200), 10
BATCH = 4  # windows in a step

# The ladder's recipe. Rates tried for 60 steps on the smaller amount, without a teacher (Muon,
# AdamW; loss on validation): 0.01 1e-2: 5.431; 0.01 3e-3: 5.356; 0.02 1e-2: 5.455.
RECIPE = replace(
    STUDENT,
    name="smollm2-student",
    shape=partial(GPTConfig, context=WINDOW, n_layers=2, n_heads=4, d_model=128),
    optimizers=partial(muon_and_adamw, muon_lr=0.01, adamw_lr=3e-3),
)

ALPHA = {"alone": 0.0, "soft": 1.0, "mixed": 0.5}  # the teacher's share
ORDERS = (2, 3, 4)  # of the table of counts; validation chooses
RARITY = {"0": (0, 0), "1–10": (1, 10), "11–100": (11, 100), "over 100": (101, 10**9)}
PROMPT, WRITTEN, TEMPERATURE = 16, 80, 0.7  # tokens that a student goes on from, and writes


def run(setting: Setting, seed: int, folder: Path) -> dict:
    """Ask the teacher, if the method has one; train a student, and score it on other speeches."""
    text, vocabulary = domain(), student_vocabulary()
    tokens = text["train"][: setting["tokens"] + 1]
    if setting["method"] == "counts":
        return count(vocabulary.trim(tokens), vocabulary, setting)
    with_teacher, results = setting["method"] != "alone", {}
    if with_teacher:
        rows, asking = asked(tokens, vocabulary, folder.parent / "asked")
        on_test, _ = asked(text["test"], vocabulary, folder.parent / "asked")
        results = {"asking": asking, "teacher": scores(on_test.nats, vocabulary, setting)}
    student = new_student(vocabulary.size, seed)
    results |= train_recorded(
        student,
        StoredRows(rows, WINDOW, BATCH, seed)
        if with_teacher
        else RandomWindows(vocabulary.trim(tokens), WINDOW, BATCH, seed),
        from_stored(ALPHA[setting["method"]]) if with_teacher else next_token_loss,
        RECIPE,
        steps=setting["steps"],
        every=setting["steps"] // LOOKS,
        evaluate=partial(mean_loss, batches=windows("validation", vocabulary)),
        seed=seed,
        folder=folder,
    )
    test = windows("test", vocabulary)
    nats = torch.cat([nats_by_place(student, batch) for batch in test]).flatten().numpy()
    return results | {
        "parameters": student.n_parameters(),
        "wrote": write(student, vocabulary, seed),
        **scores(nats, vocabulary, setting),
    }


def count(
    tokens: Int[np.ndarray, " n"], vocabulary: TrimmedVocabulary, setting: Setting
) -> dict[str, Any]:
    """Modified Kneser–Ney on the same tokens, in the same windows."""

    def nats(model: KneserNey, split: str) -> Float[np.ndarray, " n"]:
        texts = torch.cat(windows(split, vocabulary)).numpy()
        return -np.concatenate([model.token_log_probs(window, 1) for window in texts])

    begin = time.process_time()
    tables = NGramCounts.of(tokens, vocabulary.size, max(ORDERS))
    models = [KneserNey(tables, order) for order in ORDERS]
    best = min(models, key=lambda model: nats(model, "validation").mean())
    seconds = time.process_time() - begin
    return {
        "order": best.order,
        "cpu_seconds": [round(seconds, 2)],
        **scores(nats(best, "test"), vocabulary, setting),
    }


def windows(split: str, vocabulary: TrimmedVocabulary) -> list[Int[Tensor, "batch window"]]:
    """A held-out split in the student's tokens, in windows of WINDOW + 1."""
    return blocks(vocabulary.trim(domain()[split]), WINDOW)


def write(student: GPT, vocabulary: TrimmedVocabulary, seed: int) -> str:
    """How the student goes on with the beginning of a test speech; ▢ is a token it has not."""
    prompt = torch.from_numpy(vocabulary.trim(domain()["test"][:PROMPT]))[None]
    new = continue_texts(student, prompt, WRITTEN, temperature=TEMPERATURE, seed=seed)[0].numpy()
    runs = np.split(new, np.flatnonzero(np.diff(new == vocabulary.other, prepend=False)))
    return "".join(
        "▢" * len(run) if run[0] == vocabulary.other else tokenizer().decode(vocabulary.kept[run])
        for run in runs
        if len(run)
    )


@cache
def tokenizer() -> BPETokenizer:
    """SmolLM2's, from the file of its weights."""
    return tokenizer_from_gguf(read_gguf(smollm2_file())).bpe


@cache
def domain() -> dict[str, Int[np.ndarray, " n"]]:
    """The speeches by split, in SmolLM2's tokens, in an order drawn once.

    It is the first tokens of each speech: OF_EACH of those to learn from, as far as they have so
    many; VALIDATION and TEST of SPEECHES others.
    """
    found = {}
    for split, most in (("train", OF_EACH), ("validation", VALIDATION), ("test", TEST)):
        chosen = [s for s in speeches() if s.year >= SINCE and sotu_split(s.name) == split]
        texts = [np.array(tokenizer().encode(s.text)[:most], dtype=np.int64) for s in chosen]
        texts = [text for text in texts if len(text) == most]
        order = np.random.default_rng(0).permutation(len(texts))
        if split != "train":
            order = order[:SPEECHES]
        found[split] = np.concatenate([texts[i] for i in order])
    return found


def student_vocabulary() -> TrimmedVocabulary:
    """The same for both amounts of text, so that the losses can be compared."""
    return TrimmedVocabulary.of(domain()["train"][: max(AMOUNTS) + 1], AT_LEAST)


def new_student(vocab_size: int, seed: int) -> GPT:
    """An untrained student; the same seed gives the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GPT(RECIPE.shape(vocab_size=vocab_size))


@cache
def teacher() -> GPT:
    """SmolLM2, in the dtype in which it is fastest here."""
    return load_smollm2(getattr(torch, fastest_matmul_dtype("cpu"))).model


def asked(
    tokens: Int[np.ndarray, " n"], vocabulary: TrimmedVocabulary, place: Path
) -> tuple[Asked, dict[str, Any]]:
    """What the teacher says about a text, asked part by part unless `place` has it; and the cost.

    A part is written whole or not at all. One process asks; others wait for it.
    """
    parts = []
    with FileLock(place.with_suffix(".asking")):
        for start in range(0, len(tokens) - 1, PART):
            part = tokens[start : start + PART + 1]
            told = part.tobytes() + vocabulary.kept.tobytes() + bytes([K])
            file = place / f"{hashlib.sha256(told).hexdigest()[:20]}.safetensors"
            if not file.exists():
                model = teacher()
                wall, cpu = time.perf_counter(), time.process_time()
                rows = ask(model, part, vocabulary, k=K, window=WINDOW)
                seconds = [time.perf_counter() - wall, time.process_time() - cpu]
                kept = {
                    "log_probs": rows.log_probs,
                    "likeliest": rows.likeliest,
                    "nats": torch.from_numpy(rows.nats),
                    "seconds": torch.tensor(seconds),
                }
                write_atomically(file, safetensors.torch.save(kept))
            parts.append(safetensors.torch.load(file.read_bytes()))
    whole = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    rows = Asked(
        vocabulary.trim(tokens), whole["log_probs"], whole["likeliest"], whole["nats"].numpy()
    )
    wall, cpu = whole["seconds"].view(-1, 2).sum(0).tolist()
    return rows, {
        "tokens": len(rows.nats),
        "seconds": round(wall, 1),
        "cpu_seconds": round(cpu, 1),
        "stored_bytes": rows.stored_bytes,
        "loss": float(rows.nats.mean()),  # on the text it was asked about
    }


def scores(
    nats: Float[np.ndarray, " n"], vocabulary: TrimmedVocabulary, setting: Setting
) -> dict[str, Any]:
    """What the tokens of test cost: in all, by window, and by how often the text has the token.

    Tokens that the student has not are a class of their own. A last window that is not whole is
    left out.
    """
    text, nats = domain(), nats[: len(nats) // WINDOW * WINDOW]
    targets = vocabulary.trim(text["test"])[1 : len(nats) + 1]
    learned = vocabulary.trim(text["train"][: setting["tokens"] + 1])
    times = np.bincount(learned, minlength=vocabulary.size)[targets]
    other = targets == vocabulary.other
    classes = {
        name: nats[(low <= times) & (times <= high) & ~other]
        for name, (low, high) in RARITY.items()
    } | {"others": nats[other]}
    return {
        "vocabulary": vocabulary.size,
        "loss": float(nats.mean()),
        "block_losses": [round(float(y), 4) for y in nats.reshape(-1, WINDOW).mean(1)],
        "by_rarity": {name: (float(y.mean()), len(y)) for name, y in classes.items() if len(y)},
        "others": float(other.mean()),  # tokens the student does not have
    }


def probe(setting: Setting) -> list[float]:
    """The training losses of the first steps with seed 0, on two windows of the text."""
    vocabulary, tokens = student_vocabulary(), domain()["train"][: 2 * WINDOW + 1]
    if setting["method"] == "counts":
        return [count(vocabulary.trim(tokens), vocabulary, setting)["loss"]]
    if setting["method"] == "alone":
        batches, objective = RandomWindows(vocabulary.trim(tokens), WINDOW, BATCH), next_token_loss
    else:
        rows = ask(teacher(), tokens, vocabulary, k=K, window=WINDOW)
        batches, objective = StoredRows(rows, WINDOW, BATCH), from_stored(ALPHA[setting["method"]])
    student = new_student(vocabulary.size, 0)
    return train(
        student, batches, RECIPE.optimizers(student), objective=objective, steps=3
    ).train_loss


EXPERIMENT = Experiment(
    name="distilling-smollm2",
    question="When does a large general teacher help a small student of one kind of text?",
    grid=(
        *({"method": "counts", "tokens": tokens, "steps": 0} for tokens in AMOUNTS),
        *(
            {"method": method, "tokens": tokens, "steps": steps}
            for steps in STEPS
            for tokens in AMOUNTS
            for method in ALPHA
        ),
    ),
    seeds=3,
    run=run,
    probe=probe,
    texts=("sotu",),
)
