"""nbval, as this course runs it: each notebook is a test that its stored outputs still hold."""

import os
import sys

CELL_TIMEOUT = 300  # seconds


def nbval_command(*arguments: str, cell_timeout: int = CELL_TIMEOUT) -> list[str]:
    """The command that runs nbval on the notebooks (and with the options) in `arguments`.

    Only cells tagged `nbval-check-output` are compared; any cell that raises fails.
    """
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env"]
    command += [f"--nbval-cell-timeout={cell_timeout}", "-p", "no:cacheprovider"]
    command += ["-p", "no:hypothesispytest"]  # takes 2 s to load, and a notebook needs none of it
    return [*command, *arguments]


def nbval_environment(**more: str) -> dict[str, str]:
    """The environment for it: claims are held strictly, a user's own pytest options stay out."""
    own = {key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"}
    return {**own, "COURSE_STRICT": "1", **more}
