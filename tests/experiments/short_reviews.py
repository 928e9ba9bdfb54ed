"""The first sentences of chapter 11's reviews, for slices of its experiments."""

from dataclasses import replace

from datasets import DatasetDict

from course_lib.data.tasks import rotten_tomatoes
from course_lib.distillation.reviews import Reviews, load_reviews


def first_reviews(n: int) -> tuple[Reviews, DatasetDict]:
    """The first `n` sentences of each split, as `load_reviews` and `rotten_tomatoes` have them."""
    reviews = load_reviews()
    few = replace(
        reviews,
        examples={s: e.take(range(n)) for s, e in reviews.examples.items()},
        trimmed_examples={s: e.take(range(n)) for s, e in reviews.trimmed_examples.items()},
    )
    rows = DatasetDict({s: rows.select(range(n)) for s, rows in rotten_tomatoes().items()})
    return few, rows
