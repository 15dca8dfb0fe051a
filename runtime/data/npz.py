"""NumPy's .npz archives with the arrays ``x`` and ``y``; nothing pickled is ever loaded."""

from __future__ import annotations

import math
import zipfile
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


def load_npz(path: Path, labelled: bool = True) -> Dataset:
    """Return the dataset in an archive with ``x`` ``[n, ...]`` and ``y`` ``[n, ...]``.

    Unless ``labelled``, ``x`` alone is read, and the targets are zeros.
    The headers are checked against the sizes of the archive's members, and those against the file,
    before memory is taken. Raises DataError for a file that is damaged, too large or lacks an array.
    """
    size = require_file(path)
    with reading(path, "a whole .npz file", DataError), zipfile.ZipFile(path) as archive:
        names = [info.filename.removesuffix(".npy") for info in archive.infolist()]
        arrays = ("x", "y") if labelled else ("x",)
        for wanted in arrays:
            if wanted not in names:
                raise DataError(
                    f"{path} has no array {wanted!r}, only {_listed(names)}; "
                    "save it with numpy.savez(path, x=samples, y=targets)"
                )
        members = [_member(archive, wanted) for wanted in arrays]
        total = sum(_checked(archive, member, size, path) for member in members)
        if total > MAX_BYTES:
            raise DataError(
                f"the arrays in {path} would take {total / 2**30:.1f} GiB together; the limit is "
                f"{MAX_BYTES / 2**30:.0f} GiB, so use a part of the data, or npy:X.npy,Y.npy"
            )
        x, *others = (_read(archive, member) for member in members)
    if not labelled and x.ndim == 0:
        raise DataError(f"{path} holds no samples, but a single number as 'x'")
    return from_arrays(x, others[0] if others else np.zeros(len(x), np.int64), str(path))


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
