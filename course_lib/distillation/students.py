"""Students: smaller classifiers, built from the parts of a larger one or from random numbers.

    student = copied_student(bert, layers=(0, 2, 4))     # half of the layers, as they are
    student = copied_student(bert, layers=(0, 2, 4), d_ff=512)     # a third of their neurons
    student = narrow_student(bert, n_layers=3, d_model=192)
    student = random_student(bert, n_layers=3)

All take a pretrained `Bert` and give a classifier with a new head and without a pooler, which the
mean of a text's vectors does not need. The seed decides what is random.
"""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from course_lib.errors import CourseError
from course_lib.models.bert import Bert
from course_lib.models.bert_heads import BertForSequenceClassification
from course_lib.models.transformer import MLP


def copied_student(
    bert: Bert,
    layers: tuple[int, ...],
    n_classes: int = 2,
    seed: int = 0,
    d_ff: int | None = None,
) -> BertForSequenceClassification:
    """The embeddings of `bert` and its layers at these places (from 0), one above the other.

    With `d_ff` each MLP keeps so many of its neurons, those of the largest weights.
    Sanh et al. (2019) take every other layer, Sun et al. (2019) the first ones. Raises CourseError
    for a layer or neurons that are not there.
    """
    have = len(bert.blocks)
    if not layers or not all(0 <= i < have for i in layers):
        raise CourseError(
            f"layers {layers} of a model that has {have}; choose some of 0 to {have - 1}"
        )
    config = bert.config
    student = Bert(replace(config, n_layers=len(layers), d_ff=d_ff or config.d_ff, pooler=False))
    student.embeddings.load_state_dict(bert.embeddings.state_dict())
    for block, i in zip(student.blocks, layers, strict=True):
        weights = bert.blocks[i].state_dict()
        if d_ff is not None:
            kept = strongest_neurons(bert.blocks[i].mlp, d_ff)
            for name in ("mlp.up.weight", "mlp.up.bias"):
                weights[name] = weights[name][kept]
            weights["mlp.down.weight"] = weights["mlp.down.weight"][:, kept]
        block.load_state_dict(weights)
    return with_new_head(student, seed, n_classes)


def strongest_neurons(mlp: MLP, n: int) -> Int[Tensor, " n"]:
    """The n neurons with the largest ‖weights in‖ · ‖weights out‖, in their old order.

    A neuron is a row of the first matrix and a column of the second: without both, the MLP is that
    much smaller and needs no mask. Raises CourseError when there are fewer.
    """
    strength = mlp.up.weight.norm(dim=1) * mlp.down.weight.norm(dim=0)
    if not 1 <= n <= len(strength):
        raise CourseError(f"an MLP of {len(strength)} neurons cannot keep {n}")
    return strength.topk(n).indices.sort().values


def random_student(
    bert: Bert, n_layers: int, n_classes: int = 2, seed: int = 0
) -> BertForSequenceClassification:
    """As wide as `bert`, with all weights random: what the same shape is worth by itself."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = Bert(replace(bert.config, n_layers=n_layers, pooler=False))
    return with_new_head(student, seed, n_classes)


def narrow_student(
    bert: Bert, n_layers: int, d_model: int, n_classes: int = 2, seed: int = 0
) -> BertForSequenceClassification:
    """With narrower vectors, as many heads, and MLPs narrower in proportion.

    Layers cannot be copied into another width and are random. The token table is carried over as
    well as so few numbers can: each token's vector on the directions in which the tokens of `bert`
    vary most (principal components), turned at random and scaled to a new model's size.

    Raises CourseError unless the heads divide the width.
    """
    config = bert.config
    d_ff = (config.d_ff or 4 * config.d_model) * d_model // config.d_model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = Bert(replace(config, n_layers=n_layers, d_model=d_model, d_ff=d_ff, pooler=False))
        table = principal_components(bert.embeddings.tokens.weight.detach(), d_model)
        turn = torch.linalg.qr(torch.randn(d_model, d_model)).Q
    with torch.no_grad():
        student.embeddings.tokens.weight.copy_(table @ turn * (config.init_std / table.std()))
    return with_new_head(student, seed, n_classes)


def principal_components(
    table: Float[Tensor, "rows wide"], width: int
) -> Float[Tensor, "rows width"]:
    """Each row's coordinates on the `width` directions along which the rows vary most.

    Raises CourseError when there are not so many.
    """
    if width > min(table.shape):
        raise CourseError(
            f"a table of {tuple(table.shape)} has no {width} directions; choose fewer"
        )
    centred = (table - table.mean(0)).double()
    _, directions = torch.linalg.eigh(centred.T @ centred)  # smallest first
    return (centred @ directions[:, -width:].flip(1)).to(table.dtype)


def with_new_head(bert: Bert, seed: int, n_classes: int = 2) -> BertForSequenceClassification:
    """A classifier on a copy of the encoder; the seed decides how its head starts."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BertForSequenceClassification.on(bert, n_classes)
