"""What callers train on: arrays, tables, batches that something makes, or the name of a source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pjc.diagnostics import mistake
from pjc.runtime.data.dataset import Dataset
from pjc.runtime.data.errors import DataError
from pjc.runtime.data.fitting import Spec, fit, match, narrowed
from pjc.runtime.data.normalize import normalized
from pjc.runtime.data.parts import NORMALIZATIONS, Parts, Request
from pjc.runtime.data.prepare import load, prepare
from pjc.runtime.data.recipe import Known
from pjc.runtime.data.splitting import own_test, split, split_parts
from pjc.runtime.data.weights import class_weighted, weighted
from pjc.runtime.streams import Stream, array_of, dataset, is_array, pair_of


@dataclass(frozen=True)
class Asked:
    """What a run asks of its data; see :func:`pjc.train`."""

    data: Any
    validation: Any = None
    test: Any = None
    target: str | None = None
    normalize: str = "none"
    steps_per_epoch: int | None = None
    sample_weight: Any = None
    class_weight: Any = None
    missing: str = "refuse"

    def __post_init__(self) -> None:
        steps = self.steps_per_epoch
        if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
            raise mistake(f"steps_per_epoch takes a whole number from 1, found {steps!r}")
        if self.normalize not in NORMALIZATIONS:
            raise mistake(
                f"there is no normalization {self.normalize!r}", f"known are {', '.join(NORMALIZATIONS)}"
            )


@dataclass(frozen=True)
class Given:
    """The data of a run: what is trained on, and the parts to validate and test with."""

    train: Dataset | Stream
    validation: Dataset | None
    test: Dataset | None
    notes: dict[str, str]


def given_for(asked: Asked, source: Spec, target: Spec) -> Given:
    """Return the data of a run in the shapes and types of a network's input and target.

    Raises:
        DataError: if it does not fit, or parts of it are too small.
        DiagnosticError: for what is no data.
    """
    if asked.class_weight is not None and (target.classes is None or len(target.shape) != 1):
        raise mistake(f"class_weight is for targets of one class each, which {target.name!r} does not take")
    if isinstance(asked.data, str | Path):
        return _named(asked, source, target)
    if asked.target is not None:
        raise mistake("target names a column of a file, and the data are no file")
    if isinstance(asked.sample_weight, str):
        raise mistake("sample_weight names a column of a file, and the data are no file")
    whole = _read(asked.data, "the data", target, asked.steps_per_epoch)
    if isinstance(whole, Stream):
        return _streamed(asked, whole, source, target)
    if asked.sample_weight is not None:
        whole = weighted(whole, array_of(asked.sample_weight, "sample_weight"))
    train = fit(whole, source, target, wide=True)
    train, own_validation, own_tests = _own_parts(train, asked)
    train, test = _part(asked.test, "test", train, source, target)
    train, validation = _part(asked.validation, "validation", train, source, target)
    parts = Parts(train, validation or own_validation, test or own_tests, train.notes())
    found = narrowed(normalized(parts, asked.normalize), source, target)
    found = class_weighted(found, asked.class_weight)
    return Given(found.train, found.validation, found.test, dict(found.notes))


def _named(asked: Asked, source: Spec, target: Spec) -> Given:
    """Return the parts of the source of a name."""
    parts = {"test": asked.test, "validation": asked.validation}
    fractions = {
        name: None if each is None else float(each)
        for name, each in parts.items()
        if each is None or _is_fraction(each)
    }
    file = str(asked.test) if isinstance(asked.test, str | Path) else None
    weight, by_class = asked.sample_weight, asked.class_weight
    if weight is not None and not isinstance(weight, str):
        raise mistake(
            f"sample_weight of a source is the name of a column, found {type(weight).__name__}",
            f"give weights with pjc.runtime.data.load({str(asked.data)!r}) as data",
        )
    request = Request(
        str(asked.data),
        file,
        asked.target,
        test=fractions.get("test"),
        validation=fractions.get("validation"),
        own_alone=True,
        normalize=asked.normalize,
        missing=asked.missing,
        weights=weight,
        class_weight=by_class if isinstance(by_class, str) else None,
    )
    for name, each in parts.items():
        if name not in fractions and not (name == "test" and file is not None):
            raise mistake(
                f"{name} is a part of the source {str(asked.data)!r}, found {type(each).__name__}",
                f"give a fraction, as in {name}=0.1, or pjc.runtime.data.load({str(asked.data)!r}) as data",
            )
    found = prepare(request, source, target)
    if not isinstance(by_class, str):
        found = class_weighted(found, by_class)
    return Given(found.train, found.validation, found.test, dict(found.notes))


def _streamed(asked: Asked, stream: Stream, source: Spec, target: Spec) -> Given:
    """Return batches to train on, with parts that are data of their own."""
    if asked.normalize != "none":
        raise mistake(
            "normalize measures all samples, and batches are seen one by one",
            "normalize where the batches are made, or give all samples as (x, y)",
        )
    for name in ("sample_weight", "class_weight"):
        if getattr(asked, name) is not None:
            raise mistake(
                f"{name} sets how often samples come, and batches are taken as they come",
                "draw samples by weight where the batches are made, or give all samples as (x, y)",
            )
    parts: list[Dataset | None] = []
    for name, each in (("validation", asked.validation), ("test", asked.test)):
        if _is_fraction(each):
            raise mistake(f"{name} cannot be a part of batches that something makes", f"give {name}=(x, y)")
        parts.append(None if each is None else samples_of(each, f"the {name} data", source, target))
    return Given(stream, parts[0], parts[1], {})


def _own_parts(train: Dataset, asked: Asked) -> tuple[Dataset, Dataset | None, Dataset | None]:
    """Return the parts (train, validation, test) that data come with, as far as no others are asked for.

    As of a source: see :func:`pjc.runtime.data.splitting.split_parts`.
    """
    if _is_fraction(asked.test):
        return train, None, None
    others = train.name if asked.test is not None else None
    validation = None if asked.validation is None else 0.0
    return split_parts(train, Request(train.name, others, validation=validation, own_alone=True))


def _part(
    given: Any, name: str, train: Dataset, source: Spec, target: Spec
) -> tuple[Dataset, Dataset | None]:
    """Return what is left to train on, and the part of a name: a fraction of that, or data of its own."""
    if given is None:
        return train, None
    if _is_fraction(given):
        return split(train, float(given), name)
    found = samples_of(given, f"the {name} data", source, target)
    return train, match(own_test(found) if name == "test" else found, train)


def _is_fraction(given: Any) -> bool:
    return isinstance(given, int | float | np.number) and not isinstance(given, bool)


def samples_of(given: Any, name: str, source: Spec, target: Spec, known: Known | None = None) -> Dataset:
    """Return data as samples with targets, those of batches one after another.

    Columns get the order, and classes the numbers, that are ``known`` of training, where that is given.

    Targets of None are the samples themselves. What has names of columns keeps them. Numbers stay in a type
    that holds more than the network's.

    Raises:
        DataError: if it does not fit the network.
        DiagnosticError: for what is no data.
    """

    def fitted(data: Dataset) -> Dataset:
        if known is not None:
            classes = None if target is source else target.classes
            data = known.numbered(known.ordered(data)[0], classes)
        return fit(data, source, target, wide=True)

    if isinstance(given, str | Path):
        names = None if known is None else bool(known.class_names) or None
        return fitted(load(str(given), sample=tuple(source.shape[1:]), names=names))
    found = _read(given, name, target)
    if isinstance(found, Dataset):
        return fitted(found)
    pairs = [pair_of(batch, source, target, f"the batches of {name}") for batch in found.source]
    if not pairs:
        raise DataError(f"{name} has no batch")
    x, y = (
        np.concatenate([array_of(each[at], f"the {what} of {name}") for each in pairs])
        for at, what in enumerate(("samples", "targets"))
    )
    return fitted(dataset(x, y, name, target))


def _read(given: Any, name: str, target: Spec, steps: int | None = None) -> Dataset | Stream:
    """Return data as samples that are all there, or as a stream."""
    if isinstance(given, Dataset | Stream):
        return given
    if _is_pair(given) or _is_array(given):
        if steps is not None:
            raise mistake("steps_per_epoch is for batches that something makes, and all samples are there")
        x, y = given if _is_pair(given) else (given, None)
        return dataset(x, y, name, target)
    if isinstance(given, Iterable) and not isinstance(given, bytes):
        return Stream(given, name, steps)
    raise mistake(
        f"{name} are arrays (x, y), batches that can be gone through, or the name of a source, found "
        f"{type(given).__name__}",
        "as in pjc.train(program, (x, y))",
    )


def _is_pair(given: Any) -> bool:
    """Whether it is samples and targets, or samples and None; a list of two batches is not."""
    whole = isinstance(given, tuple | list) and len(given) == 2
    return whole and _is_array(given[0]) and (given[1] is None or _is_array(given[1], True))


def _is_array(given: Any, labels: bool = False) -> bool:
    """Whether it is an array, a table or a column, or nested lists of numbers, with ``labels`` of text."""
    if is_array(given):
        return True
    if not isinstance(given, list) or not given:
        return False
    first = given
    while isinstance(first, list) and first:
        first = first[0]
    return isinstance(first, int | float | np.number) or (labels and isinstance(first, str))
