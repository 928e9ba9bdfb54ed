"""Heads for tasks on top of a `Bert`: a class for the whole input, or a stretch of it.

`BertForSequenceClassification` gives one vector a text to a linear layer;
`BertForQuestionAnswering` gives every token's vector to one, which says how well the answer may
start and end there.

Devlin et al. (2019), "BERT", sections 4.1 and 4.2, figure 4.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_lib.errors import CourseError
from course_lib.models.bert import Bert, BertConfig, Mask
from course_lib.models.folders import ModelInAFolder


@dataclass(frozen=True)
class ClassifierConfig:
    """The shape of a classifier. Raises CourseError for one that cannot be."""

    bert: BertConfig | Mapping  # or its fields, as they are read from a file
    n_classes: int = 2
    # How many vectors become one: their mean (as MiniLM was tuned), or the pooler's view of [CLS].
    pooling: Literal["mean", "cls"] = "mean"
    dropout: float | int = 0.1  # share of the pooled vector set to zero in training

    def __post_init__(self) -> None:
        if isinstance(self.bert, Mapping):  # read from a file
            object.__setattr__(self, "bert", BertConfig(**self.bert))
        if self.n_classes < 2:
            raise CourseError(
                f"{self.n_classes} class leaves nothing to tell apart; give 2 or more"
            )
        if self.pooling not in ("mean", "cls"):
            raise CourseError(f"pooling is {self.pooling!r}; choose mean or cls")
        if self.pooling == "cls" and not self.bert.pooler:
            raise CourseError("this Bert has no pooler to read [CLS] with; choose pooling='mean'")


def mean_pool(
    states: Float[Tensor, "batch tokens d_model"], attention_mask: Mask
) -> Float[Tensor, "batch d_model"]:
    """The mean of each text's vectors, padding left out."""
    weights = attention_mask.unsqueeze(-1).to(states.dtype)  # (batch, tokens, 1)
    return (states * weights).sum(1) / weights.sum(1)


class BertForSequenceClassification(nn.Module, ModelInAFolder):
    """A class for each text: W · dropout(pooled) + b on top of a `Bert`."""

    config_class = ClassifierConfig

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        self.bert = Bert(config.bert)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = new_head(config.bert, config.n_classes)

    @classmethod
    def on(
        cls,
        bert: Bert,
        n_classes: int = 2,
        pooling: Literal["mean", "cls"] = "mean",
        dropout: float | int = 0.1,
    ) -> "BertForSequenceClassification":
        """A new head on a copy of a `Bert`; torch's random numbers decide how the head starts."""
        model = cls(ClassifierConfig(bert.config, n_classes, pooling, dropout))
        model.bert.load_state_dict(bert.state_dict())
        return model

    def pooled(
        self,
        ids: Int[Tensor, "batch tokens"],
        segments: Int[Tensor, "batch tokens"] | None = None,
        attention_mask: Mask | None = None,
    ) -> Float[Tensor, "batch d_model"]:
        """One vector a text: what the head reads."""
        output = self.bert(ids, segments, attention_mask)
        if self.config.pooling == "cls":
            return output.pooler_output
        mask = torch.ones_like(ids) if attention_mask is None else attention_mask
        return mean_pool(output.last_hidden_state, mask)

    def forward(
        self,
        ids: Int[Tensor, "batch tokens"],
        segments: Int[Tensor, "batch tokens"] | None = None,
        attention_mask: Mask | None = None,
    ) -> Float[Tensor, "batch classes"]:
        """The logits of the classes."""
        return self.classifier(self.dropout(self.pooled(ids, segments, attention_mask)))


class BertForQuestionAnswering(nn.Module, ModelInAFolder):
    """Where in the input an answer may start, and where it may end: two numbers a token."""

    config_class = BertConfig

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.bert = Bert(config)
        self.qa_outputs = new_head(config, 2)

    @classmethod
    def on(cls, bert: Bert) -> "BertForQuestionAnswering":
        """A new head on a copy of a `Bert`."""
        model = cls(bert.config)
        model.bert.load_state_dict(bert.state_dict())
        return model

    def forward(
        self,
        ids: Int[Tensor, "batch tokens"],
        segments: Int[Tensor, "batch tokens"] | None = None,
        attention_mask: Mask | None = None,
    ) -> Float[Tensor, "batch 2 tokens"]:
        """The logits of the start (row 0) and of the end (row 1).

        The answer stands in the second text (where `segments` is 1), before its [SEP]: elsewhere
        the logits are −∞. Without `segments`, wherever there is no padding.
        """
        states = self.bert(ids, segments, attention_mask).last_hidden_state
        logits = self.qa_outputs(states).mT  # (batch, 2, tokens)
        mask = torch.ones_like(ids) if attention_mask is None else attention_mask
        allowed = mask.bool() if segments is None else segments.bool() & mask.bool()
        if segments is not None:  # the last token of the second text is its [SEP]
            allowed = allowed & (allowed.cumsum(1) < allowed.sum(1, keepdim=True))
        return logits.masked_fill(~allowed.unsqueeze(1), -torch.inf)


def new_head(config: BertConfig, n_outputs: int) -> nn.Linear:
    """A linear layer that starts as BERT's do."""
    head = nn.Linear(config.d_model, n_outputs)
    nn.init.normal_(head.weight, std=config.init_std)
    nn.init.zeros_(head.bias)
    return head
