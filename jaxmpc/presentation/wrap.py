"""Sentences in lines that a terminal does not break."""

import textwrap

_WIDTH = 79


def wrapped(text: str, indent: str = "  ") -> list[str]:
    """The lines of a paragraph; all but the first are indented."""
    whole = textwrap.TextWrapper(
        _WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )
    return whole.wrap(text)
