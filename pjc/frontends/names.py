"""The nearest name to one that is unknown."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return ``did you mean 'hidden'?`` if a known name is close, else None."""
    close = difflib.get_close_matches(name[:100], list(dict.fromkeys(known)), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else None
