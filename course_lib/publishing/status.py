"""The status page: what each page of the book was made with, and whether it is still fresh."""

from pathlib import Path

from course_lib.files import write_atomically
from course_lib.publishing.freshness import STAMP, changes, read_notebook
from course_lib.publishing.records import overview
from course_lib.publishing.repository import notebooks

INTRODUCTION = """\
# Status

Every page with code was executed by `course refresh`, which stamps into it what its outputs depend
on. `course refresh --check` fails as soon as a page's code, the library behind it or a record that
it reads is no longer what it was; `make test` runs that check, and then runs every page again.
This page is written from the stamps.

"""

RECORDED = """
## Recorded experiments

What takes minutes to hours is run by `course experiment NAME`, which keeps one line for each run in
`experiments/`, stamped like a page. Pages draw these records and repeat a slice of them live. One
with 0 runs is written and tested on a slice, and still to be run.

"""


def rows(root: Path) -> list[dict[str, str]]:
    """One row a page: where it is, whether it is fresh, and the cost of running it."""
    found = []
    for page in notebooks(root):
        stamp = read_notebook(page).metadata.get(STAMP, {})
        machine = stamp.get("machine", {})
        found.append(
            {
                "page": f"{page.parent.name}/{page.stem}",
                "state": "; ".join(changes(page, root)) or "fresh",
                "seconds": f"{stamp['seconds']:.1f}" if "seconds" in stamp else "",
                "memory (MB)": str(stamp.get("peak_memory_mb") or ""),
                "made with": ", ".join(f"{k} {v}" for k, v in stamp.get("versions", {}).items()),
                "on": f"{machine.get('system', '')} {machine.get('architecture', '')}, "
                f"{machine.get('cores', '?')} cores",
            }
        )
    return found


def write_status_page(root: Path) -> Path:
    """Write book/status.md from the stamps; the state is left out, as the check holds it."""
    table = [{key: row[key] for key in row if key != "state"} for row in rows(root)]
    page = root / "book" / "status.md"
    recorded = markdown_table(overview(root))
    write_atomically(page, INTRODUCTION + markdown_table(table) + RECORDED + recorded)
    return page


def markdown_table(table: list[dict[str, str]]) -> str:
    """A Markdown table with the first row's keys as its head."""
    if not table:
        return ""
    lines = [list(table[0]), ["---"] * len(table[0]), *(list(row.values()) for row in table)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
