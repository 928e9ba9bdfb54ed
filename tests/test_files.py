import os

import pytest

from course_lib.files import write_atomically


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    file = tmp_path / "results.json"
    write_atomically(file, "old")

    def full_disk(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_atomically(file, "new")
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["results.json"]


def test_text_is_written_as_utf8_and_folders_are_made(tmp_path):
    write_atomically(tmp_path / "a" / "b.txt", "语言模型")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "语言模型".encode()
