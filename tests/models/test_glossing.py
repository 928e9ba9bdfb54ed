"""Translation without a network: EM finds the words that go together."""

import math

import pytest

from course_lib.models.glossing import EMPTY, Glosses, NearestSentence

# The example of the paper's readers: nobody says which word is which, and EM finds it.
PAIRS = [
    (("das", "Haus"), ("the", "house")),
    (("das", "Buch"), ("the", "book")),
    (("ein", "Buch"), ("a", "book")),
]


def test_words_that_go_together_find_each_other():
    glosses = Glosses(PAIRS, rounds=30)
    assert glosses.translate(("ein", "Haus")) == ("a", "house")
    assert glosses.partners["Buch"]["book"] > 0.95


def test_one_round_is_the_paper_by_hand():
    glosses = Glosses([(("x",), ("a", "b")), (("x", "y"), ("a",))], rounds=1)
    # a beside x: 1/2 (with the empty word) and 1/3; b beside x: 1/2.
    assert glosses.partners["x"]["a"] == pytest.approx((1 / 2 + 1 / 3) / (1 / 2 + 1 / 3 + 1 / 2))


@pytest.mark.parametrize("rounds", [1, 5])
def test_the_probabilities_of_a_words_partners_sum_to_one(rounds):
    for partners in Glosses(PAIRS, rounds).partners.values():
        assert math.fsum(partners.values()) == pytest.approx(1)


def test_each_round_makes_the_pairs_likelier():
    def log_likelihood(glosses):
        return sum(
            math.log(sum(glosses.partners[f][e] for f in (EMPTY, *source)) / (len(source) + 1))
            for source, target in PAIRS
            for e in target
        )

    losses = [log_likelihood(Glosses(PAIRS, rounds)) for rounds in range(1, 6)]
    assert losses == sorted(losses)


def test_unknown_words_are_left_out_or_kept():
    glosses = Glosses(PAIRS)
    assert glosses.translate(("Katze", "Buch")) == ("book",)
    assert glosses.translate(("Katze", "Buch"), keep_unknown=True) == ("Katze", "book")


def test_a_sentence_without_words_does_no_harm():
    assert Glosses([*PAIRS, ((), ("the",)), (("das",), ())]).best("Buch") == "book"


def test_the_nearest_sentence_shares_the_rarest_words():
    pairs = [(("he", "is", "tall"), "A"), (("he", "is", "ill"), "B"), (("she", "ran"), "C")]
    nearest = NearestSentence(pairs)
    assert nearest.translate(("he", "was", "ill")) == "B"
    assert nearest.translate(("she", "is")) == "C"
    assert nearest.translate(("nobody",)) == "A"
