"""The baselines learn which words decide, and choose their strength on validation."""

import pytest

from course_lib.training import text_baselines
from course_lib.training.text_baselines import naive_bayes, tfidf_regression

TEXTS = ["a good film", "a bad film", "good fun", "bad fun", "a film, good", "a film, bad"] * 4
LABELS = [1, 0] * 12


@pytest.mark.parametrize("baseline", [naive_bayes, tfidf_regression])
def test_a_word_decides(baseline):
    fitted = baseline(TEXTS, LABELS, TEXTS[:4], LABELS[:4])
    assert fitted.predict(["what a good day", "what a bad day"]).tolist() == [1, 0]


def test_the_strength_that_is_right_most_often_on_validation_is_kept(monkeypatch):
    seen = []

    class Recorded(text_baselines.MultinomialNB):
        def score(self, x, y, sample_weight=None):
            seen.append(self.alpha)
            return 1.0 if self.alpha == text_baselines.SMOOTHING[2] else 0.0

    monkeypatch.setattr(text_baselines, "MultinomialNB", Recorded)
    fitted = naive_bayes(TEXTS, LABELS, TEXTS[:2], LABELS[:2])
    assert seen == list(text_baselines.SMOOTHING)
    assert fitted[-1].alpha == text_baselines.SMOOTHING[2]
