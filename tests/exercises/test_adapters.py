"""Answers that are no plain functions are checked like any other: right, wrong and blank."""

import pytest
import torch
from hypothesis import strategies as st

from course_lib.exercises import adapters
from course_lib.exercises.checking import judge
from course_lib.exercises.exercise import Exercise

LETTERS = st.lists(st.sampled_from("abc"), min_size=1, max_size=6).map("".join)


def exercise(reference, adapter, inputs, mistakes, n_inputs=40, tolerance=1e-6):
    return Exercise(
        id="90.3",
        title="",
        objective="",
        points=1,
        minutes=1,
        difficulty=1,
        reference=reference,
        adapter=adapter,
        inputs=inputs,
        mistakes=mistakes,
        hints=(),
        n_inputs=n_inputs,
        tolerance=tolerance,
    )


# an encoder and its decoder


def run_lengths(text):
    runs = []
    for character in text:
        if runs and runs[-1][0] == character:
            runs[-1] = (character, runs[-1][1] + 1)
        else:
            runs.append((character, 1))
    return runs


def spelt_out(runs):
    return "".join(character * count for character, count in runs)


def each_once(runs):
    return "".join(character for character, _ in runs)


ROUND_TRIP = exercise(
    (run_lengths, spelt_out),
    adapters.round_trip,
    st.tuples(LETTERS),
    {(run_lengths, each_once): "Repeat each character."},
)


# a tokenizer


class Characters:
    def __init__(self, training_text, vocab_size):
        self.alphabet = sorted(set(training_text))[:vocab_size]

    def encode(self, text):
        return [self.alphabet.index(c) if c in self.alphabet else -1 for c in text]

    def decode(self, tokens):
        return "".join(self.alphabet[t] if t >= 0 else "?" for t in tokens)


class UnsortedCharacters(Characters):
    def __init__(self, training_text, vocab_size):
        self.alphabet = list(dict.fromkeys(training_text))[:vocab_size]


TOKENIZER = exercise(
    Characters,
    adapters.tokenizer,
    st.tuples(LETTERS, st.integers(1, 3), LETTERS),
    {UnsortedCharacters: "Sort the alphabet."},
)


# a module


class Affine(torch.nn.Module):
    sign = 1

    def __init__(self, d_in, d_out):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(d_out, d_in))
        self.bias = torch.nn.Parameter(torch.zeros(d_out))

    def forward(self, x):
        return x.float() @ self.weight.T + self.sign * self.bias


class SubtractsBias(Affine):
    sign = -1


class WithoutBias(Affine):
    def __init__(self, d_in, d_out):
        super().__init__(d_in, d_out)
        self.bias = 0


MODULE = exercise(
    Affine,
    adapters.module,
    st.tuples(
        st.just({"d_in": 2, "d_out": 3}),
        st.integers(0, 99),
        st.tuples(st.lists(st.lists(st.integers(-2, 2), min_size=2, max_size=2), min_size=1)),
    ),
    {SubtractsBias: "Add the bias."},
)


# a training step


def sgd_step(weights, inputs, targets):
    loss = ((inputs * weights["slope"] - targets) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        weights["slope"] -= 0.1 * weights["slope"].grad
    return loss


def climbs(weights, inputs, targets):
    loss = ((inputs * weights["slope"] - targets) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        weights["slope"] += 0.1 * weights["slope"].grad
    return loss


FOUR = st.lists(st.integers(-3, 3).map(float), min_size=4, max_size=4)
TRAINING = exercise(
    sgd_step,
    adapters.training_step,
    st.tuples(
        st.integers(0, 9),
        st.fixed_dictionaries({"slope": st.integers(-2, 2).map(float)}),
        st.tuples(FOUR, FOUR),
    ),
    {climbs: "Go against the gradient."},
)


# a decoding strategy


def greedy(next_token_probs, prompt, length):
    for _ in range(length):
        prompt = [*prompt, int(next_token_probs(prompt).argmax())]
    return prompt


def one_too_few(next_token_probs, prompt, length):
    return greedy(next_token_probs, prompt, length - 1)


TABLES = st.lists(
    st.lists(st.integers(1, 9), min_size=3, max_size=3, unique=True), min_size=3, max_size=3
)
DECODER = exercise(
    greedy,
    adapters.decoder,
    st.tuples(
        TABLES,
        st.lists(st.integers(0, 2), min_size=1, max_size=2),
        st.fixed_dictionaries({"length": st.integers(1, 4)}),
    ),
    {one_too_few: "One token is missing at the end."},
)


# repaired code


def mean(values):
    return sum(values) / len(values)


BROKEN = "def mean(values):\n    return sum(values) / (len(values) - 1)"
REPAIR = exercise(
    mean,
    adapters.repaired,
    st.tuples(st.lists(st.integers(0, 9), min_size=2, max_size=5)),
    {BROKEN: "This is the broken code."},
)

ALL = {
    "encoder and decoder": ROUND_TRIP,
    "tokenizer": TOKENIZER,
    "module": MODULE,
    "training step": TRAINING,
    "decoder": DECODER,
    "repaired code": REPAIR,
}


@pytest.mark.parametrize("kind", ALL)
def test_the_reference_is_right_and_the_known_mistake_is_named(kind):
    asked = ALL[kind]
    assert judge(asked, asked.reference).status == "correct"
    ((mistake, sentence),) = asked.mistakes.items()
    verdict = judge(asked, mistake)
    assert verdict.status == "wrong"
    assert sentence in verdict.message


def blank(*arguments, **options):
    raise NotImplementedError


@pytest.mark.parametrize("kind", ALL)
def test_a_blank_stub_of_any_kind_is_not_answered(kind):
    asked = ALL[kind]
    answer = (blank, blank) if isinstance(asked.reference, tuple) else blank
    assert judge(asked, answer).status == "not answered"


def test_a_module_whose_parameters_are_named_otherwise_is_wrong():
    assert judge(MODULE, WithoutBias).status == "wrong"


def test_repaired_code_may_be_handed_in_as_text():
    text = "import math\n\ndef helper(x):\n    return math.fsum(x)\n\n"
    answer = text + "def mean(values):\n    return helper(values) / len(values)"
    assert judge(REPAIR, answer).status == "correct"
