"""Which cases of a test are quick ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def some_quick(names: Iterable[str], each: int = 2, first: int = 0) -> list[Any]:
    """Return the names for a test, all slow but every so many, which have most of what the others have."""
    return [
        pytest.param(name, marks=pytest.mark.slow if (n - first) % each else ())
        for n, name in enumerate(names)
    ]
