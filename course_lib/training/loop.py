"""The one training loop of the course, for one process or many.

`train` runs a model through batches and returns its `History`. On a laptop it is a plain loop;
under `torchrun --nproc-per-node N` the same call trains in N processes that share each step's
batch. The learning rate, the precision and the checkpoints are decided here, in the open.
"""

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import reduce, send_to_device
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from tqdm import tqdm

from course_lib.errors import CourseError
from course_lib.evidence import strict
from course_lib.training.checkpoints import copy_weights, load_checkpoint, save_checkpoint
from course_lib.training.history import History
from course_lib.training.nonfinite import find_nonfinite
from course_lib.training.objectives import Objective, causal_lm_loss, evaluating
from course_lib.training.schedules import Schedule, constant


def train(
    model: nn.Module,
    batches: Callable[[int, int], Any],
    optimizer: Optimizer | Sequence[Optimizer],
    *,
    objective: Objective = causal_lm_loss,
    schedule: Schedule = constant,
    steps: int | None = None,
    seconds: float | int | None = None,
    evaluate: Callable[[nn.Module], float] | None = None,
    every: int = 100,
    patience: int | None = None,
    accumulate: int = 1,
    clip: float | int | None = 1.0,
    seed: int = 0,
    checkpoint: Path | None = None,
    bf16: bool = False,
    compile: bool = False,
) -> History:
    """Train `model` for `steps` steps or `seconds` of training, whichever ends first.

    A step reads the batches `batches(step, share)` of `accumulate` shares in each process, divides
    the objective's sum by what was scored in all of them, shortens the gradient to norm `clip`, and
    lets each optimizer move with its own learning rate times `schedule(progress)`. The model
    trains on the machine's best device, and stays there.

    After every `every` steps, and at the end, `evaluate(model)` gives the validation loss, in every
    process; training stops early once `patience` evaluations in a row brought nothing better. The
    model comes back in evaluation mode, with the weights of its best evaluation (without
    `evaluate`, with the last).

    With `checkpoint` the run is saved after every evaluation, and goes on from that file where it
    exists: the same call, killed and started again, gives the same curve. An interrupt from the
    keyboard saves, and returns the history so far.

    `bf16` computes matrix products in bfloat16; `compile` runs the model through torch.compile.
    `seconds` counts neither compilation nor evaluation. `seed` is that of dropout; the batches have
    their own.

    Raises CourseError where there is no end to training, and where the loss or the gradient is not
    finite, naming the step and the layer.
    """
    if steps is None and seconds is None:
        raise CourseError("training without end; give steps=… or seconds=…")
    optimizers = [optimizer] if isinstance(optimizer, Optimizer) else list(optimizer)
    processes = join_processes()
    device, world, rank = processes.device, processes.num_processes, processes.process_index
    model.to(device)
    history, best = History(), None
    processes.wait_for_everyone()  # an earlier call may still be writing the checkpoint
    if checkpoint and checkpoint.exists():
        history, best = load_checkpoint(checkpoint, model, optimizers)
    network = torch.compile(model) if compile else model
    network = DistributedDataParallel(network) if world > 1 else network
    rates = [(group, group["lr"]) for o in optimizers for group in o.param_groups]
    parameters = [p for group, _ in rates for p in group["params"]]

    def loss_of(network: nn.Module, step: int, share: int) -> tuple[Tensor, int]:
        _seed_dropout(device, [seed, step, share])
        batch = send_to_device(batches(step, share), device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            return objective(network, batch)

    def add_gradients(step: int) -> tuple[float, float | int]:
        """Backward through all shares of a step; the summed loss and count of all processes."""
        total, count, rounds = 0.0, 0, range(accumulate)
        for i in rounds:
            last = i == rounds[-1]  # when the processes average their gradients
            with nullcontext() if last or world == 1 else network.no_sync():
                loss, scored = loss_of(network, step, i * world + rank)
                loss.backward()
            total, count = total + loss.item(), count + scored
        total, count = _sum_over_processes(processes, total, count)
        if not count:
            raise CourseError(f"step {step} scored nothing; look at the batches it reads")
        return total, count

    model.train()
    with _own_random_numbers(device), _progress_bar(steps, seconds, history, rank) as bar:
        try:
            if compile:  # runs once, before the clock starts
                start = time.perf_counter()
                loss_of(network, history.steps, rank)[0].backward()
                history.compile_seconds += time.perf_counter() - start
            while True:
                step, history.stopped = history.steps, _why_stop(history, steps, seconds, patience)
                if step and (step % every == 0 or history.stopped):
                    if evaluate and history.val_steps[-1:] != [step]:
                        loss = _evaluate(model, evaluate, history, processes)
                        with _interrupts_held():
                            best = copy_weights(model) if loss < history.best_loss else best
                            history.add_evaluation(loss)
                        history.stopped = _why_stop(history, steps, seconds, patience)
                    if checkpoint and rank == 0:
                        save_checkpoint(checkpoint, model, optimizers, history, best)
                if history.stopped:
                    break

                start = time.perf_counter()
                factor = schedule(_progress(history, steps, seconds))
                for group, rate in rates:
                    group["lr"] = rate * factor
                for o in optimizers:
                    o.zero_grad()
                total, count = add_gradients(step)
                norm = _scale_and_clip(parameters, world / count, clip)  # of the mean over all
                if not (math.isfinite(total) and math.isfinite(norm)):
                    shares = [i * world + rank for i in range(accumulate)]
                    raise _nonfinite(model, loss_of, step, shares, total / count)

                with _interrupts_held():  # the weights and the history move together or not at all
                    for o in optimizers:
                        o.step()
                    [spent] = _sum_over_processes(processes, time.perf_counter() - start)
                    lr = rates[0][0]["lr"]
                    history.add_step(total / count, norm, lr, int(count), spent / world)
                _advance(bar, history, steps)
        except KeyboardInterrupt:
            history.stopped = "interrupted"
            if checkpoint and rank == 0:
                save_checkpoint(checkpoint, model, optimizers, history, best)
        finally:
            for group, rate in rates:
                group["lr"] = rate
    if best:
        model.load_state_dict(best)
    model.eval()
    return history


def join_processes() -> PartialState:
    """The device to train on and, under torchrun, the processes that train together."""
    together = int(os.environ.get("WORLD_SIZE", "1"))
    gpu = torch.cuda.is_available() or (together == 1 and torch.backends.mps.is_available())
    # Unless told that it is to use CPUs, accelerate lets each process there train on its own.
    processes = PartialState(cpu=not gpu)
    if processes.num_processes != together:
        raise CourseError(
            f"of {together} processes only {processes.num_processes} would train together; set up "
            "nothing of accelerate before training"
        )
    return processes


def _why_stop(
    history: History, steps: int | None, seconds: float | int | None, patience: int | None
) -> str:
    """The reason to stop now, or nothing."""
    if steps is not None and history.steps >= steps:
        return "steps"
    if seconds is not None and history.elapsed >= seconds:
        return "seconds"
    if patience and history.val_loss:
        since_best = len(history.val_loss) - 1 - history.val_loss.index(history.best_loss)
        return "patience" if since_best >= patience else ""
    return ""


def _progress(history: History, steps: int | None, seconds: float | int | None) -> float:
    """How much of the run is done in the middle of the coming step, from 0 to 1."""
    done, half_a_step = history.steps, history.elapsed / max(1, 2 * history.steps)
    by_steps = (done + 0.5) / steps if steps else 0.0
    by_seconds = (history.elapsed + half_a_step) / seconds if seconds else 0.0
    return min(1.0, max(by_steps, by_seconds))


def _evaluate(
    model: nn.Module,
    evaluate: Callable[[nn.Module], float],
    history: History,
    processes: PartialState,
) -> float:
    """The validation loss, the same in all processes."""
    start = time.perf_counter()
    with evaluating(model):
        loss = float(evaluate(model))
    [loss] = _sum_over_processes(processes, loss / processes.num_processes)
    history.evaluation_seconds += time.perf_counter() - start
    return loss


def _scale_and_clip(
    parameters: Sequence[nn.Parameter], scale: float, clip: float | int | None
) -> float:
    """Multiply the gradients by `scale`, then shorten them to norm `clip`; the norm before that."""
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = scale * torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads))).item()
    too_long = clip is not None and norm > clip
    torch._foreach_mul_(grads, scale * clip / norm if too_long else scale)
    return norm


def _sum_over_processes(processes: PartialState, *values: float | int) -> list[float | int]:
    """Each value summed over the processes, the same in all of them."""
    if processes.num_processes == 1:
        return list(values)
    mine = torch.tensor(values, dtype=torch.float64, device=processes.device)
    return reduce(mine, "sum").tolist()


def _nonfinite(
    model: nn.Module, loss_of: Callable, step: int, shares: list[int], loss: float
) -> CourseError:
    """The error that says where the numbers of this step ceased to be finite."""
    places = (find_nonfinite(model, lambda s=s: loss_of(model, step, s)[0]) for s in shares)
    place = next(filter(None, places), None)
    place = place or "the norm of all gradients together, or a number in another process"
    return CourseError(
        f"step {step}: the loss is {loss:.4g} and training cannot go on; first not finite: "
        f"{place}; try a smaller learning rate or a warm-up, or look there for log 0 and 0/0"
    )


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep a Ctrl-C back until the end of the block."""
    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        yield
        return
    held = []
    before = signal.signal(signal.SIGINT, lambda *received: held.append(received))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        signal.raise_signal(signal.SIGINT)


def _seed_dropout(device: torch.device, entropy: list[int]) -> None:
    """torch.manual_seed for the generators that training draws from.

    The original seeds those of every backend, and formats the stack for each backend that is not
    there: 0.2 to 0.8 ms a step, as much as a small network takes.
    """
    seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


def _own_random_numbers(device: torch.device) -> Any:
    """Training draws from its own generators and leaves the caller's as they were."""
    return torch.random.fork_rng([torch.cuda.current_device()] if device.type == "cuda" else [])


def _progress_bar(
    steps: int | None, seconds: float | int | None, history: History, rank: int
) -> tqdm:
    """A bar for whoever watches: one process shows it, and pages of the book don't store it."""
    return tqdm(
        total=steps if steps is not None else round(seconds),
        initial=history.steps if steps is not None else int(history.elapsed),
        unit="step" if steps is not None else "s",
        delay=3,
        leave=False,
        disable=rank > 0 or strict(),
    )


def _advance(bar: tqdm, history: History, steps: int | None) -> None:
    bar.set_postfix_str(f"loss {history.train_loss[-1]:.3f}", refresh=False)
    bar.update((history.steps if steps is not None else int(history.elapsed)) - bar.n)
