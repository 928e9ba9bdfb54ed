"""Writing with a language model: sample a token, append it, ask again.

A GPT or an MLP reads its whole context anew for every token. That is the plain way, easy to check
and slow; what it computes again each time could be kept. A recurrent network keeps it: it reads
every token once and goes on from its state.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.errors import CourseError
from course_lib.models.gpt import GPT
from course_lib.models.mlp import MLP
from course_lib.models.recurrent import RecurrentLM


def next_token(
    logits: Float[Tensor, " vocab"], temperature: float | int, random: torch.Generator
) -> Int[Tensor, ""]:
    """Draw from softmax(logits / temperature); at temperature 0 take the likeliest.

    Below 1 the likely tokens become likelier, above 1 all become more alike.
    """
    if temperature == 0:
        return logits.argmax()
    below_best = logits.double() - logits.max()  # so that no temperature is too small
    probs = (below_best / temperature).softmax(-1)
    return torch.multinomial(probs, 1, generator=random)[0]


def generate(
    model: GPT | MLP | RecurrentLM,
    prompt: Int[Tensor, " prompt"],
    length: int,
    temperature: float | int = 1.0,
    seed: int = 0,
) -> Int[Tensor, " length"]:
    """`length` tokens that go on from `prompt`, without the prompt.

    Each is predicted from the last `context` tokens before it, by a recurrent network from all of
    them. The same seed gives the same tokens.

    Raises CourseError for an empty prompt, a negative length, and a temperature that is negative
    or not finite.
    """
    if len(prompt) == 0:
        raise CourseError("the prompt is empty; give the model a token to go on from")
    if length < 0:
        raise CourseError(f"a text of {length} tokens cannot be; give a length of 0 or more")
    if not (math.isfinite(temperature) and temperature >= 0):
        raise CourseError(f"the temperature is {temperature}; give 0 or more")
    random = torch.Generator().manual_seed(seed)
    device = next(model.parameters()).device
    tokens = torch.cat([prompt.cpu(), prompt.new_zeros(length, device="cpu")])
    read, state = 0, None  # tokens that a recurrent network has read, and its state after them
    with torch.inference_mode():
        for i in range(len(prompt), len(tokens)):
            if isinstance(model, RecurrentLM):
                logits, state = model.read(tokens[None, read:i].to(device), state)
                read = i
            else:
                logits = model(tokens[None, max(0, i - model.config.context) : i].to(device))
            tokens[i] = next_token(logits[0, -1].cpu(), temperature, random)
    return tokens[len(prompt) :]
