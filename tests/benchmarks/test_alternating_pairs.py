import sys

import pytest
from pairs import alternate, conditions, paired_ratio

from course_lib.publishing.suite import run_benchmarks


def python(code):
    return [sys.executable, "-c", code]


def test_every_round_runs_each_side_once_and_the_order_turns(tmp_path):
    diary = tmp_path / "diary"

    def command(side, i):
        return python(f"open({str(diary)!r}, 'a').write('{side}'); print('noise'); print('[{i}]')")

    assert alternate("ABC", command, rounds=3) == {side: [[0], [1], [2]] for side in "ABC"}
    assert diary.read_text() == "ABC" + "CBA" + "ABC"


def test_a_ratio_is_that_within_the_rounds():
    ratio = paired_ratio([2.0, 30.0, 8.0], [1.0, 10.0, 2.0])
    assert (ratio.median, ratio.lowest, ratio.highest) == (3.0, 2.0, 4.0)
    assert str(ratio) == "3.00 (2.00–4.00)"


def test_sides_with_different_numbers_of_rounds_have_no_ratio():
    with pytest.raises(ValueError, match="zip"):
        paired_ratio([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; sys.exit('no such text')", "slow failed with exit code 1 .*: no such text"),
        ("print('seconds: 3')", "slow printed no line of JSON"),
        ("pass", "slow printed no line of JSON"),
    ],
)
def test_a_run_that_fails_says_which_and_how_to_see_more(code, said):
    with pytest.raises(SystemExit, match=said) as error:
        alternate(["slow"], lambda side, i: python(code), rounds=1)
    assert "to see more: " in str(error.value)


def test_no_rounds_are_an_error():
    with pytest.raises(SystemExit, match="0 rounds"):
        alternate(["A", "B"], lambda side, i: python("1 / 0"), rounds=0)


def test_conditions_tell_the_machine_and_the_versions():
    assert "python 3." in conditions(5)
    assert " cores" in conditions(5)


def test_bench_runs_the_scripts_and_not_what_they_share(tmp_path, capfd):
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    for name, code in {"pairs": "1 / 0", "a": "print('ran')", "b": "exit('down')"}.items():
        (folder / f"{name}.py").write_text(code)
    assert run_benchmarks(tmp_path) == 1
    assert capfd.readouterr().out.count("ran") == 1
