import json
from pathlib import Path

import pytest

from course_lib.figures.ladder import Rung, ladder_svg, recorded_rungs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def clone(tmp_path):
    rungs = [Rung("uniform", "guess", 4.1, 5.9, 0.1, 0, 0.0).__dict__]
    from_bar = (0.85, 0.8, 0.9)
    rungs += [Rung("bigram", "counting", 2.5, 3.6, 0.5, 1200, 0.02, from_bar).__dict__]
    rungs += [Rung(f"{n}-gram", "counting", 2.5, 3.6, 0.5, 1, 0.02).__dict__ for n in (3, 4, 5)]
    folder = tmp_path / "chapters" / "01_x"
    folder.mkdir(parents=True)
    page = {"3_c": {"results": {"rungs": rungs}}}
    (folder / "results.json").write_text(json.dumps(page))
    return tmp_path


def test_every_recorded_rung_is_drawn(clone):
    assert [rung.name for rung in recorded_rungs(clone)] == [
        "uniform",
        "bigram",
        *(f"{n}-gram" for n in (3, 4, 5)),
    ]
    svg = ladder_svg(clone)
    assert "<!-- bigram -->" in svg
    for text in ("2.500", "+0.850 [+0.800, +0.900]", "0.5", "1,200", "0.0"):
        assert f"<!-- {text} -->" in svg


def test_the_same_records_give_the_same_picture(clone):
    assert ladder_svg(clone) == ladder_svg(clone)


def test_the_books_ladder_is_drawn_from_the_books_records():
    assert (ROOT / "book" / "_static" / "ladder.svg").read_text("utf-8") == ladder_svg(ROOT)
