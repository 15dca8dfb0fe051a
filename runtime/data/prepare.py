"""From the names of sources to datasets, and to the parts that a run trains, validates and tests on."""

from __future__ import annotations

from typing import Any

from .dataset import Dataset
from .fitting import Spec
from .parts import Parts, Request, split_fractions
from .sources import find

__all__ = ["Parts", "Request", "load", "prepare", "split_fractions"]


def load(
    spec: str,
    target: str | None = None,
    sample: tuple[int, ...] | None = None,
    resize: bool = False,
    **options: Any,
) -> Dataset:
    """Return the dataset that ``spec`` names; docs/data.md lists how.

    ``target`` names the column of a table that holds the targets; image files are read for a network that
    takes ``sample``, and with ``resize`` brought to its size; ``options`` are other fields of Request. A
    text is no dataset before it is cut into windows: see ``load_text``. Raises DataError, also for an
    argument that the source does not take.
    """
    source = find(spec)
    request = Request(spec, target=target, resize=resize, **options)
    source.require_options(request)
    return source.load(source.where(spec), request, sample)


def prepare(request: Request, source: Spec, target: Spec) -> Parts:
    """Return the parts that ``request`` asks for, for a network with this input and target.

    The parts are the same in every run: splitting is seeded apart from training. Raises DataError.
    """
    data = find(request.data)
    data.require_options(request)
    test = find(request.test_data) if request.test_data else None
    return data.parts(request, test, source, target)
