"""Attention to be explored on the page: choose a token, see where each head lets it look.

Plain HTML and CSS: radio buttons choose the token, so it works with a keyboard, without a script
and without a network. A weight is the height of a bar with its number below, so that no colour is
needed to read it.
"""

import hashlib
import html
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float


class HeadExplorer:
    """Some heads on one sentence; shows itself as HTML where that is possible, else as text."""

    def __init__(
        self,
        tokens: Sequence[str],
        heads: Mapping[str, Float[np.ndarray, "queries keys"]],
        start: int = 0,  # the token chosen at first
    ) -> None:
        self.tokens, self.start = list(tokens), start
        self.heads = {name: np.round(weights, 2) for name, weights in heads.items()}

    def _repr_html_(self) -> str:
        shown = [self.tokens, self.start, {k: w.tolist() for k, w in self.heads.items()}]
        name = f"heads-{hashlib.sha256(repr(shown).encode()).hexdigest()[:8]}"
        choices, panels, rules = [], [], []
        for i, token in enumerate(self.tokens):
            checked = " checked" if i == self.start else ""
            id_ = f"{name}-{i}"
            choices.append(f'<input type="radio" name="{name}" id="{id_}"{checked}>')
            choices.append(f'<label for="{id_}">{html.escape(token)}</label>')
            panels.append(self._panel(i))
            rules.append(
                f"#{name}:has(#{id_}:checked) .panel:nth-of-type({i + 1}){{display:block}}"
            )
        return (
            f'<div class="course-heads" id="{name}">\n<style>{_STYLE}{"".join(rules)}</style>\n'
            f"<fieldset><legend>Who looks?</legend>{''.join(choices)}</fieldset>\n"
            f'<div class="panels">\n{chr(10).join(panels)}\n</div>\n</div>'
        )

    def _panel(self, query: int) -> str:
        """What token `query` looks at in every head."""
        lines = []
        for name, weights in self.heads.items():
            cells = "".join(
                f'<span class="key"><span class="bar" style="height:{2 * weight:.2f}em"></span>'
                f"<span>{html.escape(token)}</span><small>{weight:.2f}</small></span>"
                for token, weight in zip(self.tokens, weights[query], strict=True)
            )
            lines.append(f"<p>{html.escape(name)}</p><div class='keys'>{cells}</div>")
        return f'<div class="panel">{"".join(lines)}</div>'

    def __repr__(self) -> str:
        lines = [f"{self.tokens[self.start]!r} looks at"]
        for name, weights in self.heads.items():
            row = weights[self.start]
            most = [f"{self.tokens[j]} {row[j]:.2f}" for j in np.argsort(-row, kind="stable")[:4]]
            lines.append(f"  {name}: {', '.join(most)}")
        return "\n".join(lines)


# Colours are those of the page around it, so that light and dark need no rules of their own.
_STYLE = (
    ".course-heads fieldset{border:1px solid;border-radius:.4em;padding:.3em .8em}"
    ".course-heads legend{font-weight:600;font-size:1em;width:auto;padding:0 .3em}"
    ".course-heads input{margin:0 .2em 0 0}"
    ".course-heads label{margin:0 .9em 0 0;cursor:pointer}"
    ".course-heads .panel{display:none}"
    ".course-heads .panel p{margin:.8em 0 0;font-weight:600}"
    ".course-heads .keys{display:flex;flex-wrap:wrap;gap:.2em .7em;align-items:flex-end}"
    ".course-heads .key{display:flex;flex-direction:column;align-items:center;"
    "justify-content:flex-end;min-height:4.6em}"
    ".course-heads .bar{width:1.4em;background:currentColor}"
)
