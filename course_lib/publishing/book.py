"""Build the HTML book from the notebooks as they stand: strict, clean, and without executing.

`build_book(root)` runs Jupyter Book with every warning an error (`-W -n --keep-going`), always
from an empty folder: after a failed strict build an incremental one would exit with 0. It needs
no torch, because the notebooks carry their outputs. Called by `course book`.
"""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from course_lib.errors import CourseError

# What an earlier build may have left below `_build`.
_LEFTOVERS = ("html", ".doctrees", "jupyter_execute")

_JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"  # the package has no __main__

# Jupyter Book's redirect from index.html has neither title nor language nor a link to follow.
_FRONT_DOOR = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Language Models, Distilled</title>
<meta http-equiv="refresh" content="0; url=book/index.html">
</head>
<body><main>
<h1>Language Models, Distilled</h1>
<p><a href="book/index.html">Open the book</a></p>
</main></body>
</html>
"""


def build_book(root: Path) -> Path:
    """Build the book of the repository at `root`; return the path of its `index.html`.

    Warnings are printed as Sphinx writes them. Raises CourseError when there is no book at
    `root`, when Jupyter Book is not installed, and when the build gave any warning or error.
    """
    root = Path(root).resolve()
    if not (root / "_toc.yml").is_file():
        raise CourseError(f"no book in {root}: run this in the folder that has _toc.yml")
    if importlib.util.find_spec("jupyter_book") is None:
        raise CourseError("Jupyter Book is not installed; run: pip install -e '.[book]'")
    build = root / "_build"
    for name in _LEFTOVERS:
        shutil.rmtree(build / name, ignore_errors=True)
    command = [sys.executable, "-c", _JUPYTER_BOOK, "build", "-W", "-n", "--keep-going", "-q"]
    # JB writes its closing remarks to stdout even when told to be quiet; warnings are on stderr.
    done = subprocess.run([*command, str(root)], stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise CourseError("the book has warnings (above), and each counts as an error; mend them")
    index = build / "html" / "index.html"
    index.write_text(_FRONT_DOOR, encoding="utf-8")
    return index
