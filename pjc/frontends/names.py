"""The nearest name to one that is unknown."""

from __future__ import annotations

from collections.abc import Iterable

from pjc import fields


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return ``did you mean 'hidden'?`` if a known name is close, else None."""
    close = fields.nearest(name[:100], known)
    return f"did you mean '{close}'?" if close else None
