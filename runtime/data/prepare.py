"""From the names of sources to the parts that a run trains, validates and tests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import load, takes_target
from .dataset import DataError, Dataset
from .fit import Spec, fit, match
from .normalize import Normalize
from .split import split
from .text import Text, Vocabulary, load_text, require_text_network, room, windows

_TEXT = "text:"


@dataclass(frozen=True)
class Request:
    """What a run asks for.

    ``data`` and ``test_data`` name sources; without the latter the fraction ``test`` of ``data`` is
    set aside, and the fraction ``validation`` of what remains then. ``target`` is the column of a CSV
    file, ``normalize`` one of none, unit and standard, ``stride`` the distance of a text's windows,
    ``resize`` whether images are brought to the network's size.
    """

    data: str
    test_data: str | None = None
    target: str | None = None
    test: float = 0.2
    validation: float = 0.1
    normalize: str = "none"
    stride: int | None = None
    resize: bool = False


@dataclass(frozen=True)
class Parts:
    """The data of a run, in the network's shapes.

    ``notes`` is what the parameters rely on, and is kept with them: how samples were normalized, the
    vocabulary, the names of classes.
    """

    train: Dataset
    validation: Dataset | None
    test: Dataset | None
    notes: Mapping[str, str] = field(default_factory=dict)

    def normalized(self, kind: str) -> Parts:
        """Return the parts, each transformed by what is measured on the training part."""
        if kind == "none":
            return self
        transform = Normalize.measure(self.train, kind)
        return Parts(
            transform(self.train),
            None if self.validation is None else transform(self.validation),
            None if self.test is None else transform(self.test),
            {**self.notes, **transform.notes()},
        )


def prepare(request: Request, source: Spec, target: Spec) -> Parts:
    """Return the parts that ``request`` asks for, for a network with this input and target.

    The parts are the same in every run: splitting is seeded apart from training. Raises DataError.
    """
    if request.data.startswith(_TEXT):
        return _prepare_text(request, source, target)
    if request.stride is not None:
        raise DataError(f"--stride is for windows of a text, but the data is {request.data!r}")

    def read(spec: str) -> Dataset:
        column = request.target if takes_target(spec) or spec == request.data else None
        resize = request.resize and (spec.startswith("images:") or spec == request.data)
        return load(spec, column, tuple(source.shape[1:]), resize)

    train = fit(read(request.data), source, target)
    test: Dataset | None = None
    if request.test_data:
        test = fit(match(read(request.test_data), train), source, target)
    elif request.test:
        train, test = split(train, request.test, "test")
    validation: Dataset | None = None
    if request.validation:
        train, validation = split(train, request.validation, "validation")
    return Parts(train, validation, test, train.notes()).normalized(request.normalize)


def _prepare_text(request: Request, source: Spec, target: Spec) -> Parts:
    """Return the parts of a text, each of them a piece of it, cut into windows."""
    if request.normalize != "none" or request.target is not None:
        option = "--target" if request.target is not None else "--normalize"
        raise DataError(f"{option} does not apply to a text, and the data is {request.data!r}")
    if request.resize:
        raise DataError(f"--resize is for image files, but the data is {request.data!r}")
    require_text_network(source, target)
    train = load_text(Path(request.data.removeprefix(_TEXT)))
    test: Text | None = None
    if request.test_data:
        if not request.test_data.startswith(_TEXT):
            raise DataError(f"--test-data is {request.test_data!r}, but the data is a text; name text:FILE")
        test = load_text(Path(request.test_data.removeprefix(_TEXT)))
    elif request.test:
        train, test = train.split(request.test, "test")
    validation: Text | None = None
    if request.validation:
        train, validation = train.split(request.validation, "validation")
    others = [part for part in (validation, test) if part is not None]
    vocabulary = Vocabulary.measure(train, others, room(source, target))

    def cut(part: Text) -> Dataset:
        return windows(part, vocabulary, source, target, request.stride)

    return Parts(
        cut(train),
        None if validation is None else cut(validation),
        None if test is None else cut(test),
        vocabulary.notes(),
    )


def split_fractions(train: float, validation: float, test: float) -> tuple[float, float]:
    """Return (test, validation) as a Request has them, for three fractions of all data."""
    return test, validation / (train + validation)
