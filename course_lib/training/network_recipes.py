"""The networks one trains by name: `course train RECIPE`.

From the oldest to the newest: `mlp`, `rnn`, `lstm`, `gru` (chapter 03), and `gpt` (chapter 07) with
`gpt-plain` to measure it by. All have about 0.8 M parameters and, but for gpt-plain, read 1.5
million tokens where nothing else is asked.

A `NetworkRecipe` is everything that decides a run except the text, the seed and how long it lasts.
`fit` runs one; `train_network` runs one, scores it as every model of the book is scored, and keeps
it in a folder, where a run that was interrupted goes on; `load_trained` reads that folder.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch.optim import Optimizer

from course_lib import evaluation
from course_lib.data.corpora import Corpus
from course_lib.errors import CourseError
from course_lib.evaluation import CarriedModel, WindowedModel
from course_lib.files import write_atomically
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.models.mlp import MLP, MLPConfig
from course_lib.models.recurrent import RecurrentConfig, RecurrentLM
from course_lib.tokenization.characters import CharacterTokenizer
from course_lib.training.batches import RandomWindows, blocks
from course_lib.training.history import History
from course_lib.training.loop import join_processes, train
from course_lib.training.objectives import mean_loss
from course_lib.training.optimizers import adamw, fastest_matmul_dtype, muon_and_adamw
from course_lib.training.schedules import Schedule, cosine, trapezoid

# ---------------------------------------------------------------------------------------------
# The recipes
# ---------------------------------------------------------------------------------------------


Network = GPT | MLP | RecurrentLM  # what makes one of them is its class and a config


@dataclass(frozen=True)
class NetworkRecipe:
    """How to train a network."""

    name: str
    shape: Callable[..., GPTConfig | MLPConfig | RecurrentConfig]  # called with vocab_size
    optimizers: Callable[[Network], Optimizer | Sequence[Optimizer]]
    schedule: Schedule  # of all learning rates
    batch_size: int  # windows of text in a step, of all processes together
    steps: int  # where the caller gives neither steps nor seconds
    clip: float  # longest gradient
    mixed_precision: bool  # matrix products in bfloat16, on machines where that is faster
    network: type[Network] = GPT  # what has that shape
    window: int | None = None  # tokens that a window of text has (None: the network's context)

    def tokens_of_a_window(self, network: Network) -> int:
        """How many tokens the network reads at once in training."""
        return self.window or network.config.context


GPT_QUICK = NetworkRecipe(
    name="gpt",
    # 0.8 M parameters: rotary positions, normalised queries and keys, squared ReLU, output
    # projections that start at zero. Jordan et al. (2024), "modded-nanogpt", has these together.
    # The token shift saved 0.02 to 0.04 nats at 800 steps.
    shape=partial(GPTConfig, context=256, n_layers=4, n_heads=4, d_model=128),
    optimizers=partial(muon_and_adamw, muon_lr=0.01, adamw_lr=1e-2),
    schedule=partial(trapezoid, warmup=0.02, decay=0.5),
    batch_size=4,
    steps=1500,
    clip=1.0,
    mixed_precision=True,
)

GPT_PLAIN = NetworkRecipe(
    name="gpt-plain",
    # GPT-2's parts at the same size, with the settings that nanoGPT's README gives for a CPU.
    shape=partial(
        GPTConfig,
        context=64,
        n_layers=4,
        n_heads=4,
        d_model=128,
        positions="learned",
        qk_norm=False,
        mlp="gelu",
        tied=True,
        zero_init=False,
        token_shift=False,
    ),
    optimizers=partial(adamw, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1),
    schedule=partial(cosine, warmup=0.05, final=0.1),
    batch_size=12,
    steps=2000,
    clip=1.0,
    mixed_precision=False,
)

# The older networks read as many tokens as the GPT, under the same schedule. Learning rates tried
# for 200 steps, with the loss on SAMPLE blocks of validation (AdamW; Muon with AdamW 1e-2):
#   mlp   AdamW 1e-3, 3e-3, 1e-2: 2.344, 2.185, 2.178   Muon 0.01, 0.04: 2.256, 2.210
#   rnn   AdamW 1e-3, 2e-3: 2.161, 2.073    Muon 0.01, 0.02, 0.04: 1.997, 1.889, 1.869
#   lstm  AdamW 3e-3: 2.053    Muon 0.01, 0.02, 0.04, 0.08: 1.944, 1.859, 1.799, 1.825
# gru takes what is best for lstm.
_OLDER = NetworkRecipe(
    name="",
    shape=MLPConfig,
    optimizers=adamw,
    schedule=partial(trapezoid, warmup=0.02, decay=0.5),
    batch_size=16,
    steps=750,
    clip=1.0,
    mixed_precision=False,
    window=128,
)

MLP_RECIPE = replace(
    _OLDER,
    name="mlp",
    network=MLP,
    shape=partial(MLPConfig, context=16, d_embedding=32, d_hidden=1_380),
    optimizers=partial(adamw, lr=1e-2, weight_decay=0.0),
)

RNN_RECIPE = replace(
    _OLDER,
    name="rnn",
    network=RecurrentLM,
    shape=partial(RecurrentConfig, cell="rnn", d_embedding=64, d_hidden=830),
    optimizers=partial(muon_and_adamw, muon_lr=0.04, adamw_lr=1e-2),
)

LSTM_RECIPE = replace(
    _OLDER,
    name="lstm",
    network=RecurrentLM,
    shape=partial(RecurrentConfig, cell="lstm", d_embedding=64, d_hidden=408),
    optimizers=partial(muon_and_adamw, muon_lr=0.04, adamw_lr=1e-2),
)

GRU_RECIPE = replace(
    _OLDER,
    name="gru",
    network=RecurrentLM,
    shape=partial(RecurrentConfig, cell="gru", d_embedding=64, d_hidden=474),
    optimizers=partial(muon_and_adamw, muon_lr=0.04, adamw_lr=1e-2),
)

NETWORK_RECIPES = {
    recipe.name: recipe
    for recipe in (MLP_RECIPE, RNN_RECIPE, LSTM_RECIPE, GRU_RECIPE, GPT_QUICK, GPT_PLAIN)
}

# ---------------------------------------------------------------------------------------------
# A run
# ---------------------------------------------------------------------------------------------

EVERY = 100  # steps between two looks at validation, and between two checkpoints
SAMPLE = 128  # blocks of validation that such a look takes, evenly spread


def fit(
    recipe: NetworkRecipe,
    corpus: Corpus,
    *,
    steps: int | None = None,
    seconds: float | int | None = None,
    seed: int = 0,
    folder: Path | None = None,
    evaluate: Callable[[Network], float] | None = None,
    every: int = EVERY,
) -> tuple[Network, History, str]:
    """Train the recipe's network for `steps` steps or `seconds` seconds, or the recipe's steps.

    Every `every` steps, and at the end, `evaluate(model)` measures it (default: the mean loss, in
    nats, of SAMPLE blocks of the validation text); the weights that did best come back, with the
    history and the dtype of the matrix products in training. Seed, steps and the rest being equal,
    so is the model, on one machine. Under torchrun the processes share each step's windows, and the
    run is the same.

    In `folder` the run leaves a checkpoint, and goes on from the one it finds.

    Raises CourseError for a text too short, both steps and seconds, and a folder with another run.
    """
    if steps is not None and seconds is not None:
        raise CourseError("steps and seconds both end a run; give only one of them")
    if steps is None and seconds is None:
        steps = recipe.steps
    length = seconds if steps is None else steps
    if not (math.isfinite(length) and length > 0):
        unit = "seconds" if steps is None else "steps"
        raise CourseError(f"{length} {unit} make no run; give a number above 0")
    together = join_processes()
    if recipe.batch_size % together.num_processes:
        raise CourseError(
            f"{together.num_processes} processes cannot share {recipe.batch_size} windows equally; "
            "start a number that divides them"
        )
    tokenizer = corpus.tokenizer
    tokens, validation = tokenizer.encode(corpus.train), tokenizer.encode(corpus.validation)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = recipe.network(recipe.shape(vocab_size=tokenizer.vocab_size))
    context = recipe.tokens_of_a_window(model)
    share = recipe.batch_size // together.num_processes
    windows = RandomWindows(tokens, context, share, seed)
    sample = _spread(validation, context, SAMPLE)

    precision = fastest_matmul_dtype(together.device.type) if recipe.mixed_precision else "float32"
    settings = {
        "recipe": recipe.name,
        "text": hashlib.sha256(f"{corpus.train}\0{corpus.validation}".encode()).hexdigest(),
        "seed": seed,
        "steps": steps,
        "seconds": seconds,
        "precision": precision,
    }
    if folder is not None:
        with together.main_process_first():
            settings = _settle_in(folder, settings)

    history = train(
        model,
        windows,
        recipe.optimizers(model),
        schedule=recipe.schedule,
        steps=steps,
        seconds=seconds,
        evaluate=evaluate or partial(mean_loss, batches=sample),
        every=every,
        clip=recipe.clip,
        seed=seed,
        checkpoint=folder / "checkpoint.safetensors" if folder is not None else None,
        bf16=settings["precision"] == "bfloat16",
    )
    return model, history, settings["precision"]


def train_network(
    recipe: NetworkRecipe,
    corpus: Corpus,
    *,
    steps: int | None = None,
    seconds: float | int | None = None,
    seed: int = 0,
    out: Path | None = None,
) -> dict:
    """Train as `fit` does, then score the model on the whole validation text.

    The result has the keys of every recipe ("seconds" are those of training; every character is
    scored after at least half a context of text) and: the seed, the step whose weights were kept,
    the tokens trained on, the context (tokens of a window in training), the seconds of evaluation
    and compilation, the precision of the matrix products in training, the processes, the lengths of
    both parts in characters, and validation's symbols that training never showed.

    `out` gets the model (config.json, model.safetensors), tokenizer.json, result.json, run.json
    (the settings) and, for going on, checkpoint.safetensors.

    Raises CourseError as `fit` does, KeyboardInterrupt when interrupted (after a checkpoint).
    """
    model, history, precision = fit(
        recipe, corpus, steps=steps, seconds=seconds, seed=seed, folder=out
    )
    if history.stopped == "interrupted":
        raise KeyboardInterrupt

    start = time.perf_counter()
    window = recipe.tokens_of_a_window(model)
    scored = as_language_model(model, window)
    tokenizer = corpus.tokenizer
    tokens, validation = tokenizer.encode(corpus.train), tokenizer.encode(corpus.validation)
    score = evaluation.evaluate(scored, tokens, validation, corpus.n_bytes("validation"))
    val_loss_blocks = evaluation.evaluate_in_blocks(scored, validation)
    evaluation_seconds = history.evaluation_seconds + time.perf_counter() - start

    together = join_processes()
    result = {
        "recipe": recipe.name,
        "parameters": model.n_parameters(),
        "steps": history.steps,
        "seconds": history.elapsed,
        "val_loss": score.loss,
        "val_loss_blocks": val_loss_blocks,
        "bits_per_byte": score.bits_per_byte,
        "device": together.device.type,
        "seed": seed,
        "best_step": history.best_step,
        "tokens": sum(history.scored),
        "context": window,
        "evaluation_seconds": evaluation_seconds,
        "compile_seconds": history.compile_seconds,
        "precision": precision,
        "processes": together.num_processes,
        "train_characters": len(tokens),
        "validation_characters": len(validation),
        "unseen_symbols": corpus.unseen_symbols,
    }
    if out is not None and together.is_main_process:
        model.save(out)
        write_atomically(out / "tokenizer.json", _json({"alphabet": corpus.alphabet}))
        write_atomically(out / "result.json", _json(result))
    return result


def as_language_model(network: Network, window: int) -> WindowedModel | CarriedModel:
    """The network as it is scored: through windows of a text, or with its state carried along.

    A network with a context must have a `window` that is at least twice that to use all of it at
    every token; a GPT of the book is scored in windows of just its context, as it is trained.
    """
    if isinstance(network, RecurrentLM):
        return CarriedModel(network)
    return WindowedModel(network, window)


def load_trained(folder: Path) -> tuple[Network, CharacterTokenizer]:
    """The model that `train_network` put into `folder`, and its alphabet.

    Raises CourseError for a folder without a finished run, and for damaged files.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise CourseError(
            f"{folder} holds no trained model; `course train gpt --out {folder}` makes one"
        )
    try:
        tokenizer = CharacterTokenizer(json.loads(file.read_text("utf-8"))["alphabet"])
    except (ValueError, KeyError, TypeError) as error:
        raise CourseError(f"{file} holds no alphabet ({error}); train the model again") from None
    network = NETWORK_RECIPES[_recipe_of(folder)].network
    model = network.load(folder).eval()
    if model.config.vocab_size != tokenizer.vocab_size:
        raise CourseError(f"{file} is not the alphabet of the model beside it; train it again")
    return model, tokenizer


def _recipe_of(folder: Path) -> str:
    """The name of the recipe that the run in this folder was begun with."""
    try:
        name = json.loads((folder / "run.json").read_text("utf-8"))["recipe"]
    except (OSError, ValueError, KeyError, TypeError):
        name = None
    if name not in NETWORK_RECIPES:
        raise CourseError(f"{folder / 'run.json'} does not name a recipe; train the model again")
    return name


def _spread(
    tokens: Int[np.ndarray, " n"], context: int, most: int
) -> list[Int[torch.Tensor, "batch window"]]:
    """At most `most` blocks of a text, from all over it, as one batch."""
    (every,) = blocks(tokens, context, batch_size=len(tokens))
    chosen = np.linspace(0, len(every) - 1, min(most, len(every))).round()
    return [every[torch.from_numpy(chosen.astype(np.int64))].contiguous()]


def _settle_in(folder: Path, settings: dict) -> dict:
    """Make `folder` this run's own; the settings that the run in it was begun with."""
    file = folder / "run.json"
    if not file.exists():
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise CourseError(f"{folder} holds other things; name a new or an empty folder")
        try:
            write_atomically(file, _json(settings))
        except OSError as error:
            raise CourseError(
                f"cannot write into {folder} ({error.strerror}); name another"
            ) from None
        return settings
    try:
        begun = json.loads(file.read_text("utf-8"))
        other = [key for key in settings if key != "precision" and begun[key] != settings[key]]
    except (OSError, ValueError, KeyError, TypeError):
        raise CourseError(f"{file} does not describe a run; name another folder") from None
    if other:
        was = "another text" if other == ["text"] else ""
        was = was or ", ".join(f"{key} {begun[key]}" for key in other if key != "text")
        raise CourseError(
            f"{folder} holds a run with {was}; go on with that, or name another folder"
        )
    return begun


def _json(value: dict) -> str:
    return json.dumps(value, indent=2) + "\n"
