"""The first cell of every notebook, and the one place where the repository's address lives.

The cell does nothing where course_lib is installed. On Colab it installs course_lib alone
(`--no-deps`) and the few packages that Colab lacks, never numpy, torch or transformers, whose
versions Colab has matched to its machines. The address is `[project.urls]` in pyproject.toml;
`set_repository` changes it there and stamps it into _config.yml and the setup cells.
"""

import re
from pathlib import Path

import nbformat

from course_lib.errors import CourseError
from course_lib.files import write_atomically
from course_lib.publishing.repository import notebooks

SETUP_TAG = "setup"
# The files that name the address, beside the setup cells; a test finds any other.
PLACES = ("pyproject.toml", "_config.yml", "README.md", "CITATION.cff", "book/how_to_use.md")

TEMPLATE = """\
# Setup: nothing to do where the course is installed; on Colab, this installs it.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("course_lib") is None:
    if "google.colab" not in sys.modules:
        raise ImportError("no course_lib here: run `make lab` in its folder")
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    course = "git+{url}"
    subprocess.run([*pip, "--no-deps", course], check=True)
    subprocess.run([*pip, "hypothesis", "jaxtyping", "sacrebleu"], check=True)
    print("course_lib is installed: run the cells below from the top.")"""


def repository_url(root: Path) -> str:
    """The address in pyproject.toml, the one that every other place is stamped from."""
    found = re.search(r'^Repository = "(.+)"$', (root / "pyproject.toml").read_text("utf-8"), re.M)
    if found is None:
        raise CourseError('pyproject.toml has no line `Repository = "…"` under [project.urls]')
    return found[1]


def setup_cell(root: Path) -> str:
    """The source of the setup cell."""
    return TEMPLATE.format(url=repository_url(root))


def stamp_setup_cells(root: Path, names: list[str] | None = None) -> list[Path]:
    """Write the setup cell into every notebook that has another one; returns those changed."""
    changed = []
    for page in notebooks(root, names):
        notebook = nbformat.read(page, as_version=4)
        cell = notebook.cells[first_code_cell(notebook, page)]
        if cell.source != setup_cell(root):
            cell.source = setup_cell(root)
            cell.outputs, cell.execution_count = [], None
            write_atomically(page, nbformat.writes(notebook) + "\n")
            changed.append(page)
    return changed


def first_code_cell(notebook: nbformat.NotebookNode, page: Path) -> int:
    """Index of the setup cell, which must be the first code cell and carry the tag `setup`."""
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            if SETUP_TAG not in cell.metadata.get("tags", []):
                break
            return i
    raise CourseError(f"{page.name}: the first code cell must carry the tag {SETUP_TAG!r}")


def set_repository(root: Path, url: str) -> list[Path]:
    """Make `url` the repository's address everywhere; returns the files changed."""
    url = url.removesuffix("/").removesuffix(".git")
    if not re.fullmatch(r"https://[\w.-]+(/[\w.-]+){2,}", url):
        raise CourseError(
            f"{url!r} is not a repository's address: give one such as https://github.com/you/course"
        )
    old, changed = repository_url(root), []
    clone = (f"cd {old.rpartition('/')[2]}\n", f"cd {url.rpartition('/')[2]}\n")
    for name in PLACES:
        file = root / name
        if file.exists():
            text = file.read_text("utf-8")
            new = re.sub(re.escape(old) + r"(?![\w-])", lambda _: url, text).replace(*clone)
            if new != text:
                write_atomically(file, new)
                changed.append(file)
    return changed + stamp_setup_cells(root)
