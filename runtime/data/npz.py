"""NumPy's .npz archives with arrays of samples and of targets; nothing pickled is ever loaded."""

from __future__ import annotations

import math
import re
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from pjc.reading import reading

from .dataset import MAX_BYTES, Dataset, check_size, from_arrays
from .errors import DataError, require_file

_DEFLATE_RATIO = 1100
"""Deflate cannot expand by more than about 1032, so a header that claims more is wrong."""


_SAMPLES = ("x", "images", "data", "features", "inputs", "samples")
_TARGETS = ("y", "labels", "label", "target", "targets", "classes")
_PARTS = {"train": "train", "training": "train", "test": "test"} | dict.fromkeys(
    ("val", "valid", "validation", "dev"), "validation"
)
_WORDS = re.compile(r"[^a-z0-9]+")
_JOINED = re.compile(r"([xy])(train|test|val|valid)")
"""A name such as xtrain."""


def load_npz(path: Path, labelled: bool = True) -> Dataset:
    """Return the dataset in an archive with ``x`` ``[n, ...]`` and ``y`` ``[n, ...]``, or with parts of such.

    Names of the arrays are as others have them: ``x_train``, ``y_test``, ``train_images``, ``val_labels``,
    ``data`` and ``target``. What is called validation or test comes last, and is the part of that name.

    Unless ``labelled``, the samples to train on may be all that there is, and the targets are zeros.
    The headers are checked against the sizes of the archive's members, and those against the file,
    before memory is taken. Raises DataError for a file that is damaged, too large or lacks an array.
    """
    size = require_file(path)
    with (
        reading(path, "a whole .npz file", DataError),
        warnings.catch_warnings(),
        zipfile.ZipFile(path) as archive,
    ):
        warnings.simplefilter("ignore")  # of what Python 2 wrote
        names = [info.filename.removesuffix(".npy") for info in archive.infolist()]
        alone = None if labelled else _samples_alone(names)
        parts = {} if alone else _pairs(names, path)
        wanted = [alone] if alone else [name for pair in parts.values() for name in pair]
        members = [_member(archive, name) for name in wanted]
        total = sum(_checked(archive, member, size, path) for member in members)
        if total > MAX_BYTES:
            raise DataError(
                f"the arrays in {path} would take {total / 2**30:.1f} GiB together; the limit is "
                f"{MAX_BYTES / 2**30:.0f} GiB, so use a part of the data, or npy:X.npy,Y.npy"
            )
        arrays = [_read(archive, member) for member in members]
    if alone:
        return _without_targets(arrays[0], path)
    sizes = {part: len(x) if x.ndim else 0 for part, x in zip(parts, arrays[::2], strict=True)}
    x, y = (_joined(each, members[at::2], path) for at, each in enumerate((arrays[::2], arrays[1::2])))
    if len(parts) > 1:
        _require_pairs(arrays, members, path)
    return replace(
        from_arrays(x, y, str(path)),
        own_validation=sizes.get("validation", 0),
        own_test=sizes.get("test", 0),
    )


def _role(name: str) -> tuple[str, str] | None:
    """Return the part (train, validation, test, or none) and the role, x or y, that a name tells."""
    words = [word for word in _WORDS.split(name.lower()) if word]
    joined = _JOINED.fullmatch(words[0]) if len(words) == 1 else None
    if joined:
        words = [joined[1], joined[2]]
    part = next((_PARTS[word] for word in words if word in _PARTS), "")
    rest = [word for word in words if word not in _PARTS]
    if len(rest) != 1 or len(words) > (2 if part else 1) or rest[0] not in _SAMPLES + _TARGETS:
        return None
    return part, "x" if rest[0] in _SAMPLES else "y"


def _samples_alone(names: list[str]) -> str | None:
    """Return the name of the one array of samples, where there is one and no array of targets."""
    roles = [(name, role) for name in dict.fromkeys(names) if (role := _role(name)) is not None]
    samples = [name for name, (_, which) in roles if which == "x"]
    return samples[0] if len(samples) == len(roles) == 1 else None


def _without_targets(x: NDArray[Any], path: Path) -> Dataset:
    """Return samples with zeros for targets; raises DataError."""
    if x.ndim == 0:
        raise DataError(f"{path} holds no samples, but a single number")
    return from_arrays(x, np.zeros(len(x), np.int64), str(path))


def _pairs(names: list[str], path: Path) -> dict[str, tuple[str, str]]:
    """Return the names of samples and targets for each part, the training part first; raise DataError."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in dict.fromkeys(names):
        role = _role(name)
        if role is not None:
            found.setdefault(role, []).append(name)
    for several in found.values():
        if len(several) > 1 and len({each.lower() for each in several}) < len(several):
            raise DataError(f"{path} has the arrays {_listed(several)}, which are the same but for capitals")
    for role in (("", "x"), ("", "y")):
        if role[1] in found.get(role, ()):
            found[role] = [role[1]]
    main = next((part for part in ("", "train") if (part, "x") in found and (part, "y") in found), None)
    if main is None:
        wanted = "y" if {("", "x"), ("train", "x")} & found.keys() else "x"
        raise DataError(
            f"{path} has no array {wanted!r}, only {_listed(names)}; "
            "save it with numpy.savez(path, x=samples, y=targets)"
        )
    pairs = {}
    for part in (main, "validation", "test"):
        x, y = (found.get((part, each), []) for each in "xy")
        for several in (x, y):
            if len(several) > 1:
                raise DataError(
                    f"{path} has several arrays for one thing, {' and '.join(several)}; keep one of them"
                )
        if x and y:
            pairs[part or "train"] = (x[0], y[0])
    return pairs


def _joined(arrays: Sequence[NDArray[Any]], members: Sequence[str], path: Path) -> NDArray[Any]:
    """Return the arrays of all parts as one; raises DataError where they are not of one kind."""
    first = arrays[0]
    for array, member in zip(arrays[1:], members[1:], strict=True):
        kinds = [(each.dtype.kind, each.dtype == np.uint8, each.shape[1:]) for each in (first, array)]
        if kinds[0] != kinds[1] or not array.ndim:
            raise DataError(
                f"{path} has {members[0]} of shape {first.shape} and type {first.dtype}, but {member} of "
                f"shape {array.shape} and type {array.dtype}; the samples of parts are of one shape and type"
            )
    return first if len(arrays) == 1 else np.concatenate(arrays)


def _require_pairs(arrays: Sequence[NDArray[Any]], members: Sequence[str], path: Path) -> None:
    """Raise DataError where a part has another number of samples than of targets."""
    for at in range(0, len(arrays), 2):
        x, y = arrays[at : at + 2]
        if len(x) != len(y):
            raise DataError(
                f"{path} has {len(x)} samples in {members[at]}, but {len(y)} targets in {members[at + 1]}; "
                "each sample needs one target"
            )


def _member(archive: zipfile.ZipFile, wanted: str) -> str:
    """Return the name of an array's member: NumPy writes it with .npy, and reads it without too."""
    return f"{wanted}.npy" if f"{wanted}.npy" in archive.namelist() else wanted


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"


def _checked(archive: zipfile.ZipFile, member: str, file_size: int, path: Path) -> int:
    """Return the bytes that an array takes, after its header agrees with the archive."""
    info = archive.getinfo(member)
    if info.compress_size > file_size or info.file_size > _DEFLATE_RATIO * (info.compress_size + 1):
        raise DataError(f"{path} is damaged: {member} claims {info.file_size} bytes")
    with archive.open(info) as stream:
        shape, dtype, header = read_header(stream, f"{member} in {path}")
    if dtype.hasobject:
        raise DataError(f"{member} in {path} holds Python objects; save plain numbers instead")
    expected = check_size(shape, dtype.itemsize, f"{member} in {path}")
    if expected + header != info.file_size:
        raise DataError(
            f"{path} is damaged: {member} of shape {shape} and type {dtype} needs {expected} bytes, "
            f"found {info.file_size - header}"
        )
    return expected


def _read(archive: zipfile.ZipFile, member: str) -> NDArray[Any]:
    """Return an array that was checked."""
    with archive.open(member) as stream:
        array: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
    return array


def read_header(stream: IO[bytes], what: str) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return shape, type and the number of bytes of a .npy header."""
    version = npy.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = npy.read_array_header_2_0(stream)
    else:
        raise DataError(f"{what} is of .npy version {version}; versions 1.0 and 2.0 are read")
    if math.prod(shape) == 0:
        raise DataError(f"{what} holds no samples: its shape is {shape}")
    return shape, dtype, stream.tell()
