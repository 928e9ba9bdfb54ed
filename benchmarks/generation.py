"""Generation: SmolLM2 in our GPT with our cache against Hugging Face's `generate`.

    python benchmarks/generation.py [--rounds N] [--tokens N] [--precisions fp32 bf16]

Five sides go on greedily from the same prompt with the same weights, dtype and threads:

    hf         `LlamaForCausalLM.generate` as it comes (a cache that grows)
    hf-static  the same with `cache_implementation="static"`
    ours       `course_lib.generation.generate`
    packed     ours with the layers' weights left in the file's 4-bit blocks (bf16 only)
    uncached   ours, the whole text read anew for every token (a tenth as many tokens)

In float32 all must write the same tokens. Reading the prompt is on the clock for all. Loading is
timed too (`--loading`): `load_smollm2` with its unpacked weights kept from an earlier process, the
same unpacking them, and Hugging Face's `from_pretrained(folder, gguf_file=…)`. Each run is a
process of its own.
"""

import argparse
import json
import statistics
import sys
import time

import torch
from pairs import alternate, conditions, paired_ratio

from course_lib.generation import generate
from course_lib.models.gguf import read_gguf
from course_lib.models.pretrained import (
    gpt_from_gguf,
    load_smollm2,
    smollm2_file,
    tokenizer_from_gguf,
)

SIDES = {
    "hf": "Hugging Face as it comes",
    "hf-static": "Hugging Face, static cache",
    "ours": "ours",
    "packed": "ours, weights in 4-bit blocks",
    "uncached": "ours without a cache",
}
LOADERS = {
    "hf": "Hugging Face, gguf_file",
    "unpacked": "ours, unpacking",
    "kept": "ours, unpacked before",
}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
QUESTION = "Explain to a child why the sky is blue, and why it is red in the evening."


def run_once(side: str, precision: str, n_tokens: int) -> dict:
    """Tokens a second, and the tokens."""
    chat = load_smollm2(DTYPES[precision], packed=side == "packed")
    prompt = torch.from_numpy(chat.tokenizer.encode_chat([{"role": "user", "content": QUESTION}]))

    if side.startswith("hf"):
        theirs = chat.model.to_hf().to(DTYPES[precision])
        options = {"cache_implementation": "static"} if side == "hf-static" else {}

        def write(n: int) -> list[int]:
            with torch.inference_mode():
                whole = theirs.generate(
                    prompt[None],
                    attention_mask=torch.ones_like(prompt[None]),
                    max_new_tokens=n,
                    min_new_tokens=n,
                    do_sample=False,
                    **options,
                )
            return whole[0, len(prompt) :].tolist()

    elif side in ("ours", "packed"):

        def write(n: int) -> list[int]:
            return generate(chat.model, prompt, n, temperature=0).tolist()

    else:

        @torch.inference_mode()
        def write(n: int) -> list[int]:
            tokens = prompt.tolist()
            for _ in range(n):
                logits = chat.model(torch.tensor([tokens]))[0, -1]
                tokens.append(int(logits.argmax()))
            return tokens[len(prompt) :]

    write(2)  # warm-up
    n = n_tokens if side != "uncached" else max(1, n_tokens // 10)
    start = time.perf_counter()
    tokens = write(n)
    return {"tokens_per_second": n / (time.perf_counter() - start), "tokens": tokens}


def load_once(side: str) -> dict:
    """Seconds until the model is there."""
    if side == "hf":
        import transformers

        transformers.logging.set_verbosity_error()
    start = time.perf_counter()
    if side == "hf":
        file = smollm2_file()
        transformers.AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32
        )
    elif side == "unpacked":
        file = read_gguf(smollm2_file())
        gpt_from_gguf(file)
        tokenizer_from_gguf(file)
    else:
        load_smollm2()
    return {"seconds": time.perf_counter() - start}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--precisions", nargs="+", choices=list(DTYPES), default=list(DTYPES))
    parser.add_argument("--sides", nargs="+", choices=list(SIDES), default=list(SIDES))
    parser.add_argument("--loading", action="store_true", help="time loading instead")
    parser.add_argument("--once", choices=[*SIDES, *LOADERS], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once:
        if arguments.loading:
            print(json.dumps(load_once(arguments.once)))
        else:
            (precision,) = arguments.precisions
            print(json.dumps(run_once(arguments.once, precision, arguments.tokens)))
        return

    print("SmolLM2-135M, one text at a time: our GPT and cache against Hugging Face's")
    print(conditions(arguments.rounds), flush=True)
    here = [sys.executable, __file__]
    if arguments.loading:
        load_smollm2()  # so that there is something kept
        command = [*here, "--loading", "--once"]
        runs = alternate(list(LOADERS), lambda side, _: [*command, side], arguments.rounds)
        seconds = {side: [run["seconds"] for run in rows] for side, rows in runs.items()}
        for side, label in LOADERS.items():
            line = f"{label:<28}{statistics.median(seconds[side]):>8.2f} s"
            ratio = paired_ratio(seconds["hf"], seconds[side])
            print(line if side == "hf" else f"{line}   hf : this {ratio}")
        return
    for precision in arguments.precisions:
        sides = [s for s in arguments.sides if (s, precision) != ("packed", "fp32")]
        options = ["--precisions", precision, "--tokens", arguments.tokens, "--once"]
        runs = alternate(sides, lambda side, _, o=options: [*here, *o, side], arguments.rounds)
        speeds = {side: [run["tokens_per_second"] for run in rows] for side, rows in runs.items()}
        rivals = [side for side in ("hf", "hf-static") if side in speeds]
        heads = "".join(f"{f'speed : {rival}':>20}" for rival in rivals)
        print(f"\n{precision}\n{'':<28}{'tokens/s':>10}{heads}")
        for side in sides:
            ratios = [str(paired_ratio(speeds[side], speeds[rival])) for rival in rivals]
            line = f"{statistics.median(speeds[side]):>10.1f}{''.join(f'{r:>20}' for r in ratios)}"
            print(f"{SIDES[side]:<28}{line}", flush=True)
        texts = [runs[side][0]["tokens"] for side in sides]
        shortest = min(map(len, texts))
        if precision == "fp32" and any(t[:shortest] != texts[0][:shortest] for t in texts):
            sys.exit("they write different texts")


if __name__ == "__main__":
    main()
