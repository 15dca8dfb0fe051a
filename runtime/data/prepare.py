"""From the names of sources to datasets, and to the parts that a run trains, validates and tests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .dataset import Dataset
from .errors import DataError
from .fitting import Spec
from .parts import Parts, Request, split_fractions
from .recipe import Known, with_recipe
from .source import OPTIONS, Looked, Whole
from .sources import find
from .splitting import own_test

__all__ = ["Parts", "Request", "chosen", "load", "prepare", "request_like", "samples", "split_fractions"]


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


def look(request: Request) -> Looked:
    """Return the data that ``request`` names, as they are, for no network; raise DataError."""
    source = find(request.data)
    source.require_options(request)
    return source.look(request)


def prepare(request: Request, source: Spec, target: Spec) -> Parts:
    """Return the parts that ``request`` asks for, for a network with this input and target.

    The parts are the same in every run: splitting is seeded apart from training. Raises DataError.
    """
    data = find(request.data)
    data.require_options(request)
    test = find(request.test_data) if request.test_data else None
    return with_recipe(data.parts(request, test, source, target), request)


PARTS = ("test", "validation", "train", "all")
"""The parts of data that a trained network can be asked about."""


@dataclass(frozen=True)
class Chosen:
    """Data for a trained network: which ``part`` of it, one of PARTS, and ``why``, as a person reads it.

    ``class_names`` are those of the targets; ``passed_over`` are columns that training did not have, and
    ``remarks`` what a person should read of how the data was read.
    """

    data: Dataset
    part: str
    why: str
    class_names: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def request_like(known: Known, data: str, **given: Any) -> Request:
    """Return what to ask of ``data``: what was ``given``, and else what training asked, where data takes it.

    Fractions that are given without a recipe go with the usual ones; a part to test on that is given is of
    this data. Raises DataError for no data.
    """
    asked = Request(data) if known.recipe is None else known.recipe.request
    takes = find(data).takes
    found = {name: getattr(asked, name) for name in OPTIONS if name in takes and name != "normalize"}
    found |= {"test": asked.test, "validation": asked.validation}
    own = {name: value for name, value in given.items() if value is not None}
    inherited = tuple(name for name in found if name not in own)
    test_data = asked.test_data if "test" in inherited else None
    return Request(data, test_data, inherited=inherited, **{**found, **own})


def samples(request: Request, known: Known, source: Spec, target: Spec) -> Chosen:
    """Return all samples of ``request.data`` for a trained network; there need be no targets.

    Raises DataError.
    """
    whole = _whole(request, known, source, target, labelled=False)
    return _of(whole, whole.data, "all", "all of it")


def chosen(request: Request, known: Known, source: Spec, target: Spec, part: str | None = None) -> Chosen:
    """Return a part of ``request.data`` for a trained network, with its targets.

    Args:
        request: as :func:`request_like` makes it.
        known: what was kept of the data of training.
        source: the network's input.
        target: the network's target; the input where there is none.
        part: one of PARTS; None for the test part where this is the data of training, which set one aside,
            or fractions were given, else for all.

    Raises:
        DataError: where the data does not fit, or has no such part: only data of training has parts, if it
            is known which that was; and where fractions are given that make no difference.
    """
    whole = _whole(request, known, source, target, labelled=True)
    if part not in (None, *PARTS):
        raise DataError(f"there is no part {part!r} of data; expected {', '.join(PARTS)}")
    is_cut = not {"test", "validation"} <= {*request.inherited}
    if is_cut and part == "all":
        raise DataError("all of the data has no parts, so fractions make no difference to it; leave them out")
    part = "test" if is_cut and part is None else part
    recipe = known.recipe
    same = recipe is not None and whole.checksum == recipe.checksum
    if (
        recipe is not None
        and recipe.test_checksum is not None
        and part in (None, "test")
        and not (same or is_cut)
    ):
        own = own_test(whole.data) if isinstance(whole.data, Dataset) else whole.data
        if own is not whole.data and own.checksum() == recipe.test_checksum:
            return _of(whole, own, "test", "its test part, which training tested on")
    parts: dict[str, Any] = {}
    if part != "all" and (same or (recipe is None and part is not None)):
        parts = dict(zip(("train", "validation", "test"), whole.parts(whole.data, request), strict=True))
    name = part or ("test" if parts.get("test") is not None else "all")
    if name == "all":
        tested = recipe is not None and whole.checksum == recipe.test_checksum
        return _of(whole, whole.data, name, "all of it" + (", which training tested on" if tested else ""))
    if recipe is not None and not same:
        raise DataError(
            f"{request.data} is not the data that the network was trained on, which was "
            f"{recipe.request.data!r}, so it has no {name} part; leave out --part, --test, --validation "
            "and --split, for all of it"
        )
    if parts[name] is None:
        raise DataError(f"training set no {name} part of {request.data} aside; say which other to take")
    why = f"its {name} part, " + ("as training had it" if same and not is_cut else "by the fractions given")
    return _of(whole, parts[name], name, why)


def _of(whole: Whole, data: Any, part: str, why: str) -> Chosen:
    """Return some of the data, finished."""
    return Chosen(whole.finish(data), part, why, whole.class_names, whole.passed_over, whole.remarks)


def _whole(request: Request, known: Known, source: Spec, target: Spec, labelled: bool) -> Whole:
    data = find(request.data)
    data.require_options(request)
    return data.whole(request, known, source, target, labelled)
