import numpy as np
import pytest
from hypothesis import strategies as st

from course_lib.exercises.exercise import Exercise
from course_lib.exercises.mutants import is_caught, mutants


def masked_mean(values, mask, axis):
    """Mean of the values where the mask is set."""
    total = 0.0
    for i in range(1, len(values) + 1):
        if mask[i - 1] and values[i - 1] > 0:
            total += values[i - 1]
    rows = np.array([values, values])
    return total / max(sum(mask), 1) - rows.sum(axis=1)[0] + axis


EXERCISE = Exercise(
    id="90.2",
    title="",
    objective="",
    points=1,
    minutes=1,
    difficulty=1,
    reference=masked_mean,
    inputs=st.tuples(
        st.lists(st.integers(-3, 3), min_size=3, max_size=3),
        st.lists(st.booleans(), min_size=3, max_size=3),
        st.integers(0, 1),
    ),
    mistakes={},
    hints=(),
)


@pytest.mark.parametrize(
    "change",
    [
        "for i in range(1, len(values) + 1): → for i in range(2, len(values) + 1):",  # off by one
        "for i in range(1, len(values) + 1): → for i in range(1, len(values)):",  # missing term
        "if mask[i - 1] and values[i - 1] > 0: → if mask[i - 1]:",  # dropped condition
        "if mask[i - 1] and values[i - 1] > 0: → if True:",
        "if mask[i - 1] and values[i - 1] > 0: → if mask[i - 1] and values[i - 1] >= 0:",
        "total += values[i - 1] → total -= values[i - 1]",  # sign
        "total += values[i - 1] → pass",
        "rows.sum(axis=1)[0] + axis → return total / max(sum(mask), 1) - rows.mean(axis=1)[0]",
        "rows.sum(axis=1)[0] + axis → return total / max(sum(mask), 1) - rows.sum(axis=0)[0]",
        "→ return total / min(sum(mask), 1)",  # wrong reduction
        "→ return max(sum(mask), 1) / total",  # swapped operands
    ],
)
def test_the_slips_people_make_are_among_the_mutants(change):
    assert any(change in mutant.change for mutant in mutants(EXERCISE))


def test_a_mutant_differs_from_its_reference_in_what_it_does():
    found = {mutant.change: mutant for mutant in mutants(EXERCISE)}
    (sign,) = (m for change, m in found.items() if "total -=" in change)
    assert is_caught(EXERCISE, sign)


def test_a_mutant_that_does_the_same_is_not_caught():
    (same,) = (m for m in mutants(EXERCISE) if "values[i - 1] >= 0" in m.change)
    assert not is_caught(EXERCISE, same)  # adding zero changes nothing
