import math
import math as m
import os.path

import numpy as np
import pytest

from course_lib.exercises.prohibited import prohibited_name


def by_attribute(x):
    return np.linalg.norm(x)


def by_import_inside(x):
    from numpy.linalg import norm as length

    return length(x)


def by_module_alias(x):
    return m.log(x)


def by_builtin(x):
    return sorted(x)


def by_dynamic_import(x):
    return __import__("numpy.linalg").norm(x)


def by_helper(x):
    return by_attribute(x)


class ByMethod:
    def __call__(self, x):
        return np.linalg.norm(x)


def of_the_exercises(x):
    from course_lib.exercises.ch01_language_models import add_k

    return add_k(x, 1.0)


def honest(x):
    return math.sqrt(np.sum(np.square(x))) + len(os.path.join("a", "b"))


@pytest.mark.parametrize(
    ("answer", "without", "name"),
    [
        (by_attribute, "numpy.linalg", "numpy.linalg.norm"),
        (by_import_inside, "numpy.linalg.norm", "numpy.linalg.norm"),
        (by_module_alias, "math.log", "math.log"),
        (by_builtin, "sorted", "sorted"),
        (by_dynamic_import, "numpy.linalg", "numpy.linalg"),
        (by_helper, "numpy.linalg", "numpy.linalg.norm"),
        (ByMethod, "numpy.linalg", "numpy.linalg.norm"),
        ("import torch\ndef f(x):\n    return torch.sum(x)", "torch", "torch"),
        (lambda x: np.linalg.norm(x), "numpy.linalg", "numpy.linalg.norm"),
    ],
)
def test_a_prohibited_name_is_found_however_it_is_reached(answer, without, name):
    assert prohibited_name(answer, (without,)) == name


def test_the_exercises_themselves_are_always_prohibited():
    assert prohibited_name(of_the_exercises, ()).startswith("course_lib.exercises.ch01")


def test_an_honest_answer_may_use_the_rest():
    assert prohibited_name(honest, ("numpy.linalg", "math.log", "sorted", "torch")) is None
