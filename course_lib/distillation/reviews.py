"""The setting of chapter 11: film reviews, MiniLM with all its word pieces and with those it needs.

    reviews = load_reviews()
    teacher = fine_tuned(reviews.whole.model, reviews.examples["train"], steps=346)

Trimmed and whole encoders cut the training text alike, so a student with a trimmed vocabulary can
learn from a teacher with a whole one; on new text they may differ, and each is scored on its own
tokens.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from course_lib.data.parcels import cache_dir
from course_lib.data.tasks import imdb, rotten_tomatoes
from course_lib.models.bert import Bert
from course_lib.models.bert_heads import BertForSequenceClassification
from course_lib.models.pretrained_bert import PretrainedBert, load_minilm
from course_lib.models.trimming import Trimming, trimming
from course_lib.tokenization.encoder_inputs import SpecialTokens
from course_lib.training.fine_tuning import Examples, Recipe, fine_tune
from course_lib.training.optimizers import fastest_matmul_dtype

CONTEXT = 64  # tokens that trimmed models can read; the sentences are shorter


@dataclass(frozen=True)
class Reviews:
    """Rotten Tomatoes, whole and trimmed."""

    whole: PretrainedBert
    trimmed: PretrainedBert
    trimming: Trimming
    examples: dict[str, Examples]  # by split, in the whole vocabulary
    trimmed_examples: dict[str, Examples]  # the same texts, in the trimmed one


@cache
def load_reviews() -> Reviews:
    """The sentences, cut in both vocabularies; trimmed for the training texts."""
    whole, sets = load_minilm(), rotten_tomatoes()
    kept = trimming(whole.tokenizer, sets["train"]["text"])
    trimmed = PretrainedBert(kept.bert(whole.model, CONTEXT), kept.tokenizer)
    return Reviews(
        whole,
        trimmed,
        kept,
        {split: Examples.of(rows, whole, CONTEXT) for split, rows in sets.items()},
        {split: Examples.of(rows, trimmed, CONTEXT) for split, rows in sets.items()},
    )


def imdb_beginnings(pretrained: PretrainedBert, split: str, n_tokens: int = CONTEXT) -> Examples:
    """The first tokens of whole reviews: another domain, and another length."""
    return Examples.of(imdb()[split], pretrained, n_tokens)


def unlabelled(texts: Sequence[str], pretrained: PretrainedBert) -> Examples:
    """Texts without labels (0 stands for all of them: they are never read)."""
    tokens = tuple(pretrained.tokenizer.encode(text)[: CONTEXT - 2] for text in texts)
    special = SpecialTokens.of(pretrained.tokenizer)
    return Examples(tokens, np.zeros(len(tokens), np.int64), special)


def fine_tuned(
    bert: Bert,
    examples: Examples,
    *,
    steps: int,
    recipe: Recipe | None = None,
    seed: int = 0,
    folder: Path | None = None,
) -> BertForSequenceClassification:
    """A teacher: what `fine_tune` makes of the encoder, as it is after the last step.

    Kept in the cache (or `folder`) under a digest of the encoder, the examples and the settings,
    and read from there the next time. Matrix products are in bfloat16 where that is faster.
    """
    recipe = recipe or Recipe(lr=5e-5)
    bf16 = in_bfloat16()
    said = [asdict(recipe), steps, bert.config.dropout, seed, bf16, examples.labels.tolist()]
    digest = hashlib.sha256(json.dumps(said).encode())
    for tokens in examples.tokens:
        digest.update(np.asarray([len(tokens), *tokens], np.int64))
    for tensor in bert.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy())
    place = (folder or cache_dir() / "teachers") / f"fine-tuned-{digest.hexdigest()[:32]}"
    if (place / "config.json").exists():
        return BertForSequenceClassification.load(place).eval()
    start = Bert(replace(bert.config, attention_dropout=0.0))  # its fast kernel has none
    start.load_state_dict(bert.state_dict())
    model, history = fine_tune(start, recipe, examples, steps=steps, seed=seed, bf16=bf16)
    if history.stopped == "interrupted":  # half a teacher must not be kept
        raise KeyboardInterrupt
    model.save(place)
    return model.eval()


def in_bfloat16() -> bool:
    """Whether matrix products are faster so on this machine."""
    return fastest_matmul_dtype() == "bfloat16"


def fast_products() -> torch.autocast:
    """A context in which models answer `in_bfloat16`."""
    return torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16())


def weights_digest(model: BertForSequenceClassification) -> str:
    """SHA-256 of all weights: which teacher it was."""
    digest = hashlib.sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy())
    return digest.hexdigest()
