"""The table that shows an alignment."""

import numpy as np

from course_lib.figures.transformer import Alignment

WEIGHTS = np.array([[0.9, 0.1, 0.0], [0.25, 0.25, 0.5]])


def test_an_alignment_reads_as_text_without_its_colours():
    assert repr(Alignment(["he", "is"], ["他", "是", "。"], WEIGHTS)) == "he ← 他; is ← 。"


def test_an_alignment_is_a_table_with_headers_and_numbers():
    page = Alignment(["<he>", "is"], ["他", "是", "。"], WEIGHTS)._repr_html_()
    assert page.count('scope="col"') == 3
    assert page.count('scope="row"') == 2
    assert "&lt;he&gt;" in page
    assert [n for n in (".90", ".10", ".25", ".50") if n not in page] == []


def test_a_weight_of_one_is_written_so():
    assert ">1</td>" in Alignment(["a"], ["b"], np.array([[0.999]]))._repr_html_()
