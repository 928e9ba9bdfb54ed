"""The repository holds together: what its front pages promise is there, and nothing leaks."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from course_lib.cli import app
from course_lib.data.corpora import read_text_file
from course_lib.training.recipes import train_kneser_ney

ROOT = Path(__file__).resolve().parents[1]
FRONT_PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


def text_of(name):
    return (ROOT / name).read_text("utf-8")


PROJECT = tomllib.loads(text_of("pyproject.toml"))["project"]


# ------------------------------------------------------------------------------- the front pages


def code_lines(markdown):
    """Each line of the fenced blocks and each inline code, without trailing comments."""
    fence = re.compile(r"^```.*?\n(.*?)^```", re.M | re.S)
    lines = [line for block in fence.findall(markdown) for line in block.splitlines()]
    lines += re.findall(r"`([^`\n]+)`", fence.sub("", markdown))
    return [re.sub(r"(^|\s)#.*", "", line).strip() for line in lines]


def commands(program, pages=FRONT_PAGES):
    """The arguments of every use of `program`, whatever folder or variables stand before it."""
    found = set()
    for line in (line for page in pages for line in code_lines(text_of(page))):
        for command in line.split("&&"):
            words = re.findall(r'"[^"]*"|\S+', command)  # what stands in quotes is one argument
            name, *words = [w for w in words if not re.match(r"[A-Z_]+=", w)] or [""]
            if re.split(r"[/\\]", name)[-1] == program and words not in ([], ["…"]):
                found.add(tuple(words))
    return sorted(found)


@pytest.mark.parametrize("arguments", commands("course"), ids=" ".join)
def test_every_course_command_on_the_front_pages_is_accepted(arguments):
    command, words = typer.main.get_command(app), list(arguments)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands
        command = command.commands[words.pop(0)]
    if not hasattr(command, "commands"):
        command.make_context(command.name, words)  # parses; raises on what it does not know


@pytest.mark.parametrize("arguments", commands("make"), ids=" ".join)
def test_every_make_target_on_the_front_pages_exists(arguments):
    assert set(arguments) <= set(re.findall(r"^(\w+):", text_of("Makefile"), re.M))


def test_the_readme_names_the_commands_that_a_newcomer_needs():
    assert {("book",), ("test",), ("lab",)} <= set(commands("make", ["README.md"]))
    assert ("train", "kneser-ney", "--text", "FILE", "--json") in commands("course", ["README.md"])


def test_the_readme_explains_every_key_of_the_training_result(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("the cat sat on the mat\n" * 100, "utf-8")
    rows = re.findall(r"^\| (`.+?) \|", text_of("README.md"), re.M)
    explained = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    assert explained == set(train_kneser_ney(read_text_file(file)))


@pytest.mark.parametrize("page", FRONT_PAGES)
def test_every_local_link_and_picture_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)\s]+)\)", text_of(page))
    local = [link.split("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in local if not (ROOT / link).is_file()] == []


def test_the_picture_in_the_readme_says_what_it_shows():
    ((alt, target),) = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", text_of("README.md"))
    assert target == "book/_static/ladder.svg"
    assert len(alt.split()) > 10


# --------------------------------------------------------------------------- rights and citation


def test_the_citation_is_of_this_version_and_this_repository():
    citation = yaml.safe_load(text_of("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["repository-code"] == PROJECT["urls"]["Repository"]


def test_both_licences_are_there_in_full():
    assert text_of("LICENSE").startswith("BSD 3-Clause License")
    text = text_of("LICENSE-TEXT")
    assert "book/" in text.split("\n\n")[0]
    assert "chapters/" in text.split("\n\n")[0]
    assert all(f"Section {number} -- " in text for number in range(1, 9))


# --------------------------------------------------------------------------------- installations


def test_conda_takes_python_from_conda_forge_and_the_course_from_this_folder():
    environment = yaml.safe_load(text_of("environment.yml"))
    assert set(environment["channels"]) == {"conda-forge", "nodefaults"}
    *conda, last = environment["dependencies"]
    (version,) = [name.removeprefix("python=") for name in conda if name.startswith("python=")]
    assert version in SpecifierSet(PROJECT["requires-python"])
    assert last["pip"] == ["--constraint constraints.txt", "--editable .[lab]"]
    assert "lab" in PROJECT["optional-dependencies"]


def constraints():
    lines = (line.partition("#")[0].strip() for line in text_of("constraints.txt").splitlines())
    return [Requirement(line) for line in lines if line]


def test_constraints_pin_exact_public_versions():
    for pin in constraints():
        (specifier,) = pin.specifier
        assert specifier.operator == "==", pin
        assert Version(specifier.version).local is None, pin  # such as +cpu: not on every machine
        assert not pin.extras, pin


def test_constraints_pin_every_direct_dependency_within_its_range():
    pins = {canonicalize_name(pin.name): pin for pin in constraints()}
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    for wanted in {Requirement(line) for lines in lists for line in lines}:
        if (name := canonicalize_name(wanted.name)) == canonicalize_name(PROJECT["name"]):
            continue
        assert name in pins
        (specifier,) = pins[name].specifier
        assert specifier.version in wanted.specifier, f"{pins[name]} is outside {wanted}"


def test_commit_hooks_need_no_network():
    hooks = yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"]
    assert {repo["repo"] for repo in hooks} == {"local"}
    assert {hook["language"] for repo in hooks for hook in repo["hooks"]} == {"system"}


# ----------------------------------------------------------------------------------------- leaks


def texts():
    """(path, text) of every text file that is tracked, or would be with `git add .`."""
    git = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(git, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("not a git clone: no list of the repository's files")
    for name in filter(None, listed.split("\0")):
        if (file := ROOT / name).is_file() and b"\0" not in (content := file.read_bytes()):
            yield name, content.decode("utf-8")


@pytest.mark.parametrize(
    "leak",
    [
        pytest.param(r"(?<![\w.-])/(?:work|root|farm)/", id="a path of one machine"),
        pytest.param(r"\b(?:pypi|pythonhosted|npmjs|deb\.debian)\.org\b", id="a registry's host"),
        pytest.param(r"https?://(?!127\.|localhost)[^\s'\"]+/simple\b", id="a package index"),
    ],
)
def test_no_file_of_the_repository_names(leak):
    found = {name: hit[0] for name, text in texts() if (hit := re.search(leak, text))}
    assert found == {}
