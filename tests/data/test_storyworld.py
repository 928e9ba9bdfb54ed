"""The story world against brute force: a small grammar whose every story can be written out."""

import math
import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from course_lib.data.storyworld import (
    END,
    GRAMMAR,
    VERBS,
    StoryWorld,
    agreement_probes,
    inflect_noun,
    inflect_verb,
    story_world,
)
from course_lib.errors import CourseError

# Agreement in number and tense, a remembered word, nothing as a choice, and a silent choice (the
# owner) that two hints make likelier before it is told.
SMALL = {
    "story": "tense=tense owner=owner number=number animal=animal <some:number> {animal~number} "
    "<which> <act:animal> . <hint:owner> <hint:owner> it are~ the {owner} .",
    "tense": "past | present",
    "number": "one | many",
    "some": {"one": "the | a", "many": "the | two"},
    "animal": "dog | cat",
    "which": "_ | near the trees | that are~number hungry",
    "act": {"dog": "bark~number | sleep~number", "cat": "sleep~number | catch~number mice"},
    "owner": "baker | painter | baker",
    "hint": {"baker": "flour | paint", "painter": "paint | flour"},
}


def all_stories(grammar):
    """Probability of every story of a grammar, by writing out every derivation."""

    def write(symbols, memory):
        if not symbols:
            yield (END,), 1.0
            return
        symbol, rest = symbols[0], symbols[1:]
        if re.fullmatch(r"<.*>|.*=.*", symbol):
            name, _, reference = symbol.strip("<>").rpartition("=")
            rule, _, key = reference.partition(":")
            line = grammar[rule][memory[key]] if key else grammar[rule]
            bodies = [body.split() for body in line.replace("_", "").split("|")]
            for rank, body in enumerate(bodies, start=1):
                p = 1 / rank / sum(1 / r for r in range(1, len(bodies) + 1))
                after = (rest, {**memory, name: body[0]}) if name else ([*body, *rest], memory)
                for words, q in write(*after):
                    yield words, p * q
        else:
            word, _, number = symbol.strip("{}").partition("~")
            if symbol.startswith("{"):
                word = inflect_noun(memory[word], memory[number]) if number else memory[word]
            elif "~" in symbol:
                word = inflect_verb(word, memory.get(number, "one"), memory["tense"])
            for words, q in write(rest, memory):
                yield (word, *words), q

    stories = defaultdict(float)
    for words, p in write(["<story>"], {}):
        stories[words] += p
    return dict(stories)


@pytest.fixture(scope="module")
def small():
    return StoryWorld.from_grammar(SMALL)


@pytest.fixture(scope="module")
def written_out():
    return all_stories(SMALL)


@pytest.fixture(scope="module")
def world():
    return story_world()


@pytest.fixture(scope="module")
def sampled(world):
    return world.sample(3000, seed=1)


def ids(world, words):
    return np.array([world.vocabulary.index(word) for word in words], dtype=np.int64)


# Against brute force ------------------------------------------------------------------------------


def test_log_prob_is_that_of_all_derivations_together(small, written_out):
    for words, p in written_out.items():
        assert small.log_prob(ids(small, words)) == pytest.approx(math.log(p), abs=1e-12)
    assert sum(written_out.values()) == pytest.approx(1, abs=1e-12)


def test_next_token_distribution_is_that_of_the_stories_with_that_prefix(small, written_out):
    prefixes = defaultdict(lambda: np.zeros(small.vocab_size))
    for words, p in written_out.items():
        for n, word in enumerate(words):
            prefixes[words[:n]][small.vocabulary.index(word)] += p
    for prefix, weights in prefixes.items():
        exact = small.next_token_distribution(ids(small, prefix))
        np.testing.assert_allclose(exact, weights / weights.sum(), atol=1e-12)


def test_entropy_and_lengths_are_those_of_the_stories_written_out(small, written_out):
    probs = np.array(list(written_out.values()))
    lengths = np.array([len(words) for words in written_out])
    assert small.entropy_per_story == pytest.approx(-(probs * np.log(probs)).sum(), abs=1e-11)
    assert small.mean_length == pytest.approx(probs @ lengths, abs=1e-12)
    np.testing.assert_allclose(small.lengths, np.bincount(lengths, weights=probs), atol=1e-12)


@pytest.mark.parametrize("masked", [[0], [1], [4], [0, 1, 2], [1, 4, 6, 7], [5, 3]])
def test_masked_distributions_are_those_of_the_stories_that_fit_around_the_gaps(
    small, written_out, masked
):
    story = small.encode("two cats near the trees sleep. flour paint it is the baker.\n").tolist()
    expected = np.zeros((len(masked), small.vocab_size))
    for words, p in written_out.items():
        other = ids(small, words).tolist()
        fits = len(other) == len(story) and all(
            a == b for i, (a, b) in enumerate(zip(other, story, strict=True)) if i not in masked
        )
        for row, position in enumerate(masked if fits else []):
            expected[row, other[position]] += p
    exact = small.masked_distributions(np.array(story), masked)
    np.testing.assert_allclose(exact, expected / expected.sum(axis=1, keepdims=True), atol=1e-12)


def test_a_hint_moves_the_belief_about_a_silent_choice_as_bayes_says(small):
    prefix = small.encode("the cat slept. flour flour it was the")
    baker, painter = 8 / 11 * (2 / 3) ** 2, 3 / 11 * (1 / 3) ** 2
    exact = small.next_token_distribution(prefix)[small.vocabulary.index("baker")]
    assert exact == pytest.approx(baker / (baker + painter), abs=1e-12)


# The book's world ---------------------------------------------------------------------------------


def test_rows_sum_to_one_and_their_logs_sum_to_log_prob(world, sampled):
    for story in sampled[:50]:
        rows = world.next_token_distributions(story)
        np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-12)
        told = np.log(rows[np.arange(len(story)), story]).sum()
        assert world.log_prob(story) == pytest.approx(told, abs=1e-9)


def test_one_row_of_a_batch_is_the_distribution_of_its_prefix(world, sampled):
    text = np.concatenate(sampled[:2])
    rows = world.next_token_distributions(text)
    for n in range(len(text)):
        assert (rows[n] == world.next_token_distribution(text[:n])).all()


def test_entropy_is_the_mean_surprise_of_sampled_stories(world, sampled):
    surprise = -np.array([world.log_prob(story) for story in sampled])
    standard_error = surprise.std() / math.sqrt(len(surprise))
    assert abs(surprise.mean() - world.entropy_per_story) < 4 * standard_error


def test_sampled_lengths_follow_the_exact_distribution_of_lengths(world, sampled):
    lengths = np.array([len(story) for story in sampled])
    assert abs(lengths.mean() - world.mean_length) < 4 * lengths.std() / math.sqrt(len(lengths))
    assert world.lengths.sum() == pytest.approx(1, abs=1e-12)
    assert (world.lengths[lengths] > 0).all()


def test_the_first_two_words_are_sampled_as_often_as_their_probability_says(world):
    # Chi-square over "one day", "today ," … with 6 degrees of freedom: above 30 is p < 1e-4.
    n = 20000
    starts = Counter(tuple(story[:2].tolist()) for story in world.sample(n, seed=2))
    expected = {s: n * math.exp(world.log_prob(np.array(s))) for s in starts}
    assert sum(expected.values()) == pytest.approx(n)
    assert sum((starts[s] - expected[s]) ** 2 / expected[s] for s in starts) < 30


def test_the_same_seed_draws_the_same_stories(world, sampled):
    again = world.sample(3000, seed=1)
    assert all((a == b).all() for a, b in zip(sampled, again, strict=True))
    assert any(len(a) != len(b) for a, b in zip(sampled, world.sample(3000, seed=2), strict=True))


def test_every_word_of_the_grammar_can_be_said(world):
    lines = [
        line
        for rule in GRAMMAR.values()
        for line in (rule.values() if isinstance(rule, dict) else [rule])
    ]
    remembered = {"_", "|", "past", "present", "one", "many"}
    literal = {s for line in lines for s in line.split() if not re.search(r"[<{=~]", s)}
    assert literal - remembered <= set(world.vocabulary)
    assert len(world.vocabulary) >= 200


def test_every_verb_in_the_table_is_used(world):
    for forms in VERBS.split(","):
        assert set(forms.split()) & set(world.vocabulary), forms


def test_a_perfect_bigram_model_stays_far_above_the_entropy(world):
    # Its counts come from the very stories it is scored on, so its loss flatters it.
    text = np.concatenate([np.append(0, story) for story in world.sample(5000, seed=3)])
    pairs = Counter(zip(text[:-1].tolist(), text[1:].tolist(), strict=True))
    firsts = Counter(text[:-1].tolist())
    inside = {pair: n for pair, n in pairs.items() if pair != (0, 0)}
    loss = -sum(n * math.log(n / firsts[pair[0]]) for pair, n in inside.items())
    assert loss / sum(inside.values()) > 1.5 * world.entropy_per_token


def test_decode_is_readable_and_encode_is_its_inverse(world, sampled):
    text = world.decode(np.concatenate(sampled[:200]))
    assert (world.encode(text) == np.concatenate(sampled[:200])).all()
    assert text.count("\n") == 200
    assert not re.search(r" [.,!?”]|“ |[.] [a-z]|[a-z]“|^[a-z]", text, re.MULTILINE)


# Agreement ----------------------------------------------------------------------------------------


def test_agreement_holds_next_door_within_a_sentence_and_across_a_story(world):
    probes = agreement_probes(world, n_stories=150, seed=4)
    for probe in probes:
        row = world.next_token_distribution(probe.prefix)
        assert row[probe.right] > 0
        assert row[probe.wrong] == 0
        prefix = probe.prefix.copy()
        prefix[probe.cue] = probe.twin
        row = world.next_token_distribution(prefix)
        assert row[probe.wrong] > 0
        assert row[probe.right] == 0
    longest = dict.fromkeys(["neighbour", "sentence", "story"], 0)
    for probe in probes:
        longest[probe.reach] = max(longest[probe.reach], probe.distance)
    assert longest["neighbour"] == 1
    assert longest["sentence"] >= 4
    assert longest["story"] >= 50
    assert {p.kind for p in probes} == {"number", "pronoun", "name", "thing", "place"}


def test_changing_the_subject_from_plural_to_singular_turns_the_verb_round(world):
    beginning = "Today, Mia walks to the farm. There she finds a small bell. The {} near the trees"
    bark, barks = (world.encode(word)[0] for word in ("bark", "barks"))
    dogs = world.next_token_distribution(world.encode(beginning.format("dogs")))
    dog = world.next_token_distribution(world.encode(beginning.format("dog")))
    assert dogs[bark] == dog[barks] > 0
    assert dogs[barks] == dog[bark] == 0


def test_what_an_animal_does_depends_on_which_it_is(world):
    beginning = "Today, Mia walks to the market. There she finds a small ring. The {}"
    catches, barks = (world.encode(word)[0] for word in ("catches", "barks"))
    cat = world.next_token_distribution(world.encode(beginning.format("cat")))
    dog = world.next_token_distribution(world.encode(beginning.format("dog")))
    assert cat[catches] > 0.2
    assert dog[barks] > 0.2
    assert cat[barks] == dog[catches] == 0


def test_the_place_at_the_start_decides_the_weather_at_the_end(world):
    story = (
        "Yesterday, Tom walked to the {}. There he found a silver key. The hungry {}. "
        "The lost thing smelled of bread. Later he met the baker. Tom gave the key back. At night"
    )
    for place, scene, said, unsaid in [
        ("lake", "duck ate crumbs", "mist", "the"),
        ("forest", "bear ate honey", "the", "mist"),
    ]:
        row = world.next_token_distribution(world.encode(story.format(place, scene)))
        assert row[world.encode(said)[0]] > 0.3
        assert row[world.encode(unsaid)[0]] == 0


# Mistakes -----------------------------------------------------------------------------------------


def test_a_text_outside_the_language_is_told_where_it_left_it(world):
    with pytest.raises(CourseError, match=r"at token 3, 'walked', after “today , Mia”") as error:
        world.next_token_distribution(world.encode("Today, Mia walked to the lake"))
    assert "'walks'" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_word_an_impossible_id_and_a_gap_outside_are_named(world):
    with pytest.raises(CourseError, match="no word 'dragon'"):
        world.encode("One day a dragon")
    with pytest.raises(CourseError, match="token 0 is 9999"):
        world.log_prob(np.array([9999]))
    with pytest.raises(CourseError, match="position 7 is outside"):
        world.masked_distribution(world.encode("Today, Mia"), 7)


@pytest.mark.parametrize(
    ("grammar", "message"),
    [
        ({"story": "the dog <act>"}, "no rule 'act'"),
        ({"story": "<more>", "more": "on and <more> | on"}, "calls itself"),
        ({"story": "x=pet <act:x>", "pet": "dog | cat", "act": {"dog": "woof"}}, "x is 'cat'"),
    ],
)
def test_a_grammar_that_cannot_work_says_why(grammar, message):
    with pytest.raises(CourseError, match=message):
        StoryWorld.from_grammar(grammar)
