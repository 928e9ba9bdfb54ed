import json
from pathlib import Path

import pytest

from course_lib.figures.ladder import Rung, ladder_svg, recorded_rungs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def clone(tmp_path):
    rungs = [Rung("uniform", "guess", 4.1, 5.9, 0.1, 0, 0.0).__dict__]
    rungs += [Rung("bigram", "counting", 2.5, 3.6, 0.5, 1200, 0.02).__dict__]
    folder = tmp_path / "chapters" / "01_x"
    folder.mkdir(parents=True)
    page = {"3_c": {"results": {"rungs": rungs}}}
    (folder / "results.json").write_text(json.dumps(page))
    return tmp_path


def test_every_recorded_rung_is_drawn(clone):
    assert [rung.name for rung in recorded_rungs(clone)] == ["uniform", "bigram"]
    svg = ladder_svg(clone)
    assert "<!-- bigram -->" in svg
    assert "<!-- 2.500 -->" in svg


def test_the_same_records_give_the_same_picture(clone):
    assert ladder_svg(clone) == ladder_svg(clone)


def test_the_books_ladder_is_drawn_from_the_books_records():
    assert (ROOT / "book" / "_static" / "ladder.svg").read_text("utf-8") == ladder_svg(ROOT)
