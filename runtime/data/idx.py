"""IDX files, the format of MNIST: a file of images and a file of labels, gzipped or not.

An IDX file is two zero bytes, a byte for the type of its entries, a byte for its number of
dimensions, each dimension as a big-endian 32-bit number, then the entries, big-endian.
"""

from __future__ import annotations

import gzip
import io
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pjc.reading import reading

from .dataset import Dataset, check_size, from_arrays
from .errors import DataError, require_file

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_DEFLATE_RATIO = 1100
_BLOCK = 1 << 20
_ALIKE = re.compile("images|idx3", re.IGNORECASE)


def load_idx(images: Path, labels: Path | None = None, labelled: bool = True) -> Dataset:
    """Return the dataset in a file of images and a file of labels.

    Without ``labels`` the second file is the one beside the first whose name says "labels" and
    "idx1" where the first says "images" and "idx3", gzipped or not. Images of type uint8 become
    float32 in [0, 1]. Unless ``labelled``, the images alone are read, and the targets are zeros. Raises
    DataError for files that are damaged, too large or do not match.
    """
    require_file(images)
    if not labelled:
        samples = read_idx(images)
        return from_arrays(samples, np.zeros(len(samples), np.int64), str(images))
    return from_arrays(read_idx(images), read_idx(labels or _labels_beside(images)), str(images))


def looks_like_idx(path: Path) -> bool:
    """Return whether there is a file whose first bytes (unzipped) are those of an IDX file."""
    try:
        require_file(path)  # a pipe would never end
        with reading(path, "an IDX file", DataError), _open(path) as stream:
            magic = stream.read(4)
    except DataError:
        return False
    return len(magic) == 4 and magic[:2] == b"\0\0" and magic[2] in _TYPES and 0 < magic[3] < 9


def read_idx(path: Path) -> NDArray[Any]:
    """Return the array in one IDX file, in the machine's byte order.

    The size that the header claims is checked before memory is taken; of a gzipped file no more
    is unzipped than the header claims. Raises DataError.
    """
    size = require_file(path)
    with reading(path, "an IDX file", DataError), _open(path) as stream:
        zipped = isinstance(stream, gzip.GzipFile)
        return _read(stream, path, size * _DEFLATE_RATIO if zipped else size)


def _open(path: Path) -> gzip.GzipFile | io.BufferedReader:
    with path.open("rb") as stream:
        zipped = stream.read(2) == b"\x1f\x8b"
    return gzip.GzipFile(path) if zipped else path.open("rb")


def _read(stream: gzip.GzipFile | io.BufferedReader, path: Path, available: int) -> NDArray[Any]:
    """Return the array in ``stream``, which cannot hold more than ``available`` bytes."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or not magic[3]:
        raise DataError(f"{path} is not an IDX file: it starts with {magic.hex(' ')}")
    dtype, rank = np.dtype(_TYPES[magic[2]]), magic[3]
    sizes = stream.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise DataError(f"{path} is cut off in its header")
    shape = struct.unpack(f">{rank}I", sizes)
    expected = check_size(shape, dtype.itemsize, str(path))
    if expected > available:
        raise DataError(
            f"{path} is cut off: its header says {expected} bytes of shape {shape}, "
            f"more than the file can hold"
        )
    content = bytearray()
    while block := stream.read(min(_BLOCK, expected + 1 - len(content))):
        content += block
    if len(content) != expected:
        found = str(len(content)) if len(content) < expected else "more"
        raise DataError(
            f"{path} is {'cut off' if len(content) < expected else 'damaged'}: its header says "
            f"{expected} bytes of shape {shape}, found {found}"
        )
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _of_labels(found: re.Match[str]) -> str:
    """Return what files of labels are called where those of images say a word, in capitals or not."""
    word = {"images": "labels", "idx3": "idx1"}[found[0].lower()]
    return word.upper() if found[0].isupper() else word


def _labels_beside(images: Path) -> Path:
    """Return the labels file that belongs to ``images`` by its name."""
    name = _ALIKE.sub(_of_labels, images.name)
    plain = re.sub(r"\.gz$", "", name, flags=re.IGNORECASE)
    for candidate in (name, plain, f"{plain}.gz", f"{plain}.GZ"):
        path = images.with_name(candidate)
        if candidate != images.name and path.is_file():
            return path
    raise DataError(
        f"there is no labels file for {images}: expected {images.with_name(name)}; "
        "name both, as in --data IMAGES,LABELS"
        if name != images.name
        else f"the labels of {images} cannot be found by its name; "
        "name both files, as in --data IMAGES,LABELS"
    )
