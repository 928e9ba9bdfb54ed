"""The ladder's GPT teaches a student of a fifth of its size: what each way brings, and costs.

    course experiment distilling-gpt [--seeds N] [--resume]

The teacher is the best GPT of the ladder, kept in experiments/ladder_gpt_full/; teacher and student
read the same plays. The methods are those of lessons 12.1 to 12.3, each for the same number of
steps. They can be compared by three accounts:

- equal steps: all methods after STEPS steps;
- equal seconds, with the teacher's passes and its writing counted: a student alone trains longer,
  for about as long as soft targets take (3,600 steps), and for as long as the methods that also
  write (5,200);
- equal totals, with the teacher's own training counted too: 19,000 steps alone take about as long
  as the teacher's 6,000 and the STEPS of soft targets.

The steps of the last two were chosen by CPU seconds measured beforehand; the record has what they
really took. The row "teacher" scores the teacher as all others, and times a step of its training.

The matrix products are in bfloat16 where that is faster. Measured on one core, CPU milliseconds a
step (float32, bfloat16): without a teacher 48, 44; with soft targets 98, 78; after 24 steps the
losses of both were the same to 0.001. A run keeps to what it began with.

The whole validation text is scored on the way and at the end. The students of seed 0 without a
teacher and with soft targets, STEPS steps each, are left, their weights as 16-bit numbers, in
experiments/distilling_gpt_hard/ and experiments/distilling_gpt_soft/.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from jaxtyping import Int
from torch import Tensor, nn

from course_lib.data import corpora
from course_lib.distillation.ladder_student import (
    PROMPT,
    STUDENT,
    load_teacher,
    measure,
    nats_by_place,
    new_student,
    score,
    student_of,
    windows_of,
)
from course_lib.distillation.losses import reverse_kl
from course_lib.distillation.recorded import train_recorded
from course_lib.distillation.sequence import (
    WithProjection,
    from_teacher,
    from_teacher_and_its_states,
    next_token_loss,
)
from course_lib.distillation.writing import OnPolicy, WrittenTexts, teachers_texts
from course_lib.evidence import clone_folder
from course_lib.experiments import Experiment, Setting
from course_lib.files import write_atomically
from course_lib.models.gpt import GPT
from course_lib.training.loop import train
from course_lib.training.network_recipes import GPT_QUICK
from course_lib.training.objectives import Objective
from course_lib.training.optimizers import fastest_matmul_dtype

TEXT = "shakespeare-full"
STEPS = 2_000  # of every method
LOOKS = 4  # evaluations of a run, and its checkpoints
PARTS, TOGETHER = 16, 250  # the teacher writes 16 times 250 texts: 0.9 million characters
OWN, REFRESH = 0.5, 20  # share of own texts, as GKD has it; written anew every so many steps
TEACHER_STEPS = 6_000  # of the teacher's training, of which TIMED are made to be timed
TIMED = 24
WARM_UP = 4  # steps before these
KEPT = {"hard": "distilling_gpt_hard", "soft": "distilling_gpt_soft"}

TEMPERATURES = {"sequence": 1.0, "sequence, T = 0.7": 0.7}  # at which the teacher writes
OBJECTIVES: dict[str, Callable[[GPT], Objective]] = {
    "hard": lambda teacher: next_token_loss,
    "soft": from_teacher,
    "mixed": partial(from_teacher, alpha=0.5),
    "soft + hidden": from_teacher_and_its_states,
    "sequence": lambda teacher: next_token_loss,
    "sequence, T = 0.7": lambda teacher: next_token_loss,
    "reverse": partial(from_teacher, divergence=reverse_kl),
    "half own": from_teacher,
    "half own, reverse": partial(from_teacher, divergence=reverse_kl),
}


def run(setting: Setting, seed: int, folder: Path) -> dict:
    """Train a student by one of the methods, and measure all that can be measured of it."""
    teacher = load_teacher()
    if setting["method"] == "teacher":
        return measure(teacher, teacher, TEXT, seed=seed) | cost_of_teacher(seed)
    steps = setting["steps"]
    writing = write(setting, seed, folder, PARTS)
    model, batches, objective = lesson(setting, teacher, writing["windows"], seed)
    results = train_recorded(
        model,
        batches,
        objective,
        STUDENT,
        steps=steps,
        every=steps // LOOKS,
        evaluate=lambda model: score(student_of(model), TEXT).loss,
        seed=seed,
        folder=folder,
    )
    results |= {key: writing[key] for key in ("writing_seconds", "writing_cpu_seconds")}
    results |= measure(student_of(model), teacher, TEXT, seed=seed)
    if seed == 0 and steps == STEPS and setting["method"] in KEPT:
        keep(student_of(model), KEPT[setting["method"]])
    return results


def lesson(
    setting: Setting, teacher: GPT, windows: Int[Tensor, "texts window"], seed: int
) -> tuple[nn.Module, Callable[[int, int], Any], Objective]:
    """The untrained student, what it reads, and what it makes small.

    `windows` are what the teacher has written, if the method needs that.
    """
    method, tokens = setting["method"], training_tokens()
    model = student = new_student(teacher.config.vocab_size, seed)
    real = windows_of(tokens, seed)
    if method == "soft + hidden":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = WithProjection(student, teacher.config.d_model)
    batches = real
    if method in TEMPERATURES:
        batches = WrittenTexts(windows, PROMPT, real.batch_size, seed)
    if method.startswith("half own"):
        batches = OnPolicy(student, real, PROMPT, mix=OWN, refresh=REFRESH)
    return model, batches, OBJECTIVES[method](teacher)


def write(setting: Setting, seed: int, folder: Path, parts: int) -> dict[str, Any]:
    """What the teacher writes for a method, and the seconds it takes; for most methods nothing.

    Each part is kept in `folder` as soon as it is written.
    """
    made: list[Tensor] = []
    spent = np.zeros(2)  # on the wall, and of the CPU
    for part in range(parts if setting["method"] in TEMPERATURES else 0):
        file = folder / f"written-{part}.safetensors"
        if not file.exists():
            wall, cpu = time.perf_counter(), time.process_time()
            windows = teachers_texts(
                load_teacher(),
                training_tokens(),
                TOGETHER,
                prompt=PROMPT,
                length=STUDENT.shape(vocab_size=1).context + 1 - PROMPT,
                temperature=TEMPERATURES[setting["method"]],
                seed=1_000 * seed + part,
                together=TOGETHER,
            )
            seconds = [time.perf_counter() - wall, time.process_time() - cpu]
            kept = {"windows": windows, "seconds": torch.tensor(seconds)}
            write_atomically(file, safetensors.torch.save(kept))
        kept = safetensors.torch.load(file.read_bytes())
        made.append(kept["windows"])
        spent += kept["seconds"].numpy()
    return {
        "windows": torch.cat(made) if made else torch.empty(0, 0, dtype=torch.long),
        "writing_seconds": round(float(spent[0]), 2),
        "writing_cpu_seconds": round(float(spent[1]), 2),
    }


def training_tokens() -> Int[np.ndarray, " n"]:
    """The plays that teacher and student read."""
    corpus = corpora.load(TEXT)
    return corpus.tokenizer.encode(corpus.train)


def cost_of_teacher(seed: int) -> dict[str, float | int]:
    """How long a step of the teacher's own training takes, and how many it took."""
    torch.manual_seed(seed)
    model = GPT(GPT_QUICK.shape(vocab_size=corpora.load(TEXT).tokenizer.vocab_size))
    steps = partial(
        train,
        model,
        windows_of(training_tokens(), seed, GPT_QUICK.batch_size),
        GPT_QUICK.optimizers(model),
        clip=GPT_QUICK.clip,
        bf16=fastest_matmul_dtype("cpu") == "bfloat16",
    )
    steps(steps=WARM_UP)
    cpu = time.process_time()
    history = steps(steps=TIMED)
    cpu = time.process_time() - cpu
    return {
        "trained_steps": TEACHER_STEPS,
        "step_seconds": statistics.median(np.diff([0.0, *history.seconds]).tolist()),
        "step_cpu_seconds": cpu / TIMED,
    }


def keep(student: GPT, name: str) -> None:
    """Put the model, its weights as 16-bit numbers, beside the record."""
    student.half().save(clone_folder() / "experiments" / name)
    student.float()


def probe(setting: Setting) -> list[float]:
    """The training losses of the first steps with seed 0; of the teacher, its loss on a batch."""
    teacher, windows = load_teacher(), windows_of(training_tokens())
    if setting["method"] == "teacher":
        return [nats_by_place(teacher, windows(0)).mean().item()]
    with tempfile.TemporaryDirectory() as folder:
        texts = write(setting, 0, Path(folder), parts=1)["windows"]
    model, batches, objective = lesson(setting, teacher, texts, 0)
    bf16 = fastest_matmul_dtype("cpu") == "bfloat16"
    optimizers = STUDENT.optimizers(model)
    return train(model, batches, optimizers, objective=objective, steps=4, bf16=bf16).train_loss


EXPERIMENT = Experiment(
    name="distilling-gpt",
    question="What do the ways of distilling a GPT bring at equal steps, at equal seconds, and "
    "with the teacher's training counted?",
    grid=(
        *({"method": method, "steps": STEPS} for method in OBJECTIVES),
        {"method": "soft", "steps": 2 * STEPS},
        *({"method": "hard", "steps": steps} for steps in (3_600, 5_200, 19_000)),
        {"method": "teacher", "steps": 0},
    ),
    seeds=3,
    run=run,
    probe=probe,
    texts=(TEXT,),
)
