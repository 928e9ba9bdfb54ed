import numpy as np
import pytest

from course_lib.errors import CourseError
from course_lib.retrieval import chance, ranks_of_the_right, recall_at, reciprocal_ranks


def test_ranks_by_hand():
    queries = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    texts = np.array([[3.0, 0.1], [1.0, 0.0], [1.0, 0.9]])
    ranks = ranks_of_the_right(queries, texts)
    assert ranks.tolist() == [2, 3, 1]  # of query 1 the right text is the least similar
    assert recall_at(1, ranks).tolist() == [0, 0, 1]
    assert recall_at(2, ranks).tolist() == [1, 0, 1]
    np.testing.assert_allclose(reciprocal_ranks(ranks), [1 / 2, 1 / 3, 1])


def test_finding_all_texts_alike_gets_no_credit():
    same = np.ones((4, 3))
    assert ranks_of_the_right(same, same).tolist() == [4] * 4
    assert ranks_of_the_right(np.zeros((4, 3)), same).tolist() == [4] * 4


def test_chance_is_the_mean_over_random_orders():
    random = np.random.default_rng(0)
    ranks = np.array([random.permutation(5)[0] + 1 for _ in range(4000)])
    recall, mrr = chance(5)
    assert recall == pytest.approx(recall_at(1, ranks).mean(), abs=0.02)
    assert mrr == pytest.approx(reciprocal_ranks(ranks).mean(), abs=0.02)


def test_the_first_none_are_refused():
    with pytest.raises(CourseError):
        recall_at(0, np.array([1]))
