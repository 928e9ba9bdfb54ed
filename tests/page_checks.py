"""What must hold for every page of the built book; each check returns the complaints it has.

The first half reads HTML files; the second half drives a page in a real browser (Playwright).
`test_book.py` runs all of them on every page, and each on a page that is broken on purpose.
"""

import functools
import http.server
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup

from course_lib.environment import find_browser

MAX_OWN_BYTES = 1_500_000  # a page's own HTML, images and data; the theme's files come on top
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}

# ---------------------------------------------------------------- read from the files

_LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src",
          "audio": "src", "embed": "src", "object": "data", "link": "href"}  # fmt: skip
_LINKS_THAT_LOAD_NOTHING = {"next", "prev", "canonical", "search", "index", "author", "alternate"}


@functools.lru_cache(maxsize=64)
def soup(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


def built_pages(book: Path) -> list[Path]:
    """The pages a reader can open, `index.html` (which only sends them on) left out."""
    return sorted(
        page
        for page in book.rglob("*.html")
        if "_static" not in page.parts and page != book / "index.html"
    )


def loaded_resources(page: Path) -> list[str]:
    """The addresses of all that the page loads by itself: scripts, styles, fonts, images, data."""
    found = []
    for tag in soup(page).find_all(list(_LOADS)):
        if tag.name == "link" and _LINKS_THAT_LOAD_NOTHING & set(tag.get("rel", [])):
            continue
        if address := tag.get(_LOADS[tag.name]):
            found.append(address)
    for style in soup(page).find_all("style"):
        found += re.findall(r"url\(['\"]?([^'\")]+)", style.get_text())
    return found


def foreign_resources(page: Path) -> list[str]:
    """What the page would fetch from another machine."""
    return [url for url in loaded_resources(page) if re.match(r"(?:https?:)?//", url)]


def images_without_words(page: Path) -> list[str]:
    """The figures whose alternative text is missing, empty, or a file's name."""
    article = soup(page).find("article") or soup(page).find("main") or soup(page)
    return [
        f"{image.get('src', '')[:60]}: alt={image.get('alt')!r}"
        for image in article.find_all("img")
        if not _says_something(image.get("alt"))
    ]


def _says_something(alt: str | None) -> bool:
    looks_like_a_path = re.search(r"\.(png|svg|jpe?g|gif|webp)$|^[\w.-]*[/\\]", alt or "", re.I)
    return bool(alt) and not looks_like_a_path and len(alt.split()) >= 3


def broken_links(page: Path, book: Path) -> list[str]:
    """The links and resources within the book that lead nowhere, `#fragments` included."""
    addresses = [a["href"] for a in soup(page).find_all("a", href=True)]
    return [
        address
        for address in dict.fromkeys([*addresses, *loaded_resources(page)])
        if _leads_nowhere(address, page, book)
    ]


def _leads_nowhere(address: str, page: Path, book: Path) -> bool:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return False  # another site, or data:
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_file() or book.resolve() not in target.parents:
        return True
    if not parts.fragment or target.suffix != ".html":
        return False
    name = unquote(parts.fragment)
    return not soup(target).find(lambda tag: name in (tag.get("id"), tag.get("name")))


def own_bytes(page: Path) -> int:
    """The weight of the page's HTML and of the images and data it loads, without the theme."""
    files = {page}
    for address in loaded_resources(page):
        parts = urlsplit(address)
        target = (page.parent / unquote(parts.path)).resolve()
        if not parts.scheme and "_static" not in target.parts and target.is_file():
            files.add(target)
    shared = {"searchindex.js"}  # the search's index, one for the whole book
    return sum(file.stat().st_size for file in files if file.name not in shared)


def dead_launch_buttons(page: Path) -> list[str]:
    """The Colab links that do not lead to a notebook."""
    links = [a["href"] for a in soup(page).find_all("a", href=re.compile("colab.research"))]
    return [link for link in links if not link.endswith(".ipynb")]


# ---------------------------------------------------------------- seen in a browser


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve `folder` on this machine; gives the address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def launch_browser(playwright):
    """The system's Chromium or Chrome, else the one that `playwright install chromium` brought."""
    quiet = ["--no-sandbox", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--no-first-run", "--disable-dev-shm-usage"]  # fmt: skip
    return playwright.chromium.launch(executable_path=find_browser(), args=quiet)


class Visit:
    """One page, opened in its own tab with the network cut, with all that went wrong meanwhile."""

    def __init__(self, browser, url: str):
        self.troubles: list[str] = []
        self._context = browser.new_context(viewport=DESKTOP, color_scheme="light")
        self._context.route(lambda address: not _is_local(address), self._refuse)
        self.page = self._context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.troubles.append(f"script error: {error}"))
        self.page.on("requestfailed", lambda r: self.troubles.append(f"failed: {r.url[:120]}"))
        self.page.on("response", self._response)
        self.page.goto(url, wait_until="load")
        self.page.evaluate(_SETTLED)

    def _refuse(self, route) -> None:
        self.troubles.append(f"asks another machine: {route.request.url[:120]}")
        route.abort()

    def _console(self, message) -> None:
        if message.type == "error":
            self.troubles.append(f"console: {message.text[:200]}")

    def _response(self, response) -> None:
        if response.status >= 400:
            self.troubles.append(f"{response.status}: {response.url[:120]}")

    def close(self) -> None:
        self._context.close()


def _is_local(address: str) -> bool:
    return address.startswith(("http://127.0.0.1:", "file:", "data:", "blob:", "about:"))


# Until MathJax, where the page has it, has done its work, and the fonts it asked for are there.
_SETTLED = "async () => { await window.MathJax?.startup?.promise; await document.fonts.ready }"

_AXE_OPTIONS = {
    "resultTypes": ["violations"],
    "preload": False,  # it would wait for style sheets that are there
    # Off by default in axe-core, but what speech control needs: a button is called what it shows.
    "rules": {"label-content-name-mismatch": {"enabled": True}},
}
_AXE_COLOURS = {
    "resultTypes": ["violations"],
    "preload": False,
    "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
}

# All folds open; and of each kind of coloured word in code one, for its thousand likes take axe
# most of its time: the others become plain text of their block, which is looked at too.
_READY_FOR_AXE = """() => {
    document.querySelectorAll('details').forEach(d => { d.open = true });
    const kinds = new Set();
    for (const word of document.querySelectorAll('pre span')) {
        if (kinds.has(word.className)) word.replaceWith(...word.childNodes);
        kinds.add(word.className);
    }
}"""


def axe_violations(page, axe_script: str, only_colours: bool = False) -> list[str]:
    """axe-core's serious and critical complaints about the page as it now looks."""
    page.evaluate(_READY_FOR_AXE)
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(axe_script)
    options = json.dumps(_AXE_COLOURS if only_colours else _AXE_OPTIONS)
    found = page.evaluate(f"async () => (await axe.run(document, {options})).violations")
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:160]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def show_in(page, scheme: str) -> None:
    """Let the system ask for a "light" or "dark" page, and wait until the page has followed."""
    # Transitions of colour, and code that fades in as it unfolds, would show axe half-way tones.
    still = "{ transition: none !important; animation: none !important }"
    page.add_style_tag(content=f"*, *::before, *::after {still}")
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(f"() => document.documentElement.dataset.theme === '{scheme}'")
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def overflow_on_a_phone(page) -> int:
    """By how many pixels the page is wider than a phone's screen."""
    page.set_viewport_size(PHONE)
    wide = page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
    page.set_viewport_size(DESKTOP)
    return max(0, wide)


def untypeset_math(page) -> list[str]:
    """The formulas that still stand there as TeX, and any left-over dollar signs around one."""
    return page.evaluate(
        r"""() => {
            const bare = [...document.querySelectorAll('.math')]
                .filter(e => !e.querySelector('mjx-container') || e.querySelector('mjx-merror'))
                .map(e => e.textContent.trim().slice(0, 80));
            const article = document.querySelector('article') ?? document.body;
            const words = article.cloneNode(true);
            words.querySelectorAll('pre, code, style, script, .math, mjx-container')
                .forEach(e => e.remove());
            const prose = words.textContent
                .match(/\$\$[^]{0,40}|\\[([][^]{0,40}|\$[^$\n]*\\[a-z]+[^$\n]*\$/g) ?? [];
            return [...bare, ...prose];
        }"""
    )


def quiz_faults(page) -> list[str]:
    """Open every choice of every quiz as a reader does: each must then say what it is, and why."""
    faults = []
    for question in page.locator(".course-quiz .question").all():
        rights = 0
        for choice in question.locator("details").all():
            name = choice.locator("summary").inner_text()
            answer = choice.locator("p")
            if choice.evaluate("d => { const was = d.open; d.open = false; return was }"):
                faults.append(f"{name!r} is open before it is chosen")
            choice.locator("summary").focus()
            page.keyboard.press("Enter")
            said = answer.inner_text() if answer.is_visible() else ""
            verdict = re.match(r"(✓ Right\.|✗ Not so\.) +\S", said)
            if not verdict:
                faults.append(f"{name!r} answers {said[:60]!r}")
            rights += bool(verdict) and said.startswith("✓")
        if not rights:
            faults.append(f"no right choice under {question.locator('.prompt').inner_text()!r}")
    return faults


def search_results(page, address: str, words: str) -> list[str]:
    """Where the book's own search page sends a reader who looks for `words`."""
    page.goto(f"{address}/search.html?q={words}")
    page.wait_for_selector("#search-results li a", timeout=10_000)
    return [a.get_attribute("href") for a in page.locator("#search-results li a").all()]
