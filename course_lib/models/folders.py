"""A network in a folder: config.json, its shape, and model.safetensors, its weights.

Reading a folder runs nothing that is in it: the files hold numbers and names only.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import safetensors.torch

from course_lib.errors import CourseError
from course_lib.files import write_atomically


class ModelInAFolder:
    """Gives a network `save`, `load` and `n_parameters`.

    The network is made from one config, a dataclass of plain values, which it keeps as `config`.
    """

    config_class: type  # of the config

    def n_parameters(self) -> int:
        """How many numbers are learned."""
        return sum(p.numel() for p in self.parameters())

    def save(self, folder: Path | str) -> None:
        """Write config.json and model.safetensors into `folder`, each whole or not at all."""
        config = json.dumps(dataclasses.asdict(self.config), indent=2)
        tensors = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
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
                f"{config_file} is not the config of a {cls.__name__}; save the network again"
            ) from error
        try:
            with safetensors.safe_open(weights_file, framework="pt") as file:
                saved_with = (file.metadata() or {}).get("config")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except safetensors.SafetensorError as error:
            raise CourseError(
                f"{weights_file} is cut off or no safetensors file; save the network again"
            ) from error
        expected = {name: tensor.shape for name, tensor in network.state_dict().items()}
        found = {name: tensor.shape for name, tensor in tensors.items()}
        if saved_with != json.dumps(fields, indent=2) or found != expected:
            raise CourseError(
                f"{weights_file} holds another network than config.json says; save it again"
            )
        network.load_state_dict(tensors)
        return network


def check_sizes(config: Any, *names: str) -> None:
    """Raise CourseError unless each of these fields is a whole number of 1 or more."""
    for name in names:
        size = getattr(config, name)
        if not isinstance(size, int) or size < 1:
            raise CourseError(f"{name} is {size!r}; it must be a whole number of 1 or more")
