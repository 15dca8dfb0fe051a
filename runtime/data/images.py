"""A folder of image files, with a folder for each class."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pjc.reading import reading

from .dataset import Dataset, check_size
from .errors import DataError, require_file
from .rows import mapped

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""The formats that are read; others that Pillow knows run programs or are rare."""
_MAX_PIXELS = 1 << 26
"""The largest image decoded, in pixels."""
_CHANNELS = (1, 3)
_ROTATED = range(5, 9)
"""The EXIF orientations by which width and height change places."""
_WIDTH, _HEIGHT = 256, 257
"""The tags of a TIFF that say how it is stored."""
_EIGHT_BITS = ("1", "L", "P", "LA", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


def load_images(
    folder: Path, sample: tuple[int, ...] | None = None, resize: bool = False, labelled: bool = True
) -> Dataset:
    """Return the dataset of ``folder/CLASS/FILE``, classes and files in sorted order of their names.

    Unless ``labelled``, the files may also lie in ``folder`` itself; then all are of one class.
    ``sample`` is the shape that a network takes: ``[height, width]``, ``[height, width, channels]`` with
    1 (gray) or 3 (RGB) channels, or the product of these, where all images have the first one's size; None
    keeps that size. Images are converted to gray or RGB, transparency is dropped; of another
    size they are resized bilinearly with ``resize``, else refused. Pixels are kept as bytes and made floats,
    255 as 1, batch by batch. Names that begin with a dot are passed over.

    Sizes are read from the headers before anything is decoded. Raises DataError, with the file, for what is
    no image, damaged, too large, or of another size; and where Pillow is missing.
    """
    files, names = _files(folder) if labelled else _unlabelled(folder)
    height, width, channels = _target(files[0][0], sample, resize)
    check_size((len(files), height, width, channels), 1, f"the images in {folder}")
    pixels = np.empty((len(files), height, width, channels), np.uint8)
    for place, (path, _) in enumerate(files):
        pixels[place] = _read(path, (height, width, channels), resize)
    labels = np.array([label for _, label in files], np.int64)

    def scale(block: NDArray[Any]) -> NDArray[Any]:
        return block.astype(np.float32) / np.float32(255)

    rows = mapped(pixels).map(scale, pixels.shape[1:], np.float32)
    return Dataset(rows, labels, max(1, len(names)), str(folder), names)


def _unlabelled(folder: Path) -> tuple[list[tuple[Path, int]], tuple[str, ...]]:
    """Return the files that lie in a folder, as of one class; if none do, those of its folders."""
    with reading(folder, "a folder", DataError):
        inside = [each for each in sorted(folder.iterdir()) if each.name[0] != "." and not each.is_dir()]
    return ([(path, 0) for path in inside], ()) if inside else _files(folder)


def _files(folder: Path) -> tuple[list[tuple[Path, int]], tuple[str, ...]]:
    """Return the files with the numbers of their classes, and the names of the classes."""
    with reading(folder, "a folder", DataError):
        folders = [each for each in sorted(folder.iterdir()) if each.is_dir() and each.name[0] != "."]
        inside = [[each for each in sorted(one.iterdir()) if each.name[0] != "."] for one in folders]
    if not folders:
        raise DataError(f"{folder} holds no folders; images are expected in a folder for each class")
    for one, files in zip(folders, inside, strict=True):
        if not files:
            raise DataError(f"{one} holds no images; remove the folder, or fill it")
    found = [(path, label) for label, files in enumerate(inside) for path in files]
    return found, tuple(one.name for one in folders)


def _target(first: Path, sample: tuple[int, ...] | None, resize: bool) -> tuple[int, int, int]:
    """Return (height, width, channels) of the images that are made."""
    if sample is not None and len(sample) in (2, 3):
        if len(sample) == 3 and _channels_first(first, sample):  # fitting transposes
            return sample[1], sample[2], sample[0]
        channels = sample[2] if len(sample) == 3 else 1
        if channels not in _CHANNELS:
            raise DataError(
                f"the network takes images of {channels} channels (or {sample[0]}, channels first); 1 (gray) "
                "or 3 (RGB) can be made"
            )
        return sample[0], sample[1], channels
    with _open(first) as image:
        width, height = _size(first, image)
        gray = image.mode in ("1", "L", "LA")
    if sample is None:
        return height, width, 1 if gray else 3
    entries = math.prod(sample)
    if resize:
        raise DataError(
            "--resize needs to know the size; declare the network's input as in x: f32[batch, 28, 28, 1]"
        )
    if entries not in (height * width, 3 * height * width):
        raise DataError(
            f"{first} has {width} x {height} pixels, in no number of channels the {entries} entries that the "
            "network takes"
        )
    return height, width, entries // (height * width)


@contextmanager
def _open(path: Path) -> Iterator[Image]:
    """Give an image whose header alone was read, checked for its size and type; it is closed afterwards."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise DataError("images are read with Pillow; install it with pip install 'pjc[images]'") from None
    require_file(path)
    with ExitStack() as opened:
        try:
            with reading(path, "a whole image", DataError), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of sizes, which are checked below
                # Not by its name: Pillow would map what is not compressed, and maps a TIFF as it is to be
                # seen where it is stored on its side.
                stream = opened.enter_context(path.open("rb"))
                image = opened.enter_context(Image.open(stream, formats=FORMATS))
        except DataError as error:
            if isinstance(error.__cause__, UnidentifiedImageError):
                formats = ", ".join(FORMATS)
                raise DataError(f"{path} is no image of the formats {formats}; remove it") from None
            if isinstance(error.__cause__, Image.DecompressionBombError):
                raise DataError(f"{path} is too large: {error.__cause__}") from None
            raise
        _require_plain(path, image)
        yield image


def _require_plain(path: Path, image: Image) -> None:
    """Raise DataError for an image that is too large, or of other pixels than bytes."""
    if math.prod(image.size) > _MAX_PIXELS:
        raise DataError(
            f"{path} has {image.size[0]} x {image.size[1]} pixels; at most {_MAX_PIXELS:,} are decoded"
        )
    if image.mode not in _EIGHT_BITS:
        raise DataError(
            f"{path} has pixels of type {image.mode}, of more than 8 bits; convert it, or give arrays as .npz"
        )


def _channels_first(path: Path, sample: tuple[int, ...]) -> bool:
    """Return whether a sample is [channels, height, width]; where it may be both, an image's size tells."""
    if sample[0] not in _CHANNELS or sample[2] not in _CHANNELS:
        return sample[0] in _CHANNELS
    with _open(path) as image:
        width, height = _size(path, image)
    return (height, width) == sample[1:] and (height, width) != sample[:2]


def _size(path: Path, image: Image) -> tuple[int, int]:
    """Return (width, height) as the image is to be seen: cameras note how they were held."""
    with reading(path, "a whole image", DataError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata
        rotated = image.getexif().get(0x0112) in _ROTATED
        tags = getattr(image, "tag_v2", None)  # of a TIFF, whose size Pillow may have turned already
        width, height = image.size if tags is None else (tags[_WIDTH], tags[_HEIGHT])
    return (height, width) if rotated else (width, height)


def _read(path: Path, shape: tuple[int, int, int], resize: bool) -> NDArray[Any]:
    """Return an image as uint8 of ``shape``; it is decoded only if it may have that."""
    height, width, channels = shape
    with _open(path) as image:
        found = _size(path, image)
        if found != (width, height) and not resize:
            raise DataError(
                f"{path} has {found[0]} x {found[1]} pixels, expected {width} x {height}; "
                "--resize brings all images to the network's size"
            )
        from PIL import ImageOps

        with reading(path, "a whole image", DataError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of transparency, which is dropped, and odd metadata
            upright = ImageOps.exif_transpose(image)
            converted = upright.convert("L" if channels == 1 else "RGB")
    if converted.size != (width, height):
        converted = converted.resize((width, height), 2)  # bilinear
    return np.asarray(converted, np.uint8).reshape(shape)
