"""What callbacks hear of a run, and what they do."""

from __future__ import annotations

import logging
import sys
import types
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import pjc
from pjc.callbacks import Callback, Checkpoint, EarlyStopping, Logger, TensorBoard, TrainingRun
from pjc.runtime.history import read_checkpoint, read_parameters

NET = """
input x: f32[batch, 4]
target y: class[batch, 2]
param w: f32[4, 2] = he_normal
output logits = x @ w
require cross_entropy(logits, y)
"""

pytestmark = pytest.mark.filterwarnings("ignore::pjc.TrainingWarning")


@pytest.fixture(scope="module")
def program() -> pjc.Program:
    return pjc.compile(NET, batch=8)


def data(count: int = 32) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(count, 4))
    return x, (x.sum(axis=1) > 0).astype(int)


class Told(Callback):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def start(self, training: TrainingRun) -> None:
        self.calls.append(("start", training.epochs))

    def batch(self, training: TrainingRun) -> None:
        self.calls.append(("batch", training.batch, training.batches))

    def epoch(self, training: TrainingRun) -> None:
        self.calls.append(("epoch", training.epoch, set(training.params), len(training.history)))

    def end(self, training: TrainingRun) -> None:
        self.calls.append(("end", training.epoch))


def test_callbacks_hear_of_a_run_in_its_order(program: pjc.Program) -> None:
    told = Told()
    pjc.train(program, data(), epochs=2, callbacks=[told])
    batches = [("batch", at, 4) for at in (1, 2, 3, 4)]
    epochs = [("epoch", at, {"w"}, at) for at in (1, 2)]
    assert told.calls == [("start", 2), *batches, epochs[0], *batches, epochs[1], ("end", 2)]


class Break(Callback):
    """Fails in its second epoch."""

    def epoch(self, training: TrainingRun) -> None:
        if training.epoch == 2:
            raise ZeroDivisionError


def test_an_error_of_a_callback_ends_the_run(program: pjc.Program) -> None:
    told = Told()
    with pytest.raises(ZeroDivisionError):
        pjc.train(program, data(), epochs=3, callbacks=[told, Break()])
    assert told.calls[-1] == ("end", 2)


class StopAt(Callback):
    def __init__(self, epoch: int, batch: int) -> None:
        self.at = epoch, batch

    def batch(self, training: TrainingRun) -> None:
        if (training.epoch, training.batch) == self.at:
            training.stop("enough")


@pytest.mark.parametrize("at", [(0, 1), (1, 3), (1, 4)])
def test_a_callback_stops_a_run_after_a_batch(program: pjc.Program, at: tuple[int, int]) -> None:
    fit = pjc.train(program, data(), epochs=5, callbacks=[StopAt(*at)])
    assert 4 * fit.result.epoch + fit.result.batch == 4 * at[0] + at[1]
    assert fit.stopped == "enough"


def test_early_stopping_keeps_the_best_epoch(program: pjc.Program) -> None:
    told = Told()
    fit = pjc.train(program, data(64), epochs=300, validation=0.3, callbacks=[EarlyStopping(4), told])
    scores = fit.history["validation_accuracy"]
    best = int(np.argmax(scores))
    assert len(scores) == best + 5 < 300
    assert fit.stopped == f"no better validation accuracy since epoch {best + 1}"
    assert fit.result.batch == 0
    again = pjc.train(program, data(64), epochs=300, validation=0.3, callbacks=[StopAt(best, 6)])
    np.testing.assert_array_equal(fit.params["w"], again.params["w"])
    last = pjc.train(
        program, data(64), epochs=300, validation=0.3, callbacks=[EarlyStopping(4, restore=False)]
    )
    assert len(last.history) == len(scores)
    assert not np.array_equal(last.params["w"], fit.params["w"])


def test_a_run_that_went_back_to_its_best_epoch_goes_on_from_where_it_stood(
    program: pjc.Program, tmp_path: Path
) -> None:
    x, y = data(64)
    wrong = (x[:24], 1 - y[:24])  # so that the first epoch validates best

    def run(*callbacks: Callback, resume: Any = None) -> pjc.Fit:
        stopping = EarlyStopping(50)
        return pjc.train(
            program, (x, y), epochs=6, validation=wrong, callbacks=[stopping, *callbacks], resume=resume
        )

    whole, part = run(), run(StopAt(3, 5))
    assert whole.kept.epoch == part.kept.epoch == 1
    assert (part.result.epoch, part.result.batch) == (3, 5)
    more = run(resume=part)
    part.save(tmp_path / "part")
    for again in (more, run(resume=tmp_path / "part.params.safetensors")):
        assert again.history["loss"] == whole.history["loss"]
        np.testing.assert_array_equal(again.params["w"], whole.params["w"])
        np.testing.assert_array_equal(again.result.params["w"], whole.result.params["w"])
    plain = pjc.train(program, (x, y), epochs=6, validation=wrong, callbacks=[StopAt(3, 5)])
    with pytest.warns(pjc.TrainingWarning, match="epoch 1 validated best, .* not at hand"):
        last = run(resume=plain)
    np.testing.assert_array_equal(last.params["w"], whole.result.params["w"])


def test_early_stopping_needs_something_to_validate_with(program: pjc.Program) -> None:
    with pytest.raises(pjc.PjcError, match="there is nothing to validate with"):
        pjc.train(program, data(), epochs=3, callbacks=[EarlyStopping()])
    for patience in (0, -1, True, 1.5):
        with pytest.raises(pjc.PjcError, match="whole number of epochs from 1"):
            EarlyStopping(patience)  # type: ignore[arg-type]


def test_checkpoints_are_files_that_runs_go_on_from(program: pjc.Program, tmp_path: Path) -> None:
    fit = pjc.train(
        program, data(), epochs=5, callbacks=[Checkpoint(tmp_path / "at{epoch}.safetensors", every=2)]
    )
    assert sorted(each.name for each in tmp_path.iterdir()) == [f"at{at}.safetensors" for at in (2, 4, 5)]
    np.testing.assert_array_equal(read_parameters(tmp_path / "at5.safetensors")["w"], fit.params["w"])
    assert read_checkpoint(tmp_path / "at4.safetensors").result.epoch == 4
    rest = pjc.train(program, data(), epochs=5, resume=tmp_path / "at2.safetensors")
    np.testing.assert_array_equal(rest.params["w"], fit.params["w"])
    kept = Checkpoint(tmp_path / "best.safetensors", best=True)
    fit = pjc.train(program, data(), epochs=6, validation=0.25, callbacks=[kept])
    best = int(np.argmax(fit.history["validation_accuracy"])) + 1
    assert read_checkpoint(tmp_path / "best.safetensors").result.epoch == best


def test_a_logger_says_a_line_for_each_epoch(program: pjc.Program, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pjc"):
        pjc.train(program, data(), epochs=2, validation=0.25, callbacks=[Logger()])
    first, *epochs, last = [record.getMessage() for record in caplog.records]
    assert first == "training network for 2 epochs" and last == "training ended after 2 epochs"
    assert len(epochs) == 2 and all("demand" in each and "validation_accuracy" in each for each in epochs)


class Writer:
    """A writer of events that keeps them."""

    made: ClassVar[list[Writer]] = []

    def __init__(self, folder: str) -> None:
        self.folder, self.events, self.closed = folder, [], False
        Writer.made.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.events.append((name, value, step))

    def flush(self) -> None: ...

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("library", ["tensorboardX", "torch.utils.tensorboard"])
def test_numbers_go_to_tensorboard(
    program: pjc.Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    for name in ("tensorboardX", "torch", "torch.utils", "torch.utils.tensorboard", "tensorflow"):
        monkeypatch.setitem(sys.modules, name, None)
    parts = library.split(".")
    for at in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:at]), types.ModuleType(parts[at - 1]))
    sys.modules[library].SummaryWriter = Writer  # type: ignore[attr-defined]
    fit = pjc.train(program, data(), epochs=2, callbacks=[TensorBoard(tmp_path)])
    writer = Writer.made[-1]
    assert writer.folder == str(tmp_path) and writer.closed
    demands = [(value, step) for name, value, step in writer.events if name == "demand"]
    assert demands == list(zip(fit.history["demand"], (1, 2), strict=True))


def test_tensorboard_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorboardX", "torch", "torch.utils.tensorboard", "tensorflow"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(pjc.PjcError, match="pip install tensorboardX"):
        TensorBoard("runs")
