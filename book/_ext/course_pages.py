"""Mend, at build time, what the theme and its companions get wrong on every page of the book.

1. The theme loads thebe (live code through Binder), which we do not use: its inline script is
   written twice, so that each page logs "Identifier 'THEBE_JS_URL' has already been declared",
   and it names a CDN. We drop thebe's scripts and styles from each page.
2. A launch button on a page that is no notebook leads to a Colab page that cannot open: we keep
   launch buttons on `.ipynb` pages only.
3. A screen reader hears no name for the arrows that unfold a chapter in the sidebar, and for
   folded code another name than the one that is shown: we give both the right one.
4. MyST calls every `{footcite:p}` a footnote without a definition, so `_config.yml` silences that
   warning; the same mistake made in earnest (`[^typo]`, or citations on a page that has no
   `{footbibliography}`) is found here instead.

5. A printed sentence that is wider than the page (a claim, mostly) would run out of sight: outputs
   without columns get the class `sentences`, and course.css wraps them.

Two more, of the first kind, are templates: see `book/_templates`.
"""

from __future__ import annotations

import re
from functools import wraps
from typing import Any

from docutils import nodes
from sphinx.util import logging

logger = logging.getLogger(__name__)


def setup(app) -> dict[str, Any]:
    # After the theme's own handlers (500 and 501), which add what these take away.
    for mend in (_drop_thebe, _launch_only_notebooks, _name_the_folds):
        app.connect("html-page-context", mend, priority=900)
    app.connect("doctree-read", _find_dangling_footnotes)
    app.connect("doctree-read", _mark_sentences)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _drop_thebe(app, pagename, templatename, context, doctree) -> None:
    for kind in ("script_files", "css_files"):
        context[kind] = [asset for asset in context.get(kind, []) if not _is_thebe(asset)]


def _is_thebe(asset) -> bool:
    """`asset` is Sphinx's record of a script or style: a file name, or a body written inline."""
    inline = getattr(asset, "attributes", {}).get("body", "") or ""
    return "thebe" in str(getattr(asset, "filename", asset)).lower() or "thebe" in inline.lower()


def _launch_only_notebooks(app, pagename, templatename, context, doctree) -> None:
    if context.get("page_source_suffix") == ".ipynb":
        return
    context["header_buttons"] = [
        button
        for button in context.get("header_buttons", [])
        if button.get("label") != "launch-buttons"
    ]


def _name_the_folds(app, pagename, templatename, context, doctree) -> None:
    # Folded code: without this label its name is the text that is shown, as it should be.
    if "body" in context:
        context["body"] = context["body"].replace(' aria-label="Toggle hidden content"', "")
    context["generate_toctree_html"] = _with_named_arrows(context["generate_toctree_html"])


def _with_named_arrows(generate_toctree_html):
    @wraps(generate_toctree_html)
    def generate(*args, **kwargs):
        toctree = generate_toctree_html(*args, **kwargs)
        for summary in toctree.find_all("summary") if hasattr(toctree, "find_all") else []:
            chapter = summary.find_parent("li").find("a").get_text(strip=True)
            summary["aria-label"] = f"Pages of {chapter}"
        return toctree

    return generate


def _find_dangling_footnotes(app, doctree) -> None:
    defined = {name for footnote in doctree.findall(nodes.footnote) for name in footnote["ids"]}
    for reference in doctree.findall(nodes.footnote_reference):
        if reference.get("refid") not in defined:
            logger.warning(
                "a citation leads nowhere: end the page with {footbibliography}",
                location=reference,
            )
    for text in doctree.findall(nodes.Text):  # MyST shows a footnote that has no definition as text
        code = isinstance(text.parent, nodes.FixedTextElement | nodes.literal | nodes.raw)
        if not code and (label := re.search(r"\[\^[\w-]+\]", text)):
            logger.warning("footnote %s has no definition", label[0], location=text.parent)


def _mark_sentences(app, doctree) -> None:
    for output in doctree.findall(nodes.literal_block):
        has_columns = re.search(r"\S {2,}\S", output.astext())
        if "output" in output["classes"] and not has_columns:
            output["classes"].append("sentences")
