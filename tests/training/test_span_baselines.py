import pytest

from course_lib.data.tasks import factbook_questions
from course_lib.training.span_baselines import (
    Frame,
    StatementReader,
    longest_number,
    similar_question,
    word_overlap,
)

CONTEXT = (
    "The capital is St. John's. The population is 98,179. Internet users are 77% of the people."
)


def row(question, answer):
    return {
        "question": question,
        "context": CONTEXT,
        "answer": answer,
        "start": CONTEXT.index(answer),
    }


TRAINING = [
    row("From which city is it governed?", "St. John's"),
    row("How many people live there?", "98,179"),
    row("How many in it are online?", "77%"),
]


@pytest.fixture(scope="module")
def reader():
    return StatementReader.of(TRAINING)


def test_contexts_are_cut_into_facts(reader):
    assert list(reader.facts(CONTEXT).values()) == ["St. John's", "98,179", "77%"]
    assert Frame("Internet users are ", " of the people.") in reader.frames


def test_every_answer_of_the_test_is_the_value_of_a_frame_from_training():
    questions = factbook_questions()
    reader = StatementReader.of(questions["train"])
    assert len(reader.frames) == 25
    for asked in questions["test"]:
        facts = reader.facts(asked["context"])
        assert len(facts) == 6
        assert facts[Frame.of(asked)] == asked["answer"]


def test_what_each_baseline_answers(reader):
    assert longest_number(TRAINING[0]) == "98,179"
    assert word_overlap(reader)(row("What is the population?", "98,179")) == "98,179"
    similar = similar_question(reader, TRAINING)
    assert similar(row("From which city is Malta governed?", "St. John's")) == "St. John's"
    assert similar(row("How many people live in Malta?", "98,179")) == "98,179"


def test_a_shortened_row_has_its_answer_among_fewer_facts(reader):
    short = reader.shortened(TRAINING[1], n_facts=2)
    end = short["start"] + len(short["answer"])
    assert short["context"][short["start"] : end] == "98,179"
    assert len(reader.facts(short["context"])) == 2
    assert reader.shortened(TRAINING[1], n_facts=3) == TRAINING[1]
