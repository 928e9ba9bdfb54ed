"""Texts that models write to be learned from: the teacher's once, or the student's own as it goes.

`continue_texts` writes many texts side by side. `teachers_texts` makes the data set of
sequence-level distillation: real beginnings, the teacher's continuations. `OnPolicy` gives
training steps on the student's own continuations, for a teacher to score.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from course_lib.errors import CourseError
from course_lib.models.gpt import GPT
from course_lib.training.batches import RandomWindows

Number = float | int


@torch.no_grad()
def continue_texts(
    model: GPT,
    prompts: Int[Tensor, "texts prompt"],
    length: int,
    *,
    temperature: Number = 1.0,
    seed: int = 0,
) -> Int[Tensor, "texts length"]:
    """`length` tokens after each prompt, drawn from the model at `temperature` (0: the likeliest).

    All texts are read together, through one cache, so that a hundred cost little more than ten. The
    same seed gives the same texts.

    Raises CourseError when prompt and text do not fit in the model's context together.
    """
    texts, prompt = prompts.shape
    if prompt < 1 or length < 1 or prompt + length > model.config.context + 1:
        raise CourseError(
            f"a prompt of {prompt} and {length} tokens after it do not fit in a context of "
            f"{model.config.context}; give at least one of each, and fewer together"
        )
    device, random = next(model.parameters()).device, torch.Generator().manual_seed(seed)
    cache = model.new_cache(prompt + length - 1, batch=texts)
    new, written = prompts, []
    for _ in range(length):
        logits = model.read(new.to(device), cache).float().cpu()
        new = draw(logits, temperature, random)[:, None]
        written.append(new)
    return torch.cat(written, dim=1)


def draw(
    logits: Float[Tensor, "texts vocab"], temperature: Number, random: torch.Generator
) -> Int[Tensor, " texts"]:
    """A token for each text from softmax(logits / temperature); at 0 the likeliest."""
    if temperature == 0:
        return logits.argmax(-1)
    below_best = logits - logits.amax(-1, keepdim=True)
    probs = (below_best / temperature).softmax(-1)
    return torch.multinomial(probs, 1, generator=random)[:, 0]


@dataclass(frozen=True)
class WrittenTexts:
    """Windows that were written beforehand, as batches: some of them at random, at each step.

    `batches(step, share)` gives (windows, scored): what comes after the prompt is scored.
    """

    windows: Int[Tensor, "texts window"]
    prompt: int  # tokens at the beginning of each window that nobody is asked for
    batch_size: int
    seed: int = 0

    def __call__(
        self, step: int, share: int = 0
    ) -> tuple[Int[Tensor, "batch window"], Bool[Tensor, "batch places"]]:
        random = np.random.default_rng([self.seed, step, share])
        rows = random.integers(len(self.windows), size=self.batch_size)
        windows = self.windows[torch.from_numpy(rows)]
        return windows, scored_after(self.prompt, windows)


def teachers_texts(
    teacher: GPT,
    tokens: Int[np.ndarray, " n"],
    n_texts: int,
    *,
    prompt: int,
    length: int,
    temperature: Number = 1.0,
    seed: int = 0,
    together: int = 256,
) -> Int[Tensor, "texts window"]:
    """The teacher's continuations, `length` tokens, of places in a text drawn at random.

    A window is the real prompt and what the teacher wrote after it; `together` of them are written
    side by side. Kim & Rush (2016) let beam search choose the teacher's translation, of which
    there are few good ones; a text has many good continuations, so here they are drawn.
    """
    random = np.random.default_rng([seed, n_texts])
    starts = random.integers(len(tokens) - prompt, size=n_texts)
    prompts = torch.from_numpy(tokens[starts[:, None] + np.arange(prompt)].astype(np.int64))
    parts = [
        torch.cat([p, continue_texts(teacher, p, length, temperature=temperature, seed=s)], dim=1)
        for s, p in enumerate(prompts.split(together), start=together * seed)
    ]
    return torch.cat(parts)


@dataclass
class OnPolicy:
    """Batches of which a share `mix` was written by the student itself, as it is at that time.

    At each step a coin decides: real windows, or windows that begin with a real prompt and go on as
    the student writes; what it wrote is scored, by the objective's teacher. That is Agarwal et al.
    (2024), "On-Policy Distillation of Language Models" (GKD), algorithm 1, with λ = `mix`.

    So these batches are no pure function of (seed, step, share): they depend on the weights too.
    Writing is cheap only side by side, so all own texts of `refresh` steps are written at the first
    of these, and are up to `refresh` − 1 updates old when they are learned from. A resumed run
    equals an uninterrupted one if its checkpoints lie on multiples of `refresh`.
    """

    student: GPT
    real: RandomWindows
    prompt: int  # real tokens before what the student writes
    mix: Number = 0.5  # share of the steps that read the student's own texts
    refresh: int = 16
    temperature: Number = 1.0
    _period: int = field(default=-1, init=False, repr=False)  # the steps that `_own` is for
    _own: dict[int, Tensor] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.mix <= 1:
            raise CourseError(f"the share of own texts is {self.mix}; give a number from 0 to 1")
        if not 1 <= self.prompt <= self.real.context or self.refresh < 1:
            raise CourseError("give a prompt of 1 token or more, shorter than a window")

    def __call__(
        self, step: int, share: int = 0
    ) -> tuple[Int[Tensor, "batch window"], Bool[Tensor, "batch places"]]:
        real = self.real(step, share)
        if not self.on_own_text(step):
            return real, scored_after(1, real)
        if share:
            raise CourseError("own texts are written for one share only; train without accumulate")
        if (period := step // self.refresh) != self._period:
            self._write(period, step)
        own = self._own[step]
        return own, scored_after(self.prompt, own)

    def on_own_text(self, step: int) -> bool:
        """Whether this step reads the student's own text."""
        return bool(np.random.default_rng([self.real.seed, step, 1]).random() < self.mix)

    def _write(self, period: int, step: int) -> None:
        last = (period + 1) * self.refresh
        steps = [s for s in range(step, last) if self.on_own_text(s)]
        prompts = torch.cat([self.real(s)[:, : self.prompt] for s in steps])
        written = continue_texts(
            self.student,
            prompts,
            self.real.context + 1 - self.prompt,
            temperature=self.temperature,
            seed=int(np.random.SeedSequence([self.real.seed, step]).generate_state(1)[0]),
        )
        windows = torch.cat([prompts, written], dim=1).split(self.real.batch_size)
        self._period, self._own = period, dict(zip(steps, windows, strict=True))


def scored_after(prompt: int, windows: Int[Tensor, "batch window"]) -> Bool[Tensor, "batch places"]:
    """True for each target that comes after the first `prompt` tokens of its window."""
    scored = torch.zeros(windows.size(0), windows.size(1) - 1, dtype=torch.bool)
    scored[:, prompt - 1 :] = True
    return scored
