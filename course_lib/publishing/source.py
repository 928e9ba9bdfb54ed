"""`show`: the library's own source on the page, so that no page repeats code by hand."""

import inspect
import textwrap
from collections.abc import Callable


class Source:
    """Python source that a notebook displays as a highlighted block."""

    def __init__(self, text: str) -> None:
        self.text = text

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.text}\n```"

    def __repr__(self) -> str:
        return self.text


def show(*objects: type | Callable) -> Source:
    """The source of these classes and functions, in order, as the library has it."""
    pieces = [textwrap.dedent(inspect.getsource(item)).rstrip() for item in objects]
    return Source("\n\n\n".join(pieces))
