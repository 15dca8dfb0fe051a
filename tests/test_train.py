"""The training loop, its checkpoints and its history, on a small program written in JAX."""

from __future__ import annotations

import csv
import functools
import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from pjc.runtime.data import DataError, Dataset, load, split
from pjc.runtime.evaluate import evaluate, metric
from pjc.runtime.files import WriteError, replace_file
from pjc.runtime.history import (
    Checkpoint,
    Result,
    Row,
    read_checkpoint,
    read_parameters,
    write_checkpoint,
    write_history,
)
from pjc.runtime.stepper import UpdateStepper
from pjc.runtime.stopping import EarlyStopping
from pjc.runtime.train import Listener, Revision, Run, TrainError, Training, train
from pjc.runtime.trainable import check_parameters


@dataclass(frozen=True)
class Spec:
    """A TensorSpec."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    classes: int | None = None
    threshold: float | None = None
    channels: int | None = None
    output: str | None = None


@dataclass(frozen=True)
class Means:
    """A classifier by the nearest mean; an update moves the means towards the batch's."""

    batch: int | None = 32
    inputs: tuple[Spec, ...] = (Spec("x", (32, 64)),)
    targets: tuple[Spec, ...] = (Spec("y", (32,), "int32", 10),)
    outputs: tuple[Spec, ...] = (Spec("z", (32, 10)),)
    rate: float = 0.2
    sweeps = False
    frozen = ()
    units: ClassVar[dict[str, Any]] = {}

    def init(self, key: Any) -> dict[str, Any]:
        return {"means": 0.1 * jax.random.normal(key, (10, 64))}

    def apply(self, params: Any, x: Any) -> Any:
        means = params["means"]
        return x @ means.T - (means**2).sum(1) / 2

    def finish(self, params: Any) -> Any:
        return params

    stacked = separate = finish

    def rescaled(self, units: Any) -> Any:
        assert not units
        return self

    def update(self, params: Any, x: Any, y: Any, iterations: int | None = None, finish: bool = True) -> Any:
        chosen = jax.nn.one_hot(y, 10)
        means = chosen.T @ x / jnp.maximum(chosen.sum(0), 1)[:, None]
        present = chosen.sum(0)[:, None] > 0
        step = jnp.where(present, means - params["means"], 0)
        gap = (step**2).mean()
        rate = self.rate * (1 if iterations is None else iterations)
        return {"means": params["means"] + rate * step}, {"gap": gap}


@functools.cache
def parts() -> tuple[Dataset, Dataset]:
    return split(load("digits"), 0.2, "test")


class Watch(Listener):
    """Notes what it hears, and says to stop after so many batches."""

    def __init__(self, stop_after: int | None = None, revision: Revision | None = None) -> None:
        self.left = stop_after
        self.revision = revision
        self.events: list[str] = []
        self.told: list[tuple[int, float]] = []
        self.checkpoints: list[Result] = []
        self.epochs: list[Result] = []

    def begin(self, result: Result, batches: int) -> None:
        self.events.append(f"begin at {result.epoch} {result.batch} of {batches}")

    def progress(self, batch: int, gap: float) -> None:
        self.told.append((batch, gap))

    def checkpoint(self, result: Result) -> None:
        self.events.append(f"checkpoint {result.epoch} {result.batch}")
        self.checkpoints.append(result)

    def should_stop(self) -> bool:
        if self.left is None:
            return False
        self.left -= 1
        return self.left <= 0

    def revise(self, result: Result) -> Revision | None:
        self.events.append(f"revise {result.epoch} {result.batch}")
        return self.revision

    def epoch(self, result: Result) -> None:
        self.events.append(f"epoch {result.epoch} {result.batch} held {' '.join(result.held)}")
        self.epochs.append(result)


def same(a: Result, b: Result) -> bool:
    """Whether two results are the same numbers (times apart)."""
    rows = [[replace(row, seconds=0) for row in each.history] for each in (a, b)]
    return (
        a.params.keys() == b.params.keys()
        and all(np.array_equal(a.params[name], b.params[name]) for name in a.params)
        and rows[0] == rows[1]
        and (a.epoch, a.batch, a.gap_sum) == (b.epoch, b.batch, b.gap_sum)
    )


def test_training_learns_and_reports() -> None:
    rest, test = parts()
    watch = Watch()
    result = train(Means(), rest, Run(epochs=3, seed=0, validation=test), watch)
    before = evaluate(Means(), Means().init(jax.random.key(0)), test)
    after = evaluate(Means(), result.params, test)
    assert before < 0.4 and after > 0.85
    assert [each.epoch for each in watch.epochs] == [1, 2, 3]
    assert [row.epoch for row in result.history] == [1, 2, 3]
    assert result.history[-1].validation == after
    gaps = [row.gap for row in result.history]
    assert gaps[0] > gaps[1] > 0
    seconds = [row.seconds for row in result.history]
    assert 0 < seconds[0] <= seconds[1] <= seconds[2]


def test_one_epoch_is_what_it_says() -> None:
    """The loop equals updates by hand on the order drawn from (seed, epoch), the last batch filled up."""
    rest, _ = parts()
    program = Means()
    result = train(program, rest, Run(epochs=2, seed=7))
    params, gaps = program.init(jax.random.key(7)), []
    for epoch in range(2):
        order = np.random.default_rng([7, epoch]).permutation(len(rest))
        order = np.concatenate([order, order[:2]])  # of 1438 samples in batches of 32
        gaps = []
        for batch in range(45):
            chosen = order[32 * batch : 32 * (batch + 1)]
            params, info = program.update(params, rest.x[chosen], rest.y[chosen])
            gaps.append(float(info["gap"]))
    np.testing.assert_allclose(result.params["means"], params["means"], rtol=1e-4, atol=1e-6)
    assert math.isclose(result.history[1].gap, np.mean(gaps), rel_tol=1e-4)


@pytest.mark.parametrize(("samples", "size"), [(100, 32), (33, 32), (96, 32), (32, 32), (5, 3)])
def test_an_epoch_has_every_sample(samples: int, size: int) -> None:
    """What a step has seen of each sample in an epoch, counted by the step itself."""

    @dataclass(frozen=True)
    class Counts(Means):
        def init(self, key: Any) -> dict[str, Any]:
            return {"means": jnp.zeros((10, 64))}

        def update(
            self, params: Any, x: Any, y: Any, iterations: int | None = None, finish: bool = True
        ) -> Any:
            flat = params["means"].reshape(-1).at[x[:, 0].astype(jnp.int32)].add(1)
            return {"means": flat.reshape(10, 64)}, {"gap": jnp.float32(1)}

    x = np.repeat(np.arange(samples, dtype=np.float32)[:, None], 64, axis=1)
    data = Dataset(x, np.arange(samples) % 10, 10, "counted")
    program = Counts(size, (Spec("x", (size, 64)),), (Spec("y", (size,), "int32", 10),))
    seen = np.asarray(train(program, data, Run(epochs=1, seed=3)).params["means"]).reshape(-1)
    batches = math.ceil(samples / size)
    expected = np.ones(samples)
    expected[np.random.default_rng([3, 0]).permutation(samples)[: batches * size - samples]] = 2
    np.testing.assert_array_equal(seen[:samples], expected)
    assert seen.sum() == batches * size
    watch = Watch()
    whole = train(program, data, Run(epochs=2, seed=3), watch)
    assert watch.events[0] == f"begin at 0 0 of {batches}"
    stopped = train(program, data, Run(epochs=2, seed=3), Watch(batches + 1))
    assert same(train(program, data, Run(epochs=2, seed=3, start=stopped)), whole)


def test_scores_of_training_and_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    rest, test = parts()
    few = rest.take(np.arange(40), "few")
    for data, validation, scored in ((rest, test, len(test)), (few, test, 40), (rest, few, 40)):
        result = train(Means(), data, Run(epochs=1, validation=validation))
        some = data.take(np.linspace(0, len(data) - 1, scored).astype(int), "some")
        assert result.history[0].training == evaluate(Means(), result.params, some)
        assert result.history[0].validation == evaluate(Means(), result.params, validation)
    monkeypatch.setattr("pjc.runtime.train.SCORED", 50)
    result = train(Means(), rest, Run(epochs=1, validation=test))
    some = rest.take(np.linspace(0, len(rest) - 1, 50).astype(int), "some")
    assert result.history[0].training == evaluate(Means(), result.params, some)
    assert train(Means(), rest, Run(epochs=1)).history[0].training is None


def validated(*scores: float | None) -> Result:
    return Result({}, tuple(Row(at, 1.0, 1.0, each) for at, each in enumerate(scores, 1)), len(scores))


@pytest.mark.parametrize(
    ("name", "scores", "patience", "done"),
    [
        ("accuracy", (0.5, 0.6, 0.6), 1, True),
        ("accuracy", (0.5, 0.6, 0.6), 2, False),
        ("accuracy", (0.9, 0.6, 0.7), 2, True),
        ("rms error", (3.0, 2.0, 2.5), 1, True),
        ("rms error", (3.0, 2.0, 1.5), 1, False),
        ("accuracy", (None, None, None), 1, False),
        ("accuracy", (), 1, False),
    ],
)
def test_early_stopping(name: str, scores: tuple[float | None, ...], patience: int, done: bool) -> None:
    assert EarlyStopping(patience, name).is_done(validated(*scores)) == done


def test_early_stopping_ends_a_run_and_one_that_is_resumed() -> None:
    rest, test = parts()
    run = Run(epochs=9, validation=test)
    result = train(Means(rate=0.0), rest, run, EarlyStopping(2, "accuracy"))
    assert (result.epoch, result.batch) == (3, 0)
    again = train(Means(rate=0.0), rest, replace(run, start=result), EarlyStopping(2, "accuracy"))
    assert again.epoch == 3
    assert train(Means(rate=0.0), rest, replace(run, start=result), EarlyStopping(4, "accuracy")).epoch == 5


def test_one_training_runs_with_several_seeds() -> None:
    rest, test = parts()
    run = Run(epochs=2, validation=test)
    training = Training(Means(), rest, run)
    for seed in (4, 0, 4):
        assert same(training.run(seed), train(Means(), rest, replace(run, seed=seed)))


def test_same_seed_same_numbers_other_seed_others() -> None:
    rest, _ = parts()
    runs = [train(Means(), rest, Run(epochs=2, seed=seed)) for seed in (3, 3, 4)]
    assert same(runs[0], runs[1]) and not same(runs[0], runs[2])


def test_iterations_reach_the_program() -> None:
    rest, _ = parts()
    twice = train(Means(rate=0.1), rest, Run(epochs=1, iterations=2))
    assert same(twice, train(Means(rate=0.2), rest, Run(epochs=1, iterations=1)))


def test_a_listener_hears_of_everything_in_order() -> None:
    """The checkpoint of an epoch holds what was revised after it, so that no kill can lose that."""
    few = parts()[0].take(np.arange(100), "few")
    watch = Watch(revision=Revision(Means(rate=0.0), ("dot",)))
    result = train(Means(), few, Run(epochs=2, checkpoint_seconds=0), watch)
    assert watch.events == [
        "begin at 0 0 of 4",
        "checkpoint 0 1",
        "checkpoint 0 2",
        "checkpoint 0 3",
        "revise 0 4",
        "epoch 1 0 held dot",
        "checkpoint 1 1",
        "checkpoint 1 2",
        "checkpoint 1 3",
        "revise 1 4",
        "epoch 2 0 held dot",
    ]
    assert [batch for batch, _ in watch.told][-1] == 4
    first, last = watch.epochs
    np.testing.assert_array_equal(first.params["means"], last.params["means"])  # the second program is idle
    assert last == result and first.history == last.history[:1]


def test_a_listener_that_does_nothing_changes_nothing() -> None:
    rest, _ = parts()
    whole = train(Means(), rest, Run(epochs=2, seed=1))
    assert same(train(Means(), rest, Run(epochs=2, seed=1, checkpoint_seconds=0), Watch()), whole)
    assert same(train(Means(), rest, Run(epochs=2, seed=1), Listener()), whole)


def test_a_listener_that_stops_is_heard_after_its_batch_and_after_the_epoch() -> None:
    rest, _ = parts()
    watch = Watch(stop_after=10)
    result = train(Means(), rest, Run(epochs=3), watch)
    assert (result.epoch, result.batch) == (0, 10) and watch.events == ["begin at 0 0 of 45"]
    watch = Watch(stop_after=45)
    result = train(Means(), rest, Run(epochs=3), watch)
    assert (result.epoch, result.batch) == (1, 0)
    assert watch.events == ["begin at 0 0 of 45", "revise 0 45", "epoch 1 0 held "]


class Counting(UpdateStepper):
    """Counts how often it is asked what training goes on from."""

    asked = 0

    def carried(self, at: Result) -> Any:
        type(self).asked += 1
        return super().carried(at)


def test_epochs_go_on_from_what_the_last_one_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counting, "asked", 0)
    data, _ = parts()
    run = Run(epochs=3, stepper=Counting)
    assert same(train(Means(), data, run), train(Means(), data, replace(run, stepper=UpdateStepper)))
    assert Counting.asked == 1


def test_parameters_that_a_listener_puts_in_are_gone_on_from() -> None:
    class Putting(Listener):
        def epoch(self, result: Result) -> None:
            assert isinstance(result.params, dict)
            if result.epoch == 1:
                result.params["means"] = jnp.full((10, 64), 7.0)

    after = train(Means(rate=0.0), parts()[0], Run(epochs=2), Putting())
    assert np.all(after.params["means"] == 7)


class Momentum(UpdateStepper):
    """Moves on with nine tenths of what the last step moved by: it carries more than parameters."""

    def checked(self, at: Result) -> Result:
        moved = at.latent.get("moved", np.zeros((10, 64), np.float32))
        return replace(super().checked(replace(at, latent={})), latent={"moved": jnp.asarray(moved)})

    def carried(self, at: Result) -> Any:
        return {**at.params, **at.latent}

    def step(self, carried: Any, x: Any, y: Any) -> Any:
        before = {"means": carried["means"]}
        after, info = super().step(before, x, y)
        moved = 0.9 * carried["moved"] + 0.1 * (after["means"] - before["means"])
        return {"means": before["means"] + moved, "moved": moved}, info

    def result(self, carried: Any, at: Result) -> Result:
        return replace(at, params={"means": carried["means"]}, latent={"moved": carried["moved"]})


def test_another_way_to_step_brings_a_state_that_checkpoints_hold(tmp_path: Path) -> None:
    rest, _ = parts()
    run = Run(epochs=2, seed=1, stepper=Momentum)
    whole = train(Means(), rest, run)
    assert not np.array_equal(
        whole.params["means"], train(Means(), rest, replace(run, stepper=UpdateStepper)).params["means"]
    )
    path = tmp_path / "a.safetensors"
    for after in (20, 45, 60):
        stopped = train(Means(), rest, run, Watch(after))
        write_checkpoint(path, Checkpoint(stopped), {})
        assert set(read_parameters(path)) == {"means"}
        resumed = train(Means(), rest, replace(run, start=read_checkpoint(path).result))
        assert same(resumed, whole)
        np.testing.assert_array_equal(resumed.latent["moved"], whole.latent["moved"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"epochs": 0}, "epochs takes a whole number from 1, found 0"),
        ({"epochs": 1.5}, "epochs takes a whole number from 1, found 1.5"),
        ({"epochs": True}, "epochs takes a whole number from 1, found True"),
        ({"seed": -1}, "seed takes a whole number from 0, found -1"),
        ({"iterations": 0}, "iterations takes a whole number from 1, found 0"),
        ({"checkpoint_seconds": -1}, "checkpoint_seconds must not be negative, found -1; 0 makes"),
        ({"checkpoint_seconds": math.nan}, "checkpoint_seconds must not be negative, found nan"),
    ],
)
def test_what_a_run_cannot_be_asked_for(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainError, match=message):
        Run(**{"epochs": 1, **asked})


@pytest.mark.parametrize("after", [1, 44, 45, 46, 60, 90])
def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path, after: int) -> None:
    rest, test = parts()
    whole = train(Means(), rest, Run(epochs=3, seed=1, validation=test))
    stopped = train(Means(), rest, Run(epochs=3, seed=1, validation=test), Watch(after))
    assert 45 * stopped.epoch + stopped.batch in (after, after - stopped.epoch)
    path = tmp_path / "a.safetensors"
    write_checkpoint(path, Checkpoint(stopped, {"seed": 1}), {})
    read = read_checkpoint(path)
    assert same(read.result, stopped) and read.settings == {"seed": 1}
    resumed = train(Means(), rest, Run(epochs=3, seed=1, validation=test, start=read.result))
    assert same(resumed, whole)
    assert resumed.seconds > stopped.seconds


def test_progress_is_told_rarely() -> None:
    rest, _ = parts()
    watch = Watch()
    result = train(Means(), rest, Run(epochs=4), watch)
    told = watch.told
    assert 4 <= len(told) <= 4 + result.seconds / 0.1 + 1
    assert told[-1] == (45, result.history[-1].gap)


def test_labels_with_more_axes_and_numeric_targets() -> None:
    @dataclass(frozen=True)
    class Echo(Means):
        def apply(self, params: Any, x: Any) -> Any:
            return x

    logits = np.array([[[9.0, 0], [0, 9]], [[9, 0], [9, 0]], [[0, 9], [0, 9]]])
    data = Dataset(logits, np.array([[0, 1], [0, 1], [0, 0]]), 2, "sites")
    sites = Echo(2, (Spec("x", (2, 2, 2)),), (Spec("y", (2, 2), "int32", 2),))
    assert evaluate(sites, {}, data) == 3 / 6 and metric(sites) == "accuracy"
    numbers = Echo(2, (Spec("x", (2, 1)),), (Spec("y", (2, 1)),))
    data = Dataset(np.array([[1.0], [2], [3]]), np.array([1.0, 0, 3]), None, "numbers")
    assert math.isclose(evaluate(numbers, {}, data), math.sqrt(4 / 3), rel_tol=1e-6)
    assert metric(numbers) == "rms error"


def test_less_than_a_batch() -> None:
    rest, _ = parts()
    few = rest.take(np.arange(20), "few")
    with pytest.raises(TrainError, match=r"few leaves 20 samples .* one batch of 32; .*--batch 20"):
        train(Means(), few, Run(epochs=1))


def test_exactly_a_batch_is_enough() -> None:
    rest, _ = parts()
    assert train(Means(), rest.take(np.arange(32), "few"), Run(epochs=2)).epoch == 2


@pytest.mark.parametrize("rate", [math.nan, 1e30])
def test_divergence_is_an_error_not_a_result(rate: float) -> None:
    rest, _ = parts()
    with pytest.raises(TrainError, match=r"diverged: the gap is (nan|inf) in epoch 1"):
        train(Means(rate=rate), rest, Run(epochs=5))


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (Means(inputs=()), "one input and at most one target, and this one has 0 and 1"),
        (Means(targets=(Spec("y", (32,)),) * 2), "has 1 and 2"),
        (Means(batch=None), "no dimension called 'batch'"),
    ],
)
def test_programs_that_the_loop_does_not_train(program: Means, message: str) -> None:
    with pytest.raises(TrainError, match=message):
        train(program, parts()[0], Run(epochs=1))


def test_data_that_does_not_fit_the_program() -> None:
    with pytest.raises(DataError, match=r"\[64\], 64 entries, but 'x' .* \[8\], 8 entries"):
        train(Means(inputs=(Spec("x", (32, 8)),)), parts()[0], Run(epochs=1))


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, r"'means' is missing, in this network it is of shape \[10, 64\]"),
        ({"means": np.zeros((3, 64))}, r"'means' is of shape \[3, 64\]"),
        ({"means": np.zeros((10, 64)), "more": np.zeros(())}, "'more' .* it is no parameter"),
    ],
)
def test_parameters_of_another_network(params: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainError, match=message):
        check_parameters(Means(), params)


def test_history_is_a_csv(tmp_path: Path) -> None:
    rest, test = parts()
    result = train(Means(), rest, Run(epochs=2, validation=test))
    write_history(tmp_path / "a.csv", result.history, "accuracy")
    with (tmp_path / "a.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [float(row["gap"]) for row in rows] == [row.gap for row in result.history]
    found = [float(row["validation_accuracy"]) for row in rows]
    assert found == [row.validation for row in result.history]
    write_history(tmp_path / "a.csv", train(Means(), rest, Run(epochs=1)).history, "rms error")
    assert (
        (tmp_path / "a.csv").read_text().splitlines()[0].endswith(",validation_rms_error,largest_t,violation")
    )


def test_checkpoint_tells_epoch_and_seed(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    params = {"w": np.arange(6.0).reshape(2, 3).T, "b": np.float32(2)}
    write_checkpoint(path, Checkpoint(Result(params, epoch=4), {"seed": 9}), {"mean": "[1]"})
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    assert (metadata["epoch"], metadata["seed"], metadata["mean"]) == ("4", "9", "[1]")
    read = read_parameters(path)
    assert read["w"].tolist() == params["w"].tolist() and read["b"].tolist() == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.safetensors"]


def test_checkpoint_cut_off_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_checkpoint(path, Checkpoint(Result({"w": np.zeros(3)}), {"seed": 0}), {})
    content = path.read_bytes()
    for kept in range(len(content)):
        path.write_bytes(content[:kept])
        with pytest.raises(DataError, match=r"not a whole safetensors file|is empty"):
            read_checkpoint(path)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "not the state of a training run"),
        ({"format": "pjc-training-1", "state": "{}"}, "written by an older pjc, .* --params"),
        ({"format": "pjc-training-2"}, "a whole checkpoint"),
        ({"format": "pjc-training-2", "state": "{", "settings": "{}"}, "a whole checkpoint"),
        ({"format": "pjc-training-2", "state": "{}", "settings": "{}"}, "a whole checkpoint"),
        (
            {"format": "pjc-training-2", "state": '{"history": [{}]}', "settings": ""},
            "a whole checkpoint",
        ),
        ({"format": "pjc-training-9", "state": "{}", "settings": "{}"}, "not the state"),
    ],
)
def test_file_that_is_no_checkpoint(tmp_path: Path, metadata: dict[str, str], message: str) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"w": np.zeros(3)}, path, metadata)
    with pytest.raises(DataError, match=message) as refused:
        read_checkpoint(path)
    assert str(refused.value).count(str(path)) == (2 if "older" in message else 1)
    assert read_parameters(path)["w"].shape == (3,)


def test_checkpoint_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        read_checkpoint(tmp_path / "a")
    with pytest.raises(DataError, match="is a directory"):
        read_parameters(tmp_path)


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text(json.dumps("half"))
        raise OSError(28, "No space left on device")

    with pytest.raises(WriteError, match=r"a\.json cannot be written: No space left on device"):
        replace_file(path, fail)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(WriteError, match="cannot be written: No such file"):
        replace_file(tmp_path / "none" / "a", fail)
    with pytest.raises(WriteError) as caught:  # one that is written by way of another names the first
        replace_file(path, lambda temporary: replace_file(temporary, fail))
    assert str(caught.value) == f"{path} cannot be written: No space left on device"


def test_write_through_a_link_and_to_a_pipe(tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    replace_file(link, lambda path: path.write_text("text"))
    assert link.is_symlink() and target.read_text() == "text"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    replace_file(pipe, lambda path: path.write_text("text"))
    assert os.read(reader, 10) == b"text" and pipe.is_fifo()
    os.close(reader)
