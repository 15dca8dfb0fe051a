"""Every source: what it reads, and what it says of files that are wrong, cut off or empty."""

from __future__ import annotations

import gzip
import io
import os
import struct
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pjc.diagnostics import PjcError
from pjc.fields import Number, Option
from pjc.options import parse_define
from pjc.runtime import data as sources
from pjc.runtime.data import DataError, Dataset, dataset, fit, load, match, npz, split
from pjc.runtime.data.prepare import Request, prepare
from pjc.runtime.data.rows import mapped


@dataclass(frozen=True)
class Wanted:
    """A TensorSpec, as far as data is concerned."""

    shape: tuple[int, ...]
    classes: int | None = None
    name: str = "x"
    dtype: Any = "float32"
    threshold: float | None = None
    channels: int | None = None


def refused(pattern: str) -> Any:
    """Expect a DataError whose text has ``pattern``."""
    return pytest.raises(DataError, match=pattern)


# --- digits ---------------------------------------------------------------------------------------


def test_digits() -> None:
    digits = load("digits")
    assert digits.x.shape == (1797, 64) and digits.x.dtype == np.float32
    assert digits.x.min() == 0 and digits.x.max() == 1
    assert digits.y.tolist()[:10] == list(range(10)) and digits.classes == 10
    # The first image, first row, as scikit-learn documents it.
    assert (digits.x[0, :8] * 16).tolist() == [0, 0, 5, 13, 9, 1, 0, 0]


def test_unknown_source_lists_what_there_is() -> None:
    with refused("no data called 'digit': expected digits, .* or the path"):
        load("digit")
    with refused("no file nowhere/a.npz"):
        load("nowhere/a.npz")


def test_target_is_only_for_csv() -> None:
    with refused("--target names a column of a CSV file"):
        load("digits", "species")


def test_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "data.txt"
    path.write_text("hello")
    with refused("no data that pjc reads"):
        load(str(path))
    with refused("is a directory"):
        load(str(tmp_path))


# --- npz ------------------------------------------------------------------------------------------


def save_npz(path: Path, **arrays: Any) -> str:
    np.savez_compressed(path, **arrays)
    return str(path)


def test_npz_scales_bytes_and_keeps_floats(tmp_path: Path) -> None:
    pixels = np.array([[0, 51], [255, 102]], np.uint8)
    read = load(save_npz(tmp_path / "bytes.npz", x=pixels, y=np.array([1, 0], np.uint8)))
    np.testing.assert_allclose(read.x, [[0, 0.2], [1, 0.4]], rtol=1e-6)
    assert read.y.tolist() == [1, 0] and read.y.dtype == np.int64 and read.classes == 2
    doubles = np.array([[0.1, 255.0]])
    read = load(save_npz(tmp_path / "doubles.npz", x=doubles, y=np.array([2.5])))
    assert read.x.dtype == np.float64 and read.x.tolist() == [[0.1, 255.0]]
    assert read.classes is None and read.y.tolist() == [2.5]


def test_names_are_no_targets_of_numbers(tmp_path: Path) -> None:
    read = load(save_npz(tmp_path / "a.npz", x=np.zeros((3, 1)), y=np.array(["1.5", "30", "2"])))
    with refused(r"targets of .* are text, as '1.5', '2', '30', and 'y' .*class\[batch, 3\]"):
        fit(read, Wanted((3, 1)), Wanted((3,), None, "y"))
    read = load(save_npz(tmp_path / "b.npz", x=np.zeros((3, 1)), y=np.array(["no", "yes", "no"])))
    assert fit(read, Wanted((3, 1)), Wanted((3,), None, "y", threshold=0.5)).y.tolist() == [0, 1, 0]


def test_npz_strings_are_classes_in_sorted_order(tmp_path: Path) -> None:
    read = load(save_npz(tmp_path / "a.npz", x=np.zeros((3, 1)), y=np.array(["no", "yes", "no"])))
    assert read.y.tolist() == [0, 1, 0] and read.class_names == ("no", "yes")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((2, 3))}, "has no array 'y', only x"),
        ({"x": np.zeros((2, 3)), "y": np.zeros(3, int)}, "2 samples but 3 targets"),
        ({"x": np.zeros((0, 3)), "y": np.zeros(0, int)}, "holds no samples"),
        ({"x": np.zeros((2, 0)), "y": np.zeros(2, int)}, "holds no samples"),
        ({"x": np.float32(1), "y": np.zeros(1, int)}, "holds no samples"),
        ({"x": np.array([[1.0], [np.nan]]), "y": np.zeros(2, int)}, "hold nan in sample 1"),
        ({"x": np.array([[1.0]]), "y": np.array([np.inf])}, "targets of .* hold inf in sample 0"),
        ({"x": np.zeros((2, 1)), "y": np.array([0, -3])}, "has the label -3"),
        ({"x": np.zeros((2, 1), complex), "y": np.zeros(2, int)}, "samples of .* type complex128"),
        ({"x": np.zeros((2, 1)), "y": np.zeros(2, complex)}, "targets of .* type complex128"),
        ({"x": np.array([[{}]]), "y": np.zeros(1, int)}, "x.npy in .* holds Python objects"),
    ],
)
def test_npz_with_wrong_arrays(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    path = save_npz(tmp_path / "a.npz", **arrays)
    with refused(message):
        load(path)


def test_npz_never_runs_what_is_pickled(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    objects = np.empty(1, object)
    objects[0] = Harmful()
    path = save_npz(tmp_path / "a.npz", x=objects, y=np.zeros(1, int))
    with refused("Python objects"):
        load(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kept", [0, 1, 10, 60, 200, -30, -1])
def test_npz_cut_off(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.npz"
    save_npz(path, x=np.random.default_rng(0).normal(size=(20, 3)), y=np.arange(20) % 2)
    path.write_bytes(path.read_bytes()[:kept])
    with refused("not a whole .npz file|is empty"):
        load(str(path))


def test_npz_altered_anywhere_is_refused_or_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    original = load(save_npz(path, x=np.arange(12.0).reshape(4, 3), y=np.array([0, 1, 1, 0])))
    content = path.read_bytes()
    outcomes = set()
    for position in range(len(content)):
        path.write_bytes(content[:position] + bytes([content[position] ^ 255]) + content[position + 1 :])
        try:
            found = load(str(path))
        except DataError:
            outcomes.add("refused")
        else:
            outcomes.add("read")
            np.testing.assert_array_equal(found.x, original.x)
    assert "refused" in outcomes


def npy(shape: str, payload: bytes, dtype: str = "<f8", version: bytes = b"\1\0") -> bytes:
    """Return a .npy file whose header may lie."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + payload


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (npy("(99999999999, 99999999)", b"\0" * 8), "would take .* GiB"),
        (npy("(1000, 2)", b"\0" * 8), "is damaged: x.npy of shape .* needs 16000 bytes, found 8"),
        (npy("(1,)", b"\0" * 64), "needs 8 bytes, found 64"),
        (npy("(-1, 2)", b"\0" * 8), "limit|damaged|negative"),
        (npy("(1,)", b"\0" * 8, version=b"\3\0"), r"version \(3, 0\)"),
        (b"not npy at all", "not a whole"),
        (b"", "not a whole"),
    ],
)
def test_npz_header_that_lies(tmp_path: Path, member: bytes, message: str) -> None:
    path = tmp_path / "a.npz"
    good = io.BytesIO()
    np.save(good, np.zeros(1, int))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", member)
        archive.writestr("y.npy", good.getvalue())
    with refused(message):
        load(str(path))


# --- csv ------------------------------------------------------------------------------------------


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_csv_with_names_for_classes(tmp_path: Path) -> None:
    text = "width,species,length\n1.5,setosa,2\n3,iris,-4e1\n\n5,setosa,6\n"
    read = load(write(tmp_path / "a.csv", "\ufeff" + text), "species")
    assert read.x.tolist() == [[1.5, 2], [3, -40], [5, 6]]
    assert read.y.tolist() == [1, 0, 1]
    assert read.class_names == ("iris", "setosa") and read.columns == ("width", "length")


@pytest.mark.parametrize(
    ("column", "targets", "classes"),
    [(["2", "0"], [2, 0], 3), (["2.5", "0"], [2.5, 0.0], None), (["2", "b"], [0, 1], 2)],
)
def test_csv_targets(tmp_path: Path, column: list[str], targets: list[float], classes: int | None) -> None:
    rows = "".join(f"1,{text}\n" for text in column)
    read = load(write(tmp_path / "a.csv", "a,t\n" + rows), "t")
    assert read.y.tolist() == targets and read.classes == classes


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("", "t", "is empty"),
        ("\n\n", "t", ":1: the first line must name the columns"),
        ("a,t\n", "t", "column names but no samples"),
        ("a,t\n1,2\n", None, "name the column .* --target; the columns are a, t"),
        ("a,kind\n1,2\n", "kinds", "no column 'kinds'; did you mean 'kind'"),
        ("a,kind\n1,2\n", "zzz", "no column 'zzz'; the columns are a, kind"),
        ("a,a,t\n1,2,3\n", "t", "two columns are called 'a'"),
        ("t\n1\n", "t", "no column besides the target"),
        ("a,t\n1,2\n3\n", "t", ":3: 1 columns, expected 2"),
        ("a,t\n1,2\n3,4,5\n", "t", ":3: 3 columns, expected 2"),
        ("a,b,t\n1,2,0\n1,two,0\n", "t", ":3: column 'b' holds 'two', which is not a number"),
        ("a,b,t\n1,,0\n", "t", "lacks values: 1 in column 'b', the first in line 2; --missing mean"),
        ("a,t\n1, \n", "t", "lacks values: 1 in the target 't', the first in line 2; --missing drop"),
        ("a,t\n1,0\nnan,0\n", "t", "lacks values: 1 in column 'a', the first in line 3"),
        ("a,t\n1,0\ninf,0\n", "t", "hold inf in sample 1"),
        ("a,t\n1,-1\n", "t", "label -1"),
        ('a,t\n"1,0\n', "t", ":2: not valid CSV"),
    ],
)
def test_csv_that_is_wrong(tmp_path: Path, text: str, target: str | None, message: str) -> None:
    path = write(tmp_path / "a.csv", text)
    with refused(message):
        load(path, target)


def test_csv_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for damaged in (b"a,t\n1,\xc3\xa9\xff\n", b"a,t\n1,\xff\0\n", b"a,t\n1,\x81\n"):
        path.write_bytes(damaged)
        with refused(r"is not UTF-8 text \(byte [68]\); say what it is, as in --encoding"):
            load(str(path), "t")
    path.write_bytes(b"a,t\n1,\0\n2,0\n")
    with refused(":2: .*NUL"):
        load(str(path), "t")


# --- idx ------------------------------------------------------------------------------------------


def idx(array: np.ndarray[Any, Any], code: int = 8) -> bytes:
    """Return an array of bytes as an IDX file."""
    return struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + array.tobytes()


IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4) * 10
LABELS = np.array([7, 3], np.uint8)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("separator", ["-", "."])
def test_idx_finds_the_labels(tmp_path: Path, zipped: bool, separator: str) -> None:
    images = tmp_path / f"train-images{separator}idx3-ubyte{'.gz' if zipped else ''}"
    images.write_bytes(gzip.compress(idx(IMAGES)) if zipped else idx(IMAGES))
    (tmp_path / f"train-labels{separator}idx1-ubyte").write_bytes(idx(LABELS))
    read = load(str(images))
    np.testing.assert_allclose(read.x, IMAGES / 255, rtol=1e-6)
    assert read.x.dtype == np.float32 and read.y.tolist() == [7, 3] and read.classes == 8


def test_idx_with_both_files_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(idx(IMAGES))
    (tmp_path / "b.gz").write_bytes(gzip.compress(idx(LABELS)))
    assert load(f"{tmp_path / 'a'},{tmp_path / 'b.gz'}").y.tolist() == [7, 3]
    with refused("labels of .* cannot be found by its name; name both"):
        load(str(tmp_path / "a"))


def test_idx_big_endian_numbers(tmp_path: Path) -> None:
    values = np.array([[1.5, -2], [3, 4e9]], ">f4")
    (tmp_path / "a").write_bytes(idx(values, 0x0D))
    (tmp_path / "b").write_bytes(idx(np.array([1, 256], ">i4"), 0x0C))
    read = load(f"{tmp_path / 'a'},{tmp_path / 'b'}")
    assert read.x.tolist() == values.tolist() and read.x.dtype.isnative
    assert read.y.tolist() == [1, 256]


def test_idx_without_labels(tmp_path: Path) -> None:
    images = tmp_path / "t10k-images-idx3-ubyte"
    images.write_bytes(idx(IMAGES))
    with refused("no labels file .* expected .*t10k-labels-idx1-ubyte"):
        load(str(images))


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(IMAGES)[:3], "not an IDX file"),
        (b"\0\1\x08\1" + idx(IMAGES)[4:], "not an IDX file: it starts with 00 01 08 01"),
        (b"\0\0\x07\1" + idx(IMAGES)[4:], "not an IDX file"),
        (b"\0\0\x08\0", "not an IDX file"),
        (idx(IMAGES)[:10], "cut off in its header"),
        (idx(IMAGES)[:16], "cut off: its header says 24 bytes"),
        (idx(IMAGES)[:-1], "cut off: its header says 24 bytes"),
        (idx(IMAGES) + b"\0", "damaged: its header says 24 bytes .*, found more"),
        (struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 9), "would take .* GiB"),
        (struct.pack(">HBB2I", 0, 8, 2, 2**15, 2**15), "cut off: its header says 1073741824"),
        (struct.pack(">HBB1I", 0, 8, 1, 0), "holds no samples"),
    ],
)
def test_idx_that_is_wrong(tmp_path: Path, content: bytes, message: str, zipped: bool) -> None:
    path, labels = tmp_path / "a", tmp_path / "b"
    path.write_bytes(gzip.compress(content) if zipped else content)
    labels.write_bytes(idx(LABELS))
    with refused(message):
        load(f"{path},{labels}")


@pytest.mark.parametrize("kept", [0, 1, 2, 9, 15, -9, -4, -1])
def test_idx_gzip_cut_off(tmp_path: Path, kept: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 5), np.uint8)
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx(images))[:kept])
    (tmp_path / "b").write_bytes(idx(np.zeros(4, np.uint8)))
    with refused("is empty|not an IDX file|cut off|cannot be read"):
        load(f"{tmp_path / 'a.gz'},{tmp_path / 'b'}")


def test_idx_gzip_bomb_is_not_unzipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    original = gzip.GzipFile.read

    def counted(self: gzip.GzipFile, size: int | None = -1) -> bytes:
        nonlocal read
        block = original(self, size)
        read += len(block)
        return block

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(idx(IMAGES) + bytes(50_000_000)))
    (tmp_path / "b").write_bytes(idx(LABELS))
    with refused("found more"):
        load(f"{path},{tmp_path / 'b'}")
    assert 0 < read < 1000


# --- limits, shapes, splits -----------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "entries"), [(np.uint8, 30), (np.int8, 13)])
def test_limit_on_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: Any, entries: int) -> None:
    """The limit is on the floats that bytes become, four or eight times as large."""
    monkeypatch.setattr(dataset, "MAX_BYTES", 200)
    path = save_npz(tmp_path / "a.npz", x=np.zeros((2, entries), dtype), y=np.zeros(2, int))
    with refused("the samples of .* would take"):
        load(path)


def sample(count: int = 10, classes: int | None = 3) -> Dataset:
    x = np.arange(count * 12, dtype=np.float64).reshape(count, 3, 4)
    y = np.arange(count) % classes if classes else np.arange(count) / 4
    return Dataset(x, y, classes, "sample")


def test_fit_reshapes_each_sample() -> None:
    fitted = fit(sample(), Wanted((5, 2, 6)), Wanted((5,), 3, "y"))
    assert fitted.x.shape == (10, 2, 6) and fitted.x.dtype == np.float32
    assert fitted.x[1].ravel().tolist() == list(range(12, 24))
    assert fitted.y.dtype == np.int32 and fitted.y.tolist() == [0, 1, 2] * 3 + [0]


def test_fit_to_double_precision_and_numeric_targets() -> None:
    fitted = fit(sample(), Wanted((5, 12), dtype="float64"), Wanted((5, 1), None, "y", "float64"))
    assert fitted.x.dtype == np.float64 and fitted.y.dtype == np.float64
    assert fitted.y.shape == (10, 1) and fitted.classes is None


def test_fit_takes_whole_floats_for_classes_and_classes_for_numbers() -> None:
    floats = Dataset(np.zeros((2, 1)), np.array([2.0, 0.0]), None, "floats")
    fitted = fit(floats, Wanted((5, 1)), Wanted((5,), 3, "y"))
    assert fitted.y.dtype == np.int32 and fitted.y.tolist() == [2, 0] and fitted.classes == 3
    numbers = fit(sample(), Wanted((5, 12)), Wanted((5,), None, "y"))
    assert numbers.y.dtype == np.float32 and numbers.classes is None


@pytest.mark.parametrize(
    ("x", "y", "data", "message"),
    [
        ((5, 64), (5,), sample(), r"shape \[3, 4\], 12 entries, but 'x' .* \[64\], 64 entries"),
        ((5, 12), (5, 2), sample(), r"a target of sample has shape \[\], 1 entries, but 'y'"),
        ((5, 12), (5,), sample(10, 4), "run from 0 to 3, but 'y' has the classes 0 to 2"),
        ((5, 12), (5,), sample(10, None), "numbers with fractions"),
    ],
)
def test_fit_says_what_does_not_fit(
    x: tuple[int, ...], y: tuple[int, ...], data: Dataset, message: str
) -> None:
    with refused(message):
        fit(data, Wanted(x), Wanted(y, 3, "y"))


@pytest.mark.parametrize(
    ("names", "labels", "found"),
    [
        (("1", "2", "x"), [2, 1, 1], [1, 0, 0]),
        (("0", "10", "other"), [0, 0], [0, 0]),
        (("a", "3"), [3], [1]),
    ],
)
def test_classes_that_are_called_numbers_are_found(
    tmp_path: Path, names: tuple[str, ...], labels: list[int], found: list[int]
) -> None:
    train = Dataset(np.zeros((len(names), 1)), np.arange(len(names)), len(names), "train", names, ("a",))
    rows = "".join(f"0,{label}\n" for label in labels)
    test = load(write(tmp_path / "t.csv", f"a,t\n{rows}"), "t")
    assert match(test, train).y.tolist() == found and match(test, train).class_names == names
    other = load(write(tmp_path / "u.csv", "a,t\n0,7\n"), "t")
    with refused("has the class '7', but train has the classes"):
        match(other, train)
    with refused("has the class '0.5', but train has the classes"):
        match(load(write(tmp_path / "v.csv", "a,t\n0,0.5\n"), "t"), train)


def test_match_numbers_classes_as_in_training() -> None:
    x = np.zeros((2, 1))
    train = Dataset(x, np.array([0, 1]), 3, "train", ("a", "b", "c"))
    test = Dataset(x, np.array([0, 1]), 2, "test", ("b", "c"))
    assert match(test, train).y.tolist() == [1, 2]
    with refused("test has the class 'c', but train has the classes a, b"):
        match(test, Dataset(x, np.array([0, 1]), 2, "train", ("a", "b")))
    with refused("columns of test"):
        match(test, Dataset(x, np.array([0, 1]), 2, "train", columns=("width",)))


def test_split_is_fixed_stratified_and_whole() -> None:
    digits = load("digits")
    rest, test = split(digits, 0.2, "test")
    assert (len(rest), len(test)) == (1438, 359)
    together = np.concatenate([rest.x, test.x])
    assert np.array_equal(together[np.lexsort(together.T)], digits.x[np.lexsort(digits.x.T)])
    for label, count in enumerate(np.bincount(digits.y)):
        assert abs(np.bincount(test.y)[label] - 0.2 * count) < 1
    again, other = split(digits, 0.2, "test")[1], split(digits, 0.2, "test", seed=1)[1]
    assert np.array_equal(test.x, again.x) and not np.array_equal(test.x, other.x)


def test_split_without_classes_or_with_several_sites() -> None:
    rest, part = split(sample(10, None), 0.3, "test")
    assert (len(rest), len(part)) == (7, 3)
    sites = Dataset(np.zeros((10, 1)), np.zeros((10, 2), int), 1, "sites")
    assert len(split(sites, 0.5, "test")[1]) == 5


@pytest.mark.parametrize("fraction", [0.0, 1.0, 0.01, 0.99, float("nan")])
def test_split_that_leaves_a_part_empty(fraction: float) -> None:
    with refused("--validation|between 0 and 1"):
        split(sample(10), fraction, "validation")


def test_public_names_exist() -> None:
    assert all(hasattr(sources, name) for name in sources.__all__)


# --- right or refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "expected", "axes"),
    [
        ((4, 6, 3), (3, 4, 6), (0, 3, 1, 2)),
        ((5, 5, 2), (2, 5, 5), (0, 3, 1, 2)),
        ((7, 5, 1), (1, 7, 5), (0, 3, 1, 2)),
        ((3, 4, 6), (4, 6, 3), (0, 2, 3, 1)),
        ((2, 3, 4, 5), (5, 2, 3, 4), (0, 4, 1, 2, 3)),
        ((3, 3, 3), (3, 3, 3), (0, 1, 2, 3)),
    ],
)
def test_channels_go_where_the_network_has_them(found: Any, expected: Any, axes: Any) -> None:
    x = np.arange(2 * np.prod(found), dtype=np.float32).reshape(2, *found)
    data = sources.from_arrays(x, np.zeros(2, int), "a")
    for given in (data, Dataset(mapped(x), data.y, 1, "a")):
        fitted = fit(given, Wanted((5, *expected)), Wanted((5,), 1, "y"))
        np.testing.assert_array_equal(fitted.x[:], x.transpose(axes))


@pytest.mark.parametrize(
    ("found", "expected"), [((4, 6), (6, 4)), ((4, 6, 3), (3, 6, 4)), ((2, 3, 4, 5), (2, 5, 3, 4))]
)
def test_axes_in_no_layout_are_refused(found: Any, expected: Any) -> None:
    data = sources.from_arrays(np.zeros((2, *found)), np.zeros(2, int), "a")
    with refused("in another order; transpose"):
        fit(data, Wanted((5, *expected)), Wanted((5,), 1, "y"))


@pytest.mark.parametrize("values", [[0, 255, 255], [7, 1, 128], range(256)])
def test_bytes_are_tokens_where_integers_are_taken(tmp_path: Path, values: Any) -> None:
    x = np.array([values], np.uint8)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.zeros(1, int))
    wanted = Wanted((1, x.shape[1]), 256, "t", "int32"), Wanted((1,), 1, "y")
    for spec in (save_npz(tmp_path / "a.npz", x=x, y=np.zeros(1, int)), f"npy:{tmp_path}"):
        fitted = fit(fit(load(spec), *wanted), *wanted)
        assert fitted.x.dtype == np.int32 and fitted.x[:].tolist() == [list(values)]


@pytest.mark.parametrize("text", ["1_000", "\u0661", "\uff12", "1__0", "0x10"])
def test_numbers_in_text_are_ascii_decimals(tmp_path: Path, text: str) -> None:
    with refused(":2: column 'a' holds .* not a number"):
        load(write(tmp_path / "a.csv", f"a,t\n{text},0\n"), "t")
    assert load(write(tmp_path / "b.csv", f"a,t\n1,{text}\n"), "t").class_names == (text,)
    with pytest.raises(PjcError):
        parse_define(f"hidden={text}")
    with pytest.raises(PjcError):
        Option("a", None, Number(), "", "", (), None, None, True, None, None, False).read(text)


@pytest.mark.parametrize("value", [1e300, -1e39, 3.5e38])
def test_numbers_that_overflow_are_refused_in_every_format(tmp_path: Path, value: float) -> None:
    x, y = np.array([[1.0], [value]]), np.array([0, 1])
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    for data in (
        load(save_npz(tmp_path / "a.npz", x=x, y=y)),
        load(f"npy:{tmp_path}"),
        load(write(tmp_path / "a.csv", f"a,t\n1,0\n{value},1\n"), "t"),
    ):
        with refused("in sample 1 .* too large for float32"):
            fit(data, Wanted((2, 1)), Wanted((2,), 2, "y"))
        assert fit(data, Wanted((2, 1), dtype="float64"), Wanted((2,), 2, "y")).x[:].tolist() == x.tolist()
    with refused("the targets of a hold .* too large"):
        fit(Dataset(np.zeros((2, 1)), x, None, "a"), Wanted((2, 1)), Wanted((2, 1), None, "y"))


@pytest.mark.parametrize("value", [2**63, 2**63 + 2, 2**64 - 1])
def test_labels_that_are_too_large_are_told_as_they_are(tmp_path: Path, value: int) -> None:
    np.savez(tmp_path / "d.npz", x=np.ones((3, 2)), y=np.array([0, value, 1], np.uint64))
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    np.save(tmp_path / "y.npy", np.array([0, value, 1], np.uint64))
    for spec in (f"{tmp_path}/d.npz", f"npy:{tmp_path}"):
        with pytest.raises(DataError, match=f"hold {value}, which is too large for int64"):
            load(spec)


@pytest.mark.parametrize("shape", ["(3L, 2L)", "(3L, 2)", "(3, 2L)"])
def test_headers_of_python_2_are_read_without_a_warning(tmp_path: Path, shape: str) -> None:
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    samples = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + np.arange(6.0).tobytes()
    np.save(tmp_path / "y.npy", np.arange(3))
    (tmp_path / "x.npy").write_bytes(samples)
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("x.npy", samples)
        archive.write(tmp_path / "y.npy", "y.npy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for spec in (f"{tmp_path}/d.npz", f"npy:{tmp_path}"):
            np.testing.assert_array_equal(load(spec).x[:], np.arange(6.0).reshape(3, 2))


def test_labels_of_bytes_are_utf8(tmp_path: Path) -> None:
    for names in (["caf\u00e9", "tea"], ["a", "b"], ["\u6570", "\u5b57"]):
        y = np.array([name.encode() for name in names])
        read = load(save_npz(tmp_path / "a.npz", x=np.zeros((2, 1)), y=y))
        assert read.class_names == tuple(sorted(names))
    with refused("not UTF-8"):
        load(save_npz(tmp_path / "a.npz", x=np.zeros((2, 1)), y=np.array([b"caf\xe9", b"a"])))


def test_members_without_a_suffix(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in (("x", np.array([[2.0], [3.0]])), ("y", np.array([1, 0]))):
            stream = io.BytesIO()
            np.save(stream, array)
            archive.writestr(name, stream.getvalue())
    assert load(str(path)).x.tolist() == [[2], [3]]


def test_a_header_of_booleans_or_of_many_axes(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(npy_header("(True, 4)") + bytes(32))
    np.save(tmp_path / "y.npy", np.zeros(1, int))
    with refused("x.npy"):
        load(f"npy:{tmp_path}")
    (tmp_path / "x.npy").write_bytes(npy_header("(1, 4)").replace(b"(1, 4)", b"(1'+4)") + bytes(32))
    with refused("x.npy is not a whole .npy file"):
        load(f"npy:{tmp_path}")
    (tmp_path / "i").write_bytes(struct.pack(">HBB65I", 0, 8, 65, *[1] * 65) + b"\0")
    with refused("i is not an IDX file"):
        load(f"{tmp_path / 'i'},{tmp_path / 'i'}")


def npy_header(shape: str) -> bytes:
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize(
    ("header", "rows"), [("a,,t", "0,1,2"), ("a,t,", "0,1,2"), (",a,t", "0.5,1,2"), (",a,t", "3,1,2\n3,4,5")]
)
def test_a_column_without_a_name(tmp_path: Path, header: str, rows: str) -> None:
    with refused(":1: column [123] has no name"):
        load(write(tmp_path / "a.csv", f"{header}\n{rows}\n"), "t")


@pytest.mark.parametrize("spec", ["{}", "npy:{},{}", "text:{}", "{}.csv", "{}.npz"])
def test_pipes_are_refused(tmp_path: Path, spec: str) -> None:
    for suffix in ("", ".csv", ".npz"):
        os.mkfifo(f"{tmp_path / 'p'}{suffix}")
    with refused("pipe or a device"):
        prepare(
            Request(spec.format(tmp_path / "p", tmp_path / "p"), target="t" if "csv" in spec else None),
            Wanted((2, 4), 3, "x", "int32"),
            Wanted((2,), 3, "y", "int32"),
        )


@pytest.mark.parametrize("code", [0x110000, 0xFFFFFFFF, 0xD800])
@pytest.mark.parametrize("order", ["<", ">"])
def test_labels_of_numbers_that_are_no_characters(tmp_path: Path, code: int, order: str) -> None:
    codes = np.array([[97, 0], [98, code]], f"{order}u4")
    y = codes.view(f"{order}U2").reshape(2)
    path = save_npz(tmp_path / "a.npz", x=np.zeros((2, 1)), y=y)
    with refused(f"targets of .*a.npz hold {code:#x} as a character, which is none"):
        load(path)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("TRAIN-IMAGES-IDX3-UBYTE", "TRAIN-LABELS-IDX1-UBYTE"),
        ("train-images-idx3-ubyte.GZ", "train-labels-idx1-ubyte"),
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte.GZ"),
        ("A-IMAGES.IDX3.GZ", "A-LABELS.IDX1.gz"),
    ],
)
def test_idx_labels_beside_names_in_capitals(tmp_path: Path, images: str, labels: str) -> None:
    for name, array in ((images, IMAGES), (labels, LABELS)):
        raw = idx(array)
        (tmp_path / name).write_bytes(gzip.compress(raw) if name.lower().endswith(".gz") else raw)
    read = load(str(tmp_path / images))
    assert read.y.tolist() == LABELS.tolist() and read.x.shape == IMAGES.shape


def test_npz_arrays_are_counted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each array stays below the limit; that of the two together is found before either is read."""
    monkeypatch.setattr(npz, "MAX_BYTES", 1000)  # imported above: not while another test has its limit
    for sides in ((100, 30), (30, 100), (60, 70)):
        x, y = (np.zeros((10, side // 10)) for side in sides)
        with refused("arrays in .*a.npz would take .* GiB together"):
            load(save_npz(tmp_path / "a.npz", x=x, y=y))
    assert len(load(save_npz(tmp_path / "a.npz", x=np.zeros((10, 6)), y=np.zeros((10, 6))))) == 10
