import json
import math
import os
import subprocess
import sys

import pytest

from course_lib import cli

COURSE = [sys.executable, "-m", "course_lib"]


def course(*arguments, **options):
    return subprocess.run(
        [*COURSE, *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )


def test_importing_the_package_is_light_and_loads_no_torch():
    for module in ("course_lib", "course_lib.cli"):
        code = f"import sys, {module}; print([m for m in ('torch', 'numpy') if m in sys.modules])"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"


def test_help_names_every_command():
    said = course("--help").stdout
    for command in (
        "data",
        "train",
        "generate",
        "check",
        "doctor",
        "refresh",
        "status",
        "book",
        "test",
    ):
        assert command in said


@pytest.fixture(scope="module")
def text_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("text") / "verse.txt"
    file.write_text("the cat sat on the mat and the dog sat on the log\n" * 200, "utf-8")
    return file


def test_train_ends_with_one_line_of_json(text_file):
    done = course("train", "kneser-ney", "--text", text_file, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["recipe"] == "kneser-ney"
    assert set(result) >= {
        "recipe",
        "parameters",
        "steps",
        "seconds",
        "val_loss",
        "val_loss_blocks",
        "bits_per_byte",
        "device",
    }
    assert 0 < result["val_loss"] < 0.1  # 200 times the same line
    assert result["device"] == "cpu"


@pytest.mark.parametrize("recipe", ["gpt", "lstm"])
def test_a_network_is_trained_kept_and_writes(recipe, text_file, tmp_path):
    train = ("train", recipe, "--text", text_file, "--steps", 2, "--out", tmp_path / "run")
    done = course(*train, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["recipe"], result["steps"]) == (recipe, 2)
    assert math.isfinite(result["val_loss"])

    written = course("generate", tmp_path / "run", "--prompt", "the cat", "--length", 5)
    assert written.returncode == 0, written.stderr
    assert len(written.stdout) == len("the cat") + 5 + len("\n")
    assert written.stdout.startswith("the cat")


def test_what_train_and_generate_cannot_do_is_one_line(tmp_path, text_file, monkeypatch, capsys):
    (tmp_path / "mine.txt").write_text("a user's own file")
    gpt = ("train", "gpt", "--text", text_file)
    for command, said in [
        ((*gpt, "--steps", 2, "--out", tmp_path), "holds other things"),
        ((*gpt, "--steps", 2, "--seconds", 3), "give only one"),
        (("generate", tmp_path), "holds no trained model"),
        (("train", "kneser-ney", "--text", text_file, "--steps", 5, "--seed", 0), "leave out"),
    ]:
        monkeypatch.setattr(sys, "argv", ["course", *map(str, command)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        printed = capsys.readouterr()
        assert (stop.value.code, printed.out) == (2, "")
        assert said in printed.err
        assert len(printed.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"too short", "at least 1,000"),
        (b"\xff\xfe\x00binary" * 500, "UTF-8"),
        (None, "there is no file"),
    ],
)
def test_a_text_that_cannot_be_used_gets_one_line_and_exit_code_2(tmp_path, content, said):
    file = tmp_path / "text.txt"
    if content is not None:
        file.write_bytes(content)
    done = course("train", "kneser-ney", "--text", file, "--json")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert said in done.stderr
    assert done.stdout == ""


def test_outside_a_clone_of_the_course_the_package_still_finds_its_own(tmp_path):
    done = course("status", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "01_language_models/1_counting" in done.stdout


def test_an_unknown_chapter_is_named_with_those_there_are():
    done = course("refresh", "--check", "42")
    assert done.returncode == 2
    assert "there is no chapter '42'; there are: 00_start_here, 01_language_models" in done.stderr


def test_a_console_without_unicode_still_gets_its_answer():
    done = course("doctor", env={**os.environ, "PYTHONIOENCODING": "cp1252"})
    assert "Traceback" not in done.stderr
    assert "Python" in done.stdout


def test_a_chat_model_answers_and_goes_on():
    said = course(
        *("generate", "--model", "smollm2", "--prompt", "What is the capital of France?"),
        *("--temperature", 0, "--length", 12),
    )
    assert said.returncode == 0, said.stderr
    assert "Paris" in said.stdout
    assert "What is" not in said.stdout  # the answer alone
    raw = ("--raw", "--prompt", "Once upon a", "--length", 3, "--top-p", 0.9, "--min-p", 0.05)
    assert course("generate", "--model", "smollm2", *raw).stdout.startswith("Once upon a ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name a folder of a trained model, or --model smollm2"),
        (("folder", "--model", "smollm2"), "name a folder of a trained model, or --model smollm2"),
        (("folder", "--raw"), "leave it out"),
    ],
)
def test_generate_wants_a_folder_or_a_model(arguments, message):
    done = course("generate", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_advice_names_the_setting_that_was_measured():
    said = course("advise", "--labels", 60, "--unlabelled", 5000)
    assert said.returncode == 0, said.stderr
    assert "has 50 labels and 5,500 sentences without labels" in said.stdout
    counting = course("advise", "--labels", 60, "--teacher", "naive-bayes")
    assert "teacher (naive Bayes) changed accuracy by" in counting.stdout
    quick = course("advise", "--labels", 60, "--latency", 1000).stdout
    assert "One sentence within 1000 ms, on the machine of the record:" in quick
    assert "3 thin layers" in quick
    refused = course("advise", "--labels", 0)
    assert refused.returncode == 2
    assert refused.stderr.startswith("course: give 1 label or more")
