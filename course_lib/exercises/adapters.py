"""Answers that are more than a function of their inputs, made into one.

An exercise names one of these as its `adapter`. Each takes the answer (a module class, an encoder
and its decoder, …) and returns a function of plain generated inputs whose parameters name them.
Torch is imported only when a module or a training step is checked.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np


def round_trip(encode: Callable[[Any], Any], decode: Callable[[Any], Any]) -> Callable[..., Any]:
    """An encoder and its decoder: the code must be the expected one and must decode again."""

    def code_and_decoded(message: Any) -> dict[str, Any]:
        code = encode(message)
        return {"code": code, "decoded": decode(code)}

    return code_and_decoded


def tokenizer(build: Callable[..., Any]) -> Callable[..., Any]:
    """A class or function that learns a tokenizer from a text; it has `encode` and `decode`."""

    def tokens_and_decoded(training_text: str, vocab_size: int, text: str) -> dict[str, Any]:
        learned = build(training_text, vocab_size)
        tokens = list(learned.encode(text))
        return {"tokens": tokens, "decoded": learned.decode(tokens)}

    return tokens_and_decoded


def module(build: Callable[..., Any]) -> Callable[..., Any]:
    """An `nn.Module` class (or a function that makes one), run once without gradients.

    It is built from `config`, filled with weights drawn from `seed` in the order of the
    parameters' names (so an answer must name them as asked), and called on `inputs`.
    """

    def outputs(config: Mapping[str, Any], seed: int, inputs: Sequence[Any]) -> Any:
        import torch

        model = build(**config)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for _, weight in sorted(model.named_parameters()):
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.5)
            result = model.eval()(*[torch.as_tensor(value) for value in inputs])
        names = sorted(name for name, _ in model.named_parameters())
        return {"parameters": names, "output": _plain(result)}

    return outputs


def training_step(step: Callable[..., Any]) -> Callable[..., Any]:
    """A function that trains: given weights (changed in place or returned) and data.

    `step(weights, *data)` gets a dict of fresh leaf tensors; what counts is the loss it returns
    and the weights after it. Random numbers start from `seed`.
    """

    def loss_and_weights(seed: int, weights: Mapping[str, Any], data: Sequence[Any]) -> Any:
        import torch

        torch.manual_seed(seed)
        leaves = {
            name: torch.tensor(np.asarray(value), dtype=torch.float64, requires_grad=True)
            for name, value in weights.items()
        }
        loss = step(leaves, *[torch.as_tensor(np.asarray(value)) for value in data])
        return {"loss": _plain(loss), "weights": _plain(leaves)}

    return loss_and_weights


def decoder(generate: Callable[..., Any]) -> Callable[..., Any]:
    """A decoding strategy over any language model.

    `generate(next_token_probs, prompt, **options)` may ask `next_token_probs(tokens)` for the
    distribution after any tokens. Here the model is a table: row `table[last token]`.
    """

    def tokens(
        table: Sequence[Sequence[int | float]], prompt: Sequence[int], options: dict[str, Any]
    ) -> list[int]:
        rows = np.asarray(table, dtype=float)
        rows = rows / rows.sum(axis=1, keepdims=True)
        answer = generate(lambda history: rows[int(history[-1])].copy(), list(prompt), **options)
        return [int(token) for token in answer]

    return tokens


def repaired(code: Callable[..., Any] | str) -> Callable[..., Any]:
    """Repaired code: a function as it is, or the text of one (the last that the text defines)."""
    if not isinstance(code, str):
        return code

    def run_text(*inputs: Any) -> Any:
        scope: dict[str, Any] = {}
        exec(code, scope)
        functions = [value for name, value in scope.items() if name != "__builtins__"]
        return [value for value in functions if callable(value)][-1](*inputs)

    return run_text


def _plain(value: Any) -> Any:
    """Tensors as arrays, inside tuples, lists and dicts too."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value
