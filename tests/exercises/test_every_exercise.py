"""Proofs over every exercise of every chapter: right is right, blank is blank, wrong is named."""

import doctest
import itertools
import re
import sys

import pytest

from course_lib.exercises.checking import cases_of, judge
from course_lib.exercises.exercise import chapters, find, parts
from course_lib.exercises.mutants import is_caught, mutants
from course_lib.exercises.prohibited import prohibited_name
from course_lib.exercises.running import run, same_outcome
from course_lib.publishing.repository import find_root

EXERCISES = {exercise.id: exercise for chapter in chapters().values() for exercise in chapter}
MISTAKES = [
    pytest.param(exercise, mistake, id=f"{exercise.id}-{number}")
    for exercise in EXERCISES.values()
    for number, mistake in enumerate(exercise.mistakes)
]
every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)

ON_THE_LIMIT = "no run's loss is the limit itself, to the last bit"

# Mutants that do the same as their reference on every possible input, and why.
EQUIVALENT = {
    "em_step: share = came_from / came_from.sum(axis=1, keepdims=True) → "
    "share = came_from / came_from.sum(axis=-1, keepdims=True)": "two axes: the last is axis 1",
    "diagnose: if run.initial_loss() > math.log(run.vocab_size) + 0.5: → "
    "if run.initial_loss() >= math.log(run.vocab_size) + 0.5:": ON_THE_LIMIT,
    "diagnose: if fitted < floor: → if fitted <= floor:": ON_THE_LIMIT,
    "diagnose: return 'rate' if fitted > floor + 0.1 else 'nothing' → "
    "return 'rate' if fitted >= floor + 0.1 else 'nothing'": ON_THE_LIMIT,
    "nucleus: if total >= p: → if total > p:": "no sum of probabilities is p to the last bit",
    "penalise: result[token] = z[token] / theta if z[token] > 0 else z[token] * theta → "
    "result[token] = z[token] / theta if z[token] >= 0 else z[token] * theta": "0 / θ is 0 · θ",
    "beam: beams = [(0.0, [])] → beams = [(1.0, [])]": "all totals grow by the same number",
    "attend_after: return (weights / weights.sum(axis=1, keepdims=True) @ V, K, V) → "
    "return (weights / weights.sum(axis=-1, keepdims=True) @ V, K, V)": "two axes: the last is 1",
}


@every_exercise
def test_the_reference_answers_every_input_and_gets_all_points(exercise):
    cases = cases_of(exercise)
    assert len(cases) >= min(100, exercise.n_inputs)
    assert [case.expected.error for case in cases] == [None] * len(cases)
    verdict = judge(exercise, exercise.reference)
    assert (verdict.status, verdict.points) == ("correct", exercise.points)


def blank(*arguments, **options):
    raise NotImplementedError


@every_exercise
def test_a_blank_answer_gets_none(exercise):
    verdict = judge(exercise, (blank,) * len(parts(exercise.reference)))
    assert (verdict.status, verdict.points) == ("not answered", 0)


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES)
def test_a_known_mistake_is_caught_and_named_with_a_counter_example(exercise, mistake):
    verdict = judge(exercise, mistake)
    assert (verdict.status, verdict.points) == ("wrong", 0)
    assert exercise.mistakes[mistake] in verdict.message
    assert re.search(r": for \w+ = .* (you returned|your answer)", verdict.message)


@every_exercise
def test_mistakes_can_be_told_apart_on_the_generated_inputs(exercise):
    def outcomes(mistake):
        function = exercise.as_function(mistake)
        return [run(function, case.inputs) for case in cases_of(exercise)]

    for one, other in itertools.combinations(map(outcomes, exercise.mistakes), 2):
        pairs = zip(one, other, strict=True)
        assert not all(same_outcome(a, b, exercise.tolerance) for a, b in pairs)
    assert len(set(exercise.mistakes.values())) == len(exercise.mistakes)


@every_exercise
def test_at_least_95_percent_of_the_mutants_of_the_reference_are_caught(exercise):
    real = [mutant for mutant in mutants(exercise) if mutant.change not in EQUIVALENT]
    survivors = [mutant.change for mutant in real if not is_caught(exercise, mutant)]
    assert len(real) >= 5
    assert len(survivors) <= 0.05 * len(real), survivors


def test_no_mutant_is_excused_that_is_not_there():
    changes = {mutant.change for exercise in EXERCISES.values() for mutant in mutants(exercise)}
    assert EQUIVALENT.keys() <= changes


@every_exercise
def test_an_answer_that_imports_the_library_is_refused(exercise):
    for rule in exercise.without:
        source = f"def answer(*inputs):\n    import {rule}\n    return {rule}"
        assert prohibited_name(source, exercise.without) == rule
    module = sys.modules[parts(exercise.reference)[0].__module__].__name__
    copied = f"def answer(*inputs):\n    from {module} import EXERCISES\n    return EXERCISES"
    assert prohibited_name(copied, exercise.without) is not None


@every_exercise
def test_an_exercise_says_what_it_is_worth_and_helps_step_by_step(exercise):
    assert find(exercise.id) is exercise
    assert exercise.objective.startswith("You can ")
    assert 1 <= exercise.points <= 5
    assert 5 <= exercise.minutes <= 60
    assert exercise.difficulty in (1, 2, 3)
    assert len(exercise.hints) >= 2
    assert len(exercise.mistakes) >= 2
    assert all(sentence.endswith(".") for sentence in exercise.mistakes.values())


@pytest.mark.parametrize("chapter", chapters())
def test_a_chapter_numbers_its_exercises_and_knows_many_mistakes(chapter):
    exercises = chapters()[chapter]
    assert [e.id for e in exercises] == [f"{chapter}.{n + 1}" for n in range(len(exercises))]
    assert sum(len(exercise.mistakes) for exercise in exercises) >= 2 * len(exercises)
    assert any(not exercise.elective for exercise in exercises)


@pytest.mark.parametrize("chapter", chapters())
def test_the_chapters_page_says_how_long_its_exercises_take(chapter):
    (page,) = find_root().glob(f"chapters/{chapter}_*/index.md")
    said = re.search(r"^\| \[Exercises\].*\| (\d+) \|$", page.read_text("utf-8"), re.MULTILINE)
    assert abs(int(said[1]) - sum(e.minutes for e in chapters()[chapter])) <= 5


@pytest.mark.parametrize("chapter", chapters())
def test_the_examples_in_the_docstrings_are_true(chapter):
    module = sys.modules[parts(chapters()[chapter][0].reference)[0].__module__]
    attempted = doctest.testmod(module)
    assert attempted.failed == 0
    assert attempted.attempted >= len(chapters()[chapter])
