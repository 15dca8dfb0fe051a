"""Image files in folders, and OpenML, which no test reaches."""

from __future__ import annotations

import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

from pjc.runtime.data import DataError, Rows, load
from pjc.runtime.data.openml import say_download
from pjc.runtime.data.prepare import Request, prepare

Image = pytest.importorskip("PIL.Image")
GRAY = np.arange(6, dtype=np.uint8).reshape(2, 3) * 51
COLOR = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 14


@dataclass(frozen=True)
class Wanted:
    """A TensorSpec, as far as data is concerned."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    classes: int | None = None
    threshold: float | None = None
    channels: int | None = None


def refused(pattern: str) -> Any:
    """Expect a DataError whose text has ``pattern``."""
    return pytest.raises(DataError, match=pattern)


def save(folder: Path, name: str, pixels: Any, **options: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if hasattr(pixels, "save") else Image.fromarray(pixels)
    image.save(path, **options)
    return path


def test_classes_are_folders_in_sorted_order(tmp_path: Path) -> None:
    save(tmp_path, "dog/b.png", GRAY)
    save(tmp_path, "cat/z.bmp", 255 - GRAY)
    save(tmp_path, "dog/a.png", GRAY[::-1])
    (tmp_path / "dog" / ".hidden").write_text("no image")
    (tmp_path / "readme.txt").write_text("beside the folders")
    found = load(f"images:{tmp_path}")
    assert isinstance(found.x, Rows) and found.class_names == ("cat", "dog")
    assert found.y[:].tolist() == [0, 1, 1] and found.x.shape == (3, 2, 3, 1)
    expected = np.stack([255 - GRAY, GRAY[::-1], GRAY]) / 255
    np.testing.assert_allclose(found.x[:][..., 0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("sample", "channels"), [((2, 3), 1), ((2, 3, 1), 1), ((2, 3, 3), 3), ((6,), 1), ((18,), 3), (None, 3)]
)
def test_channels_are_those_of_the_network(
    tmp_path: Path, sample: tuple[int, ...] | None, channels: int
) -> None:
    path = save(tmp_path, "a/color.png", COLOR)
    found = load(f"images:{tmp_path}", sample=sample).x[:]
    with Image.open(path) as image:
        gray = np.asarray(image.convert("L"))[..., None]
    np.testing.assert_allclose(found[0], (gray if channels == 1 else COLOR) / 255, rtol=1e-6)


@pytest.mark.parametrize("shape", [(3, 2, 3), (1, 2, 3), (2, 3, 3)])
@pytest.mark.parametrize("turned", [False, True])
def test_channels_first_and_orientation(tmp_path: Path, shape: tuple[int, ...], turned: bool) -> None:
    """Turned: the camera was held upright, and says so in orientation 6, a quarter to the right."""
    pixels = np.rot90(COLOR) if turned else COLOR
    exif = Image.Exif()
    exif[0x0112] = 6 if turned else 1
    for name in ("a/1.png", "b/2.png"):
        save(tmp_path, name, np.ascontiguousarray(pixels), exif=exif)
    request = Request(f"images:{tmp_path}", test=0, validation=0)
    found = prepare(request, Wanted("x", (2, *shape)), Wanted("y", (2,), "int32", 2)).train.x[:][0]
    last = found if shape[2] == 3 and shape[0] == 2 else found.transpose(1, 2, 0)
    gray = np.asarray(Image.fromarray(COLOR).convert("L"))[..., None]
    np.testing.assert_allclose(last, (gray if shape[0] == 1 else COLOR) / 255, rtol=1e-6)


ORIENTATIONS = {  # of what is stored so turned, from what is to be seen
    Image.Transpose.FLIP_LEFT_RIGHT: 2,
    Image.Transpose.ROTATE_180: 3,
    Image.Transpose.FLIP_TOP_BOTTOM: 4,
    Image.Transpose.TRANSPOSE: 5,
    Image.Transpose.ROTATE_90: 6,
    Image.Transpose.TRANSVERSE: 7,
    Image.Transpose.ROTATE_270: 8,
}


@pytest.mark.parametrize("turn", [None, *Image.Transpose])
@pytest.mark.parametrize("stored", ["raw", "tiff_deflate", "png", "jpeg"])
def test_an_image_is_as_it_is_to_be_seen(tmp_path: Path, turn: Image.Transpose | None, stored: str) -> None:
    """All eight orientations of what cameras and scanners store."""
    upright = Image.fromarray(
        np.repeat(np.repeat(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40, 8, 0), 8, 1)
    )
    exif = Image.Exif()
    exif[0x0112] = 1 if turn is None else ORIENTATIONS[turn]
    turned = upright if turn is None else upright.transpose(turn)
    more = {"compression": stored} if stored in ("raw", "tiff_deflate") else {}
    for name in ("a/1", "b/2"):
        path = tmp_path / f"{name}.{'tiff' if more else stored}"
        path.parent.mkdir()
        turned.save(path, exif=exif, **more)
    request = Request(f"images:{tmp_path}", test=0, validation=0, resize=stored == "raw")
    found = prepare(request, Wanted("x", (2, 16, 24)), Wanted("y", (2,), "int32", 2)).train.x[:][0]
    np.testing.assert_allclose(found, np.asarray(upright) / 255, atol=0.02)


def test_parts_of_images_in_the_networks_shape(tmp_path: Path) -> None:
    for index in range(20):
        save(tmp_path, f"{'ab'[index % 2]}/{index}.png", np.full((4, 6), 10 * index, np.uint8))
    source, target = Wanted("x", (2, 2, 3)), Wanted("y", (2,), "int32", 2)
    with refused(r"0\.png has 6 x 4 pixels, expected 3 x 2; --resize"):
        prepare(Request(f"images:{tmp_path}"), source, target)
    parts = prepare(Request(f"images:{tmp_path}", resize=True, test=0.5), source, target)
    assert parts.test and parts.test.x[:].shape == (10, 2, 3)
    assert np.bincount(parts.test.y[:]).tolist() == [5, 5]
    assert parts.notes["class_names"] == '["a", "b"]'
    shades = np.concatenate([part.x[:] for part in (parts.train, parts.validation, parts.test) if part])
    np.testing.assert_allclose(np.sort(shades[:, 1, 1]), np.arange(20) * 10 / 255, rtol=1e-6)


def test_images_that_are_wrong(tmp_path: Path) -> None:
    good = save(tmp_path, "a/1.png", COLOR)
    content = good.read_bytes()
    other = tmp_path / "a" / "2.png"
    for text, message in [
        (b"not an image", r"2\.png is no image of the formats PNG"),
        (b"", r"2\.png is empty"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 3 2\n", r"2\.png is no image"),
        (content[:-36], r"2\.png (is not a whole image|cannot be read)"),
        (content[:45], r"2\.png (is not a whole image|cannot be read)"),
    ]:
        other.write_bytes(text)
        with refused(message):
            load(f"images:{tmp_path}")
    save(tmp_path, "a/2.png", np.zeros((2, 3), np.uint16))
    with refused("more than 8 bits"):
        load(f"images:{tmp_path}")
    other.unlink()
    for sample, message in [((2, 3, 2), "images of 2 channels"), ((7,), "the 7 entries")]:
        with refused(message):
            load(f"images:{tmp_path}", sample=sample)
    with refused("--resize needs to know the size"):
        load(f"images:{tmp_path}", sample=(6,), resize=True)
    (tmp_path / "empty").mkdir()
    with refused("empty holds no images"):
        load(f"images:{tmp_path}")
    with refused("a holds no folders"):
        load(f"images:{tmp_path / 'a'}")
    with refused("none cannot be read: No such file"):
        load(f"images:{tmp_path / 'none'}")


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_image_bomb_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    """A bitmap of black pixels, a few bytes on disk: its header alone is read."""
    path = save(tmp_path, "a/1.png", Image.new("1", (64, 64)))
    content = bytearray(path.read_bytes())
    content[16:24] = side.to_bytes(4) * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    path.write_bytes(content)
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    with refused("pixels; at most|is too large"):
        load(f"images:{tmp_path}", sample=(2, 3), resize=True)


def test_many_images_that_would_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, "a/1.png", COLOR)
    monkeypatch.setattr("pjc.runtime.data.dataset.MAX_BYTES", 17)
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    with refused("the images in .* would take"):
        load(f"images:{tmp_path}")


def test_without_pillow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, "a/1.png", COLOR)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with refused(r"pip install 'pjc\[images\]'"):
        load(f"images:{tmp_path}")


def test_resize_is_only_for_images() -> None:
    with refused("--resize is for image files, but the data is 'digits'"):
        load("digits", resize=True)


# --- OpenML ---------------------------------------------------------------------------------------


def answer(monkeypatch: pytest.MonkeyPatch, table: Any) -> list[Any]:
    """Let scikit-learn return ``table`` or raise it; return what it was asked for."""
    asked: list[Any] = []

    def fetch(name: str, **options: Any) -> Any:
        asked.append((name, options["version"], options["target_column"]))
        if isinstance(table, Exception):
            raise table
        return table

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    return asked


def table(**changes: Any) -> SimpleNamespace:
    fields = {"data": np.array([[1.0, 2], [3, 4]]), "target": np.array(["b", "a"], object)}
    return SimpleNamespace(**{**fields, "feature_names": ["u", "v"], **changes})


def test_openml(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answer(monkeypatch, table())
    found = load("openml:iris")
    assert found.x[:].tolist() == [[1, 2], [3, 4]] and found.columns == ("u", "v")
    assert found.y[:].tolist() == [1, 0] and found.class_names == ("a", "b")
    assert load("openml:iris:3", "kind").name == "openml:iris:3"
    assert asked == [("iris", "active", "default-target"), ("iris", 3, "kind")]
    answer(monkeypatch, table(target=np.array(["7", "0"], object)))
    assert load("openml:mnist_784").y[:].tolist() == [7, 0]
    answer(monkeypatch, table(target=np.array([0.5, 2])))
    assert load("openml:prices").classes is None


@pytest.mark.parametrize(
    ("given", "spec", "message"),
    [
        (
            URLError("Name or service not known"),
            "iris",
            "cannot be fetched: Name .* known; OpenML needs a network",
        ),
        (URLError(OSError(111, "refused")), "iris", "cannot be fetched: refused; OpenML needs a network"),
        (TimeoutError(110, "timed out"), "iris", "cannot be fetched: timed out; OpenML needs a network"),
        (ValueError("No active dataset iriss found"), "iriss", "no such data set, 'iriss' .*No active"),
        (table(target=None), "iris", "no single target; name its column with --target"),
        (table(target=np.zeros((2, 2))), "iris", "no single target"),
        (
            table(data=np.array([[np.nan, 2], [3, 4]])),
            "iris",
            "lacks values: 1 in column 'u', the first in sample 0",
        ),
        (table(data=np.array([["x", 2], [3, 4]], object)), "iris", "features that are no numbers"),
        (
            table(target=np.array(["b", None], object)),
            "iris",
            "lacks values: 1 in the target, .* --missing drop leaves",
        ),
        (table(), "iris:two", "expected openml:NAME or openml:NAME:VERSION"),
        (table(), "", "expected openml:NAME"),
    ],
)
def test_openml_that_fails(monkeypatch: pytest.MonkeyPatch, given: Any, spec: str, message: str) -> None:
    answer(monkeypatch, given)
    with refused(message):
        load(f"openml:{spec}")


@pytest.mark.parametrize("left", [(), ("mnist_784",), ("mnist_784/limit/2",)], ids=str)
def test_the_size_of_a_download_is_said_until_something_is_there(
    left: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fetch that failed leaves folders of the name."""
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    for each in left:
        (tmp_path / "openml/openml.org" / each).mkdir(parents=True)
    say_download("mnist", "mnist_784:1", "125 MB")
    assert capsys.readouterr().err == "mnist is fetched from OpenML, once: up to 125 MB\n"
    (tmp_path / "openml/openml.org/mnist_784/limit/2").mkdir(parents=True, exist_ok=True)
    (tmp_path / "openml/openml.org/mnist_784/limit/2/found.gz").write_bytes(b"0")
    say_download("mnist", "mnist_784:1", "125 MB")
    assert capsys.readouterr().err == ""
