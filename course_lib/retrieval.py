"""Finding a text by another: the rank of the right one, and what is reported of the ranks.

    ranks = ranks_of_the_right(vectors_of_queries, vectors_of_texts)  # query i is for text i
    recall_at(1, ranks), reciprocal_ranks(ranks).mean()

Manning, Raghavan & Schütze (2008), "Introduction to Information Retrieval", chapters 6 and 8.
"""

import numpy as np
from jaxtyping import Float, Int

from course_lib.errors import CourseError


def ranks_of_the_right(
    queries: Float[np.ndarray, "n d"], texts: Float[np.ndarray, "n d"]
) -> Int[np.ndarray, " n"]:
    """For each query i the rank of text i among all texts by cosine; 1 is the first.

    What is as similar as the right text counts as found before it, so that a model which finds all
    texts alike gets no credit. A vector of zeros is similar to nothing.
    """
    similarity = _of_length_one(queries) @ _of_length_one(texts).T  # (queries, texts)
    right = similarity.diagonal()[:, None]
    return (similarity >= right).sum(1)


def recall_at(k: int, ranks: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """1 for each query whose right text is among the first `k`, else 0.

    Raises CourseError for k below 1.
    """
    if k < 1:
        raise CourseError(f"the first {k} texts are none; give k = 1 or more")
    return (ranks <= k).astype(float)


def reciprocal_ranks(ranks: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """1 / rank for each query; their mean is the mean reciprocal rank, MRR."""
    return 1 / ranks


def chance(n_texts: int) -> tuple[float, float]:
    """Recall at 1 and mean reciprocal rank of a random order of `n_texts` texts."""
    return 1 / n_texts, float((1 / np.arange(1, n_texts + 1)).mean())


def _of_length_one(vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)
