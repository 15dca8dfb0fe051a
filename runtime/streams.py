"""Batches that somebody else makes: a loader of PyTorch, tf.data or Grain, a list, a generator.

>>> Stream(loader, "the loader").batches(program, seed=0)                        # doctest: +SKIP
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pjc.reading import reading

from .data.dataset import Dataset, from_arrays
from .data.errors import DataError
from .data.fitting import Spec, fit
from .distributed import ALONE
from .epoch import Batches
from .history import Result
from .trainable import Trainable, TrainError, batch_size, specs

MAX_STEPS = 2**20
"""How many batches are counted of what does not say how many it has."""


def array_of(value: Any, what: str) -> NDArray[Any]:
    """Return an array of any library, a column or a table as a NumPy array of numbers or of text.

    Args:
        value: what NumPy takes, or has ``to_numpy`` (pandas, polars), ``detach`` (PyTorch), ``numpy`` or
            ``__dlpack__``.
        what: what it is called in messages.

    Raises:
        DataError: for what is no array of one shape, is sparse, or holds neither numbers nor text.
    """
    if np.ma.isMaskedArray(value) and np.ma.is_masked(value):
        raise DataError(f"{what} lack values, which are masked; fill them in, or leave such samples out")
    if hasattr(value, "toarray") and hasattr(value, "nnz"):
        raise DataError(f"{what} are a sparse matrix; give its .toarray(), if there is memory for it")
    with reading(what, "an array of numbers", DataError):
        if hasattr(value, "to_numpy"):
            value = value.to_numpy()
        elif hasattr(value, "detach"):
            value = value.detach().cpu()
        elif not hasattr(value, "__array__") and hasattr(value, "numpy"):
            value = value.numpy()
        elif not hasattr(value, "__array__") and hasattr(value, "__dlpack__"):
            value = np.from_dlpack(value)
        found = np.asarray(value)
    if found.dtype.kind == "V" and hasattr(found.dtype, "type") and found.dtype.name.startswith(("bf", "fl")):
        found = found.astype(np.float32)  # the short floats of JAX
    if found.dtype.kind == "T":  # text of any length
        found = found.astype(object)
    return _of_objects(found, what) if found.dtype.kind == "O" else found


def is_array(value: Any) -> bool:
    """Return whether :func:`array_of` takes a value as an array of some library; lists are none."""
    ways = ("shape", "__array__", "__dlpack__", "numpy")
    return not isinstance(value, tuple | list | type) and any(hasattr(value, each) for each in ways)


def _of_objects(found: NDArray[Any], what: str) -> NDArray[Any]:
    """Return an array of Python's objects as text if all are, else as numbers."""
    if all(isinstance(each, str) for each in found.flat):
        return found.astype(str)
    for each in found.flat:
        if each is None or type(each).__name__ == "NAType":
            raise DataError(f"{what} lack values ({each}); fill them in, or leave such samples out")
        if isinstance(each, str) or not isinstance(each, int | float | np.number | np.bool_):
            raise DataError(
                f"{what} hold {type(each).__name__} ({str(each)[:40]!r}) where numbers are needed; encode it "
                "as numbers first, or leave that column out"
            )
    whole = all(isinstance(each, int | np.integer) and -(2**63) <= int(each) < 2**63 for each in found.flat)
    return found.astype(np.int64 if whole else np.float64)


def pair_of(batch: Any, source: Spec, target: Spec, what: str) -> tuple[Any, Any]:
    """Return the samples and targets of a batch: a pair, a dict by their names, or samples alone.

    Raises:
        DataError: for a batch that has others, or no targets where the network takes some.
    """
    alone = source is target
    if isinstance(batch, Mapping):
        names = (source.name, target.name)
        missing = [name for name in names if name not in batch]
        if missing:
            raise DataError(
                f"{what} are dicts of {', '.join(map(repr, batch))}, and the network takes "
                f"{' and '.join(dict.fromkeys(names))}; rename them"
            )
        return batch[names[0]], batch[names[1]]
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[0], batch[1]
    if isinstance(batch, tuple | list) and len(batch) == 1:
        batch = batch[0]
    if alone and not isinstance(batch, tuple | list):
        return batch, batch
    count = (
        f"a {type(batch).__name__} of {len(batch)}" if isinstance(batch, tuple | list) else "samples alone"
    )
    raise DataError(f"{what} are pairs (samples, targets), or dicts of them by name; found {count}")


@dataclass(frozen=True)
class Stream:
    """Batches in the order in which something gives them, anew in every epoch.

    Attributes:
        source: gives pairs (samples, targets), or dicts of them by the names of input and target.
        name: what it is called in messages.
        steps: how many batches an epoch has; None for all that there are.
    """

    source: Iterable[Any]
    name: str
    steps: int | None = None

    def batches(self, program: Trainable, seed: int) -> Batches:
        """Return the batches as training takes them.

        Raises:
            DataError: if the first does not fit the network.
            TrainError: if it cannot be known how many there are in an epoch, or there is none.
        """
        source, target = specs(program)
        begun = iter(self.source)
        # A loader that says how long it is starts anew; to ask it twice may start its processes twice.
        once = begun is self.source or (not hasattr(self.source, "__len__") and iter(self.source) is begun)
        given: Iterable[Any] = begun if once else self.source
        if once and self.steps is None:
            raise TrainError(
                f"{self.name} can be gone through once, so it is not known how many batches an epoch has; "
                "give steps_per_epoch, or what starts anew in every epoch: a list, or a loader"
            )
        first = next(begun, None)
        if first is None:
            raise TrainError(f"{self.name} has no batch")
        if once:
            given = itertools.chain([first], given)
        example = self.fitted(first, source, target)
        steps = self.steps if self.steps is not None else _count(given, self.name)
        return _Streamed(
            example,
            batch_size(program),
            seed,
            ALONE,
            self,
            steps,
            (source, target),
            iter(given) if once else None,
        )

    def fitted(self, batch: Any, source: Spec, target: Spec) -> Dataset:
        """Return a batch in the network's shapes and types."""
        x, y = pair_of(batch, source, target, f"the batches of {self.name}")
        return fit(dataset(x, None if y is x else y, self.name, target), source, target)


def dataset(x: Any, y: Any, name: str, target: Spec) -> Dataset:
    """Return samples and targets of any library as data for a network with this target.

    Args:
        x: samples; a table's names of columns are kept.
        y: targets; None if the samples are their own.
        name: what they are called in messages.
        target: what the network takes: whole numbers are classes where it takes classes.

    Raises:
        DataError: for what are no arrays of numbers, or labels of text where the network takes numbers.
    """
    samples = array_of(x, f"the samples of {name}")
    targets = samples if y is None else array_of(y, f"the targets of {name}")
    if y is not None and targets.ndim == 2 and targets.shape[1] == 1 and hasattr(y, "columns"):
        targets = targets[:, 0]  # a table of one column
    if samples.ndim == 0 or targets.ndim == 0:
        raise DataError(f"{name} hold a single number where an array with a row for each sample is needed")
    if targets.dtype.kind in "US" and target.classes is None:
        raise DataError(f"the targets of {name} are text, and {target.name!r} of the network takes numbers")
    if targets.dtype.kind in "biu" and (target.classes is None or y is None):
        targets = targets.astype(np.float64)
    found = from_arrays(samples, targets, name)
    columns = tuple(map(str, getattr(x, "columns", ())))
    if len(set(columns)) < len(columns):
        twice = next(each for each in columns if columns.count(each) > 1)
        raise DataError(f"the samples of {name} have two columns called {twice!r}; rename one")
    return replace(found, columns=columns)


def _count(given: Any, name: str) -> int:
    """Return how many batches there are; those of what has no length are gone through once."""
    try:
        return len(given)
    except TypeError:  # also of a loader without an end
        steps = sum(1 for _ in itertools.islice(given, MAX_STEPS))
    if steps == MAX_STEPS:
        raise TrainError(f"{name} has no end, as far as can be seen; give steps_per_epoch")
    return steps


@dataclass(frozen=True)
class _Streamed(Batches):
    """The batches of every epoch, as a stream gives them; ``data`` is the first of them."""

    stream: Stream = field(default_factory=lambda: Stream((), ""))
    steps: int = 0
    specs: tuple[Spec, Spec] | None = None
    rest: Iterator[Any] | None = None
    """What goes on from epoch to epoch, where the batches are not made anew."""

    @property
    def count(self) -> int:
        return self.steps

    def after(self, at: Result) -> Iterator[tuple[Any, Any]]:
        assert self.specs is not None
        given = iter(self.stream.source) if self.rest is None else self.rest
        for batch in itertools.islice(self._without_end(given), at.batch, self.steps):
            fitted = self.stream.fitted(batch, *self.specs)
            yield fitted.x[:], fitted.y[:]

    def _without_end(self, given: Iterator[Any]) -> Iterator[Any]:
        """Yield batches, beginning again where an epoch has more than there are."""
        done = 0
        while True:
            before = done
            for batch in given:
                done += 1
                yield batch
            if self.rest is not None or done == before:
                raise TrainError(
                    f"{self.stream.name} ended after {done} of the {self.steps} batches of an epoch; give "
                    "fewer steps_per_epoch, or what starts anew"
                )
            given = iter(self.stream.source)
