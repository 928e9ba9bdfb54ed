"""The quiz: it explains every choice, shows what was written, and refuses unfair questions."""

from html.parser import HTMLParser

import pytest

from course_lib.errors import CourseError
from course_lib.publishing.quiz import Question, quiz, right, wrong

VOID_ELEMENTS = {"br", "hr", "img", "input"}


def a_quiz(prompt="Is `p < q` when $a < b$?"):
    return quiz([Question(prompt, [right("yes", "as $a < b$ says"), wrong("no", "look again")])])


class OpenTags(HTMLParser):
    """Fails when a tag is closed that was not the last one opened; keeps those still open."""

    def __init__(self):
        super().__init__()
        self.stack, self.ids, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID_ELEMENTS:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text += data


def parsed(made):
    parser = OpenTags()
    parser.feed(made._repr_html_())
    return parser


def test_every_tag_is_closed_so_that_the_rest_of_the_page_stays_outside():
    assert parsed(a_quiz()).stack == []


def test_the_same_quiz_gives_the_same_bytes():
    assert a_quiz()._repr_html_() == a_quiz()._repr_html_()


def test_two_quizzes_on_a_page_share_no_id():
    ids = parsed(a_quiz()).ids + parsed(a_quiz("Another?")).ids
    assert len(ids) == len(set(ids)) == 4


def test_a_wrong_choice_opens_on_its_own_explanation():
    shown = a_quiz()._repr_html_()
    no = shown[shown.index("<summary>no</summary>") :]
    assert no[: no.index("</details>")].endswith("✗ Not so.</strong> look again</p>")


def test_what_looks_like_html_is_shown_and_never_run():
    shown = a_quiz("<script>alert('x')</script> & <b>")._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    assert "&amp; &lt;b&gt;" in shown


def test_code_and_formulas_are_marked_up_and_escaped():
    shown = a_quiz()._repr_html_()
    assert "<code>p &lt; q</code>" in shown
    assert r'<span class="math notranslate nohighlight">\(a &lt; b\)</span>' in shown


def test_it_needs_no_script_and_no_network_and_is_small():
    shown = a_quiz()._repr_html_()
    assert "<script" not in shown
    assert "http" not in shown
    assert len(shown) < 1500


def test_a_terminal_gets_the_questions_first_and_the_answers_after_all_of_them():
    shown = repr(quiz([*a_quiz("First?").questions, *a_quiz("Second?").questions]))
    assert shown.index("1. First?") < shown.index("2. Second?") < shown.index("Answers")
    assert "2b ✗ Not so. look again" in shown


@pytest.mark.parametrize(
    ("choices", "complaint"),
    [
        ([right("a", "so")], "at least two"),
        ([wrong("a", "no"), wrong("b", "no")], "no right choice"),
        ([right("a", "so"), wrong("a", "no")], "same choice twice"),
        ([right("a", "so"), wrong("b", " ")], "no explanation"),
        ([right("a", ""), wrong("b", "no")], "no explanation"),
    ],
)
def test_an_unfair_question_is_refused_in_one_line_that_says_why(choices, complaint):
    with pytest.raises(CourseError, match=complaint) as refused:
        quiz([Question("Which?", choices)])
    assert "\n" not in str(refused.value)


def test_a_quiz_without_questions_is_refused():
    with pytest.raises(CourseError, match="no questions"):
        quiz([])
