"""Decoding: greedy is a beam of one, a wide beam finds the best; scores are sacrebleu's."""

import itertools

import pytest
import torch
from torch.testing import assert_close

from course_lib.models.encoder_decoder import END, START, EncoderDecoder, EncoderDecoderConfig
from course_lib.tokenization.characters import CharacterTokenizer
from course_lib.training.sentence_pairs import batch_of
from course_lib.translation import (
    Translator,
    beam_search,
    greedy,
    judge,
    length_penalty,
    to_text,
    to_tokens,
)

LETTERS = CharacterTokenizer("abcde")


@pytest.fixture(scope="module")
def translator():
    torch.manual_seed(3)
    config = EncoderDecoderConfig(8, 8, context=16, n_layers=1, n_heads=2, d_model=16)
    model = EncoderDecoder(config).eval()
    for parameter in model.parameters():
        parameter.data.mul_(1.5)
    return Translator(model, LETTERS, LETTERS)


def table(rows):
    """A language model that looks at the last token only."""
    log_probs = torch.tensor(rows).log()
    return lambda prefixes: log_probs[prefixes[:, -1]]


# After START token 3 is likeliest, but what follows it is unlikely; token 4 leads to a sure END.
GARDEN_PATH = table(
    [
        [0.0, 0.0, 0.0, 0.5, 0.5],
        [0.0, 0.0, 0.0, 0.6, 0.4],
        [0.0, 0.0, 1.0, 0.0, 0.0],
        [0.0, 0.0, 0.3, 0.35, 0.35],
        [0.0, 0.0, 1.0, 0.0, 0.0],
    ]
)


def test_a_beam_of_two_finds_what_greedy_misses():
    assert beam_search(GARDEN_PATH, beam=1, longest=5, alpha=0)[0].tokens[0] == 3
    best = beam_search(GARDEN_PATH, beam=2, longest=5, alpha=0)[0]
    assert best.tokens == [4]
    assert best.log_prob == pytest.approx(torch.tensor(0.4).log().item())


def test_a_wide_beam_finds_the_likeliest_of_all_sentences():
    torch.manual_seed(0)
    rows = torch.rand(5, 5)
    rows[:, :2] = 0
    rows = (rows / rows.sum(1, keepdim=True)).tolist()

    def log_prob(tokens):
        steps = itertools.pairwise([START, *tokens, END])
        return sum(torch.tensor(rows[a][b]).log().item() for a, b in steps)

    sentences = [s for n in range(4) for s in itertools.product((3, 4), repeat=n)]
    best = max(sentences, key=log_prob)
    found = beam_search(table(rows), beam=64, longest=4, alpha=0)
    assert found[0].tokens == list(best)
    assert found[0].log_prob == pytest.approx(log_prob(best), abs=1e-5)


def test_hypotheses_are_ranked_by_log_probability_over_the_length_penalty():
    found = beam_search(GARDEN_PATH, beam=4, longest=6, alpha=1.0)
    assert len(found) == 4
    for one in found:
        assert one.score == pytest.approx(one.log_prob / length_penalty(len(one.tokens) + 1, 1.0))
    assert [f.score for f in found] == sorted((f.score for f in found), reverse=True)


def test_alpha_prefers_longer_sentences():
    short_or_long = table(
        [[0.2] * 5, [0, 0, 0.5, 0.5, 0], [0.2] * 5, [0, 0, 0.9, 0.1, 0], [0.2] * 5]
    )
    assert beam_search(short_or_long, beam=4, longest=5, alpha=0)[0].tokens == []
    assert len(beam_search(short_or_long, beam=4, longest=5, alpha=3)[0].tokens) > 0


def test_a_beam_of_one_is_greedy(translator):
    for text in ("abc", "e", "ddddd", "abcdeabc"):
        source, _ = batch_of([(to_tokens(LETTERS, text), [])])
        [expected] = greedy(translator.model, source, 10)
        assert translator.search(text, beam=1, longest=10)[0][1].tokens == expected


def test_greedy_decoding_takes_the_likeliest_token_each_time(translator):
    source, _ = batch_of([(to_tokens(LETTERS, "abcd"), [])])
    [written] = greedy(translator.model, source, 10)
    target = [START]
    for token in written:
        logits = translator.model(source, torch.tensor([target]))
        assert logits[0, -1].argmax() == token
        target.append(token)


def test_sentences_are_translated_together_as_they_are_alone(translator):
    texts = ["abc", "e", "ddddd", "abcdeabc"]
    assert translator.translate(texts, 10) == [translator.translate([t], 10)[0] for t in texts]


def test_log_probabilities_are_those_of_the_model(translator):
    _, found = translator.search("abc", beam=3, longest=8)[0]
    source, target = batch_of([(to_tokens(LETTERS, "abc"), found.tokens)])
    log_probs = translator.model(source, target[:, :-1]).log_softmax(-1)
    total = log_probs[0].gather(-1, target[0, 1:, None])
    n = len(found.tokens) + (len(found.tokens) < 8)  # END was paid for, unless cut off
    assert_close(total[:n].sum().item(), found.log_prob, atol=1e-4, rtol=0)


def test_text_goes_to_tokens_and_back():
    assert to_tokens(LETTERS, "aec") == [3, 7, 5]
    assert to_text(LETTERS, [START, 3, 7, 5, END, 0]) == "aec"


def test_a_translation_equal_to_its_reference_scores_100():
    judgement = judge(["the cat sat on the mat"], ["the cat sat on the mat"])
    assert judgement.bleu == pytest.approx(100)
    assert judgement.chrf == judgement.sentence_chrf[0] == pytest.approx(100)


def test_chinese_is_judged_by_characters():
    assert judge(["我 爱 你 们"], ["我爱你们"], chinese=True).bleu == pytest.approx(100)
