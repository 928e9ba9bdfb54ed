"""Where things are in a clone of the course: its root, its chapters, their notebooks."""

from pathlib import Path

from course_lib.errors import CourseError


def find_root(start: Path | None = None) -> Path:
    """The clone that `start` (default: where you are) lies in, else the one this package is in."""
    start = (start or Path.cwd()).resolve()
    for folder in [start, *start.parents, Path(__file__).resolve().parents[2]]:
        if (folder / "pyproject.toml").is_file() and (folder / "chapters").is_dir():
            return folder
    raise CourseError(
        "this is not a clone of the course (no pyproject.toml with a chapters folder beside it); "
        "change into the clone and run the command again"
    )


def chapters(root: Path, names: list[str] | None = None) -> list[Path]:
    """The chapters' folders in order; `names` may be whole ("01_language_models") or "01"."""
    folders = sorted(folder for folder in (root / "chapters").glob("[0-9]*_*") if folder.is_dir())
    if not names:
        return folders
    chosen = []
    for name in names:
        asked = Path(name).name
        found = [f for f in folders if f.name == asked or f.name.split("_")[0] == asked]
        if not found:
            have = ", ".join(folder.name for folder in folders)
            raise CourseError(f"there is no chapter {name!r}; there are: {have}")
        chosen += found
    return chosen


def notebooks(root: Path, names: list[str] | None = None) -> list[Path]:
    """The chapters' notebooks in reading order: lessons, exercises, solutions."""
    return [page for folder in chapters(root, names) for page in sorted(folder.glob("*.ipynb"))]
