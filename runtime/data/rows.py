"""Arrays whose rows are made when they are asked for: from a mapped file, or from a text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 22
"""About as many entries are made at once where all rows are looked at."""


@dataclass(frozen=True)
class Rows:
    """An array of ``shape`` and ``dtype`` that is never there as a whole.

    ``read(indices)`` returns the rows at an array of increasing or unordered indices, as an array
    ``[len(indices), *shape[1:]]`` of type ``dtype``. Indexing takes a slice or an array of indices.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[NDArray[Any]], NDArray[Any]]

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __getitem__(self, rows: slice | NDArray[Any]) -> NDArray[Any]:
        indices = np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows)
        return self.read(indices)

    def map(
        self, function: Callable[[NDArray[Any]], NDArray[Any]], shape: tuple[int, ...], dtype: Any
    ) -> Rows:
        """Return the rows with ``function`` applied, which makes rows of ``shape`` and ``dtype``."""
        read = self.read
        return Rows((len(self), *shape), np.dtype(dtype), lambda indices: function(read(indices)))

    def take(self, indices: NDArray[Any]) -> Rows:
        """Return the rows at ``indices``, in that order, made no earlier."""
        read = self.read
        return Rows((len(indices), *self.shape[1:]), self.dtype, lambda inner: read(indices[inner]))


def mapped(array: NDArray[Any]) -> Rows:
    """Return the rows of an array, for instance one that is mapped into memory from a file."""
    return Rows(array.shape, array.dtype, lambda indices: np.asarray(array[indices]))


def blocks(array: NDArray[Any] | Rows) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield (first row, rows) for all rows in their order, a few million entries at a time."""
    count = max(1, _BLOCK // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array), count):
        yield start, array[start : start + count]
