"""Files: a path that a user typed, and writing so that a file is there whole or not at all."""

import os
import tempfile
from pathlib import Path

from course_lib.errors import CourseError


def expand(path: str | Path) -> Path:
    """A path as a user typed it, ~ and all; CourseError when there is no such home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise CourseError(f"{path}: there is no such home folder; write the whole path") from None


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write `content` (text as UTF-8) beside `path` first, then rename over it.

    A crash or a full disk leaves the old file as it was; no reader ever sees half a file.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, path.stat().st_mode if path.exists() else 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
