"""The explorer of heads: every token can be chosen, and what it shows are the weights."""

import re

import numpy as np
from bs4 import BeautifulSoup

from course_lib.figures.heads import HeadExplorer

TOKENS = ["[CLS]", "<b>", "it"]
WEIGHTS = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.125, 0.875, 0.0]])


def page(explorer):
    return BeautifulSoup(explorer._repr_html_(), "html.parser")


def test_every_token_can_be_chosen_and_one_is():
    shown = page(HeadExplorer(TOKENS, {"one": WEIGHTS}, start=2))
    inputs, labels = shown.find_all("input"), shown.find_all("label")
    assert [i.has_attr("checked") for i in inputs] == [False, False, True]
    assert [label.text for label in labels] == TOKENS  # escaped, not markup
    assert [label["for"] for label in labels] == [f"{inputs[0]['name']}-{i}" for i in range(3)]


def test_a_panel_shows_the_weights_of_its_token_in_every_head():
    panels = page(HeadExplorer(TOKENS, {"one": WEIGHTS, "two": WEIGHTS.T})).select(".panel")
    shown = [[float(w.text) for w in panel.find_all("small")] for panel in panels]
    expected = [[*row, *column] for row, column in zip(WEIGHTS, WEIGHTS.T, strict=True)]
    np.testing.assert_allclose(shown, expected, atol=0.0051)


def test_the_same_weights_give_the_same_page_and_others_another_name():
    def name(weights):
        return re.search(r'id="(heads-\w+)"', HeadExplorer(TOKENS, {"one": weights})._repr_html_())

    assert name(WEIGHTS)[1] == name(WEIGHTS.copy())[1] != name(WEIGHTS.T)[1]


def test_as_text_it_says_where_the_chosen_token_looks_most():
    assert "one: <b> 0.88, [CLS] 0.12" in repr(HeadExplorer(TOKENS, {"one": WEIGHTS}, start=2))
