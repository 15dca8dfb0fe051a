"""What a run asks of its data, and the parts that it gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .dataset import Dataset

STANDARD = "standard"
NORMALIZATIONS = ("none", "unit", STANDARD)
"""What can be done to each feature: nothing, to the range 0 to 1, to mean 0 and variance 1."""
TARGETS = (STANDARD, "none")
"""What training can do to targets of numbers."""
CHANNELS_FIRST = "channels_first"
CHANNELS_LAST = "channels_last"
LAYOUTS = (CHANNELS_FIRST, CHANNELS_LAST)
"""How samples that are images may lie in data: channels, height, width; or height, width, channels."""


@dataclass(frozen=True)
class Request:
    """What a run asks for.

    ``data`` and ``test_data`` name sources; without the latter the fraction ``test`` of ``data`` is
    set aside, and the fraction ``validation`` of what remains then. ``target`` is the column of a table,
    ``normalize`` one of NORMALIZATIONS, ``stride`` the distance of a text's windows,
    ``resize`` whether images are brought to the network's size, ``layout`` one of LAYOUTS, of the samples in
    the data; None: as their shape says.
    """

    data: str
    test_data: str | None = None
    target: str | None = None
    test: float = 0.2
    validation: float = 0.1
    normalize: str = "none"
    stride: int | None = None
    resize: bool = False
    layout: str | None = None


@dataclass(frozen=True)
class Parts:
    """The data of a run, in the network's shapes.

    ``notes`` is what the parameters rely on, and is kept with them: how samples were normalized, the
    vocabulary, the names of classes and columns. ``checksum`` tells all of the data apart, in the network's
    shapes, before parts were set aside and normalized; ``test_checksum`` all of other data to test on.
    """

    train: Dataset
    validation: Dataset | None
    test: Dataset | None
    notes: Mapping[str, str] = field(default_factory=dict)
    checksum: int | None = None
    test_checksum: int | None = None


def split_fractions(train: float, validation: float, test: float) -> tuple[float, float]:
    """Return (test, validation) as a Request has them, for three fractions of all data."""
    return test, validation / (train + validation)
