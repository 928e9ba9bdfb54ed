"""A quiz in a notebook that explains every choice, without a line of JavaScript.

Each choice is a `<details>` element: the reader opens it, by mouse or keyboard, and reads whether
it is right and why. So the quiz works wherever a notebook is shown: JupyterLab (trusted or not),
Colab, GitHub, the built book, offline, light and dark, with a screen reader, and as plain text.

    quiz([
        Question("Which model scores a text higher, one with perplexity 4 or one with 8?", [
            right("Perplexity 4", "It gives each character a probability of 1/4 on average."),
            wrong("Perplexity 8", "Perplexity falls as the probabilities rise: lower is better."),
        ]),
    ])

Texts may hold `code` between backticks and $formulas$ between dollars; all else is shown as
written. Formulas are typeset in the book and in JupyterLab; Colab and GitHub show them as TeX, so
prefer plain characters (log₂ 8, p(w | h)) where they will do.
"""

import hashlib
import html
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from course_lib.errors import CourseError


@dataclass(frozen=True)
class Choice:
    text: str  # what the reader may pick
    correct: bool
    explanation: str  # shown when it is picked, whether right or wrong


@dataclass(frozen=True)
class Question:
    prompt: str
    choices: Sequence[Choice]


def right(text: str, explanation: str) -> Choice:
    """A correct choice, and why it is."""
    return Choice(text, True, explanation)


def wrong(text: str, explanation: str) -> Choice:
    """A wrong choice, and the misunderstanding it comes from."""
    return Choice(text, False, explanation)


def quiz(questions: Sequence[Question]) -> "Quiz":
    """The quiz that a notebook shows when this is the last line of a cell.

    Raises CourseError for a quiz without questions, and for a question with fewer than two
    choices, with two equal choices, without a right choice, or with a choice left unexplained.
    """
    if not questions:
        raise CourseError("this quiz has no questions; give quiz() a list of Question")
    for question in questions:
        _refuse_unfair(question)
    return Quiz(tuple(questions))


def _refuse_unfair(question: Question) -> None:
    where = f"quiz question {question.prompt!r}"
    texts = [choice.text for choice in question.choices]
    if len(texts) < 2:
        raise CourseError(f"{where} offers {len(texts)} choice(s); give it at least two")
    if len(set(texts)) < len(texts):
        raise CourseError(f"{where} offers the same choice twice; drop one")
    if not any(choice.correct for choice in question.choices):
        raise CourseError(f"{where} has no right choice; mark one with right(…)")
    for choice in question.choices:
        if not choice.explanation.strip():
            raise CourseError(f"{where}: choice {choice.text!r} has no explanation; say why")


class Quiz:
    """Questions that show themselves as HTML where that is possible, else as plain text."""

    def __init__(self, questions: tuple[Question, ...]):
        self.questions = questions

    def _repr_html_(self) -> str:
        # An id made from the content: the same on every run, and different for another quiz.
        name = "quiz-" + hashlib.sha256(repr(self.questions).encode()).hexdigest()[:8]
        body = "\n".join(
            _question_html(question, number, f"{name}-{number}")
            for number, question in enumerate(self.questions, start=1)
        )
        return f'<div class="course-quiz" id="{name}">\n<style>{_STYLE}</style>\n{body}\n</div>'

    def __repr__(self) -> str:
        parts = []
        for number, question in enumerate(self.questions, start=1):
            parts.append(_wrapped(f"{number}. {question.prompt}", indent=3))
            for letter, choice in zip(_LETTERS, question.choices, strict=False):
                parts.append(_wrapped(f"   {letter}) {choice.text}", indent=6))
        parts.append("\nAnswers")
        for number, question in enumerate(self.questions, start=1):
            for letter, choice in zip(_LETTERS, question.choices, strict=False):
                answer = f"{number}{letter} {_verdict(choice)} {choice.explanation}"
                parts.append(_wrapped("   " + answer, indent=6))
        return "\n".join(parts)


_LETTERS = "abcdefghijklmnopqrstuvwxyz"

# Colours are taken from the page around it, so that light and dark need no rules of their own.
_STYLE = (
    ".course-quiz .question{margin:0 0 1.5em}"
    ".course-quiz .prompt{font-weight:600;margin:0 0 .5em}"
    ".course-quiz details{border:1px solid;border-radius:.4em;margin:.4em 0;padding:0 .8em}"
    ".course-quiz summary{cursor:pointer;padding:.5em 0}"
    ".course-quiz details p{border-top:1px dashed;margin:0;padding:.5em 0}"
)


def _question_html(question: Question, number: int, name: str) -> str:
    choices = "\n".join(
        f"<details><summary>{_inline(choice.text)}</summary>"
        f"<p><strong>{_verdict(choice)}</strong> {_inline(choice.explanation)}</p></details>"
        for choice in question.choices
    )
    return (
        f'<div class="question" role="group" aria-labelledby="{name}">\n'
        f'<p class="prompt" id="{name}">{number}. {_inline(question.prompt)}</p>\n'
        f"{choices}\n</div>"
    )


def _verdict(choice: Choice) -> str:
    return "✓ Right." if choice.correct else "✗ Not so."


def _wrapped(text: str, indent: int) -> str:
    return textwrap.fill(text, width=88, subsequent_indent=" " * indent)


_CODE_OR_MATH = re.compile(r"`(?P<code>[^`]+)`|\$(?P<math>[^$]+)\$")


def _inline(text: str) -> str:
    """`text` as HTML: escaped, with `code` and $math$ marked up."""
    pieces, end = [], 0
    for match in _CODE_OR_MATH.finditer(text):
        pieces.append(html.escape(text[end : match.start()]))
        if match["code"]:
            pieces.append(f"<code>{html.escape(match['code'])}</code>")
        else:
            # The classes let MathJax in: the book's tells it to leave all other text alone.
            formula = html.escape(match["math"])
            pieces.append(f'<span class="math notranslate nohighlight">\\({formula}\\)</span>')
        end = match.end()
    return "".join([*pieces, html.escape(text[end:])])
