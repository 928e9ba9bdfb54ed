"""Pre-norm against post-norm, and three kinds of positions, each given a fair chance.

    course experiment norms-and-positions [--seeds N] [--resume]

Norms: stacks of 4 and of 12 blocks of width 64 learn the plays at five learning rates each, with a
warm-up; compare the best rates. Positions: stacks of 4 blocks learn on windows of 64 characters, at
two rates, and are scored on windows of 256, character by character: what happens beyond the
training length?
"""

from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from course_lib.data import corpora
from course_lib.data.corpora import Corpus
from course_lib.experiments import Experiment, Setting
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.models.transformer import PostNormBlock
from course_lib.training.batches import RandomWindows, blocks
from course_lib.training.history import History
from course_lib.training.loop import train
from course_lib.training.objectives import mean_loss
from course_lib.training.optimizers import adamw
from course_lib.training.schedules import cosine

TRAINED, LONGEST = 64, 256  # characters in a window of training, and of the test of positions
STEPS = {"norm": 400, "positions": 800}
BLOCKS = 256  # of validation, evenly spread, on which the norms are compared


def model_for(setting: Setting, vocab_size: int, seed: int) -> GPT:
    """A GPT of plain blocks, started as the first Transformer, with the norm that is asked for."""
    torch.manual_seed(seed)
    config = GPTConfig(
        vocab_size,
        context=LONGEST,
        n_layers=setting["depth"],
        d_model=64,
        positions=setting["positions"],
        qk_norm=False,
        token_shift=False,
        mlp="relu",
        zero_init=False,
    )
    model = GPT(config)
    for weight in model.blocks.parameters():
        if weight.dim() == 2:
            nn.init.xavier_uniform_(weight)
    for name, table in (("embedding", 1.0), ("positions", 1.0), ("head", config.d_model**-0.5)):
        if hasattr(model, name):
            nn.init.normal_(getattr(model, name).weight, std=table)
    if setting["norm"] == "post":
        parts = [(b.attention, b.mlp, b.attention_norm, b.mlp_norm) for b in model.blocks]
        model.blocks = nn.ModuleList(PostNormBlock(*part) for part in parts)
        model.norm = nn.Identity()  # the last block's norm was the last word
    return model


def fit(model: GPT, corpus: Corpus, setting: Setting, seed: int, steps: int) -> History:
    """Train on windows of TRAINED characters."""
    tokens = corpus.tokenizer.encode(corpus.train)
    return train(
        model,
        RandomWindows(tokens, TRAINED, batch_size=16, seed=seed),
        adamw(model, lr=setting["lr"], weight_decay=0.0),
        schedule=partial(cosine, warmup=0.1),
        steps=steps,
        seed=seed,
    )


@torch.no_grad()
def loss_by_place(model: GPT, corpus: Corpus) -> list[float]:
    """Mean nats of the character at each place of windows of LONGEST characters of validation."""
    tokens = corpus.tokenizer.encode(corpus.validation)
    total, n = torch.zeros(LONGEST), 0
    for windows in blocks(tokens, LONGEST):
        logits, asked = model(windows[:, :-1]), windows[:, 1:]
        nats = F.cross_entropy(logits.flatten(0, 1), asked.flatten(), reduction="none")
        total, n = total + nats.view(asked.shape).sum(0), n + len(windows)
    return [round(loss, 4) for loss in (total / n).tolist()]


def run(setting: Setting, seed: int, folder: Path) -> dict:
    """Train, and score on validation."""
    corpus = corpora.load("shakespeare")
    model = model_for(setting, corpus.tokenizer.vocab_size, seed)
    history = fit(model, corpus, setting, seed, STEPS[setting["compares"]])
    if history.stopped == "interrupted":
        raise KeyboardInterrupt
    results = {"train_loss": sum(history.train_loss[-50:]) / 50}
    if setting["compares"] == "positions":
        return results | {"loss_by_place": loss_by_place(model, corpus)}
    windows = torch.cat(blocks(corpus.tokenizer.encode(corpus.validation), TRAINED))
    sample = windows[:: len(windows) // BLOCKS][:BLOCKS]
    return results | {"val_loss": mean_loss(model, sample.split(64))}


def probe(setting: Setting) -> list[float]:
    """The training losses of the first four steps with seed 0."""
    corpus = corpora.load("shakespeare")
    model = model_for(setting, corpus.tokenizer.vocab_size, 0)
    return fit(model, corpus, setting, 0, steps=4).train_loss


NORMS = tuple(
    {"compares": "norm", "norm": norm, "depth": depth, "positions": "learned", "lr": lr}
    for depth in (4, 12)
    for norm in ("pre", "post")
    for lr in (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
)
POSITIONS = tuple(
    {"compares": "positions", "norm": "pre", "depth": 4, "positions": kind, "lr": lr}
    for kind in ("learned", "sinusoidal", "rotary")
    for lr in (3e-3, 1e-2)
)

EXPERIMENT = Experiment(
    name="norms-and-positions",
    question="Does the place of the norm matter at the best rate of each, and what do positions do "
    "beyond the training length?",
    grid=NORMS + POSITIONS,
    seeds=3,
    run=run,
    probe=probe,
)
