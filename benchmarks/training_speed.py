"""Training: our GPT in the course's loop against Hugging Face's GPT-2 in a minimal one.

    python benchmarks/training_speed.py [--rounds N] [--sizes 0.8M 25M]

At each size four sides train on the same windows of tokens with the same fused AdamW, without
dropout and without clipping, in float32 and, where that is faster here, with bfloat16 autocast:

    hf         `GPT2LMHeadModel` with the settings of `GPT2Config`, sdpa attention
    hf-tuned   the same with the fused GELU ("gelu_pytorch_tanh") and without its key/value cache
    gpt2       our `GPT` of the same shape, begun with Hugging Face's weights, in `train`
    gpt        our `GPT` with the parts of the recipe `gpt` at the same size, in `train`

The first three are one function of their weights, so in float32 their losses must agree. The clock
runs over all that a step needs, from reading its batch on; in ours that includes the norm of the
gradient, which `train` records. Two warm-up steps come before. Each run is a process of its own.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from pairs import alternate, conditions, paired_ratio

from course_lib.models.gpt import GPT, GPTConfig
from course_lib.training.batches import RandomWindows
from course_lib.training.loop import join_processes, train
from course_lib.training.optimizers import fastest_matmul_dtype

SIDES = {
    "hf": "Hugging Face as it comes",
    "hf-tuned": "Hugging Face, tuned by hand",
    "gpt2": "ours, the same shape",
    "gpt": "ours, the recipe's parts",
}
VOCABULARY = 65  # characters of Tiny Shakespeare; which tokens they are makes no difference
WARM_UP = 2  # steps


@dataclass(frozen=True)
class Size:
    """A model and how it is trained."""

    n_layers: int
    n_heads: int
    d_model: int
    batch_size: int  # windows in a step
    steps: int  # on the clock
    context: int = 128  # tokens in a window


SIZES = {"0.8M": Size(4, 4, 128, 16, steps=20), "25M": Size(8, 8, 512, 8, steps=5)}


def hugging_face(size: Size, tuned: bool) -> torch.nn.Module:
    """A GPT-2 that is ready to train; the same weights in every call."""
    import transformers

    transformers.logging.set_verbosity_error()
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=size.context,
        n_layer=size.n_layers,
        n_head=size.n_heads,
        n_embd=size.d_model,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=None,
        attn_implementation="sdpa",
        **({"activation_function": "gelu_pytorch_tanh", "use_cache": False} if tuned else {}),
    )
    torch.manual_seed(0)
    return transformers.GPT2LMHeadModel(config).train()


def minimal_loop(
    model: torch.nn.Module, windows: RandomWindows, optimizer: Any, steps: int, bf16: bool
) -> float:
    """Train a Hugging Face model; the loss of the last step."""
    device = join_processes().device
    for step in range(steps):
        batch = windows(step).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            logits = model(batch[:, :-1]).logits
            loss = F.cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def our_loop(model: GPT, windows: RandomWindows, optimizer: Any, steps: int, bf16: bool) -> float:
    """Train ours; the loss of the last step."""
    return train(model, windows, optimizer, steps=steps, clip=None, bf16=bf16).train_loss[-1]


def run_once(side: str, size: Size, bf16: bool = False) -> dict[str, float]:
    """Milliseconds of a step, and the loss of the last one."""
    loop: Callable[..., float] = our_loop
    if side == "gpt":
        shape = {"n_layers": size.n_layers, "n_heads": size.n_heads, "d_model": size.d_model}
        torch.manual_seed(0)
        model = GPT(GPTConfig(VOCABULARY, size.context, **shape))
    else:
        model = hugging_face(size, tuned=side == "hf-tuned")
        if side == "gpt2":
            model = GPT.from_hf(model)
        else:
            loop = minimal_loop
    tokens = np.random.default_rng(0).integers(VOCABULARY, size=100_000)
    windows = RandomWindows(tokens, size.context, size.batch_size)
    model.to(join_processes().device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    loop(model, windows, optimizer, WARM_UP, bf16)
    start = time.perf_counter()
    loss = loop(model, windows, optimizer, size.steps, bf16)
    milliseconds = 1000 * (time.perf_counter() - start) / size.steps
    return {"milliseconds": milliseconds, "loss": loss}


def report(name: str, precision: str, runs: dict[str, list[dict[str, float]]]) -> None:
    """Print the table of one size and precision."""
    size = SIZES[name]
    tokens = size.batch_size * size.context
    times = {side: [run[precision]["milliseconds"] for run in rows] for side, rows in runs.items()}
    print(f"\n{name} parameters, {precision}, {size.batch_size} × {size.context} tokens a step")
    columns = f"{'ms/step':>9}{'tokens/s':>10}{'speed : hf':>20}{'speed : hf-tuned':>20}"
    print(f"{'':<28}{columns}")
    for side, label in SIDES.items():
        median = statistics.median(times[side])
        ratios = [str(paired_ratio(times[rival], times[side])) for rival in ("hf", "hf-tuned")]
        line = f"{median:>9.1f}{1000 * tokens / median:>10,.0f}{ratios[0]:>20}{ratios[1]:>20}"
        print(f"{label:<28}{line}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--once", choices=list(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--precisions", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        (name,) = arguments.sizes
        runs = {
            precision: run_once(arguments.once, SIZES[name], bf16=precision == "bf16")
            for precision in arguments.precisions
        }
        print(json.dumps(runs))
        return

    print("training GPT-2's shape: our model and loop against Hugging Face's model")
    print(conditions(arguments.rounds), flush=True)
    device = join_processes().device.type
    precisions = ["fp32"] + ["bf16"] * (fastest_matmul_dtype(device) == "bfloat16")
    if precisions == ["fp32"]:
        print("bfloat16 is no faster on this machine: left out")
    for name in arguments.sizes:
        command = [sys.executable, __file__, "--sizes", name, "--precisions", *precisions, "--once"]
        runs = alternate(list(SIDES), lambda side, _, c=command: [*c, side], arguments.rounds)
        for precision in precisions:
            report(name, precision, runs)
        losses = [runs[side][0]["fp32"]["loss"] for side in ("hf", "hf-tuned", "gpt2")]
        gap = max(losses) - min(losses)
        print(f"losses of the three that are one function, fp32: differ by {gap:.0e}")
        if gap > 1e-2:
            sys.exit("they disagree about the loss")


if __name__ == "__main__":
    main()
