"""What a run asks of its data, and the parts that it gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
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
MISSING = ("refuse", "mean", "drop")
"""What is done where values of a table are missing: refuse it, fill in means, leave out such rows."""
DECIMALS = (".", ",")
BALANCED = "balanced"
CLASS_WEIGHTS = (BALANCED,)
TEST = 0.2
"""The part of data that is set aside to test on, unless they have a test part of their own."""
VALIDATION = 0.1
"""The part of what remains that is set aside to validate, unless data have such a part."""


@dataclass(frozen=True)
class Request:
    """What a run asks for.

    ``data`` and ``test_data`` name sources; without the latter the fraction ``test`` of ``data`` is
    set aside, and the fraction ``validation`` of what remains then; None: the parts that the data have, or
    else TEST and VALIDATION. ``target`` is the column of a table,
    ``normalize`` one of NORMALIZATIONS, ``stride`` the distance of a text's windows,
    ``resize`` whether images are brought to the network's size, ``layout`` one of LAYOUTS, of the samples in
    the data; None: as their shape says.

    Of tables that are text: ``delimiter`` is the character between columns, ``decimal`` one of DECIMALS,
    ``encoding`` as Python names it; None: as the file shows. With ``no_header`` the first line is a sample,
    and columns are called 1, 2 and so on. ``categorical`` names columns, with commas between, that are
    categories whatever they hold, ``ignore`` those that are left out, ``missing`` is one of MISSING,
    ``weights`` the column of the samples' weights. ``class_weight`` is one of CLASS_WEIGHTS, of the training
    part; None: all samples weigh the same.

    With ``names`` a target of a table is the name of a class whatever it looks like, as those of other data
    are; None: as it looks. With ``own_alone`` no parts are set aside but those that the data have, unless
    fractions are asked for.

    ``inherited`` are the names of those options that a trained network asks for, as its training did: of the
    columns that ``ignore``, ``categorical`` and ``weights`` name there need not be all then.
    """

    data: str
    test_data: str | None = None
    target: str | None = None
    test: float | None = None
    validation: float | None = None
    normalize: str = "none"
    stride: int | None = None
    resize: bool = False
    layout: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    no_header: bool = False
    categorical: str | None = None
    ignore: str | None = None
    missing: str = "refuse"
    weights: str | None = None
    class_weight: str | None = None
    own_alone: bool = False
    names: bool | None = None
    inherited: tuple[str, ...] = ()

    @property
    def test_fraction(self) -> float:
        """The part of all data to test on, where they have no test part of their own."""
        usual = 0.0 if self.own_alone else TEST
        return usual if self.test is None else self.test

    @property
    def validation_fraction(self) -> float:
        """The part of what remains to validate with, where the data have no such part of their own."""
        usual = 0.0 if self.own_alone else VALIDATION
        return usual if self.validation is None else self.validation


@dataclass(frozen=True)
class Parts:
    """The data of a run, in the network's shapes.

    ``notes`` is what the parameters rely on, and is kept with them: how samples were normalized, the
    vocabulary, the names of classes and columns. ``remarks`` are sentences that a person should read.
    ``checksum`` tells all of the data apart, in the network's shapes, before parts were set aside and
    normalized; ``test_checksum`` all of other data to test on.
    """

    train: Dataset
    validation: Dataset | None
    test: Dataset | None
    notes: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    checksum: int | None = None
    test_checksum: int | None = None

    def each(self, change: Callable[[Dataset], Dataset]) -> Parts:
        """Return the parts with the data of each changed."""
        train, validation, test = (
            None if part is None else change(part) for part in (self.train, self.validation, self.test)
        )
        assert train is not None
        return replace(self, train=train, validation=validation, test=test)


def split_fractions(train: float, validation: float, test: float) -> tuple[float, float]:
    """Return (test, validation) as a Request has them, for three fractions of all data."""
    return test, validation / (train + validation)
