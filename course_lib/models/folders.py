"""A network in a folder: config.json, its shape, and model.safetensors, its weights.

Reading a folder runs nothing that is in it: the files hold numbers and names only.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor, nn

from course_lib.errors import CourseError
from course_lib.files import write_atomically


class ModelInAFolder:
    """Gives a network `save`, `load` and `n_parameters`.

    The network is made from one config, a dataclass of plain values, which it keeps as `config`.
    """

    config_class: type  # of the config

    def n_parameters(self, embeddings: bool = True) -> int:
        """How many numbers are learned; without `embeddings`, those of token and position tables
        are left out (a tied head is the token table)."""
        tables = [m.weight for m in self.modules() if isinstance(m, nn.Embedding)]
        total = sum(p.numel() for p in self.parameters())
        return total if embeddings else total - sum(t.numel() for t in tables)

    def save(self, folder: Path | str) -> None:
        """Write config.json and model.safetensors into `folder`, each whole or not at all."""
        config = json.dumps(dataclasses.asdict(self.config), indent=2)
        tensors = {name: tensor.contiguous() for name, tensor in _distinct(self).items()}
        weights = safetensors.torch.save(tensors, metadata={"config": config})
        write_atomically(Path(folder) / "model.safetensors", weights)
        write_atomically(Path(folder) / "config.json", config + "\n")

    @classmethod
    def load(cls, folder: Path | str) -> "ModelInAFolder":
        """The network that `save` wrote.

        Raises CourseError for a file that is missing, cut off, or of another network.
        """
        config_file, weights_file = Path(folder) / "config.json", Path(folder) / "model.safetensors"
        for file in (config_file, weights_file):
            if not file.is_file():
                raise CourseError(
                    f"there is no {file}; name a folder that {cls.__name__}.save made"
                )
        try:
            fields = json.loads(config_file.read_text(encoding="utf-8"))
            network = cls(cls.config_class(**fields))
        except (ValueError, TypeError) as error:
            raise CourseError(
                f"{config_file} is not a {cls.__name__}'s config; save the model again"
            ) from error
        try:
            with safetensors.safe_open(weights_file, framework="pt") as file:
                saved_with = (file.metadata() or {}).get("config")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except safetensors.SafetensorError as error:
            raise CourseError(
                f"{weights_file} is cut off or no safetensors file; save the model again"
            ) from error
        expected = {name: tensor.shape for name, tensor in _distinct(network).items()}
        found = {name: tensor.shape for name, tensor in tensors.items()}
        if saved_with != json.dumps(fields, indent=2) or found != expected:
            raise CourseError(
                f"{weights_file} holds another model than config.json says; save the model again"
            )
        network.load_state_dict(tensors, strict=False)  # what is tied comes along
        return network


def check_sizes(config: Any, *names: str) -> None:
    """Raise CourseError unless each of these fields is a whole number of 1 or more."""
    for name in names:
        size = getattr(config, name)
        if not isinstance(size, int) or size < 1:
            raise CourseError(f"{name} is {size!r}; it must be a whole number of 1 or more")


def _distinct(network: nn.Module) -> dict[str, Tensor]:
    """The network's tensors, each once: of a matrix with two names (a tied head) the first."""
    tensors: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in network.state_dict().items():
        tensors.setdefault(tensor.data_ptr(), (name, tensor))
    return dict(tensors.values())
