"""What a student can imitate inside its teacher: vectors, attention, and relations between values.

Four families and a part of one, each a loss (a formula of its paper) and a `Matching` that takes
what the loss needs out of the two models:

- `CosineMatching`: the last layer's vectors point the same way (Sanh et al. 2019, "DistilBERT")
- `PatientMatching`: the [CLS] vectors of layers in between (Sun et al. 2019, "BERT-PKD")
- `TinyBERTMatching`: embeddings, vectors and attention scores, layer by layer (Jiao et al. 2020)
- `HiddenMatching`: of these the vectors alone
- `MiniLMMatching`: where the last layer looks, and how its values relate (Wang et al. 2020, 2021)

Three of the papers (not PKD) use them to pretrain a student too, on much text; here they serve the
last stage alone, with the text of one task. Every loss takes the student first, is a mean over the
tokens that are no padding, and lets no gradient into the teacher. Layers are counted as in
`BertOutput.hidden_states`: 0 are the embeddings, m is what comes out of the m-th layer.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from course_lib.errors import CourseError
from course_lib.models.bert import Bert, BertConfig

TokenMask = Bool[Tensor, "batch tokens"]  # True where there is a token, not padding

# ---------------------------------------------------------------------------------------------
# Which layer learns from which
# ---------------------------------------------------------------------------------------------


def uniform_map(n_student: int, n_teacher: int) -> tuple[int, ...]:
    """For each layer of the student that of its teacher, evenly spread: 6 → 3 gives (2, 4, 6).

    Jiao et al. (2020), section 4.1: g(m) = m · N / M. Raises CourseError unless M divides N.
    """
    if n_teacher % n_student:
        raise CourseError(
            f"{n_student} layers do not divide {n_teacher}; write the layer map as a tuple"
        )
    return tuple(m * n_teacher // n_student for m in range(1, n_student + 1))


def skip_map(n_student: int, n_teacher: int) -> tuple[int, ...]:
    """The same without the last layer, which the logits teach: 6 → 3 gives (2, 4), 6 → 2 (3,).

    PKD-Skip, Sun et al. (2019), section 3.2.
    """
    return uniform_map(n_student, n_teacher)[:-1]


def last_map(n_student: int, n_teacher: int) -> tuple[int, ...]:
    """The teacher's layers just below its last: 6 → 3 gives (4, 5), 6 → 2 gives (5,).

    PKD-Last, Sun et al. (2019), section 3.2.
    """
    return tuple(range(n_teacher - n_student + 1, n_teacher))


# ---------------------------------------------------------------------------------------------
# The losses
# ---------------------------------------------------------------------------------------------


def cosine_loss(
    student: Float[Tensor, "batch tokens d_model"],
    teacher: Float[Tensor, "batch tokens d_model"],
    mask: TokenMask,
) -> Float[Tensor, ""]:
    """1 − cos(h_S, h_T), the mean over all tokens: the direction counts, the length does not.

    Sanh et al. (2019), section 3 (L_cos).
    """
    cosine = F.cosine_similarity(student.float(), teacher.detach().float(), dim=-1)
    return (1 - cosine)[mask].mean()


def patient_loss(
    student: Float[Tensor, "batch layers d_model"], teacher: Float[Tensor, "batch layers d_model"]
) -> Float[Tensor, ""]:
    """Σ_j ‖ h_S,j / ‖h_S,j‖ − h_T,j / ‖h_T,j‖ ‖²: a sum over layers j, a mean over the texts.

    `student` and `teacher` hold the vectors of [CLS] after the layers of the map.
    Sun et al. (2019), equation 7 (L_PT).
    """
    s, t = (F.normalize(h.float(), dim=-1) for h in (student, teacher.detach()))
    return (s - t).square().sum((1, 2)).mean()


def hidden_loss(
    student: Float[Tensor, "batch tokens d_student"],
    teacher: Float[Tensor, "batch tokens d_teacher"],
    mask: TokenMask,
    projection: nn.Module | None = None,
) -> Float[Tensor, ""]:
    """MSE(H_S W, H_T): squared differences, the mean over all tokens and the teacher's width.

    W, the `projection`, makes the student's vectors as wide as the teacher's and is learned with
    the student; None: they are as wide already. Jiao et al. (2020), equations 8 and 9 (L_hidn and,
    of the embeddings, L_embd).
    """
    projected = student if projection is None else projection(student)
    return (projected.float() - teacher.detach().float()).square()[mask].mean()


def attention_scores(
    query: Float[Tensor, "batch heads tokens d_head"],
    key: Float[Tensor, "batch heads tokens d_head"],
) -> Float[Tensor, "batch heads tokens tokens"]:
    """Q Kᵀ / √d_head, before the softmax. With values for both: how the values relate."""
    return query @ key.mT / math.sqrt(query.size(-1))


def attention_score_loss(
    student: Float[Tensor, "batch heads tokens tokens"],
    teacher: Float[Tensor, "batch teacher_heads tokens tokens"],
    mask: TokenMask,
) -> Float[Tensor, ""]:
    """MSE(A_S, A_T) of the scores before the softmax, over pairs of which neither is padding.

    Jiao et al. (2020), equation 7 (L_attn): the authors found the scores to teach better than the
    weights after the softmax. Raises CourseError where the numbers of heads differ.
    """
    _same_heads(student, teacher)
    pairs = mask.unsqueeze(1) & mask.unsqueeze(2)  # (batch, queries, keys)
    gaps = (student.float() - teacher.detach().float()).square().mean(1)  # over the heads
    return gaps[pairs].mean()


def relation_loss(
    student: Float[Tensor, "batch heads tokens tokens"],
    teacher: Float[Tensor, "batch teacher_heads tokens tokens"],
    mask: TokenMask,
) -> Float[Tensor, ""]:
    """KL(softmax(A_T) ‖ softmax(A_S)) of each row of scores, the mean over heads and tokens.

    With scores of queries and keys it compares where the heads look (L_AT), with scores of values
    and values how these relate (L_VR). Wang et al. (2020), equations 6 to 9; (2021), equation 4.

    Raises CourseError where the numbers of heads differ.
    """
    _same_heads(student, teacher)
    padding = ~mask[:, None, None]  # keys that nobody may look at
    log_s, log_t = (
        A.float().masked_fill(padding, -torch.inf).log_softmax(-1)
        for A in (student, teacher.detach())
    )
    nats = (log_t.exp() * (log_t - log_s).masked_fill(padding, 0.0)).sum(-1)
    return nats.mean(1)[mask].mean()  # over heads, then over queries that are no padding


def relation_heads(
    x: Float[Tensor, "batch heads tokens d_head"], n_relations: int
) -> Float[Tensor, "batch relations tokens d_relation"]:
    """All heads' vectors side by side, cut into `n_relations` parts instead: so a student needs not
    have its teacher's number of heads. Wang et al. (2021), section 3.1.

    Raises CourseError where the parts would be unequal.
    """
    joined = x.transpose(1, 2).flatten(2)  # (batch, tokens, heads · d_head)
    if joined.size(-1) % n_relations:
        raise CourseError(f"{n_relations} relation heads do not divide {joined.size(-1)} numbers")
    return joined.unflatten(-1, (n_relations, -1)).transpose(1, 2)


def _same_heads(student: Tensor, teacher: Tensor) -> None:
    if student.size(1) != teacher.size(1):
        raise CourseError(
            f"the student has {student.size(1)} heads and the teacher {teacher.size(1)}; give both "
            "as many, or compare relations over relation_heads(…)"
        )


# ---------------------------------------------------------------------------------------------
# What of the two models goes into them
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """What a `Bert` made of a batch, as far as it was kept."""

    bert: Bert
    states: Mapping[int, Float[Tensor, "batch tokens d_model"]]  # by layer; 0: the embeddings
    mask: TokenMask

    def queries_keys_values(self, layer: int) -> tuple[Tensor, Tensor, Tensor]:
        """What the heads of layer 1, 2, … ask, offer and say: each (batch, heads, tokens, d_head).

        Computed again from the states below the layer: a sixth to a quarter of the layer's work.
        """
        return self.bert.blocks[layer - 1].attention.queries_keys_values(self.states[layer - 1])


class Matching(nn.Module):
    """A loss between the inside of a student and that of its teacher.

    `teacher_layers` are the states of the teacher that it reads: what must be computed, or kept.
    What it learns itself (projections) is thrown away after training.
    """

    teacher_layers: tuple[int, ...]

    def forward(self, student: View, teacher: View) -> Float[Tensor, ""]:
        raise NotImplementedError


class CosineMatching(Matching):
    """The last layers' vectors. Both models must be of one width."""

    def __init__(self, student: BertConfig, teacher: BertConfig) -> None:
        super().__init__()
        _same_width(student, teacher)
        self.n_student, self.n_teacher = student.n_layers, teacher.n_layers
        self.teacher_layers = (teacher.n_layers,)

    def forward(self, student: View, teacher: View) -> Float[Tensor, ""]:
        h_s, h_t = student.states[self.n_student], teacher.states[self.n_teacher]
        return cosine_loss(h_s, h_t, student.mask)


class PatientMatching(Matching):
    """The [CLS] vectors of the student's layers 1, 2, … and those of the teacher's that the map
    names: `skip_map` or `last_map`. Both models must be of one width."""

    def __init__(
        self, student: BertConfig, teacher: BertConfig, layer_map: tuple[int, ...]
    ) -> None:
        super().__init__()
        _same_width(student, teacher)
        self.teacher_layers = layer_map

    def forward(self, student: View, teacher: View) -> Float[Tensor, ""]:
        ours = range(1, len(self.teacher_layers) + 1)
        h_s = torch.stack([student.states[j][:, 0] for j in ours], dim=1)
        h_t = torch.stack([teacher.states[j][:, 0] for j in self.teacher_layers], dim=1)
        return patient_loss(h_s, h_t)


class TinyBERTMatching(Matching):
    """L_embd + Σ_m (L_hidn + L_attn) over all layers m of the student, with `uniform_map`.

    A narrow student learns two projections on the way, W_h for all layers and W_e for the
    embeddings; one of the teacher's width needs none.
    """

    def __init__(self, student: BertConfig, teacher: BertConfig) -> None:
        super().__init__()
        self.layer_map = uniform_map(student.n_layers, teacher.n_layers)
        below = (g - 1 for g in self.layer_map)  # the attention of a layer reads what is below it
        self.teacher_layers = tuple(sorted({0, *self.layer_map, *below}))
        same = student.d_model == teacher.d_model
        widen = (student.d_model, teacher.d_model)
        self.W_h = None if same else nn.Linear(*widen, bias=False)
        self.W_e = None if same else nn.Linear(*widen, bias=False)

    def forward(self, student: View, teacher: View) -> Float[Tensor, ""]:
        mask = student.mask
        loss = hidden_loss(student.states[0], teacher.states[0], mask, self.W_e)
        for m, g in enumerate(self.layer_map, 1):
            loss = loss + hidden_loss(student.states[m], teacher.states[g], mask, self.W_h)
            q_s, k_s, _ = student.queries_keys_values(m)
            q_t, k_t, _ = teacher.queries_keys_values(g)
            A_s, A_t = attention_scores(q_s, k_s), attention_scores(q_t, k_t)
            loss = loss + attention_score_loss(A_s, A_t, mask)
        return loss


class HiddenMatching(Matching):
    """Σ_m L_hidn over all layers m of the student, with `uniform_map`: TinyBERT's without the
    embeddings and the attention. Both models must be of one width."""

    def __init__(self, student: BertConfig, teacher: BertConfig) -> None:
        super().__init__()
        _same_width(student, teacher)
        self.teacher_layers = uniform_map(student.n_layers, teacher.n_layers)

    def forward(self, student: View, teacher: View) -> Float[Tensor, ""]:
        losses = [
            hidden_loss(student.states[m], teacher.states[g], student.mask)
            for m, g in enumerate(self.teacher_layers, 1)
        ]
        return torch.stack(losses).sum()


class MiniLMMatching(Matching):
    """L_AT + L_VR of the last layers: where the heads look, and how their values relate.

    Widths may differ. With `n_relations` the vectors of all heads are cut into so many parts
    first, and queries with queries, keys with keys and values with values are compared instead
    (Wang et al. 2021): then the numbers of heads may differ too.
    """

    def __init__(
        self, student: BertConfig, teacher: BertConfig, n_relations: int | None = None
    ) -> None:
        super().__init__()
        self.n_student, self.n_teacher = student.n_layers, teacher.n_layers
        self.teacher_layers = (teacher.n_layers - 1,)
        self.n_relations = n_relations

    def forward(self, student: View, teacher: View) -> Float[Tensor, ""]:
        qkv_s = student.queries_keys_values(self.n_student)
        qkv_t = teacher.queries_keys_values(self.n_teacher)
        if self.n_relations is not None:
            qkv_s = [relation_heads(x, self.n_relations) for x in qkv_s]
            qkv_t = [relation_heads(x, self.n_relations) for x in qkv_t]
            pairs = [(0, 0), (1, 1), (2, 2)]  # Q–Q, K–K, V–V
        else:
            pairs = [(0, 1), (2, 2)]  # Q–K: attention itself; V–V
        terms = [
            relation_loss(
                attention_scores(qkv_s[i], qkv_s[j]),
                attention_scores(qkv_t[i], qkv_t[j]),
                student.mask,
            )
            for i, j in pairs
        ]
        return torch.stack(terms).sum()


def _same_width(student: BertConfig, teacher: BertConfig) -> None:
    if student.d_model != teacher.d_model:
        raise CourseError(
            f"vectors of {student.d_model} and {teacher.d_model} numbers cannot be compared as "
            "they are; use TinyBERTMatching, which learns a projection, or MiniLMMatching"
        )
