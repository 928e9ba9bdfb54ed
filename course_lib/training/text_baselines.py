"""What counting words achieves at telling texts apart: the bar for every network that reads them.

Both baselines come from scikit-learn, with single words and pairs of words, and both choose the one
number they have by accuracy on the validation texts.
"""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Int
from numpy import ndarray
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import Pipeline, make_pipeline

Texts = Sequence[str]
Labels = Sequence[int] | Int[ndarray, " n"]

WORDS = {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b|[!?]"}
SMOOTHING = (0.1, 0.3, 1.0, 3.0)  # added to every count of naive Bayes
STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)  # C of logistic regression


def naive_bayes(texts: Texts, labels: Labels, val_texts: Texts, val_labels: Labels) -> Pipeline:
    """P(class) times the smoothed share of each word (once a text) in the class's texts."""
    makers = [
        make_pipeline(CountVectorizer(binary=True, **WORDS), MultinomialNB(alpha=alpha))
        for alpha in SMOOTHING
    ]
    return _best(makers, texts, labels, val_texts, val_labels)


def tfidf_regression(
    texts: Texts, labels: Labels, val_texts: Texts, val_labels: Labels
) -> Pipeline:
    """Logistic regression on counts of words, those that are in most texts weighed down."""
    makers = [
        make_pipeline(
            TfidfVectorizer(sublinear_tf=True, **WORDS), LogisticRegression(C=c, max_iter=1000)
        )
        for c in STRENGTHS
    ]
    return _best(makers, texts, labels, val_texts, val_labels)


def _best(makers: list[Pipeline], *data: Any) -> Pipeline:
    """The one that is right most often on the validation texts."""
    texts, labels, val_texts, val_labels = data
    fitted = [maker.fit(texts, labels) for maker in makers]
    return max(fitted, key=lambda pipeline: pipeline.score(val_texts, val_labels))
