"""What may have been meant by a name that is unknown."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pjc import fields
from pjc.standins import is_module, known_names, standin_in_language

_MISSPELT = 0.85
"""How close a name must be to one that only others have: closer than to those that are known here."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return ``did you mean 'hidden'?`` if a known name is close, else None.

    Names that differ in capitals and underscores alone are the closest.
    """
    names = list(known)
    alike = (each for each in names if _plain(each) == _plain(name) and each != name)
    close = next(alike, None) or fields.nearest(name[:100], names)
    return f"did you mean '{close}'?" if close else None


def advice(name: str, known: Iterable[str]) -> str | None:
    """Return what to write instead of a name that means nothing: one that is known, or what others call so.

    A name of one of ``known`` in other capitals comes first, then what the name is known for elsewhere, then
    names that are close to it.
    """
    names = list(known)
    if alike := [each for each in names if _plain(each) == _plain(name) and each != name]:
        return f"did you mean '{alike[0]}'?"
    if is_module(name):
        return "functions stand alone here, as in relu(x); layers are in the library that 'use nn' opens"
    found = standin_in_language(name)
    if found is not None:
        return found.language
    return nearest(name, names) or _misspelt(name)


def lacks(name: str) -> bool:
    """Return whether a name is that of a function that has no projection."""
    found = standin_in_language(name)
    return found is not None and found.lacking


def _misspelt(name: str) -> str | None:
    """Return what to write instead of what a name is close to, of those that others have."""
    for close in difflib.get_close_matches(name[:100], list(known_names()), 1, _MISSPELT):
        found = standin_in_language(close)
        return None if found is None else f"if '{close}' is meant: {found.language}"
    return None


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
