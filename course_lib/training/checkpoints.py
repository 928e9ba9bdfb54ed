"""A training run in one file, written whole or not at all: safetensors with a JSON header.

The file holds the model's weights, the optimizers' state, the best weights so far and the history.
Random numbers need no place in it, since batches and dropout are functions of (seed, step, share).
Nothing is pickled: loading a checkpoint runs no code.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from course_lib.errors import CourseError
from course_lib.files import write_atomically
from course_lib.training.history import History

Weights = dict[str, Tensor]


def copy_weights(model: nn.Module) -> Weights:
    """The model's parameters and buffers as they are now."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    history: History,
    best: Weights | None = None,
) -> None:
    """Put the run into `path`; a crash at any moment leaves the previous file or the new one."""
    for piece in path.parent.glob(f".{path.name}.*"):  # of a write that was killed
        piece.unlink(missing_ok=True)
    tensors = {f"model/{name}": tensor for name, tensor in copy_weights(model).items()}
    tensors |= {f"best/{name}": tensor for name, tensor in (best or {}).items()}
    described = []
    for i, optimizer in enumerate(optimizers):
        scalars = {}
        for parameter, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                place = tensors if isinstance(value, Tensor) else scalars
                place[f"optimizer {i}/{parameter}/{name}"] = value
        described.append(_describe(optimizer) | {"scalars": scalars})
    header = {"optimizers": json.dumps(described), "history": json.dumps(asdict(history))}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(path, safetensors.torch.save(tensors, metadata=header))


def load_checkpoint(
    path: Path, model: nn.Module, optimizers: Sequence[Optimizer]
) -> tuple[History, Weights | None]:
    """Put the run in `path` into model and optimizers; returns its history and best weights.

    The optimizers keep the learning rates and other settings they were made with.

    Raises CourseError when the file is damaged, or was made by another model or other optimizers.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        described = json.loads(header["optimizers"])
        history = History(**json.loads(header["history"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CourseError(
            f"{path} is no whole checkpoint ({error}); put back a copy of it, or delete it to "
            "start again"
        ) from None

    parts: dict[str, Weights] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, {})[rest] = tensor
    shapes = {name: tensor.shape for name, tensor in parts["model"].items()}
    if shapes != {name: tensor.shape for name, tensor in model.state_dict().items()}:
        raise _made_otherwise(path, "another model")
    if [_outline(o) for o in described] != [_outline(_describe(o)) for o in optimizers]:
        raise _made_otherwise(path, "other optimizers")

    model.load_state_dict(parts["model"])
    for i, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Any]] = {}
        for name, value in (tensors | described[i]["scalars"]).items():
            part, _, rest = name.partition("/")
            if part == f"optimizer {i}":
                parameter, _, key = rest.partition("/")
                state.setdefault(int(parameter), {})[key] = value
        groups = optimizer.state_dict()["param_groups"]
        for group, was in zip(groups, described[i]["groups"], strict=True):
            if group.get("dtype", "none") is None:  # what Muon chose by measurement stays chosen
                group["dtype"] = was["dtype"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    return history, parts.get("best")


def _describe(optimizer: Optimizer) -> dict:
    return {"kind": type(optimizer).__name__, "groups": optimizer.state_dict()["param_groups"]}


def _outline(described: dict) -> tuple:
    return described["kind"], [len(group["params"]) for group in described["groups"]]


def _made_otherwise(path: Path, how: str) -> CourseError:
    return CourseError(
        f"{path} was made with {how}; use the same as then, or another file to start anew"
    )
