"""The built book, page by page: offline, legible, navigable, and light.

The book is built once a session (or, where COURSE_BOOK names a folder, taken from there). Each page
is opened twice, from a server and from the disk, always with the network cut. Every check of
`page_checks` is then shown a page that is broken on purpose, and must say so.

The checks in a browser need Chromium or Chrome. Without one they are skipped, loudly; where CI is
set to true they fail instead.
"""

import os
import shutil
import warnings
from pathlib import Path

import page_checks
import pytest
import yaml
from filelock import FileLock
from page_checks import Visit

from course_lib.errors import CourseError
from course_lib.publishing.book import build_book

ROOT = Path(__file__).resolve().parents[1]
HOW_TO_GET_A_BROWSER = (
    "the book's pages were NOT tested in a browser: install Chromium or Chrome (on Debian "
    "`apt install chromium`, elsewhere `playwright install chromium`) and run the tests again"
)


def _pages_in_contents(entry: dict | list) -> list[str]:
    """The documents that `_toc.yml` names, in its order."""
    if isinstance(entry, list):
        return [page for part in entry for page in _pages_in_contents(part)]
    own = [entry[key] for key in ("root", "file") if key in entry]
    below = [entry[key] for key in ("parts", "chapters", "sections") if key in entry]
    return own + [page for part in below for page in _pages_in_contents(part)]


CONTENTS = _pages_in_contents(yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8")))
PAGES = [f"{name}.html" for name in [*CONTENTS, "search"]]


@pytest.fixture(scope="session")
def book(tmp_path_factory) -> Path:
    """The folder of the built book; building it is itself the test that there is no warning."""
    if ready := os.environ.get("COURSE_BOOK"):
        return Path(ready).resolve()
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return build_book(ROOT).parent
    shared = tmp_path_factory.getbasetemp().parent  # of all workers; the first one builds
    with FileLock(shared / "book.lock"):
        place = shared / "book.txt"
        if not place.exists():
            place.write_text(str(build_book(ROOT).parent), "utf-8")
    return Path(place.read_text("utf-8"))


@pytest.fixture(scope="session")
def browser():
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        _no_browser("playwright is not installed")
    with sync_playwright() as playwright:
        try:
            started = page_checks.launch_browser(playwright)
        except Error as error:
            _no_browser(str(error).splitlines()[0])
        yield started
        started.close()


def _no_browser(why: str) -> None:
    reason = f"{HOW_TO_GET_A_BROWSER} ({why})"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    warnings.warn(reason, stacklevel=2)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def axe() -> str:
    from axe_playwright_python.base import AXE_SCRIPT

    return AXE_SCRIPT


@pytest.fixture(scope="session")
def server(book):
    with page_checks.served(book) as address:
        yield address


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in PAGES],
)
def page(request, book) -> Path:
    """Each page in turn; its tests run together, in one worker, and share its visit."""
    return book / request.param


@pytest.fixture(scope="module")
def visit(page, book, server, browser):
    opened = Visit(browser, f"{server}/{page.relative_to(book).as_posix()}")
    yield opened
    opened.close()


# ------------------------------------------------------------------------------ page by page


def test_the_page_loads_nothing_from_other_machines(page):
    assert page_checks.foreign_resources(page) == []


def test_every_figure_is_described_in_words(page):
    assert page_checks.images_without_words(page) == []


def test_every_link_within_the_book_leads_somewhere(page, book):
    assert page_checks.broken_links(page, book) == []


def test_only_notebooks_have_a_button_for_colab(page):
    assert page_checks.dead_launch_buttons(page) == []


def test_the_pages_own_weight_is_bounded(page):
    assert page_checks.own_bytes(page) <= page_checks.MAX_OWN_BYTES


def test_from_a_server_it_loads_without_a_complaint(visit):
    assert visit.troubles == []


def test_from_the_disk_it_loads_without_a_complaint(page, browser):
    from_disk = Visit(browser, page.as_uri())
    from_disk.close()
    assert from_disk.troubles == []


def test_every_formula_is_typeset(visit):
    assert page_checks.untypeset_math(visit.page) == []


def test_on_a_phone_the_page_is_no_wider_than_the_screen(visit):
    assert page_checks.overflow_on_a_phone(visit.page) == 0


def test_each_choice_of_a_quiz_says_whether_it_is_right_and_why(visit):
    assert page_checks.quiz_faults(visit.page) == []


def test_axe_finds_nothing_serious(visit, axe):
    page_checks.show_in(visit.page, "light")
    assert page_checks.axe_violations(visit.page, axe) == []


def test_axe_finds_nothing_serious_in_the_dark(visit, axe):
    page_checks.show_in(visit.page, "dark")  # what is not a colour has been looked at in the light
    assert page_checks.axe_violations(visit.page, axe, only_colours=True) == []


# ------------------------------------------------------------------------------ the book as one


def test_the_book_has_the_pages_of_its_contents_and_no_others(book):
    built = {page.relative_to(book).as_posix() for page in page_checks.built_pages(book)}
    assert built == set(PAGES)


def test_the_front_door_leads_to_the_landing_page(book, browser):
    tab = browser.new_page()
    tab.goto((book / "index.html").as_uri())
    tab.wait_for_url("**/book/index.html")
    tab.close()


@pytest.mark.parametrize("words", ["perplexity", "smoothing"])
def test_the_search_finds_the_chapter_that_explains_a_term(book, server, browser, words):
    visit = Visit(browser, f"{server}/search.html")
    found = page_checks.search_results(visit.page, server, words)
    visit.close()
    assert any("chapters/01_language_models" in link for link in found)


def test_the_search_works_from_the_disk(book, browser):
    visit = Visit(browser, (book / "search.html").as_uri())
    found = page_checks.search_results(visit.page, book.as_uri(), "perplexity")
    visit.close()
    assert found


# ------------------------------------------------------------------------------ the build


@pytest.fixture
def little_book(tmp_path):
    """A book of the given pages (name -> text), with this book's configuration."""
    shutil.copy(ROOT / "_config.yml", tmp_path)
    for part in ("_ext", "_static", "_templates"):
        shutil.copytree(ROOT / "book" / part, tmp_path / "book" / part)
    shutil.copy(ROOT / "book" / "references.bib", tmp_path / "book")

    def write(pages: dict[str, str]) -> Path:
        contents = {"format": "jb-book", "root": "book/index"}
        contents["chapters"] = [{"file": f"book/{name}"} for name in pages]
        (tmp_path / "_toc.yml").write_text(yaml.safe_dump(contents))
        for name, text in {"index": "Pages.", **pages}.items():
            page = tmp_path / "book" / f"{name}.md"
            page.write_text(f"# The page {name}\n\n{text}\n", encoding="utf-8")
        return tmp_path

    return write


FAULTS = {
    "link": "A [link](gone.md).",
    "term": "{term}`no such term`",
    "footnote": "A footnote[^gone].",
    "unlisted": "{footcite:t}`shannon1948`, on a page that does not end with its list.",
    "uncited": "{footcite:t}`nobody1900`\n\n```{footbibliography}\n```",
    "image": "![A figure of something](_static/gone.png)",
}


def test_each_fault_in_a_page_fails_the_build_until_it_is_mended(little_book, capfd):
    for _ in range(2):  # an incremental build would pass the second time
        with pytest.raises(CourseError, match="warnings"):
            build_book(little_book(FAULTS))
        said = capfd.readouterr().err
        assert [name for name in FAULTS if f"{name}.md" not in said] == []
    sound = "{footcite:t}`shannon1948` and `[^code]`\n\n```{footbibliography}\n```"
    assert build_book(little_book(dict.fromkeys(FAULTS, sound))).is_file()


def test_where_there_is_no_book_the_build_says_so(tmp_path):
    with pytest.raises(CourseError, match=r"_toc\.yml"):
        build_book(tmp_path)


# ------------------------------------------------------- each check, shown what it must find


@pytest.fixture
def broken(tmp_path):
    """Write a page with the given body; the rest of it is in order."""

    def write(body: str, name: str = "page.html", head: str = "") -> Path:
        page = tmp_path / name
        page.write_text(
            f'<!DOCTYPE html><html lang="en" data-theme="light"><head><title>A page</title>{head}'
            f"</head><body><main><h1>A page</h1><article>{body}</article></main></body></html>",
            encoding="utf-8",
        )
        page_checks.soup.cache_clear()
        return page

    return write


@pytest.mark.parametrize(
    "body",
    [
        '<script src="https://cdn.example.org/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example.org/a.css">',
        '<img alt="A figure of something" src="http://example.org/a.png">',
        "<style>@font-face { src: url('https://example.org/a.woff2') }</style>",
    ],
)
def test_a_resource_from_another_machine_is_found(broken, body):
    assert len(page_checks.foreign_resources(broken(body))) == 1


@pytest.mark.parametrize(
    "alt", ["", ' alt=""', ' alt="../_images/loss.png"', ' alt="abc123.svg"', ' alt="figure"']
)
def test_a_figure_without_words_is_found(broken, alt):
    assert len(page_checks.images_without_words(broken(f'<img src="a.png"{alt}>'))) == 1


def test_a_figure_with_words_is_left_alone(broken):
    page = broken('<img src="a.png" alt="Loss falls with the order, from 3.3 to 1.5 nats">')
    assert page_checks.images_without_words(page) == []


@pytest.mark.parametrize("href", ["gone.html", "#gone", "other.html#gone", "../outside.html"])
def test_a_link_that_leads_nowhere_is_found(broken, tmp_path, href):
    broken('<p id="here">here</p>', name="other.html")
    page = broken(f'<a href="{href}">x</a><a href="other.html#here">y</a>')
    assert page_checks.broken_links(page, tmp_path) == [href]


def test_a_colab_button_on_a_page_without_a_notebook_is_found(broken):
    page = broken('<a href="https://colab.research.google.com/github/a/b/blob/main/x.md">Colab</a>')
    assert len(page_checks.dead_launch_buttons(page)) == 1


def test_a_heavy_figure_counts_and_the_themes_files_do_not(broken, tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "theme.css").write_bytes(b" " * 5000)
    (tmp_path / "figure.png").write_bytes(b" " * 3000)
    page = broken('<img src="figure.png">', head='<link rel="stylesheet" href="_static/theme.css">')
    assert page_checks.own_bytes(page) == 3000 + page.stat().st_size


@pytest.mark.parametrize(
    ("body", "trouble"),
    [
        ("<script>console.error('x')</script>", "console: x"),
        ("<script>throw new Error('x')</script>", "script error: x"),
        ('<img src="https://example.org/a.png" alt="x">', "asks another machine"),
        ("<script>fetch('https://example.org/data.json')</script>", "asks another machine"),
        ('<img src="gone.png" alt="x">', "gone.png"),
    ],
)
def test_a_page_that_complains_or_calls_home_is_found(broken, browser, body, trouble):
    visit = Visit(browser, broken(body).as_uri())
    visit.close()
    assert any(trouble in found for found in visit.troubles)


def test_a_missing_file_is_found_behind_a_server_too(broken, browser, tmp_path):
    broken('<img src="gone.png" alt="x">')
    with page_checks.served(tmp_path) as address:
        visit = Visit(browser, f"{address}/page.html")
        visit.close()
    assert any("404" in trouble for trouble in visit.troubles)


@pytest.fixture
def seen(broken, browser):
    """Open a broken page, as a browser shows it."""
    visits = []

    def show(body: str, head: str = ""):
        visits.append(Visit(browser, broken(body, head=head).as_uri()))
        return visits[-1].page

    yield show
    for visit in visits:
        visit.close()


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ('<p style="color:#aaa;background:#fff">faint</p>', "color-contrast"),
        ("<button></button>", "button-name"),
        ('<button aria-label="Look">Search</button>', "label-content-name-mismatch"),
        ('<details><summary>x</summary><img src="data:,"></details>', "image-alt"),
    ],
)
def test_axe_is_heard(seen, axe, body, rule):
    assert any(said.startswith(rule) for said in page_checks.axe_violations(seen(body), axe))


def test_axe_looks_at_the_page_in_the_dark(seen, axe):
    head = (
        "<style>[data-theme=dark] p { color: #333; background: #222 }</style><script>"
        "const dark = matchMedia('(prefers-color-scheme: dark)');"
        "dark.onchange = () => document.documentElement.dataset.theme"
        " = dark.matches ? 'dark' : 'light'</script>"
    )
    page = seen("<p>words</p>", head=head)
    page_checks.show_in(page, "light")
    assert page_checks.axe_violations(page, axe) == []
    page_checks.show_in(page, "dark")
    found = page_checks.axe_violations(page, axe, only_colours=True)
    assert any("color-contrast" in said for said in found)


def test_axe_looks_at_each_kind_of_word_in_code(seen, axe):
    faint, plain = '<span class="s" style="color:#aaa">faint</span>', '<span class="k">plain</span>'
    page = seen(f'<pre style="background:#fff">{plain} {plain} {faint} {faint}</pre>')
    found = page_checks.axe_violations(page, axe)
    assert len([said for said in found if said.startswith("color-contrast")]) == 1


def test_a_page_that_is_too_wide_for_a_phone_is_found(seen):
    page = seen(
        '<div style="width:700px">x</div>',
        head='<meta name="viewport" content="width=device-width">',
    )
    assert page_checks.overflow_on_a_phone(page) > 100


@pytest.mark.parametrize(
    "body",
    [
        r'<span class="math">\(p(w)\)</span>',
        "<p>a formula $$x$$ left over</p>",
        r"<p>another $\frac{1}{2}$ left over</p>",
        '<span class="math"><mjx-container><mjx-merror>?</mjx-merror></mjx-container></span>',
    ],
)
def test_a_formula_left_as_tex_is_found(seen, body):
    assert page_checks.untypeset_math(seen(body)) != []


def test_dollars_that_are_money_or_code_are_left_alone(seen):
    page = seen("<p>It costs $5 or $6.</p><p><code>$HOME</code></p><pre>$$</pre>")
    assert page_checks.untypeset_math(page) == []


GOOD_CHOICE = "<details><summary>a</summary><p>✓ Right. So it is.</p></details>"


@pytest.mark.parametrize(
    ("choices", "fault"),
    [
        (f"{GOOD_CHOICE}<details><summary>b</summary><p></p></details>", "'b' answers ''"),
        (f"{GOOD_CHOICE}<details><summary>b</summary><p>✗ Not so.</p></details>", "'b' answers"),
        (GOOD_CHOICE.replace("<details>", "<details open>"), "open before it is chosen"),
        (GOOD_CHOICE.replace("✓ Right.", "✗ Not so."), "no right choice"),
        (GOOD_CHOICE.replace("<p>", "<p hidden>"), "'a' answers ''"),
    ],
)
def test_a_quiz_that_does_not_answer_is_found(seen, choices, fault):
    question = f'<div class="question"><p class="prompt">1. ?</p>{choices}</div>'
    page = seen(f'<div class="course-quiz">{question}</div>')
    assert any(fault in said for said in page_checks.quiz_faults(page))
