"""Several processes that train together: what they compute, how they stop, and what becomes of a dead one."""

from __future__ import annotations

import io
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file
from test_train import Means, parts, same

from pjc import cli
from pjc.runtime import rendezvous
from pjc.runtime.distributed import DistributedError, MeshShare, is_lost_peer, sample_mesh
from pjc.runtime.files import remove_leftovers, replace_file
from pjc.runtime.history import Checkpoint, Result, read_checkpoint, write_checkpoint
from pjc.runtime.supervisor import LOST_PEER, Speech
from pjc.runtime.train import Listener, Run, TrainError, train

ROOT = Path(__file__).parent.parent
MODEL = """\
input x: f32[batch, 64]
target y: class[batch, 10]
param w: f32[64, 16] = he_normal
param b: f32[16] = zeros
param v: f32[16, 10] = he_normal

output logits = relu(x @ w + b) @ v
require margin(logits, y)
"""
DEEP = """\
input x: f32[batch, 64]
target y: class[batch, 10]
param w: f32[64, 16] = he_normal
param v: f32[16, 10] = he_normal
h = relu(x @ w)
for layer in 0..4 {
  param inner: f32[16, 16] = he_normal
  h = relu(h @ inner)
}
output logits = h @ v
require margin(logits, y)
"""
HEARTBEAT = 6
LIMIT = 240
"""Seconds after which a test gives up on a process."""


def devices_here(count: int) -> str:
    """Return XLA's flags for a process with so many CPU devices, beside those of the tests."""
    return f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Processes:
    """Some processes that train together in ``folder``, each with ``devices`` CPU devices.

    They train by dr unless the options name a solver.
    """

    def __init__(
        self, folder: Path, *options: object, processes: int = 2, devices: int = 2, model: str = MODEL
    ) -> None:
        (folder / "net.pjn").write_text(model)
        self.folder = folder
        self.logs: list[Path] = []
        command = [sys.executable, "-m", "pjc.cli", "train", "net.pjn", "--data", "digits"]
        given = list(map(str, options))
        solver = () if "--solver" in given else ("--solver", "dr", "--iterations", "3")
        command += [*solver, "--batch", "32", *given]
        address = f"127.0.0.1:{free_port()}"
        env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "XLA_FLAGS": devices_here(devices),
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        for index in range(processes):
            one = ["--distributed", "--coordinator", address, "--processes", processes, "--process", index]
            one += ["--heartbeat", HEARTBEAT]
            self.logs.append(folder / f"log{index}")
            with self.logs[-1].open("wb") as log:
                more = map(str, one if processes > 1 else ())
                self.processes.append(
                    subprocess.Popen([*command, *more], stdout=log, stderr=log, cwd=folder, env=env)
                )

    def wait(self, timeout: float = LIMIT) -> list[int]:
        """Return the exit codes; what does not end is killed, and fails the test."""
        deadline = time.monotonic() + timeout
        try:
            return [each.wait(max(0.1, deadline - time.monotonic())) for each in self.processes]
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"no end after {timeout} s:\n{self.said()}")

    def wait_for(self, name: str) -> None:
        """Wait until there is a file."""
        deadline = time.monotonic() + LIMIT
        while not (self.folder / name).exists():
            if time.monotonic() > deadline or any(each.poll() is not None for each in self.processes):
                self.kill()
                pytest.fail(f"no {name}:\n{self.said()}")
            time.sleep(0.1)

    def kill(self) -> None:
        for each in self.processes:
            each.kill()
        for each in self.processes:
            each.wait(LIMIT)

    def said(self) -> str:
        return "\n".join(log.read_text() for log in self.logs)


def difference(folder: Path, other: Path) -> float:
    """Return the largest relative difference of what two runs hold, in the Euclidean norm of each array."""
    found = [load_file(each / "net.params.safetensors") for each in (folder, other)]
    assert found[0].keys() == found[1].keys()
    pairs = [(np.float64(value), np.float64(found[1][name])) for name, value in found[0].items()]
    return max(float(np.linalg.norm(a - b) / (np.linalg.norm(a) or 1)) for a, b in pairs)


def folders(tmp_path: Path, *names: str) -> list[Path]:
    for name in names:
        (tmp_path / name).mkdir()
    return [tmp_path / name for name in names]


# --- processes ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_of_two_devices_equal_one(tmp_path: Path) -> None:
    """And a run of the two is resumed by one, and the other way round."""
    one, two, down, up = folders(tmp_path, "one", "two", "down", "up")
    assert Processes(one, "--epochs", 2, processes=1, devices=1).wait() == [0]
    run = Processes(two, "--epochs", 2, "--keep-best")
    assert run.wait() == [0, 0], run.said()
    assert run.logs[1].read_text() == "" and "2 processes, 4 devices" in run.logs[0].read_text()
    assert "test accuracy: " in run.logs[0].read_text() and "Gloo" not in run.said()
    assert difference(one, two) < 1e-5
    for folder, before, after in ((down, 2, 1), (up, 1, 2)):
        assert set(Processes(folder, "--epochs", 1, processes=before).wait()) == {0}
        assert set(Processes(folder, "--epochs", 2, "--resume", processes=after).wait()) == {0}
        assert difference(one, folder) < 1e-5


@pytest.mark.slow
def test_the_layers_of_a_network_are_spread_over_processes(tmp_path: Path) -> None:
    one, *split = folders(tmp_path, "one", "stack", "both")
    assert Processes(one, "--epochs", 1, processes=1, devices=1, model=DEEP).wait() == [0]
    for folder, mesh in zip(split, ("stack=4", "sample=2,stack=2"), strict=True):
        run = Processes(folder, "--epochs", 1, "--mesh", mesh, model=DEEP)
        assert run.wait() == [0, 0], run.said()
        assert difference(one, folder) < 1e-5
    run = Processes(one, "--epochs", 1, "--mesh", "sample=2,stack=4", model=DEEP)
    assert run.wait() == [1, 1]
    assert "mesh sample=2,stack=4 is for 8 devices, and there are 4" in run.said()


@pytest.mark.slow
def test_the_stages_of_a_stream_are_spread_over_processes(tmp_path: Path) -> None:
    """And a run of several is resumed by one, and the other way round."""
    one, two, down, up = folders(tmp_path, "one", "two", "down", "up")
    stream = ("--solver", "stream", "--rate", 1e-4, "--schedule", "constant")
    mesh = ("--mesh", "sample=2,stack=2")
    assert Processes(one, *stream, "--epochs", 2, processes=1, devices=1, model=DEEP).wait() == [0]
    run = Processes(two, *stream, "--epochs", 2, *mesh, model=DEEP)
    assert run.wait() == [0, 0], run.said()
    assert difference(one, two) < 1e-5
    for folder, before, after in ((down, mesh, ()), (up, (), mesh)):
        for epochs, options in ((1, before), (2, after)):
            more = ("--resume",) if epochs == 2 else ()
            kind = {"processes": 2} if options else {"processes": 1, "devices": 1}
            run = Processes(folder, *stream, "--epochs", epochs, *options, *more, model=DEEP, **kind)
            assert set(run.wait()) == {0}, run.said()
        assert difference(one, folder) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "how"), [(0, "killed"), (1, "killed"), (1, "frozen")])
def test_a_dead_process_ends_the_other_with_a_sentence(tmp_path: Path, victim: int, how: str) -> None:
    run = Processes(tmp_path, "--epochs", 1000, "--checkpoint-every", 1)
    run.wait_for("net.params.safetensors")
    if how == "killed":
        run.processes[victim].kill()
    else:
        supervisor_id = run.processes[victim].pid
        (worker,) = Path(f"/proc/{supervisor_id}/task/{supervisor_id}/children").read_text().split()
        os.kill(int(worker), signal.SIGSTOP)
    try:
        assert run.processes[1 - victim].wait(LIMIT) == 1
    finally:
        run.kill()
        if how == "frozen":
            os.kill(int(worker), signal.SIGKILL)
    said = run.logs[1 - victim].read_text()
    assert f"process {victim} of 2 stopped answering; training stops; start all" in said
    assert "Traceback" not in said and "stack trace" not in said and "    @ " not in said
    read_checkpoint(tmp_path / "net.params.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("asked", [0, 1])
def test_ctrl_c_in_one_process_stops_both_and_resume_goes_on(tmp_path: Path, asked: int) -> None:
    whole, parted = folders(tmp_path, "whole", "parted")
    run = Processes(parted, "--epochs", 2, "--checkpoint-every", 1)
    run.wait_for("net.params.safetensors")
    run.processes[asked].send_signal(signal.SIGINT)
    assert run.wait() == [130, 130], run.said()
    assert "--resume goes on from here" in run.logs[0].read_text()
    assert Processes(parted, "--epochs", 2, "--resume").wait() == [0, 0]
    assert Processes(whole, "--epochs", 2).wait() == [0, 0]
    assert difference(whole, parted) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "epochs", "latest", "tolerance"), [(1, 800, 0.4, 0), (2, 24, 0.25, 1e-5)]
)
def test_killed_twenty_times_and_resumed_equals_an_uninterrupted_run(
    tmp_path: Path, processes: int, epochs: int, latest: float, tolerance: float
) -> None:
    """A random one of the processes is killed at a random moment, then the others.

    The moment is at most the fraction ``latest`` of the time that a run takes. A run that ends before all
    kills have been made is compared, too, and another one begun.
    """
    whole, parted = folders(tmp_path, "whole", "parted")
    draw = random.Random(0)
    began = time.monotonic()
    assert set(Processes(whole, "--epochs", epochs, processes=processes).wait(600)) == {0}
    took = time.monotonic() - began
    print(f"uninterrupted: {took:.0f} s")
    kills, moments = 0, set[tuple[int, int]]()
    checkpoint = parted / "net.params.safetensors"
    ended = False
    while kills < 20 or not ended:
        resume = ["--resume"] if checkpoint.exists() else []
        run = Processes(parted, "--epochs", epochs, "--checkpoint-every", 0.2, *resume, processes=processes)
        if kills < 20:
            time.sleep(draw.uniform(0, latest * took))
        ended = run.processes[0].poll() is not None or kills == 20
        if ended:
            assert set(run.wait(600)) == {0}, run.said()
            print(f"difference after {kills} kills: {difference(whole, parted):.3g}")
            assert difference(whole, parted) <= tolerance
            assert {entry.name for entry in parted.iterdir()} == {entry.name for entry in whole.iterdir()}
            for written in parted.iterdir():
                if written.suffix != ".pjn":  # what a run has ended with, another one does not write over
                    written.unlink()
            continue
        kills += 1
        run.processes[draw.randrange(processes)].kill()
        time.sleep(draw.uniform(0, 0.5))
        run.kill()
        if checkpoint.exists():
            found = read_checkpoint(checkpoint).result
            moments.add((found.epoch, found.batch))
            print(f"kill {kills}: after {found.epoch} epochs and {found.batch} batches")
    assert len(moments) > 3, "the kills came before training had begun"


TWO = """
import sys
import numpy as np
from pjc.runtime import distributed
from pjc.runtime.train import Run, train
from test_train import Means, parts

address, index, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
distributed.start(address, 2, index)
distributed.require_same({"seed": 1, "network": "a"})
share = distributed.MeshShare(distributed.sample_mesh())
rest, test = parts()
few = rest.take(np.arange(320), "few")
assert share.rows(32).tolist() == list(range(16 * index, 16 * index + 16))
result = train(Means(), few, Run(epochs=1, seed=1, validation=test, share=share))
assert share.total(index + 0.1) == 0.1 + 1.1
if distributed.is_writer():
    np.savez(path, means=result.params["means"], score=result.history[-1].validation)
distributed.require_same({"seed": index, "network": "a"})
"""


def test_two_processes_train_as_one_and_must_agree(tmp_path: Path) -> None:
    address, path = f"127.0.0.1:{free_port()}", tmp_path / "means.npz"
    env = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "XLA_FLAGS": devices_here(2),
    }
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TWO, address, str(index), str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env,
        )
        for index in range(2)
    ]
    try:
        for process in started:
            _, err = process.communicate(timeout=LIMIT)
            assert process.returncode and "process 1 was given another seed than process 0" in err, err
    finally:
        for process in started:
            process.kill()
    rest, test = parts()
    alone = train(Means(), rest.take(np.arange(320), "few"), Run(epochs=1, seed=1, validation=test))
    found = np.load(path)
    np.testing.assert_allclose(found["means"], alone.params["means"], rtol=1e-5, atol=1e-6)
    assert found["score"] == alone.history[-1].validation


# --- checkpoints ----------------------------------------------------------------------------------


def test_checkpoints_within_an_epoch_change_nothing_and_are_gone_on_from(tmp_path: Path) -> None:
    rest, _ = parts()
    whole = train(Means(), rest, Run(epochs=2, seed=1))
    seen: list[Result] = []

    class Watch(Listener):
        def checkpoint(self, result: Result) -> None:
            seen.append(result)

    watched = train(Means(), rest, Run(epochs=2, seed=1, checkpoint_seconds=0), Watch())
    assert same(watched, whole)
    assert [(each.epoch, each.batch) for each in seen] == [(e, b) for e in (0, 1) for b in range(1, 45)]
    for middle in (seen[0], seen[50], seen[-1]):
        path = tmp_path / "a.safetensors"
        write_checkpoint(path, Checkpoint(middle), {})
        resumed = train(Means(), rest, Run(epochs=2, seed=1, start=read_checkpoint(path).result))
        assert same(resumed, whole)


def test_what_a_killed_write_left_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "net.params.safetensors"
    replace_file(path, lambda temporary: temporary.write_text("whole"))
    left = tmp_path / "net.params.safetensors.ab12_xyz.safetensors"
    others = [tmp_path / "net.params.safetensors.backup.safetensors", tmp_path / "other.ab12_xyz.safetensors"]
    for each in (left, *others):
        each.write_text("half")
    remove_leftovers(path)
    assert path.exists() and not left.exists() and all(each.exists() for each in others)


# --- shares, in one process -----------------------------------------------------------------------


def test_share_of_a_mesh_of_one_process_is_all_of_it() -> None:
    rest, test = parts()
    share = MeshShare(sample_mesh())
    assert share.rows(32).tolist() == list(range(32)) and share.total(1.5) == 1.5
    mine = train(Means(), rest, Run(epochs=2, seed=1, validation=test, share=share))
    whole = train(Means(), rest, Run(epochs=2, seed=1, validation=test))
    np.testing.assert_allclose(mine.params["means"], whole.params["means"], rtol=1e-5, atol=1e-6)
    assert [row.validation for row in mine.history] == [row.validation for row in whole.history]


def test_wish_to_stop_is_heard_a_batch_later() -> None:
    rest, _ = parts()
    asked = iter([False] * 9 + [True] * 9)

    class Asked(Listener):
        def should_stop(self) -> bool:
            return next(asked)

    stopped = train(Means(), rest, Run(epochs=2, share=MeshShare(sample_mesh())), Asked())
    assert stopped.batch == 12


def test_batch_that_cannot_be_split(monkeypatch: pytest.MonkeyPatch) -> None:
    share = MeshShare(sample_mesh())
    monkeypatch.setattr(share, "mesh", type("Mesh", (), {"shape": {"sample": 5}})())
    with pytest.raises(
        DistributedError, match=r"32 samples .* over 5 devices; compile with --batch 30 or 35"
    ):
        share.check(32)
    with pytest.raises(TrainError, match="--batch 30 or 35"):
        train(Means(), parts()[0], Run(epochs=1, share=share))


# --- the supervisor -------------------------------------------------------------------------------

_DEAD_PEER = """\
E1124 15:21:33.076917 5342 coordination_service.cc:1549] [14] Use error polling to propagate: UNAVAILABLE: \
The following tasks are unhealthy (stopped sending heartbeats):
3
The tasks have crashed. Check the task logs for an earlier error
F1124 15:21:33.077470 5353 client.h:80] Terminating process because the JAX distributed service detected
*** Check failure stack trace: ***
    @     0x7f590ca40634  absl::lts_20260107::log_internal::LogMessage::SendToLog()
"""
_DEAD_LEADER = """\
F1124 15:34:47.787591 7987 client.h:80] Terminating process because the JAX distributed service detected
:UNKNOWN:Error received from peer  {grpc_message:"Socket closed", grpc_status:14}
*** Check failure stack trace: ***
"""


@pytest.mark.parametrize(
    ("text", "code", "count", "expected", "result"),
    [
        (_DEAD_PEER, -signal.SIGABRT, 4, "process 3 of 4 stopped answering; training stops; go on", 1),
        (_DEAD_LEADER, -signal.SIGABRT, 4, "process 0 of 4 stopped answering; training stops; go on", 1),
        ("", LOST_PEER, 4, "another process of 4 stopped answering; training stops; go on", 1),
        ("", LOST_PEER, 2, "process 0 of 2 stopped answering; training stops; go on", 1),
        ("", -signal.SIGKILL, 4, "process 1 of 4 was ended by SIGKILL; training stops; go on", 137),
    ],
)
def test_what_a_worker_died_of(text: str, code: int, count: int, expected: str, result: int) -> None:
    out = io.StringIO()
    speech = Speech(out)
    speech.hear(f"\x1epjc worker 1 {count}\n")
    for line in text.splitlines(keepends=True):
        speech.hear(line)
    assert speech.verdict(code, "go on") == result
    assert out.getvalue() == f"process 1: pjc: error[PJC0505]: {expected}\n"


def test_what_a_worker_says_is_passed_on() -> None:
    out = io.StringIO()
    speech = Speech(out)
    speech.hear("early\n")
    speech.hear("\x1epjc worker 2 4\n")
    speech.hear("later\n")
    for line in _DEAD_PEER.splitlines(keepends=True):
        speech.hear(line)
    assert out.getvalue() == "early\nprocess 2: later\n"
    assert speech.verdict(3, "") == 3  # it ended by itself, so nothing is kept back
    assert out.getvalue().count("process 2: ") == 1 + _DEAD_PEER.count("\n")


WORKER = """
import signal, sys, time
from pjc.runtime import supervisor
if not supervisor.is_worker():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what comes once the worker has ended
    sys.exit(supervisor.supervise([sys.executable, *sys.argv], "go on"))
supervisor.ignore_signals()
with supervisor.Orders() as stop:
    supervisor.say_identity(0, 2)
    print("ready", flush=True)
    while not stop() or sys.argv[1] == "stubborn":
        time.sleep(0.01)
    print("wrote", flush=True)
"""


@pytest.mark.parametrize(("kind", "signals", "code"), [("willing", 1, 0), ("stubborn", 2, 143)])
def test_orders_reach_the_worker(tmp_path: Path, kind: str, signals: int, code: int) -> None:
    process = _started(tmp_path, kind)
    process.send_signal(signal.SIGTERM)
    err = ""
    if signals > 1:
        assert process.stderr is not None
        while "stopping" not in err:  # then the first is answered, and another one counts
            err += process.stderr.readline()
        process.send_signal(signal.SIGTERM)
    out, more = process.communicate(timeout=LIMIT)
    err += more
    assert process.returncode == code and err.count("stopping after this batch") == 1
    assert ("wrote" in out) == (kind == "willing")


def test_worker_ends_with_its_supervisor(tmp_path: Path) -> None:
    process = _started(tmp_path, "stubborn")
    process.kill()
    assert process.communicate(timeout=LIMIT)[0] == ""  # until the worker has closed it, too


def _started(folder: Path, kind: str) -> subprocess.Popen[str]:
    script = folder / "worker.py"
    script.write_text(WORKER)
    process = subprocess.Popen(
        [sys.executable, str(script), kind],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def test_errors_of_a_lost_peer() -> None:
    assert is_lost_peer(jax.errors.JaxRuntimeError("UNKNOWN: Gloo all-reduce failed: Connection closed"))
    assert not is_lost_peer(jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory"))
    assert not is_lost_peer(ValueError("the gap is nan"))


@pytest.mark.parametrize(
    "text",
    [
        "INTERNAL: Gloo context initialization failed: connection closed by peer",
        "NCCL operation ncclAllReduce failed: unhandled system error",
        "UNAVAILABLE: Socket closed",
        "Barrier timed out. Id: sync_global_devices:start::0",
        "[Errno 104] Connection reset by peer",
    ],
)
@pytest.mark.parametrize("kind", [RuntimeError, ValueError, OSError, jax.errors.JaxRuntimeError])
def test_a_lost_peer_is_known_whatever_carries_it(kind: type[Exception], text: str) -> None:
    assert is_lost_peer(kind(text))
    try:
        try:
            raise kind(text)
        except kind as error:
            raise TrainError("training failed") from error
    except TrainError as outer:
        assert is_lost_peer(outer)


def test_what_processes_that_do_not_meet_are_told_is_no_lost_peer() -> None:
    assert not is_lost_peer(DistributedError("no process 0 answers at a:1 (Connection refused)"))


# --- where processes meet -------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_a_port_in_use_is_named(host: str) -> None:
    with socket.socket() as other:
        other.bind((host, 0))
        other.listen()
        address = f"{host}:{other.getsockname()[1]}"
        with pytest.raises(DistributedError, match=f"process 0 cannot listen at {address}: Address already"):
            rendezvous.check(address, True, time.monotonic())
        rendezvous.check(address, False, time.monotonic() + LIMIT)  # where the others find somebody


@pytest.mark.parametrize("host", ["nosuch.invalid", "a..b", "x" * 70])
def test_a_host_that_is_none_is_named(host: str) -> None:
    with pytest.raises(DistributedError, match=rf"--coordinator {host}:5: {host} is no known host"):
        rendezvous.check(f"{host}:5", False, time.monotonic())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.3"])
def test_an_address_where_nobody_listens_is_named(host: str) -> None:
    with socket.socket() as bound:  # but does not listen, and nobody else can
        bound.bind((host, 0))
        address = f"{host}:{bound.getsockname()[1]}"
        with pytest.raises(DistributedError, match=rf"no process 0 answers at {address} .*refused"):
            rendezvous.check(address, False, time.monotonic() + 0.5)


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1:1", True), ("localhost:1", True), ("[::1]:1", True), ("10.0.0.1:1", False), ("a:1", False)],
)
def test_loopback_addresses(address: str, local: bool) -> None:
    assert rendezvous.loopback(address) == (address if local else None)


def test_a_worker_that_ends_before_processes_met_says_where() -> None:
    out = io.StringIO()
    speech = Speech(out)
    for line in _DEAD_LEADER.splitlines(keepends=True):
        speech.hear(line)
    text = rendezvous.not_found("10.0.0.1:9", 3)
    assert speech.verdict(-signal.SIGABRT, "go on", text) == 1
    assert out.getvalue() == f"pjc: error[PJC0505]: {text}\n" and "at 10.0.0.1:9 within" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("counts", "ids"), [((2, 3), (0, 1)), ((3, 2), (0, 1)), ((2, 3), (0, 2)), ((2,), (0,))]
)
def test_processes_that_are_not_as_many_as_they_were_told(
    tmp_path: Path, counts: tuple[int, ...], ids: tuple[int, ...]
) -> None:
    (tmp_path / "net.pjn").write_text(MODEL)
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "pjc.cli", "train", "net.pjn", "--data", "digits", "--distributed"]
    started = [
        subprocess.Popen(
            [*command, "--coordinator", address, "--processes", str(count), "--process", str(index)],
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for count, index in zip(counts, ids, strict=True)
    ]
    for process in started:
        _, err = process.communicate(timeout=LIMIT)
        assert process.returncode == 1 and address in err and "--processes" in err, err
        assert "internal error" not in err and "Traceback" not in err


def listeners(pid: int) -> set[str]:
    """Return the addresses, as /proc has them, at which a process listens."""
    links = [entry.readlink() for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.is_symlink()]
    mine = {str(link)[len("socket:[") : -1] for link in links if str(link).startswith("socket:[")}
    rows = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
    ]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and row[9] in mine}


@pytest.mark.slow
def test_with_a_loopback_coordinator_all_listen_on_loopback(tmp_path: Path) -> None:
    run = Processes(tmp_path, "--epochs", 1000, "--checkpoint-every", 1)
    run.wait_for("net.params.safetensors")
    found: list[set[str]] = []
    for each in run.processes:
        (worker,) = Path(f"/proc/{each.pid}/task/{each.pid}/children").read_text().split()
        found.append(listeners(int(worker)))
    run.processes[0].send_signal(signal.SIGTERM)
    assert run.wait() == [143, 130], run.said()
    assert all(found), "nobody listens"
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert set.union(*found) <= loopback


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--coordinator", "a:1"],
            "--coordinator, --processes, --process and --heartbeat go with --distributed",
        ),
        (["--distributed", "--processes", "2"], "go together; without all three the cluster says"),
        (
            ["--distributed", "--coordinator", "a:1", "--processes", "2", "--process", "2"],
            "--process 2 is none of 2 processes",
        ),
    ],
)
def test_options_that_do_not_go_together(
    capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert cli.main(["train", "net.pjn", "--data", "digits", *options]) == 1
    assert message in capsys.readouterr().err


def test_no_cluster(tmp_path: Path) -> None:
    (tmp_path / "net.pjn").write_text(MODEL)
    clean: dict[str, Any] = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "OMPI"))}
    found = subprocess.run(
        [sys.executable, "-m", "pjc.cli", "train", "net.pjn", "--data", "digits", "--distributed"],
        cwd=tmp_path,
        env={**clean, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert found.returncode == 1 and not found.stdout
    assert found.stderr.startswith("pjc: error[PJC0504]: no cluster was found")
    assert "give --coordinator HOST:PORT" in found.stderr and "Traceback" not in found.stderr


# --- Slurm ----------------------------------------------------------------------------------------

SRUN = """\
#!/bin/bash
# Stands for srun: two tasks on this host, with what Slurm sets for them.
shift
export SLURM_STEP_NODELIST=127.0.0.1 SLURM_NTASKS=2
for task in 0 1; do
  SLURM_PROCID=$task SLURM_LOCALID=$task "$@" --heartbeat 6 &
  tasks[task]=$!
done
[[ -n $KILL ]] && { while [[ ! -e runs/net.params.safetensors ]]; do sleep 0.1; done; kill -9 ${tasks[1]}; }
wait ${tasks[0]} || code=$?
wait ${tasks[1]} || code=$?
exit ${code:-0}
"""


@pytest.mark.slow
def test_the_slurm_script(tmp_path: Path) -> None:
    """A task dies and the job is put in the queue again; then it goes on, and ends."""
    (tmp_path / "net.pjn").write_text(MODEL)
    commands = {
        "srun": SRUN,
        "scontrol": '#!/bin/bash\necho "$@" >> requeued\n',
        "pjc": f'#!/bin/bash\nexec {sys.executable} -m pjc.cli "$@"\n',
    }
    (tmp_path / "bin").mkdir()
    for name, text in commands.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)

    def job(restarts: int, epochs: int, kill: str) -> subprocess.CompletedProcess[str]:
        options = ["--data", "digits", "--solver", "dr", "--iterations", "3", "--batch", "32"]
        options += ["--epochs", str(epochs)]
        return subprocess.run(
            [str(ROOT / "examples" / "slurm_train.sh"), "net.pjn", *options, "--checkpoint-every", "1"],
            cwd=tmp_path,
            env={
                **os.environ,
                "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "XLA_FLAGS": devices_here(2),
                "SLURM_JOB_ID": str(random.randrange(4096)),
                "SLURM_RESTART_COUNT": str(restarts),
                "KILL": kill,
            },
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )

    first = job(0, 3, "yes")
    assert first.returncode and "process 1 of 2 stopped answering" in first.stderr, first.stderr
    assert (tmp_path / "requeued").read_text().startswith("requeue ")
    second = job(1, 3, "")
    assert second.returncode == 0 and "2 processes, 4 devices" in second.stdout, second.stderr
    assert "epoch 3/3" in second.stdout
    assert read_checkpoint(tmp_path / "runs" / "net.params.safetensors").result.epoch == 3
