"""Time to a fixed loss: the recipe `gpt` against the plain GPT of the same size, `gpt-plain`.

    python benchmarks/time_to_loss.py [--rounds N] [--text FILE]
    python benchmarks/time_to_loss.py --sweep [--text FILE]

Losses are those of validation in blocks of 64 characters. There are two goals:

    1.88       what nanoGPT's README reports of its run on a CPU (Tiny Shakespeare, 0.8 M
               parameters, three minutes); other texts are harder or easier
    as good    as nanoGPT's settings end on this text: `gpt-plain`, 2000 steps

`gpt-plain` runs at nanoGPT's learning rate, 1e-3, and at its best. A learning rate must have fallen
before the loss is at its lowest, so each side also has the length of run that brings it to the goal
soonest. `--sweep` looks for both (an hour), and SIDES holds what was found. Seconds are those of
training, without evaluation; the seed is the number of the round. `gpt` computes in bfloat16 where
that is faster, `gpt-plain` does not.
"""

import argparse
import json
import math
import statistics
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from pairs import alternate, conditions, paired_ratio

from course_lib.data import corpora
from course_lib.data.corpora import Corpus
from course_lib.evaluation import WindowedModel, evaluate_in_blocks
from course_lib.training.batches import blocks
from course_lib.training.network_recipes import NETWORK_RECIPES, fit
from course_lib.training.objectives import mean_loss

BLOCK = 64  # characters, as in nanoGPT's run
NANOGPT_LOSS = 1.88  # nats per character
LOOKS = 20  # evaluations in a run
SAMPLE = 512  # blocks that such a look takes, from all over the text


@dataclass(frozen=True)
class Side:
    """A recipe, how long it runs, and its learning rate where that is not the recipe's own."""

    recipe: str
    steps: int
    lr: float | None = None


# What --sweep tries, on top of nanoGPT's own run:
RATES = {"gpt-plain": (5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2), "gpt": (None,)}
LENGTHS = {"gpt-plain": (500, 1000, 2000, 4000), "gpt": (150, 300, 600, 1200)}  # steps

# Found on the ladder's plays with seed 0. gpt-plain, 1000 steps, at 4e-3, 8e-3 and 1.6e-2: 1.971,
# 1.948 and 2.144, where nanoGPT's run ends at 1.931; gpt, 250 and 300 steps: 1.927 and 1.894.
NANOGPT = Side("gpt-plain", 2000)
SIDES = {
    "nanogpt": NANOGPT,
    "plain, best": Side("gpt-plain", 1300, lr=8e-3),
    "gpt": Side("gpt", 300),
}


def run_once(side: Side, corpus: Corpus, seed: int = 0) -> dict:
    """Train; the loss on the whole validation text, and the curve: losses, seconds, steps.

    On the way a sample of the text is scored, at the end all of it, with the weights that did best.
    The sample is a little easier or harder than the whole; the curve is moved by the difference.
    """
    recipe = NETWORK_RECIPES[side.recipe]
    if side.lr is not None:
        recipe = replace(recipe, optimizers=partial(recipe.optimizers, lr=side.lr))
    validation = corpus.tokenizer.encode(corpus.validation)
    every_block = torch.cat(blocks(validation, BLOCK))
    sample = every_block[:: math.ceil(len(every_block) / SAMPLE)].contiguous()
    model, history, _ = fit(
        recipe,
        corpus,
        steps=side.steps,
        seed=seed,
        evaluate=partial(mean_loss, batches=[sample]),
        every=math.ceil(side.steps / LOOKS),
    )
    whole = evaluate_in_blocks(WindowedModel(model, model.config.context), validation, BLOCK)
    return {
        "loss": whole,
        "losses": [loss + whole - history.best_loss for loss in history.val_loss],
        "seconds": history.val_seconds,
        "steps": history.val_steps,
    }


def reached(goal: float, losses: list[float], spent: list[float]) -> float:
    """What was spent (seconds or steps) when the loss first fell to `goal`; inf if it never did.

    Between two evaluations the loss is taken to fall in a straight line.
    """
    for i, (loss, now) in enumerate(zip(losses, spent, strict=True)):
        if loss <= goal:
            if i == 0:
                return now
            too_far = (goal - loss) / (losses[i - 1] - loss)  # from 0 to 1
            return now - too_far * (now - spent[i - 1])
    return math.inf


def report(goal: str, losses: list[float], runs: dict[str, list[dict]]) -> None:
    """Print how soon each side reached the goal, a loss a round, and the ratios to `gpt`."""
    print(f"\n{goal}: {statistics.median(losses):.3f} nats per character in blocks of {BLOCK}")
    print(f"{'':<18}{'steps':>7}{'seconds':>9}{'last loss':>11}{'time : gpt':>22}")
    spent = {
        side: {
            unit: [
                reached(loss, run["losses"], run[unit])
                for loss, run in zip(losses, of_side, strict=True)
            ]
            for unit in ("steps", "seconds")
        }
        for side, of_side in runs.items()
    }
    fastest = spent["gpt"]["seconds"]
    for side, of_side in runs.items():
        steps, seconds = spent[side]["steps"], spent[side]["seconds"]
        numbers = f"{statistics.median(steps):>7.0f}{statistics.median(seconds):>9.1f}"
        numbers += f"{statistics.median(run['loss'] for run in of_side):>11.3f}"
        missed = sum(map(math.isinf, seconds))
        ratio = f"missed in {missed} of {len(seconds)}"
        if not missed and all(map(math.isfinite, fastest)):
            ratio = str(paired_ratio(seconds, fastest))
        print(f"{side:<18}{numbers}{ratio:>22}", flush=True)


def sweep(corpus: Corpus) -> None:
    """Print how soon each rate and length reaches the goals; a seed each."""
    as_good = run_once(NANOGPT, corpus)["loss"]
    goals = {"1.88": NANOGPT_LOSS, "as good": as_good}
    print(f"as good as nanoGPT's run: {as_good:.3f}; steps (seconds) until then and until 1.88:")
    print(
        f"{'recipe':<12}{'rate':>8}{'steps':>8}{'loss':>8}{'1.88':>16}{'as good':>16}", flush=True
    )
    for recipe, rates in RATES.items():
        for side in [Side(recipe, steps, lr) for lr in rates for steps in LENGTHS[recipe]]:
            run = run_once(side, corpus)
            line = f"{recipe:<12}{side.lr or 'own':>8}{side.steps:>8}{run['loss']:>8.3f}"
            for goal in goals.values():
                steps, seconds = (
                    reached(goal, run["losses"], run[u]) for u in ("steps", "seconds")
                )
                line += f"{f'{steps:.0f} ({seconds:.1f})':>16}"
            print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--text", type=Path, help="a UTF-8 text instead of the ladder's")
    parser.add_argument("--sweep", action="store_true", help="look for the best rates and lengths")
    parser.add_argument("--once", nargs=2, metavar=("SIDE", "SEED"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    corpus = (
        corpora.read_text_file(arguments.text) if arguments.text else corpora.load("shakespeare")
    )
    if arguments.once:
        side, seed = arguments.once
        print(json.dumps(run_once(SIDES[side], corpus, int(seed))))
        return
    if arguments.sweep:
        sweep(corpus)
        return

    print("time to a fixed loss: the recipe gpt against gpt-plain")
    print(conditions(arguments.rounds), flush=True)
    text = ["--text", arguments.text] if arguments.text else []
    command = [sys.executable, __file__, *text, "--once"]
    runs = alternate(list(SIDES), lambda side, i: [*command, side, i], arguments.rounds)
    report("nanoGPT's loss", [NANOGPT_LOSS] * arguments.rounds, runs)
    report("as good as nanoGPT's run", [run["loss"] for run in runs["nanogpt"]], runs)


if __name__ == "__main__":
    main()
