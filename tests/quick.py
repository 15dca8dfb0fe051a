"""Which cases of a test are quick ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def some_quick(names: Iterable[Any], each: int = 2, first: int = 0, several: bool = False) -> list[Any]:
    """Return the names for a test, all slow but every so many, which have most of what the others have.

    With ``several``, each is not one argument of the test but a sequence of them.
    """
    return [
        pytest.param(*(name if several else (name,)), marks=pytest.mark.slow if (n - first) % each else ())
        for n, name in enumerate(names)
    ]
