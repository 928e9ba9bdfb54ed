"""Vocabulary trimming: throw out the word pieces that a task never uses, and their vectors.

Half of MiniLM is its token table, and the text of one task uses a third of the rows. `trim` keeps
the pieces that occur in given texts, the special tokens, and every single character, so that what
could be spelt before can be spelt still:

    small = trim(minilm, texts)      # another PretrainedBert: model and tokenizer
    small.inputs(texts)              # other numbers, the same vectors

On those texts model and tokenizer do exactly what they did. In new text a piece that is gone is
written with shorter ones, whose vectors the model has, though it saw them there more rarely.

Abdaoui et al. (2020), "Load What You Need", trim multilingual models so.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Int

from course_lib.errors import CourseError
from course_lib.models.bert import Bert
from course_lib.models.bert_heads import BertForSequenceClassification, ClassifierConfig
from course_lib.models.pretrained_bert import PretrainedBert
from course_lib.tokenization.wordpiece import PREFIX, SPECIAL, WordPieceTokenizer


@dataclass(frozen=True)
class Trimming:
    """Which tokens stay: `kept[new]` is the old number of token `new`; the order is the old one."""

    tokenizer: WordPieceTokenizer  # of the tokens that stay
    kept: Int[np.ndarray, " new_vocab"]

    def bert(self, bert: Bert, context: int | None = None) -> Bert:
        """A copy of the model whose token table has the rows of the tokens that stay.

        With `context` also only so many positions: longer inputs are then refused.
        """
        config = bert.config
        smaller = Bert(
            replace(
                config,
                vocab_size=len(self.kept),
                context=min(context or config.context, config.context),
            )
        )
        state = bert.state_dict()
        state["embeddings.tokens.weight"] = state["embeddings.tokens.weight"][
            torch.from_numpy(self.kept)
        ]
        positions = state["embeddings.positions.weight"]
        state["embeddings.positions.weight"] = positions[: smaller.config.context]
        smaller.load_state_dict(state)
        return smaller.train(bert.training)

    def classifier(
        self, model: BertForSequenceClassification, context: int | None = None
    ) -> BertForSequenceClassification:
        """A copy of a classifier, its encoder trimmed."""
        bert = self.bert(model.bert, context)
        c = model.config
        smaller = BertForSequenceClassification(
            ClassifierConfig(bert.config, c.n_classes, c.pooling, c.dropout)
        )
        smaller.bert.load_state_dict(bert.state_dict())
        smaller.classifier.load_state_dict(model.classifier.state_dict())
        return smaller.train(model.training)

    def new_ids(self, old: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """The new numbers of old tokens that all stay. Raises CourseError for one that is gone."""
        new = np.searchsorted(self.kept, old)
        gone = (new == len(self.kept)) | (self.kept[np.minimum(new, len(self.kept) - 1)] != old)
        if gone.any():
            raise CourseError(
                f"token {int(np.asarray(old)[gone][0])} was trimmed away; encode the text anew "
                "with the trimmed tokenizer"
            )
        return new


def trimming(tokenizer: WordPieceTokenizer, texts: Iterable[str]) -> Trimming:
    """Keep the tokens that `texts` are made of, the special ones and all single characters."""
    used = {int(token) for text in texts for token in np.unique(tokenizer.encode(text))}
    needed = (
        i
        for i, token in enumerate(tokenizer.tokens)
        if token in SPECIAL or len(token.removeprefix(PREFIX)) == 1
    )
    kept = np.array(sorted(used.union(needed)), dtype=np.int64)
    tokens = tuple(tokenizer.tokens[i] for i in kept)
    return Trimming(WordPieceTokenizer(tokens, tokenizer.lowercase), kept)


def trim(
    pretrained: PretrainedBert, texts: Iterable[str], context: int | None = None
) -> PretrainedBert:
    """A pretrained encoder without the tokens (and positions) that the texts don't need."""
    kept = trimming(pretrained.tokenizer, texts)
    return PretrainedBert(kept.bert(pretrained.model, context), kept.tokenizer)
