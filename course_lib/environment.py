"""The machine a notebook runs on: what is installed, what is missing, what to do about it.

`versions` and `machine` are stamped into every page, so that a reader whose numbers differ can see
what else differs. `doctor` is the first thing to run when something does not work.
"""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

# The packages whose version can move a number or a picture.
NUMERICAL = ("numpy", "torch", "matplotlib", "scikit-learn", "transformers", "tokenizers")


def versions() -> dict[str, str]:
    """Python's version and those of the installed packages that can move a number on a page."""
    found = {"python": platform.python_version()}
    for package in NUMERICAL:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str | int]:
    """What kind of machine this is, without naming it."""
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": available_cores(),
    }


def available_cores() -> int:
    """Cores this process may use, which in a container is fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def find_browser() -> str | None:
    """A Chromium-like browser for the page tests, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge")
    return next(filter(None, map(shutil.which, names)), None)


@dataclass(frozen=True)
class Finding:
    """One thing `doctor` looked at."""

    what: str
    ok: bool
    found: str
    mend: str = ""  # what to do where it is not ok


def doctor() -> list[Finding]:
    """Look at everything the course needs, and say how to mend what is missing."""
    from course_lib.data import parcels

    findings = [
        Finding(
            "Python",
            sys.version_info >= (3, 11),
            platform.python_version(),
            "install Python 3.11 or newer",
        )
    ]
    groups = {
        "notebooks": (("numpy", "matplotlib", "hypothesis", "jaxtyping"), "pip install -e ."),
        "JupyterLab": (("jupyterlab", "ipykernel", "nbval", "torch"), 'pip install -e ".[lab]"'),
        "book": (("jupyter_book", "jupytext"), 'pip install -e ".[book]"'),
        "tests": (("pytest", "beartype", "playwright", "ruff"), 'pip install -e ".[test]"'),
    }
    for what, (modules, mend) in groups.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        found = f"missing: {', '.join(missing)}" if missing else "installed"
        findings.append(Finding(what, not missing, found, f"{mend} -c constraints.txt"))
    browser = find_browser()
    findings.append(
        Finding(
            "browser for page tests",
            browser is not None,
            Path(browser).name if browser else "none",
            "install chromium (Debian/Ubuntu: apt-get install chromium)",
        )
    )
    for held in parcels.holdings():
        name = held.parcel.name
        findings.append(
            Finding(
                f"data: {name}", held.state == "present", held.state, f"course data fetch {name}"
            )
        )
    return findings
