"""pjc.train: a network and data in, parameters with their history out."""

from __future__ import annotations

import csv
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import pjc
from pjc.callbacks import Callback, TrainingRun
from pjc.runtime.data import load
from pjc.runtime.data.dataset import Dataset
from pjc.runtime.history import read_checkpoint, read_parameters
from pjc.runtime.trainable import TrainError, specs
from pjc.training_data import Asked, given_for

CLASSES = """
input x: f32[batch, 4]
target y: class[batch, 3]
param w: f32[4, 16] = he_normal
param b: f32[16] = zeros
param v: f32[16, 3] = he_normal
output logits = sum_relu(x @ w, b) @ v
require cross_entropy(logits, y)
"""
NUMBERS = """
input x: f32[batch, 2]
target y: f32[batch, 1]
param w: f32[2, 1] = he_normal
param b: f32[1] = zeros
output z = x @ w + b
require squared_error(z, y)
"""
CODE = """
input x: f32[batch, 6]
param a: f32[6, 2] = he_normal
param b: f32[2, 6] = he_normal
output z = (x @ a) @ b
require squared_error(z, x)
"""

pytestmark = pytest.mark.filterwarnings("ignore::pjc.TrainingWarning")


def test_training_is_scored_on_samples_as_they_are_and_that_weigh_something() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(96, 4)), (random.random(96) < 0.2).astype(int)
    balanced = pjc.train(
        CLASSES, (x, y), epochs=1, batch=32, validation=(x, y), class_weight="balanced", verbose=False
    )
    right = np.mean(np.asarray(balanced.predict(x)) == y)
    assert balanced.history[-1]["training_accuracy"] == pytest.approx(right)
    assert balanced.history[-1]["validation_accuracy"] == pytest.approx(right)
    weights = np.zeros(96)
    weights[[5, 91]] = 1
    few = pjc.train(CLASSES, (x, y), epochs=1, batch=32, validation=(x[:9], y[:9]), sample_weight=weights)
    right = np.mean(np.asarray(few.predict(x[[5, 91]])) == y[[5, 91]])
    assert few.history[-1]["training_accuracy"] == pytest.approx(right)


def clusters(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return samples around three points, and which."""
    random = np.random.default_rng(seed)
    y = np.arange(count) % 3
    return random.normal(size=(count, 4)) * 0.3 + np.eye(3, 4)[y] * 3, y


@pytest.fixture(scope="module")
def program() -> pjc.Program:
    return pjc.compile(CLASSES, batch=16)


@pytest.fixture(scope="module")
def fit(program: pjc.Program) -> pjc.Fit:
    return pjc.train(program, clusters(64), epochs=30, validation=0.25, test=clusters(30, 1), seed=3)


def test_a_fit_has_learned_and_says_how(fit: pjc.Fit) -> None:
    assert fit.score is not None and fit.score > 0.95
    assert fit.evaluate(clusters(30, 1)) == fit.score
    x, y = clusters(50, 2)
    assert (fit.predict(x) == y).mean() > 0.95
    assert fit.outputs(x).shape == (50, 3)
    assert len(fit.history) == 30 and fit.history["epoch"] == list(range(1, 31))
    assert fit.history[-1]["validation_accuracy"] > 0.9
    assert fit.history[-1]["demand"] < fit.history[0]["demand"]
    assert set(fit.params) == {"w", "b", "v"}
    assert repr(fit).startswith("<pjc.Fit of 'network', 30 of 30 epochs, test accuracy ")


def test_a_history_is_a_table(fit: pjc.Fit, tmp_path: Path) -> None:
    history = fit.history
    assert history.to_csv(tmp_path / "h.csv") is None
    with open(tmp_path / "h.csv", newline="") as file:
        head, *rows = csv.reader(file)
    assert tuple(head) == history.columns and len(rows) == 30
    assert [float(row[2]) for row in rows] == history["demand"]
    assert (tmp_path / "h.csv").read_text() == history.to_csv()
    assert [row["epoch"] for row in history[2:4]] == [3, 4]
    assert "<th>validation_accuracy</th>" in history._repr_html_()
    assert history._repr_html_().count("<tr>") == 31
    assert len(repr(history).splitlines()) == 31
    with pytest.raises(KeyError, match="columns are epoch, seconds, demand, loss"):
        history["cost"]


def test_a_history_is_drawn(fit: pjc.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    axes = fit.history.plot("demand")
    assert [line.get_ydata().tolist() for line in axes.get_lines()] == [fit.history["demand"]]
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(pjc.PjcError, match="plot needs matplotlib"):
        fit.history.plot()


def of_arrays(x: np.ndarray, y: np.ndarray) -> Any:
    return x, y


def of_jax(x: np.ndarray, y: np.ndarray) -> Any:
    return jnp.asarray(x), jnp.asarray(y)


def of_lists(x: np.ndarray, y: np.ndarray) -> Any:
    return [x.tolist(), y.tolist()]


class Table:
    """What pandas and polars have, as far as it is asked for."""

    def __init__(self, array: np.ndarray, columns: list[str]) -> None:
        self.array, self.columns, self.shape = array, columns, array.shape

    def to_numpy(self) -> np.ndarray:
        return self.array.astype(object)


class Tensor:
    """What PyTorch's tensors have, as far as it is asked for."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape = array, array.shape

    def detach(self) -> Tensor:
        return self

    def cpu(self) -> Tensor:
        return self

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.array


def of_tables(x: np.ndarray, y: np.ndarray) -> Any:
    return Table(x, ["a", "b", "c", "d"]), Table(y[:, None], ["class"])


def of_tensors(x: np.ndarray, y: np.ndarray) -> Any:
    return Tensor(x), Tensor(y)


@pytest.mark.parametrize("make", [of_jax, of_lists, of_tables, of_tensors])
def test_arrays_of_all_libraries_train_alike(program: pjc.Program, make: Any) -> None:
    x, y = clusters(48)
    given, same = (pjc.train(program, of(x.astype("f"), y), epochs=2) for of in (make, of_arrays))
    for name, value in same.params.items():
        np.testing.assert_array_equal(given.params[name], value)


class Loader:
    """Batches that are made anew in every epoch, without saying how many there are."""

    def __init__(self, batches: list[Any]) -> None:
        self.batches = batches
        self.epochs = 0

    def __iter__(self) -> Iterator[Any]:
        self.epochs += 1
        return iter(self.batches)


def pairs(count: int, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    x, y = clusters(count)
    return [(x[at : at + size], y[at : at + size]) for at in range(0, count, size)]


@pytest.mark.parametrize(
    "batches",
    [
        pairs(48, 16),
        Loader(pairs(48, 16)),
        [{"x": x, "y": y, "weight": 1} for x, y in pairs(48, 16)],
        [(Tensor(x), Tensor(y)) for x, y in pairs(48, 16)],
        Loader([list(each) for each in pairs(40, 16)]),  # the last has 8 rows
    ],
    ids=["list", "loader", "dicts", "tensors", "ragged"],
)
def test_batches_of_anything_are_trained_on(program: pjc.Program, batches: Any) -> None:
    fit = pjc.train(program, batches, epochs=30, validation=clusters(30, 1))
    assert fit.evaluate(clusters(30, 2)) > 0.9
    assert len(fit.history) == 30


def test_batches_are_trained_on_in_their_order(program: pjc.Program) -> None:
    params = program.init(0)
    found = pjc.train(program, pairs(48, 16), epochs=2, resume=params)
    state = program.start(params, steps=6)
    for x, y in pairs(48, 16) * 2:
        state, _ = program.step(state, x.astype("f"), y)
    for name, value in program.finish(state.params).items():
        np.testing.assert_allclose(found.params[name], value, rtol=1e-5, atol=1e-6)


def test_steps_per_epoch_cut_what_has_no_end(program: pjc.Program) -> None:
    def forever() -> Iterator[Any]:
        while True:
            yield from pairs(48, 16)

    fit = pjc.train(program, forever(), epochs=3, steps_per_epoch=5)
    assert len(fit.history) == 3
    with pytest.raises(TrainError, match="give steps_per_epoch, or what starts anew"):
        pjc.train(program, forever(), epochs=3)
    with pytest.raises(TrainError, match="ended after 2 of the 4 batches"):
        pjc.train(program, iter(pairs(32, 16)), epochs=1, steps_per_epoch=4)
    fit = pjc.train(program, pairs(32, 16), epochs=2, steps_per_epoch=3)  # begins again within an epoch
    assert len(fit.history) == 2


def test_names_of_classes_and_units_come_back() -> None:
    x, y = clusters(45)
    names = np.array(["oak", "ash", "elm"])
    fit = pjc.train(CLASSES, (x, names[y]), epochs=50, batch=15, normalize="standard")
    assert fit.class_names == ("ash", "elm", "oak")
    assert (fit.predict(x) == names[y]).mean() > 0.9
    assert fit.evaluate((x, names[y])) > 0.9
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 2)) * [1, 100] + [0, 1000]
    z = 5000 + x @ [[300.0], [-2.0]]
    fit = pjc.train(NUMBERS, (x, z), epochs=60, batch=16, rate=0.05, normalize="standard", test=0.25)
    assert fit.score is not None and fit.score < 0.1 * z.std()
    assert np.abs(fit.predict(x) - z).mean() < 0.1 * z.std()
    plain = pjc.train(NUMBERS, (x, z), epochs=1, batch=16, normalize="standard", normalize_targets="none")
    assert not plain.program.units and fit.program.units


def test_whole_numbers_are_numbers_where_the_network_takes_numbers() -> None:
    x = np.random.default_rng(0).normal(size=(32, 2))
    y = np.arange(32)[:, None] - 16
    fit = pjc.train(NUMBERS, (x, y), epochs=1, batch=16)
    assert fit.predict(x).dtype.kind == "f"
    with pytest.raises(pjc.PjcError, match="are text, and 'y' of the network takes numbers"):
        pjc.train(NUMBERS, (x, y.astype(str)), epochs=1, batch=16)


def test_samples_can_be_their_own_targets() -> None:
    x = np.random.default_rng(0).normal(size=(40, 6))
    fit = pjc.train(CODE, x, epochs=3, batch=10)
    assert fit.predict(x).shape == (40, 6)
    fit = pjc.train(CODE, [x[:10], x[10:20]], epochs=2, batch=10, validation=x[20:])
    assert fit.history["validation_rms_error"][-1] == pytest.approx(fit.evaluate(x[20:]))


def test_sources_have_names(tmp_path: Path) -> None:
    x, y = clusters(40)
    lines = ["a,b,c,d,kind", *(",".join(map(str, [*row, "uvw"[k]])) for row, k in zip(x, y, strict=True))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    fit = pjc.train(
        CLASSES, str(tmp_path / "t.csv"), target="kind", epochs=3, batch=8, test=0.2, validation=0.2
    )
    assert fit.class_names == ("u", "v", "w") and fit.score is not None
    assert set(fit.predict(x)) <= {"u", "v", "w"}
    loaded = load(str(tmp_path / "t.csv"), "kind")
    assert pjc.train(CLASSES, loaded, epochs=1, batch=8).class_names == ("u", "v", "w")


@pytest.mark.slow
def test_parts_that_a_source_has_are_not_trained_on(tmp_path: Path) -> None:
    (x, y), (others, theirs) = clusters(40), clusters(24, 1)
    path = tmp_path / "parts.npz"
    np.savez(path, x_train=x, y_train=y, x_test=others, y_test=theirs)
    fit = pjc.train(CLASSES, str(path), epochs=2, batch=8)
    alone = pjc.train(CLASSES, (x, y), epochs=2, batch=8)
    assert fit.score == pytest.approx(fit.evaluate((others, theirs)))
    assert all(np.array_equal(fit.params[name], each) for name, each in alone.params.items())
    assert pjc.train(CLASSES, str(path), epochs=1, batch=8, test=0.25).score is not None
    np.savez(path, x=x, y=y)
    assert pjc.train(CLASSES, str(path), epochs=1, batch=8).score is None


def test_a_traced_function_gets_its_own_tree() -> None:
    def linear(params: Any, x: Any) -> Any:
        return x @ params["layers"][0] + params["bias"]

    params = {"layers": [jnp.zeros((4, 3))], "bias": jnp.zeros(3), "count": 7}
    prog = pjc.trace(linear, params, pjc.f32["batch", 4], loss=pjc.cross_entropy(), batch=16)
    fit = pjc.train(prog, clusters(48), epochs=10)
    assert jax.tree.structure(fit.params) == jax.tree.structure(params)
    assert fit.params["count"] == 7
    x, y = clusters(30, 1)
    assert (linear(fit.params, x).argmax(-1) == y).mean() > 0.9
    np.testing.assert_array_equal(linear(fit.params, x).argmax(-1), fit.predict(x))
    more = pjc.train(prog, clusters(48), epochs=2, resume=fit.params)
    assert more.evaluate((x, y)) > 0.9


def test_a_run_goes_on_where_it_stopped(program: pjc.Program, tmp_path: Path) -> None:
    class Stop(Callback):
        def epoch(self, training: TrainingRun) -> None:
            if training.epoch == 2:
                training.stop()

    data = clusters(48)
    whole = pjc.train(program, data, epochs=4)
    part = pjc.train(program, data, epochs=4, callbacks=[Stop()])
    assert part.result.epoch == 2 and part.result.batch == 0
    assert part.stopped == "a callback asked for it"
    part.save(tmp_path / "part")
    for start in (part, tmp_path / "part.params.safetensors"):
        rest = pjc.train(program, data, epochs=4, resume=start)
        assert rest.history["epoch"] == [1, 2, 3, 4] and rest.stopped is None
        for name, value in whole.params.items():
            np.testing.assert_array_equal(rest.params[name], value)


def test_files_are_those_of_the_command_line(fit: pjc.Fit, tmp_path: Path) -> None:
    fit.save(tmp_path / "net")
    assert {each.name for each in tmp_path.iterdir()} == {
        "net.params.safetensors",
        "net.history.csv",
        "net.pjx",
    }
    found = read_checkpoint(tmp_path / "net.params.safetensors")
    assert found.result.epoch == 30
    x, _ = clusters(16, 5)
    loaded = pjc.load(tmp_path / "net.pjx")
    out = loaded.apply(read_parameters(tmp_path / "net.params.safetensors"), x.astype("f"))
    np.testing.assert_allclose(out, fit.outputs(x), rtol=1e-5, atol=1e-5)
    fit.save(tmp_path / "alone.safetensors")
    assert not (tmp_path / "alone.safetensors.pjx").exists()


class Press(Callback):
    """Presses Ctrl-C within an epoch, so many times."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.ended = 0

    def batch(self, training: TrainingRun) -> None:
        if training.epoch == 1 and training.batch == 2:
            for _ in range(self.times):
                signal.raise_signal(signal.SIGINT)

    def end(self, training: TrainingRun) -> None:
        self.ended += 1


def test_ctrl_c_keeps_what_there_is(program: pjc.Program, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    press = Press(1)
    fit = pjc.train(program, clusters(64), epochs=5, callbacks=[press])
    assert fit.stopped == "interrupted" and press.ended == 1
    assert (fit.result.epoch, fit.result.batch) == (1, 2)
    assert "stopped after 1 epochs and 2 batches of 5 epochs: interrupted" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) == before
    rest = pjc.train(program, clusters(64), epochs=5, resume=fit)
    whole = pjc.train(program, clusters(64), epochs=5)
    np.testing.assert_array_equal(rest.params["w"], whole.params["w"])


def test_a_second_ctrl_c_gives_the_last_whole_epoch(program: pjc.Program) -> None:
    press = Press(2)
    fit = pjc.train(program, clusters(64), epochs=5, callbacks=[press])
    assert fit.stopped == "interrupted" and press.ended == 1
    assert (fit.result.epoch, fit.result.batch) == (1, 0)
    assert len(fit.history) == 1


def test_lines_are_printed_where_they_are_asked_for(
    program: pjc.Program, capsys: pytest.CaptureFixture[str]
) -> None:
    pjc.train(program, clusters(32), epochs=2)
    assert capsys.readouterr().out == ""
    pjc.train(program, clusters(32), epochs=2, verbose=True, validation=0.25)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("epoch 1/2: demand ") and ", validation accuracy " in second
    assert ", loss " in second and second.index(", training accuracy ") < second.index(
        ", validation accuracy "
    )


def test_fewer_samples_than_a_batch_are_one_batch() -> None:
    fit = pjc.train(CLASSES, clusters(20), epochs=2)
    assert fit.settings["batch"] == 20


@pytest.mark.parametrize(
    ("data", "arguments", "told"),
    [
        (5, {}, "found int"),
        ((np.zeros((8, 5)), np.zeros(8, int)), {}, "takes .4., 4 entries"),
        ((np.zeros((8, 4)), np.zeros(7, int)), {}, "8 samples but 7 targets"),
        ((np.array([[1, "a", 2, 3]] * 8, object), np.zeros(8, int)), {}, "hold str .'a'. where numbers"),
        ((np.zeros((8, 4)), np.full(8, 3)), {}, "run from 3 to 3"),
        ([np.zeros((8, 4))] * 3, {}, "found samples alone"),
        ([{"x": np.zeros((8, 4)), "label": np.zeros(8)}], {}, "dicts of 'x', 'label'"),
        ([], {}, "has no batch"),
        (clusters(32), {"validation": 1.5}, "fraction between 0 and 1"),
        (clusters(32), {"normalize": "both"}, "no normalization 'both'"),
        (clusters(32), {"normalize_targets": "standard"}, "does not go with this network"),
        (clusters(32), {"normalize_targets": "x"}, "no normalization of targets"),
        (clusters(32), {"steps_per_epoch": 3}, "all samples are there"),
        (clusters(32), {"epochs": 0}, "whole number from 1"),
        (clusters(32), {"batch": 8}, "takes no batch"),
        (clusters(32), {"resume": 3}, "resume takes"),
        (clusters(32), {"target": "y"}, "the data are no file"),
        (pairs(32, 16), {"normalize": "unit"}, "normalize where the batches are made"),
        (pairs(32, 16), {"validation": 0.1}, "cannot be a part of batches"),
        (pairs(32, 16), {"steps_per_epoch": 0}, "whole number from 1"),
        ("digits", {"validation": clusters(32)}, "give a fraction"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    program: pjc.Program, data: Any, arguments: dict[str, Any], told: str
) -> None:
    with pytest.raises(pjc.PjcError, match=told):
        pjc.train(program, data, **arguments)


def test_a_program_that_is_trained_again_is_not_compiled_again(program: pjc.Program) -> None:
    pjc.train(program, clusters(32), epochs=1)
    kept = [each for way in program.kept.values() for each in way.values()]
    sizes = [each._cache_size() for each in kept]
    assert kept and min(sizes) > 0
    pjc.train(program, clusters(64), epochs=3, seed=5)
    assert [each for way in program.kept.values() for each in way.values()] == kept
    assert [each._cache_size() for each in kept] == sizes


def with_parts(own_validation: int, own_test: int) -> Dataset:
    """Return 40 samples of which the last are parts; each sample is its number."""
    x = np.repeat(np.arange(40.0, dtype="f")[:, None], 4, axis=1) / 40
    return Dataset(x, np.arange(40) % 3, 3, "own", own_validation=own_validation, own_test=own_test)


@pytest.mark.parametrize(
    ("asked", "sizes"),
    [
        ({}, (26, 4, 10)),
        ({"test": 0.5}, (20, None, 20)),
        ({"validation": 0.5}, (15, 15, 10)),
        ({"test": (np.ones((7, 4), "f"), np.zeros(7, int))}, (26, 4, 7)),
        ({"test": with_parts(0, 9)}, (26, 4, 9)),
        ({"validation": (np.ones((5, 4), "f"), np.zeros(5, int))}, (30, 5, 10)),
    ],
    ids=str,
)
def test_parts_that_a_dataset_comes_with_are_taken(
    program: pjc.Program, asked: dict[str, Any], sizes: tuple[int | None, ...]
) -> None:
    found = given_for(Asked(with_parts(4, 10), **asked), *specs(program))
    parts = (found.train, found.validation, found.test)
    assert tuple(None if each is None else len(each) for each in parts) == sizes
    if not asked:
        assert [float(each.x[-1, 0] * 40) for each in parts] == [25, 29, 39]


class Numpy:
    """A tensor of some library that says what it holds by ``numpy`` alone."""

    def __init__(self, held: np.ndarray) -> None:
        self.held = held

    def numpy(self) -> np.ndarray:
        return self.held


class Convertible:
    """A tensor that NumPy takes, without a shape of its own."""

    def __init__(self, held: np.ndarray) -> None:
        self.held = held

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.held if dtype is None else self.held.astype(dtype)


class Dlpack:
    """A tensor that tells where its memory is."""

    def __init__(self, held: np.ndarray) -> None:
        self.held = held

    def __dlpack__(self, **more: Any) -> Any:
        return self.held.__dlpack__(**more)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.held.__dlpack_device__()


@pytest.mark.parametrize("kind", [Numpy, Convertible, Dlpack])
def test_tensors_of_any_library_are_arrays(program: pjc.Program, kind: Any) -> None:
    x, y = clusters(32)
    expected = pjc.train(program, (x.astype("f"), y), epochs=2)
    found = pjc.train(program, (kind(x.astype("f")), kind(y)), epochs=2, validation=(kind(x), kind(y)))
    assert all(np.array_equal(found.params[name], each) for name, each in expected.params.items())
    batches = [(kind(x[:16]), kind(y[:16])), (kind(x[16:]), kind(y[16:]))]
    assert pjc.train(program, batches, epochs=2).history["loss"][1] < found.history["loss"][0]
    assert np.array_equal(found.predict(kind(x)), found.predict(x))


def test_what_gives_the_same_iterator_again_is_gone_through_once(program: pjc.Program) -> None:
    class Once:
        def __init__(self) -> None:
            x, y = clusters(64)
            self.begun = iter([(x[at : at + 16], y[at : at + 16]) for at in range(0, 64, 16)])

        def __iter__(self) -> Iterator[Any]:
            return self.begun

    with pytest.raises(TrainError, match="can be gone through once"):
        pjc.train(program, Once())
    assert pjc.train(program, Once(), epochs=2, steps_per_epoch=2).result.epoch == 2
