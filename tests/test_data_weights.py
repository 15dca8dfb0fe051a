"""How much samples count: the order of an epoch, weights by class, scores; and one-hot targets, own parts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import pjc
from pjc.runtime.data import DataError, Dataset, fit, from_arrays, load, split
from pjc.runtime.data.ordering import order
from pjc.runtime.data.prepare import Request, prepare
from pjc.runtime.data.weights import class_weights
from pjc.runtime.distributed import ALONE
from pjc.runtime.epoch import Batches
from pjc.runtime.evaluate import evaluate
from pjc.runtime.history import Result
from pjc.runtime.train import Run, train


@dataclass(frozen=True)
class Wanted:
    """A TensorSpec, as far as data is concerned."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    classes: int | None = None
    threshold: float | None = None
    channels: int | None = None


X = Wanted("x", (2, 4))
Y = Wanted("y", (2,), "int32", 3)


def refused(pattern: str) -> Any:
    """Expect a DataError whose text has ``pattern``."""
    return pytest.raises(DataError, match=pattern)


# --- the order of an epoch ------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [None, np.ones(50), np.full(50, 0.3)])
def test_samples_that_weigh_the_same_come_once(weights: Any) -> None:
    found = order(50, weights, np.random.default_rng([3, 1]))
    assert found.tolist() == np.random.default_rng([3, 1]).permutation(50).tolist()


@pytest.mark.parametrize(
    "weights",
    [
        np.array([1.0, 2, 3, 4]),
        np.array([0.0, 0, 5, 1, 1]),
        np.array([1e300, 1e300, 1e-300, 5e299]),
        np.random.default_rng(0).random(101),
        np.repeat([0.5, 1.5], 20),
        np.arange(1, 8) ** 3.0,
    ],
)
def test_samples_come_as_often_as_they_weigh(weights: Any) -> None:
    """Each comes floor(w) or ceil(w) times, of weights w with a mean of 1, and w times on average."""
    count, epochs = len(weights), 2000
    mean = weights / weights.max() / (weights / weights.max()).mean()
    total = np.zeros(count)
    for epoch in range(epochs):
        found = order(count, weights, np.random.default_rng([0, epoch]))
        times = np.bincount(found, minlength=count)
        assert len(found) == count == times.sum()
        assert (times >= np.floor(mean - 1e-9)).all() and (times <= np.ceil(mean + 1e-9)).all()
        total += times
    # A fraction f is drawn or not: a deviation of at most 0.5 / sqrt(epochs).
    np.testing.assert_allclose(total / epochs, mean, atol=6 * 0.5 / np.sqrt(epochs))


@pytest.mark.parametrize("weights", [[2.0, 0, 1, 1], [1.0, 1, 0, 2], [0.0, 0, 0, 4]])
def test_whole_weights_are_exact(weights: list[float]) -> None:
    found = order(4, np.array(weights), np.random.default_rng(0))
    assert np.bincount(found, minlength=4).tolist() == weights


def batches(weights: Any, size: int, epoch: int = 0) -> list[int]:
    """Return the samples that an epoch takes, which are told by their values."""
    data = replace(from_arrays(np.arange(12.0)[:, None], np.arange(12) % 2, "a"), weights=weights)
    made = Batches(data, size, 5, ALONE).after(Result({}, epoch=epoch))
    return [int(value) for x, _ in made for value in np.asarray(x)[:, 0]]


def test_batches_follow_weights() -> None:
    weights = np.repeat([0.0, 2.0], 6)
    plain = np.random.default_rng([5, 0]).permutation(12).tolist()
    assert batches(None, 4) == batches(np.ones(12), 4) == plain
    assert sorted(batches(weights, 4)) == sorted(2 * list(range(6, 12)))
    assert batches(weights, 4) != batches(weights, 4, epoch=1)
    # One batch of all: what is drawn stays, as each place may have parameters of its own.
    assert batches(None, 12, epoch=1) == list(range(12))
    assert sorted(batches(weights, 12)) == sorted(2 * list(range(6, 12)))
    assert batches(weights, 12) == batches(weights, 12, epoch=1)


NET = """
input x: f32[batch, 1]
target y: class[batch, 2]
param b: f32[2] = zeros
param w: f32[1, 2] = zeros
output z = x @ w + b
require cross_entropy(z, y)
"""


def test_training_follows_weights(tmp_path: Path) -> None:
    """All samples are alike, so that the network says the class that weighs most."""
    program = pjc.compile(NET, batch=8)
    data = from_arrays(np.zeros((80, 1)), (np.arange(80) % 5 == 0).astype(int), "a")
    heavy = replace(data, weights=class_weights(data.y, {1: 10}))
    for given, said in ((data, 0.8), (heavy, 0.2)):
        params = train(program, given, Run(epochs=20)).params
        assert evaluate(program, params, data) == pytest.approx(said)
        weighted = evaluate(program, params, heavy)
        assert weighted == pytest.approx(64 / (64 + 160) if said == 0.8 else 160 / (64 + 160))


@pytest.mark.parametrize("kind", ["uint8", "int64", "float32", "float64"])
def test_arrays_and_mapped_files_of_the_same_data_have_one_checksum(tmp_path: Path, kind: str) -> None:
    draw = np.random.default_rng(0)
    x = (draw.random((1500, 4)) * 9).astype(kind)
    y = np.arange(1500) % 3
    np.savez(tmp_path / "a.npz", x=x, y=y)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    sums = []
    for spec in (f"{tmp_path / 'a.npz'}", f"npy:{tmp_path}"):
        data = load(spec)
        sums += [data.checksum(), fit(data, X, Y).checksum()]
    assert sums[:2] == sums[2:]
    x[777, 0] += 1
    np.save(tmp_path / "x.npy", x)
    assert load(f"npy:{tmp_path}").checksum() != sums[0]


def test_checksums_tell_weights_apart() -> None:
    data = from_arrays(np.zeros((3, 1)), np.arange(3), "a")
    sums = [replace(data, weights=each).checksum() for each in (None, np.ones(3), np.arange(3))]
    assert len(set(sums)) == 3 and sums[0] == data.checksum()


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (np.ones(3), r"a has 4 samples, but weights of shape \[3\]"),
        (np.ones((4, 1)), r"weights of shape \[4, 1\]"),
        (["a"] * 4, "the weights of a are no numbers"),
        ([1, np.nan, 1, 1], "the weight of sample 1 .* is nan"),
        ([0, 0, 0, 0], "are all 0"),
        ([0, -0.5, 0, 1], "is -0.5"),
    ],
)
def test_weights_that_are_none(weights: Any, said: str) -> None:
    with refused(said):
        Dataset(np.zeros((4, 1)), np.zeros(4, int), 1, "a", weights=weights)


def test_parts_keep_weights() -> None:
    data = Dataset(np.arange(40.0)[:, None], np.zeros(40, int), 1, "a", weights=np.arange(40.0))
    for part in split(data, 0.25, "test"):
        assert part.weights is not None and part.weights.tolist() == part.x[:, 0].tolist()
    fitted = fit(data, Wanted("x", (2, 1)), Y)
    assert fitted.weights is not None and fitted.weights.tolist() == list(range(40))


# --- weights by class -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "weights", "wanted"),
    [
        ([0, 0, 0, 1], "balanced", [2 / 3, 2 / 3, 2 / 3, 2]),
        ([5, 7, 5, 9], "balanced", [2 / 3, 4 / 3, 2 / 3, 4 / 3]),
        (["a", "b"], "balanced", [1, 1]),
        ([0, 1, 2], {1: 5}, [1, 5, 1]),
        (["a", "b", "a"], {"a": 0.5, "b": 2}, [0.5, 2, 0.5]),
        ([True, False], {True: 3}, [3, 1]),
    ],
)
def test_class_weights(y: Any, weights: Any, wanted: list[float]) -> None:
    np.testing.assert_allclose(class_weights(y, weights), wanted)


@pytest.mark.parametrize(
    ("y", "weights", "said"),
    [
        ([0, 1], {2: 1}, "name the class 2, which no sample has"),
        ([0, 1], {1: -1}, "the weight of the class 1 is -1"),
        ([0, 1], {1: "x"}, "is 'x', which is no number"),
        ([0, 1], {1: np.inf}, "weights are finite"),
        ([0.5, 1], "balanced", "one class for each sample; the targets have shape"),
        ([[0], [1]], "balanced", "one class for each sample"),
        ([0, 1], "even", "no class weights 'even'; expected 'balanced' or a mapping"),
    ],
)
def test_class_weights_that_are_none(y: Any, weights: Any, said: str) -> None:
    with refused(said):
        class_weights(y, weights)


def test_balanced_classes_are_those_of_the_training_part(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(200) < 0.1).astype(int)
    np.savez(tmp_path / "a.npz", x=rng.random((200, 4)), y=y)
    parts = prepare(Request(str(tmp_path / "a.npz"), class_weight="balanced"), X, Y)
    drawn = parts.train.drawn()
    assert drawn is not None
    ones = parts.train.y == 1
    assert drawn[ones].sum() == pytest.approx(drawn[~ones].sum())
    assert parts.train.weights is None  # in scores all count alike
    assert parts.validation and parts.test and parts.validation.drawn() is parts.test.drawn() is None
    with refused("--class-weight is for targets of one class each"):
        numbers = Wanted("y", (2,))
        prepare(Request(str(tmp_path / "a.npz"), class_weight="balanced"), X, numbers)


# --- one-hot targets ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8, bool, np.uint8])
@pytest.mark.parametrize("axes", [(), (1,)])
def test_one_hot_targets_are_classes(dtype: Any, axes: tuple[int, ...]) -> None:
    y = np.eye(3)[[2, 0, 1, 1]].astype(dtype).reshape(4, *axes, 3)
    fitted = fit(from_arrays(np.zeros((4, 4)), y, "a"), X, Y)
    assert fitted.y.tolist() == [2, 0, 1, 1] and fitted.y.dtype == np.int32 and fitted.classes == 3


def test_one_hot_targets_of_several_sites() -> None:
    classes = np.array([[0, 2], [1, 1]])
    fitted = fit(from_arrays(np.zeros((2, 4)), np.eye(3)[classes], "a"), X, Wanted("y", (2, 2), "int32", 3))
    assert fitted.y.tolist() == classes.tolist()


@pytest.mark.parametrize("row", [[0, 0, 0], [1, 1, 0], [0.5, 0.5, 0], [0, 2, 0], [-1, 1, 1]])
def test_rows_that_are_not_one_hot(row: list[float]) -> None:
    with refused("'y' is a class of 3, .* one-hot: .* that of sample 1 .* is not"):
        fit(from_arrays(np.zeros((2, 4)), np.array([[0.0, 1, 0], row]), "a"), X, Y)


@pytest.mark.parametrize("shape", [(4,), (2,), (3, 3)])
def test_rows_of_another_length_are_refused(shape: tuple[int, ...]) -> None:
    with refused(r"a target of a has shape .* but 'y' of the network takes \[\]"):
        fit(from_arrays(np.zeros((2, 4)), np.zeros((2, *shape)), "a"), X, Y)


def test_one_hot_columns_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,p,q,r\n1,0,1,0\n2,1,0,0\n3,0,0,1\n")
    data = load(str(path), "p,q,r")
    assert fit(data, Wanted("x", (2, 1)), Y).y.tolist() == [1, 0, 2]


# --- parts that data come with --------------------------------------------------------------------


def arrays(count: int, start: int) -> tuple[Any, Any]:
    """Return samples that are told by their numbers, and their classes."""
    numbers = np.arange(start, start + count)
    return np.repeat(numbers[:, None], 4, axis=1).astype(float), numbers % 3


@pytest.mark.parametrize(
    ("train_names", "test_names", "spec"),
    [
        (("x_train", "y_train"), ("x_test", "y_test"), "{}"),
        (("x_train", "y_train"), ("x_test", "y_test"), "keras:{}"),
        (("X_train", "Y_train"), ("X_test", "Y_test"), "{}"),
        (("train_images", "train_labels"), ("test_images", "test_labels"), "{}"),
        (("x", "y"), ("x_test", "y_test"), "{}"),
        (("data", "target"), ("test_data", "test_target"), "{}"),
        (("xtrain", "ytrain"), ("xtest", "ytest"), "{}"),
    ],
)
def test_parts_of_an_archive(tmp_path: Path, train_names: Any, test_names: Any, spec: str) -> None:
    members = dict(zip(train_names + test_names, arrays(30, 0) + arrays(6, 100), strict=True))
    np.savez(tmp_path / "a.npz", **members)
    request = Request(spec.format(tmp_path / "a.npz"))
    parts = prepare(request, X, Y)
    assert parts.test is not None and parts.test.x[:, 0].tolist() == list(range(100, 106))
    assert parts.validation is not None and (len(parts.train), len(parts.validation)) == (27, 3)
    assert parts.train.x.max() < 30 and parts.test.y.tolist() == [n % 3 for n in range(100, 106)]
    mixed = prepare(replace(request, test=0.5), X, Y)
    assert mixed.test is not None and len(mixed.test) == 18 and mixed.train.x.max() >= 100
    apart = prepare(replace(request, test_data=request.data), X, Y)
    assert apart.test is not None and len(apart.test) == 6 and apart.train.x.max() < 30


@pytest.mark.parametrize("word", ["val", "valid", "validation"])
def test_an_archive_of_three_parts(tmp_path: Path, word: str) -> None:
    """As medmnist's: labels have an axis of one."""
    members = {}
    for part, count, start in (("train", 20, 0), (word, 5, 50), ("test", 4, 100)):
        x, y = arrays(count, start)
        members |= {f"{part}_images": x.astype(np.uint8), f"{part}_labels": y[:, None].astype(np.uint8)}
    np.savez(tmp_path / "a.npz", **members)
    parts = prepare(Request(str(tmp_path / "a.npz")), X, Y)
    assert parts.validation and parts.test
    assert [round(float(part.x[0, 0]) * 255) for part in (parts.train, parts.validation, parts.test)] == [
        0,
        50,
        100,
    ]
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [20, 5, 4]
    assert parts.test.y.tolist() == [1, 2, 0, 1]
    fraction = prepare(Request(str(tmp_path / "a.npz"), validation=0.4), X, Y)
    assert fraction.validation and (len(fraction.train), len(fraction.validation)) == (15, 10)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"x_train": (4, 4), "x_test": (2, 4)}, "has no array 'y', only x_train, x_test"),
        ({"a": (4, 4), "b": (4,)}, "has no array 'x', only a, b"),
        ({"images": (4, 4), "data": (4, 4), "y": (4,)}, "several arrays for one thing, images and data"),
        (
            {"x_train": (4, 4), "y_train": (4,), "x_test": (2, 5), "y_test": (2,)},
            "samples of parts are of one",
        ),
        (
            {"x_train": (4, 4), "y_train": (4,), "x_test": (2, 4), "y_test": (3,)},
            "2 samples in x_test.npy, but 3",
        ),
    ],
)
def test_archives_that_are_wrong(tmp_path: Path, members: dict[str, Any], said: str) -> None:
    np.savez(tmp_path / "a.npz", **{name: np.zeros(shape, np.uint8) for name, shape in members.items()})
    with refused(said):
        load(str(tmp_path / "a.npz"))


def test_where_keras_keeps_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    folder = tmp_path / ".keras" / "datasets"
    folder.mkdir(parents=True)
    x, y = arrays(6, 0)
    np.savez(folder / "sums.npz", x_train=x, y_train=y)
    assert load("keras:sums.npz").y.tolist() == y.tolist()
    with refused("there is no file other.npz"):
        load("keras:other.npz")


# --- named sets -----------------------------------------------------------------------------------


def fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Any, target: Any) -> list[Any]:
    """Let scikit-learn return a table; return what it was asked for."""
    asked: list[Any] = []

    def fetch(name: str, **options: Any) -> Any:
        asked.append((name, options["version"]))
        names = [f"a{place}" for place in range(data.shape[1])]
        return SimpleNamespace(data=data, target=target, feature_names=names)

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    monkeypatch.setattr("sklearn.datasets.get_data_home", lambda: str(tmp_path))
    return asked


@pytest.mark.parametrize(
    ("word", "asked", "shape"),
    [
        ("mnist", ("mnist_784", 1), (28, 28)),
        ("fashion_mnist", ("Fashion-MNIST", 1), (28, 28)),
        ("cifar10", ("CIFAR_10", 1), (3, 32, 32)),
    ],
)
def test_named_images(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    word: str,
    asked: Any,
    shape: tuple[int, ...],
) -> None:
    few = 30
    data = np.random.default_rng(0).integers(0, 256, (few, int(np.prod(shape)))).astype(float)
    target = np.array([str(row % 10) for row in range(few)], object)
    calls = fetched(monkeypatch, tmp_path, data, target)
    found = load(word)
    assert calls == [asked]
    assert f"{word} is fetched from OpenML, once: up to " in capsys.readouterr().err
    np.testing.assert_allclose(found.x, data.reshape(few, *shape) / 255, rtol=1e-6)
    assert found.y.tolist() == [row % 10 for row in range(few)] and found.own_test == 0
    wide = Wanted("x", (2, int(np.prod(shape))))
    if word == "cifar10":
        last = Wanted("x", (2, 32, 32, 3), channels=3)
        parts = prepare(Request(word, test=0, validation=0), last, Wanted("y", (2,), "int32", 10))
        np.testing.assert_array_equal(parts.train.x, found.x.transpose(0, 2, 3, 1))
    assert len(prepare(Request(word, validation=0), wide, Wanted("y", (2,), "int32", 10)).train) == 24
    kept = tmp_path / "openml" / asked[0] / "data.gz"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"")
    capsys.readouterr()
    load(word)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("word", ["mnist", "cifar10"])
def test_the_last_images_are_the_test_part(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, word: str
) -> None:
    from pjc.runtime.data.source import SOURCES

    source: Any = next(each for each in SOURCES if each.word == word)
    data = np.repeat(np.arange(20.0)[:, None], int(np.prod(source.shape)), axis=1)
    asked = fetched(monkeypatch, tmp_path, data, np.array(["0", "1"] * 10, object))
    assert source.size[1] == 10000
    monkeypatch.setattr(type(source), "size", (20, 4))
    flat = Wanted("x", (2, data.shape[1]))
    parts = prepare(Request(word), flat, Wanted("y", (2,), "int32", 10))
    assert parts.test is not None and np.rint(parts.test.x[:, 0] * 255).tolist() == [16, 17, 18, 19]
    assert (len(parts.train), len(parts.validation or ())) == (14, 2) and len(asked) == 1


def test_higgs_is_read_without_the_row_that_lacks_values(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = np.arange(20.0).reshape(10, 2)
    data[9, 1] = np.nan
    asked = fetched(monkeypatch, tmp_path, data, np.array(["0", "1"] * 5, object))
    found = load("higgs")
    assert asked == [("higgs", 2)] and len(found) == 9 and "1 of 10 rows are left out" in found.remarks[0]
    filled = prepare(Request("higgs", missing="mean", test=0, validation=0), Wanted("x", (2, 2)), Y)
    assert filled.train.x[9, 1] == data[:9, 1].mean()
    with refused("lacks values: 1 in column 'a1', the first in sample 9"):
        load("openml:higgs:2")


def test_images_of_another_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for data in (np.zeros((3, 5)), np.full((3, 784), 0.5), np.full((3, 784), 256.0)):
        fetched(monkeypatch, tmp_path, data, np.array(["0", "1", "0"], object))
        with refused("what OpenML has as mnist has samples of shape .*; expected 784 whole numbers"):
            load("mnist")
