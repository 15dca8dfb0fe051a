"""Text, character by character: windows of it, and the characters that come next."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pjc.reading import reading

from .dataset import MAX_BYTES, Dataset
from .errors import DataError, require_file
from .fitting import Spec, element_type, is_integer
from .parts import Request
from .rows import Rows

_MAX_TEXT = MAX_BYTES // 16
"""The longest file read, in bytes: a character takes four bytes and its class four."""


@dataclass(frozen=True)
class Text:
    """``codes``, the Unicode numbers of a text's characters, uint32 ``[n]``; where they came from."""

    codes: NDArray[np.uint32]
    name: str

    @staticmethod
    def of(text: str, name: str) -> Text:
        """Return the characters of a text."""
        return Text(np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32), name)

    def __len__(self) -> int:
        return len(self.codes)

    def checksum(self) -> int:
        """Return a number that tells texts apart."""
        return zlib.crc32(self.codes.tobytes())

    def split(self, fraction: float, part: str) -> tuple[Text, Text]:
        """Return (the rest, the part): the part is the end of the text, in one piece.

        Windows drawn from all over the text would be split into parts that share characters.
        """
        count = round(len(self) * fraction)
        if not 0 < count < len(self):
            raise DataError(
                f"{self.name} has {len(self)} characters, too few to set {fraction:g} of them aside for "
                f"{part}; choose another fraction with --{part}"
            )
        cut = len(self) - count
        return Text(self.codes[:cut], self.name), Text(self.codes[cut:], f"{self.name} ({part})")

    def parts(self, request: Request) -> tuple[Text, Text | None, Text | None]:
        """Return the parts (train, validation, test), as ``request`` has them.

        There is no test part where other data is to test on. Raises DataError for a part that would be empty.
        """
        rest, validation, test = self, None, None
        if request.test_data is None and request.test_fraction:
            rest, test = rest.split(request.test_fraction, "test")
        if request.validation_fraction:
            rest, validation = rest.split(request.validation_fraction, "validation")
        return rest, validation, test


def load_text(path: Path) -> Text:
    """Return the text of a UTF-8 file; raises DataError, with the line, where it is no such text."""
    if require_file(path) > _MAX_TEXT:
        raise DataError(f"{path} is larger than {_MAX_TEXT >> 20} MiB; train on a part of it")
    with reading(path, "a text", DataError):
        content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: not UTF-8 text (byte {error.start}); convert it") from None
    if not text:
        raise DataError(f"{path} holds no characters")
    return Text.of(text, str(path))


@dataclass(frozen=True)
class Vocabulary:
    """The distinct characters of the training part in the order of their numbers; these are classes 0, 1, ...

    With ``unknown`` there is one class more, for all other characters.
    """

    codes: NDArray[np.uint32]
    unknown: bool

    @staticmethod
    def measure(train: Text, others: Sequence[Text], classes: int) -> Vocabulary:
        """Return the vocabulary of ``train`` for a network of so many classes.

        The class for unknown characters is there if the network has room for it. Raises DataError where
        the network has fewer classes than characters, or no room while ``others`` need it.
        """
        codes = np.unique(train.codes)
        if len(codes) > classes:
            raise DataError(
                f"{train.name} has {len(codes)} different characters to train on, but the network has "
                f"{classes} classes; compile with -D vocabulary={len(codes)}, "
                "or whatever the network calls that number"
            )
        found = Vocabulary(codes, len(codes) < classes)
        for text in others:
            found.require(text)
        return found

    def require(self, text: Text) -> None:
        """Raise DataError for a text with characters that have no class."""
        strange = self.strange(text)
        if strange and not self.unknown:
            raise DataError(
                f"{text.name} has {len(strange)} characters that do not occur in the training part, "
                f"the first is {strange[0]!r}; compile with -D vocabulary={len(self.codes) + 1}, "
                "which leaves a class for unknown ones"
            )

    def strange(self, text: Text) -> str:
        """Return the characters of a text that the training part has not, each once."""
        return "".join(chr(int(code)) for code in np.setdiff1d(text.codes, self.codes))

    def names(self) -> tuple[str, ...]:
        """Return the characters in the order of their classes, and behind them, where there is a class for
        unknown ones, U+FFFD."""
        return (*(chr(int(code)) for code in self.codes), *(["\ufffd"] if self.unknown else []))

    def encode(self, text: Text) -> NDArray[np.int32]:
        """Return the class of each character, int32 ``[n]``."""
        places = np.searchsorted(self.codes, text.codes).astype(np.int32)
        known = self.codes[np.minimum(places, len(self.codes) - 1)] == text.codes
        return np.where(known, places, np.int32(len(self.codes)))

    def notes(self) -> dict[str, str]:
        """Return the characters as a JSON list in the order of their classes."""
        return {"vocabulary": json.dumps([chr(int(code)) for code in self.codes])}


def require_text_network(source: Spec, target: Spec) -> None:
    """Raise DataError unless input and target are those of a network on characters."""
    shape = tuple(source.shape)
    length = shape[1] if len(shape) > 1 else None
    wanted = 2 if is_integer(source) else 3
    sites = tuple(target.shape[1:])
    if len(shape) != wanted or target.classes is None or sites not in ((), (length,)):
        raise DataError(
            "a text needs an input x: f32[batch, T, vocabulary] or tokens: int[batch, T], and a target "
            f"class[batch, T, vocabulary] or class[batch, vocabulary]; the network has {source.name!r} of "
            f"shape {list(shape)} and {target.name!r} of shape {list(target.shape)}"
            + ("" if target.classes is None else f" with {target.classes} classes")
        )
    if wanted == 3 and shape[2] != target.classes:
        raise DataError(
            f"{source.name!r} takes one of {shape[2]} characters, but {target.name!r} has {target.classes} "
            "classes; a network on characters needs the same number for both"
        )


def room(source: Spec, target: Spec) -> int:
    """Return how many classes a network has for characters, in its target and in its tables."""
    classes = target.classes or 0
    return min(classes, source.classes or classes)


def windows(
    text: Text, vocabulary: Vocabulary, source: Spec, target: Spec, stride: int | None = None
) -> Dataset:
    """Return the windows of ``text`` of the network's length T as a dataset, each made when asked for.

    Sample i holds the T characters from ``i * stride`` on, one-hot or as integers as ``source`` declares;
    its target the class of the character after each of them, or after the last one, as ``target``
    declares. ``stride`` is T where each character is predicted, 1 where only the last one is, if not given.
    Memory: the text, four bytes a character. Raises DataError where the text is shorter than a window.
    """
    require_text_network(source, target)
    assert target.classes is not None
    length, classes = source.shape[1], target.classes
    every = len(target.shape) == 2
    if stride is not None and stride < 1:
        raise DataError(f"--stride is {stride}; expected a whole number from 1")
    stride = stride or (length if every else 1)
    classes_of = vocabulary.encode(text)
    count = (len(classes_of) - length - 1) // stride + 1
    if count < 1:
        raise DataError(
            f"{text.name} has {len(text)} characters, fewer than the {length} of a window and the one after"
        )
    dtype = element_type(source)
    hot = None if is_integer(source) else np.eye(classes, dtype=dtype)

    def tokens(indices: NDArray[Any], first: int, size: int) -> NDArray[Any]:
        return classes_of[indices[:, None] * stride + np.arange(first, first + size)]

    def read_x(indices: NDArray[Any]) -> NDArray[Any]:
        found = tokens(indices, 0, length)
        return found.astype(dtype) if hot is None else hot[found]

    def read_y(indices: NDArray[Any]) -> NDArray[Any]:
        return tokens(indices, 1, length) if every else tokens(indices, length, 1)[:, 0]

    x = Rows((count, *source.shape[1:]), dtype, read_x)
    y = Rows((count, *target.shape[1:]), np.dtype(np.int32), read_y)
    return Dataset(x, y, classes, text.name)
