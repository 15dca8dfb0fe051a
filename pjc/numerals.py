"""Numbers as text: ASCII decimals, as other languages and tools write them.

Python's int and float also take ``1_0`` and the digits of every script; in data and options those are none.
"""

from __future__ import annotations


def whole(text: str) -> int:
    """Return the whole number that a text is; raises ValueError for any other text."""
    return int(_plain(text))


def decimal(text: str) -> float:
    """Return the number that a text is, perhaps inf or nan; raises ValueError for any other text."""
    return float(_plain(text))


def is_whole(text: str) -> bool:
    """Return whether a text is a whole number from 0: digits alone."""
    return text.isascii() and text.isdecimal()


def _plain(text: str) -> str:
    if not text.isascii() or "_" in text:
        raise ValueError(f"{text[:40]!r} is no decimal number")
    return text
