"""Several networks of one shape trained as one: many seeds for little more than the price of one.

Small networks spend their steps waiting for small matrix products. `Many` lays the weights of R
networks on top of each other, and computes all of them in one product. Nothing passes between
them: each has its own batches, its own gradient and its own optimizer state, and ends where it
would have ended alone (a test holds this).
"""

import copy
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from course_lib.errors import CourseError


class Many(nn.Module):
    """R networks as one module, whose parameters have the network's number as their first axis.

    Train it with `train(Many(models), together(…), …, objective=many_causal_lm_loss, clip=None)`:
    clipping would use the norm of all networks' gradients together.

    Raises CourseError for no networks, and for networks with parameters of different shapes.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        shapes = [{name: p.shape for name, p in model.named_parameters()} for model in models]
        if not shapes or any(other != shapes[0] for other in shapes):
            raise CourseError("networks are trained together only if they all have the same shape")
        weights, _ = stack_module_state(list(models))
        self.names = list(weights)
        self.weights = nn.ParameterList(weights.values())  # each (runs, …)
        self.one = (copy.deepcopy(models[0]),)  # computes; its own weights are not used

    def forward(
        self, tokens: Int[Tensor, "runs batch tokens"]
    ) -> Float[Tensor, "runs batch tokens vocab"]:
        """The logits of each network for its own tokens."""
        (one,) = self.one
        one.train(self.training)

        def logits(weights: dict[str, Tensor], tokens: Tensor) -> Tensor:
            return functional_call(one, weights, (tokens,))

        weights = dict(zip(self.names, self.weights, strict=True))
        return vmap(logits, randomness="different")(weights, tokens)

    def apart(self) -> list[nn.Module]:
        """The R networks, each a module of its own again."""
        models = []
        for run in range(len(self.weights[0])):
            model = copy.deepcopy(self.one[0]).train(self.training)
            for name, stacked in zip(self.names, self.weights, strict=True):
                model.get_parameter(name).data = stacked[run].detach().clone()
            models.append(model)
        return models


def many_causal_lm_loss(
    model: Many, windows: Int[Tensor, "runs batch window"]
) -> tuple[Float[Tensor, ""], int]:
    """`causal_lm_loss` of all networks added up, over the count of *one*: so each network gets
    the gradient of its own mean loss, and a `History` shows the sum of their losses."""
    nats = token_losses(model, windows).sum()
    return nats, windows[0, :, 1:].numel()


def token_losses(
    model: Many, windows: Int[Tensor, "runs batch window"]
) -> Float[Tensor, "runs batch targets"]:
    """The cost in nats of every token after a window's first, for each network."""
    logits, targets = model(windows[..., :-1]), windows[..., 1:]
    nats = F.cross_entropy(logits.flatten(0, 2).float(), targets.flatten(), reduction="none")
    return nats.view(targets.shape)


def together(
    batches: Sequence[Callable[[int, int], Int[Tensor, "batch window"]]],
) -> Callable[[int, int], Int[Tensor, "runs batch window"]]:
    """The batches of several networks, one source of windows each, as `train` asks for them."""
    return lambda step, share: torch.stack([source(step, share) for source in batches])
