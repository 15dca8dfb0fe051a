"""Traces of training: what is in them, that they change nothing, that no kill or resume loses any of one."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from reports import LOOP
from running import Run, runner
from sweep_networks import NETWORKS

import pjc
import pjc.report.page
from pjc.callbacks import Callback, TensorBoard, TrainingRun, write_events
from pjc.commands.plot_trace import RELATIVE, drawn_trace, panels_of_trace
from pjc.diagnostics import CommandError, DiagnosticError
from pjc.report.page import data_of
from pjc.report.traced import traced
from pjc.runtime import train as fitted
from pjc.runtime.data import Dataset
from pjc.runtime.data.errors import DataError
from pjc.runtime.history import Result
from pjc.runtime.listener import Listener
from pjc.runtime.outer_settings import DECAYING, STEPS
from pjc.runtime.program import Program, ProgramError
from pjc.runtime.recording import Layout, Recorder, packed
from pjc.runtime.trace import MEASURES, Column, Trace, joined, looks_like_trace, read_trace, write_trace
from pjc.runtime.trainable import TrainError

NET = """
input x: f32[batch, 4]
target y: class[batch, 3]
param w: f32[4, 6] = he_normal
param b: f32[6] = zeros
param v: f32[6, 3] = he_normal
output logits = sum_relu(x @ w, b) @ v
require cross_entropy(logits, y)
"""
SAMPLES = 24
pytestmark = pytest.mark.filterwarnings("ignore::pjc.TrainingWarning")  # few samples are learned badly


@pytest.fixture
def pjc_run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command line."""
    return runner(capsys)


def samples() -> tuple[Any, Any]:
    """Return samples of three classes."""
    drawn = np.random.default_rng(0)
    y = drawn.integers(0, 3, SAMPLES)
    x = drawn.normal(size=(SAMPLES, 4)) + np.eye(4)[y]
    return x.astype(np.float32), y


@cache
def small() -> Program:
    """Return a program whose steps, with a trace and without, are compiled once for all tests."""
    return pjc.compile(NET, batch=8)


def batch_of(program: Program) -> list[Any]:
    """Return a batch of what a program takes."""
    drawn = np.random.default_rng(1)
    return [
        drawn.integers(0, each.classes, each.shape) if each.classes else drawn.normal(size=each.shape)
        for each in (*program.inputs, *program.targets)
    ]


def bits(arrays: Any) -> dict[str, bytes]:
    """Return the bytes of arrays by name."""
    return {name: np.asarray(each).tobytes() for name, each in arrays.items()}


def assert_same_trace(one: Trace, other: Trace) -> None:
    """Assert that two traces say the same of the same updates."""
    assert (one.columns, one.step.tolist(), one.seed.tolist()) == (
        other.columns,
        other.step.tolist(),
        other.seed.tolist(),
    )
    assert one.measures.keys() == other.measures.keys()
    for name, each in one.measures.items():
        np.testing.assert_array_equal(each, other.measures[name])


@pytest.mark.parametrize("solver", ["sweep", pytest.param("dr", marks=pytest.mark.slow)])
def test_a_trace_changes_no_bit_and_a_resumed_one_goes_on(solver: str, tmp_path: Path) -> None:
    program = small() if solver == "sweep" else pjc.compile(NET, batch=8, solver=solver, iterations=3)
    file = tmp_path / "t.npz"
    plain = pjc.train(program, samples(), epochs=4, verbose=False)
    whole = pjc.train(program, samples(), epochs=4, trace=True, trace_every=2, verbose=False)
    assert bits(whole.params) == bits(plain.params) and plain.trace is None
    assert bits(whole.result.latent) == bits(plain.result.latent)
    first = pjc.train(program, samples(), epochs=2, trace=file, trace_every=2, verbose=False)
    assert read_trace(file).step.tolist() == [0, 2, 4]
    last = pjc.train(program, samples(), epochs=4, resume=first, trace=file, trace_every=2, verbose=False)
    assert whole.trace is not None and last.trace is not None
    assert whole.trace.step.tolist() == [0, 2, 4, 6, 8, 10]
    assert whole.trace.batches == 3 and whole.trace.solver.startswith(solver)
    if solver == "dr":  # the schedule of sweeps goes by the number of epochs
        assert_same_trace(last.trace, whole.trace)
    assert_same_trace(read_trace(file), last.trace)


def test_what_is_told_has_no_parameter_copied(tmp_path: Path) -> None:
    data = Dataset(*samples(), 3, "samples")
    training = fitted.Training(small(), data, fitted.Run(1, recorder=Recorder(tmp_path / "t.npz", 1)))
    step, batches = training.step, training.batches
    start = step.stepper.checked(Result(small().init(0)))
    carried = step.share.everywhere(step.stepper.carried(start))
    given = carried, step.sums(carried, start, batches), np.zeros(1, np.int32), *batches.abstract()
    plain, told = (each.lower(*given).compile().as_text() for each in (step.jitted, step.told))
    copied = [re.findall(r"= f32\[([\d,]+)\]\S* copy\(%carried", each) for each in (plain, told)]
    assert all("(%carried" in each for each in (plain, told))
    assert set(copied[1]) <= set(copied[0]) and "4,6" not in copied[1]


BIASED = """
input x: f32[batch, 20]
target y: class[batch, 5]
param w: f32[20, 40] = he_normal
param b: f32[40] = normal(0.1)
param g: f32[40] = ones
param v: f32[40, 5] = he_normal
param c: f32[5] = zeros
output z = (relu(x @ w + b) * g) @ v + c
require cross_entropy(z, y)
"""
SLOW_STEPS = [pytest.param(each, marks=pytest.mark.slow) for each in STEPS if each != "sgd"]


@pytest.mark.parametrize("outer", ["sgd", *SLOW_STEPS])
def test_a_trace_changes_no_bit_whatever_the_outer_step_is(outer: str) -> None:
    drawn = np.random.default_rng(0)
    data = drawn.normal(size=(64, 20)).astype(np.float32), drawn.integers(0, 5, 64)
    decay = {"weight_decay": 0.1} if outer in DECAYING else {}
    program = pjc.compile(BIASED, batch=16, outer=outer, **decay)
    for seed in range(2):
        given = {"epochs": 3, "seed": seed, "trace_every": 1, "verbose": False}
        plain, told = (pjc.train(program, data, trace=each, **given) for each in (None, True))
        assert bits(told.params) == bits(plain.params)


def test_a_trace_is_written_before_what_a_run_may_go_on_from(tmp_path: Path) -> None:
    class Watch(Listener):
        """Looks at what the file has after each epoch."""

        def __init__(self, saves: bool) -> None:
            self.keeps, self.seen = saves, list[int]()

        @property
        def saves(self) -> bool:
            return self.keeps

        def epoch(self, result: Result) -> None:
            self.seen.append(len(read_trace(file)) if file.exists() else 0)

    seen = []
    for saves in (True, False):
        file = tmp_path / f"{saves}.npz"
        recorder = Recorder(file, 1)
        recorder.took = math.inf  # it is not time to write
        watch = Watch(saves)
        data = Dataset(*samples(), 3, "samples")
        fitted.Training(small(), data, fitted.Run(2, recorder=recorder)).run(listener=watch)
        seen.append((watch.seen, len(read_trace(file))))
    assert seen == [([3, 6], 6), ([0, 0], 6)]


def test_what_a_sweep_tells_is_what_its_parts_are() -> None:
    program = small()
    params, batch = program.init(0), batch_of(program)
    moved, info = program.telling().displacement(params, *batch)
    told = info["trace"]
    for name, each in moved.items():
        assert told["displacement"][name] == pytest.approx(float(np.sqrt(np.mean(np.square(each)))), rel=1e-5)
        assert told["parameter"][name] == pytest.approx(
            float(np.sqrt(np.mean(np.square(params[name])))), rel=1e-5
        )
    assert told["demand"]["cross_entropy"] == info["requirements"]["cross_entropy"]
    logits = np.asarray(program.apply(params, batch[0]))
    (product,) = [node for node, (kind, _) in program.telling().nodes.items() if node in told["capped"]]
    assert told["demand"][product] == told["demand"]["cross_entropy"]  # the loss alone reads the logits
    assert logits.shape == (8, 3) and "trace" not in program.displacement(params, *batch)[1]


def test_shares_of_jumps_and_caps_are_right() -> None:
    text = "input x: f32[batch, 4]\ntarget y: f32[batch, 4]\nparam w: f32[4] = ones\n"
    text += "output z = sign(x * w)\nrequire squared_error(z, y, strength = 1.0)\n"
    program = pjc.compile(text, batch=2).telling()
    x = np.array([[3.0, -3.0, 0.01, -0.01], [3.0, -3.0, 0.01, -0.01]], np.float32)
    wanted = np.sign(x) * np.array([[1, 1, -1, 1], [1, 1, -1, -1]], np.float32)
    _, info = program.displacement(program.init(0), x, wanted)
    (crossed,) = info["trace"]["crossed"].values()
    assert crossed == pytest.approx(3 / 8)  # near the jump, and with the other sign wanted
    assert all(0 <= each <= 1 for each in info["trace"].get("capped", {}).values())


def test_what_the_parts_tell_is_what_they_are() -> None:
    text = "input x: f32[batch, 4]\ntarget y: class[batch, 3]\nparam w: f32[4, 3] = he_normal\n"
    text += "param b: f32[3] = zeros\noutput z = sum_relu(x @ w, b)\nrequire cross_entropy(z, y)\n"
    program = pjc.compile(text, batch=8, solver="ap", iterations=4)
    params, batch = program.init(0), batch_of(program)
    found = program.telling().update(params, *batch)[1]["trace"]
    one_more = program.gap(params, *batch, iterations=5)
    for node, gap in one_more["nodes"].items():
        assert found["gap"][node] == pytest.approx(float(gap), rel=1e-4, abs=1e-7)
    assert set(found) == {"gap", "moved", "spread", "t"} and set(found["gap"]) == set(found["moved"])
    biases = found["spread"]["b"]  # one copy of it for each sample
    assert biases > 0 and found["spread"]["w"] == 0  # whose copies a dot holds as their mean


def test_loops_are_told_by_iteration_and_as_one() -> None:
    program = pjc.compile(LOOP, batch=4).telling()
    info = program.displacement(program.init(0), *batch_of(program))[1]
    assert {each.shape for each in info["trace"]["demand"].values()} == {(), (6,)}
    layout = Layout.of(info["trace"], program.nodes)
    trace = layout.trace([(0, 0, packed(info["trace"]))], 1, "sweep")
    (name,) = [each for each in trace.names() if each.endswith("sum_relu")]
    parts = [float(trace.series(name, "demand", at)[0]) for at in range(6)]
    assert parts == pytest.approx(np.asarray(info["trace"]["demand"][name]).tolist())
    assert float(trace.series(name, "demand")[0]) == pytest.approx(float(np.sqrt(np.mean(np.square(parts)))))
    assert traced(trace, "t.npz")["iterations"]["demand"][name] == pytest.approx(parts, rel=1e-3)
    with pytest.raises(KeyError, match="iteration 6"):
        trace.series(name, "demand", 6)


def test_of_long_loops_all_iterations_are_one() -> None:
    layout = Layout((("demand", "a", 1000), ("t", "a", 0)), {"a": ("dot", "A")})
    trace = layout.trace([(0, 5, np.ones(1001))], 1, "dr")
    assert trace.columns == (Column("a", "dot", "A"),) and trace.series("a", "demand")[0] == 1


def made(steps: list[int], seed: int = 0, name: str = "a") -> Trace:
    """Return a trace of updates, of one node with a gap that is the number of the update."""
    rows = np.array(steps, np.int64)
    numbers = {"gap": rows[:, None].astype(np.float32)}
    return Trace(rows, np.full_like(rows, seed), (Column(name, "dot", "A"),), numbers, 3, "dr")


def test_a_run_that_begins_anew_replaces_its_updates_and_no_others(tmp_path: Path) -> None:
    file = tmp_path / "t.npz"
    write_trace(file, joined([made([0, 1, 2]), made([0, 1], seed=1)]))
    recorder = Recorder(file, 1, goes_on=True)
    recorder.begin(0, 2, 3, "dr")
    told = {"gap": {"a": jnp.float32(7), "b": jnp.float32(8)}}
    layout = Layout.of(told, {"a": ("dot", "A"), "b": ("dot", "B")})
    recorder.take(2, layout, packed(told))
    recorder.write()
    found = read_trace(file)
    assert found.seed.tolist() == [0, 0, 1, 1, 0] and found.step.tolist() == [0, 1, 0, 1, 2]
    assert found.series("a", "gap").tolist() == [0, 1, 0, 1, 7]
    assert np.isnan(found.series("b", "gap")[:4]).all() and found.series("b", "gap")[4] == 8
    recorder.begin(1, 0, 3, "dr")
    recorder.write()
    assert read_trace(file).step.tolist() == [0, 1, 2]
    anew = Recorder(file, 1)
    anew.begin(0, 0, 3, "dr")
    assert len(anew.trace()) == 0


def test_a_run_that_cannot_begin_leaves_an_earlier_trace_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "t.npz"
    write_trace(file, made([0, 1, 2]))
    before = file.read_bytes()
    other = Result({"a": np.zeros(3, np.float32)}, epoch=1, latent={"a": np.zeros(3, np.float32)})
    x, y = samples()
    for goes_on in (False, True):
        run = fitted.Run(2, start=other, recorder=Recorder(file, 1, goes_on))
        with pytest.raises(TrainError):
            fitted.train(small(), Dataset(x, y, 3, "few"), run)
        assert file.read_bytes() == before
    file.write_bytes(b"PK\3\4 damaged")
    recorder = Recorder(file, 1, goes_on=True)
    with pytest.raises(DataError):
        recorder.begin(0, 0, 3, "dr")
    recorder.write()
    assert file.read_bytes() == b"PK\3\4 damaged"


def test_what_looks_like_no_trace_raises_nothing(tmp_path: Path) -> None:
    file, pipe = tmp_path / "t.npz", tmp_path / "pipe.npz"
    write_trace(file, made([0, 1]))
    newer = bytearray(file.read_bytes())
    at = newer.index(b"PK\1\2")
    newer[at + 6 : at + 8] = (99).to_bytes(2, "little")  # the version that is needed to read the entry
    file.write_bytes(newer)
    os.mkfifo(pipe)
    assert not any(map(looks_like_trace, (file, pipe, tmp_path, tmp_path / "none.npz", Path("a\0b"))))


def test_every_is_a_number_of_updates() -> None:
    with pytest.raises(TrainError, match="trace_every takes a whole number of updates from 1, found 0"):
        Recorder(every=0)


def test_a_file_that_is_no_trace_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "t.npz"
    write_trace(file, made([0, 1]))
    assert looks_like_trace(file) and read_trace(file).step.tolist() == [0, 1]
    assert "2 updates, 1 nodes: gap" in repr(read_trace(file))
    arrays = dict(np.load(file))
    for wrong in (
        {"format": np.array("other")},
        {"measure/gap": np.zeros((3, 1), np.float32)},
        {"names": np.array(["a", "b"])},
        {"names": np.array([["a"]])},
        {"step": np.array([0.5, 1])},
    ):
        np.savez(file, **{**arrays, **wrong})
        with pytest.raises(DataError, match=r"t\.npz is not a trace of pjc train"):
            read_trace(file)
    np.savez_compressed(file, **{**arrays, "measure/gap": np.zeros((10**6, 1), np.float32)})
    with pytest.raises(DataError, match="more than its size"):
        read_trace(file)
    file.write_bytes(b"PK\3\4")
    assert not looks_like_trace(file)
    for path in (file, tmp_path / "none.npz", tmp_path):
        with pytest.raises(DataError):
            read_trace(path)
    np.savez(file, step=np.array([object()], dtype=object))
    with pytest.raises(DataError):
        read_trace(file)


def test_findings_name_the_constraint_that_holds_the_problem_back() -> None:
    both = joined([made([4, 4, 4, 4]), made([8, 8], name="b")])
    assert both.blamed == "gap"
    assert both.findings() == [
        "b holds the problem back most: there the parts disagree by 8 on average, 8 at the end"
    ]
    assert set(MEASURES) >= {"gap", "demand", "capped"} and made([]).findings() == []


def test_a_measure_without_numbers_is_not_drawn() -> None:
    one = made([0, 1])
    nothing = np.full_like(one.measures["gap"], np.nan)
    trace = replace(one, measures={**one.measures, "moved": nothing, "displacement": one.measures["gap"]})
    assert [each.title for each in panels_of_trace(trace)] == ["gap"]
    with pytest.raises(CommandError, match="the trace has no number of the measure 'moved'"):
        panels_of_trace(trace, ["moved"])
    with pytest.raises(CommandError, match="the trace has no measure 'relative displacement'"):
        panels_of_trace(trace, [RELATIVE])


def test_a_report_of_several_runs_is_of_the_last_and_iterations_keep_their_places() -> None:
    found = traced(joined([made([8, 8]), made([2, 2], seed=1, name="b")]), "t.npz")
    assert "b holds the problem back most" in found["findings"][0] and len(found["findings"]) == 1
    columns = tuple(Column("a", "dot", "A", at) for at in (-1, 0, 1, 2))
    numbers = {"gap": np.array([[1, 4, np.nan, 6]], np.float32)}
    trace = Trace(np.zeros(1, np.int64), np.zeros(1, np.int64), columns, numbers, 1, "dr")
    assert traced(trace, "t.npz")["iterations"] == {"gap": {"a": [4, None, 6]}}


@pytest.mark.skipif(shutil.which("node") is None, reason="node runs the report's script")
def test_the_script_takes_any_label_and_many_numbers() -> None:
    script = Path(pjc.report.page.__file__).with_name("trace.js").read_text()
    script += """
const told = String, plain = String, chart = () => null;
const data = {trace: {steps: [], about: {}, iterations: {gap: {}}, nodes: {gap: {a: [1, null]}}}};
const said = ["constructor", "a"].map((label) => tracedRows({ label }).flat());
const curves = tracedCurves({ label: "constructor" });
console.log(JSON.stringify([said, curves, rangeOf({ a: Array(400000).fill(2), b: [8, null, 0] })]));
"""
    found = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == [[[], ["last gap", "1"]], [], [2, 8]]


def test_a_trace_is_drawn_and_shown(pjc_run: Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    fit = pjc.train(small(), samples(), epochs=2, trace=True, trace_every=1, verbose=False)
    assert fit.trace is not None
    panels = panels_of_trace(fit.trace)
    assert [each.title for each in panels][:2] == ["demand", RELATIVE]
    assert len(drawn_trace(fit.trace, panels).axes) >= 2 * len(panels)
    file, page = tmp_path / "t.npz", tmp_path / "r.html"
    write_trace(file, fit.trace)
    code, out, err = pjc_run("plot", file, "--column", "response", "-o", tmp_path / "t.svg")
    assert code == 0 and "the most is demanded of" in out, err
    code, _, err = pjc_run("plot", file, "--column", "respons")
    assert code == 1 and "did you mean response?" in err
    code, _, err = pjc_run("plot", file, file)
    assert code == 1 and "one is drawn at a time" in err
    (cut := tmp_path / "cut.npz").write_bytes(file.read_bytes()[:900])
    code, _, err = pjc_run("plot", cut)
    assert code == 1 and "not a trace of pjc train" in err, err
    (tmp_path / "net.pjn").write_text(NET)
    code, _, err = pjc_run("view", tmp_path / "net.pjn", "--batch", 8, "--trace", file, "-o", page)
    assert code == 0, err
    data = data_of(page.read_text())
    labels = {each["label"] for each in data["nodes"]}
    assert data["trace"]["blamed"] == "demand"
    for measure, nodes in data["trace"]["nodes"].items():
        assert nodes.keys() <= labels, measure
        assert all(len(each) == len(data["trace"]["steps"]) for each in nodes.values())


def test_events_are_written_of_a_trace_and_while_it_is_recorded(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    two = joined([made([0, 1]), made([0, 1, 2], seed=1)])
    write_events(two, tmp_path / "two")
    assert {each.name for each in (tmp_path / "two").iterdir()} == {"seed_0", "seed_1"}
    written: list[tuple[str, float, int]] = []

    class Writer:
        def __init__(self, folder: str) -> None: ...
        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, value, step))

        def flush(self) -> None: ...
        def close(self) -> None: ...

    callback = TensorBoard(tmp_path / "one")
    callback._make = Writer
    fit = pjc.train(small(), samples(), epochs=2, trace=True, trace_every=2, callbacks=[callback])
    assert fit.trace is not None
    told = [(step, value) for name, value, step in written if name == "demand/cross_entropy"]
    numbers = fit.trace.series("cross_entropy", "demand").tolist()
    assert told == list(zip(fit.trace.step.tolist(), numbers, strict=True))


def test_what_cannot_be_traced_is_said(tmp_path: Path) -> None:
    program = small()
    bare = Program(program.signature, {}, {})
    with pytest.raises(ProgramError, match="cannot be traced"):
        bare.telling()
    other = tmp_path / "other.npz"
    other.write_bytes(b"mine")
    with pytest.raises(DiagnosticError, match="would be overwritten, which is no trace"):
        pjc.train(program, samples(), trace=other)
    with pytest.raises(DiagnosticError, match="trace takes a file to write to, or True, found int"):
        pjc.train(program, samples(), trace=3)


class Interrupting(Callback):
    """Raises Ctrl-C's error after some batches, as a second Ctrl-C does."""

    def batch(self, training: TrainingRun) -> None:
        if (training.epoch, training.batch) == (1, 2):
            raise KeyboardInterrupt


def test_an_interrupt_loses_nothing_that_was_recorded(tmp_path: Path) -> None:
    file = tmp_path / "t.npz"
    pjc.train(small(), samples(), epochs=3, trace=file, trace_every=1, callbacks=[Interrupting()])
    assert read_trace(file).step.tolist() == [0, 1, 2, 3, 4]


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the words of a command that trains, in a folder with a network and data."""
    monkeypatch.chdir(tmp_path)
    Path("net.pjn").write_text(NET)
    x, y = samples()
    np.savez("data.npz", x=x, y=y)
    return [
        "train",
        "net.pjn",
        "--data",
        "data.npz",
        "--batch",
        8,
        "--split",
        "0.8,0.2,0",
        "--trace",
        "t.npz",
    ]


def test_the_command_writes_over_nothing_else(pjc_run: Run, words: list[Any]) -> None:
    for wrong, said in (
        (["--trace", "data.npz", "--force"], "which is the same file"),
        (["--trace", "net.pjn", "--force"], "which is the network itself"),
        (["--trace", "net.history.csv", "--force"], "a file that the run writes anyway"),
        (["--trace", "other.npz"], "which is no trace of pjc train"),
        (["--trace-every", 3], "there is no --trace"),
    ):
        Path("other.npz").write_bytes(b"mine")
        code, _, err = pjc_run(*words[:-2], *wrong)
        assert code == 1 and said in err


@pytest.mark.slow
def test_the_command_records_and_appends(pjc_run: Run, words: list[Any]) -> None:
    every = ["--trace-every", 2]
    code, out, err = pjc_run(*words, *every, "--epochs", 1)
    assert code == 0 and "wrote t.npz" in out, err
    assert pjc_run(*words, *every, "--epochs", 1)[0] == 1
    code, _, err = pjc_run(*words, *every, "--epochs", 2, "--resume")
    assert code == 0 and read_trace("t.npz").step.tolist() == [0, 2, 4], err
    code, out, err = pjc_run(*words[:-1], "r.npz", "-o", "runs/", "--runs", 2, "--epochs", 1, *every)
    assert code == 0 and "wrote r.npz" in out, err
    assert read_trace("r.npz").seed.tolist() == [0, 0, 1, 1]
    write_trace(Path("t.npz"), made([0, 1], name="of another network"))
    code, _, err = pjc_run("view", "net.pjn", "--trace", "t.npz")
    assert code == 1 and "t.npz is the trace of another network" in err


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("solver", ["sweep", "dr", "ap"])
def test_steps_that_tell_are_those_that_do_not_bit_for_bit(network: str, solver: str) -> None:
    options = {} if solver == "sweep" else {"iterations": 4}
    program = pjc.compile(NETWORKS[network], solver=solver, batch=4, **options)
    other, batch = program.telling(), batch_of(program)
    one = two = program.start(0) if program.sweeps else program.init(0)
    for _ in range(3):
        step = [(each.step if each.sweeps else each.update) for each in (program, other)]
        (one, _), (two, info) = step[0](one, *batch), step[1](two, *batch)
    first, second = (each.params if program.sweeps else each for each in (one, two))
    assert bits(first) == bits(second)
    assert all(
        np.isfinite(np.asarray(each)).all() for told in info["trace"].values() for each in told.values()
    )
    for measure in ("scale", "capped", "crossed"):
        for each in info["trace"].get(measure, {}).values():
            assert np.all(np.asarray(each) >= 0) and (measure == "scale" or np.all(np.asarray(each) <= 1))


@pytest.mark.slow
def test_a_killed_run_leaves_what_was_written_and_goes_on_to_the_same(tmp_path: Path) -> None:
    (tmp_path / "net.pjn").write_text(NET)
    x, y = samples()
    np.savez(tmp_path / "data.npz", x=x, y=y)
    words = [sys.executable, "-m", "pjc.cli", "train", "net.pjn", "--data", "data.npz", "--batch", "8"]
    words += ["--split", "0.8,0.2,0", "--trace", "t.npz", "--trace-every", "1", "--schedule", "constant"]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONUNBUFFERED": "1"}
    run = subprocess.Popen(
        [*words, "--epochs", "100000"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    for line in run.stdout:
        if line.startswith("epoch 3/"):
            break
    run.kill()
    run.communicate()
    left = read_trace(tmp_path / "t.npz")
    assert left.step.tolist() == list(range(len(left))) and len(left) >= 3 * left.batches
    epochs = str(len(left) // left.batches + 2)
    for more in (["--epochs", epochs, "--resume"], ["--epochs", epochs, "-o", "whole/", "--trace", "w.npz"]):
        subprocess.run([*words, *more], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert_same_trace(read_trace(tmp_path / "t.npz"), read_trace(tmp_path / "w.npz"))


CASES = [("mlp", "sweep"), ("recurrent", "sweep"), ("mlp", "dr"), ("unlike", "ap")]


@pytest.mark.slow
def test_a_mesh_of_samples_tells_what_one_device_tells() -> None:
    script = Path(__file__).with_name("trace_meshes.py")
    found = subprocess.run(
        [sys.executable, str(script), json.dumps(CASES)], capture_output=True, text=True, check=True
    )
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert [each["case"] for each in lines] == [list(case) for case in CASES]
    for each in lines:
        assert each["same bits"] and each["difference"] < 1e-3, each
