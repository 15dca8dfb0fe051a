"""Streams whose stages are shared by processes: samples a second with one process, and with several.

``python benchmarks/streams.py`` trains a network of eight equal layers by ``stream`` with one process, and
with two that share its layers (``--mesh stack=2``), each with one thread on a core of its own; one after
the other, in rounds. It prints for each run the samples a second of the fastest epoch, and the milliseconds
of wall and of CPU time that a tick takes in a process; then the ratio of the best.

``python benchmarks/streams.py --predict`` prints what the cost model says of more devices, and beside it what
part of the time the devices of a pipeline with as many micro-batches work.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

TEXT = """
input x: f32[batch, 64]
target y: class[batch, 10]
def dense(x, width) {
  param weight: f32[x.shape[-1], width] = he_normal
  return x @ weight
}
def layer(x, width) {
  param bias: f32[width] = zeros
  return sum_relu(bias, dense(x, width))
}
h = layer(x, WIDTH)
for i in 0..8 { h = h + layer(h, WIDTH) }
output logits = dense(h, 10)
require cross_entropy(logits, y, strength = 1.0)
"""
THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
LAYERS, ROUNDS = 8, 3


def work(given: argparse.Namespace) -> None:
    """Train as one of several processes; the first prints its times as JSON."""
    os.sched_setaffinity(0, {given.process % (os.cpu_count() or 1)})
    from pjc.dialects import proj
    from pjc.driver import compile_text
    from pjc.options import Options
    from pjc.passes.analysis.graph import only
    from pjc.runtime import distributed
    from pjc.runtime.data import Dataset
    from pjc.runtime.mesh import make_mesh
    from pjc.runtime.train import Listener, Run, train

    count = given.processes[0]
    share = distributed.ALONE
    if count > 1:
        distributed.start(f"127.0.0.1:{given.port}", count, given.process)
        share = distributed.MeshShare(make_mesh({"sample": 1, "feature": 1, "stack": count}))
    import numpy as np

    mesh = {"stack": count} if count > 1 else None
    options = Options(solver="stream", batch=given.batch, outer="adam", rate=1e-3, mesh=mesh)
    compilation = compile_text(TEXT.replace("WIDTH", str(given.width)), options)
    program, pieces = compilation.program(), only(compilation.at("proj"), proj.ProgramOp).pieces
    random = np.random.default_rng(0)
    samples = given.batches * given.batch
    x, y = random.normal(size=(samples, 64)).astype("f"), random.integers(0, 10, samples)
    marks: list[tuple[float, float]] = []

    class Marks(Listener):
        def epoch(self, result: Any) -> None:
            marks.append((time.perf_counter(), time.process_time()))

    train(program, Dataset(x, y, 10, "noise"), Run(epochs=given.epochs, share=share), Marks())
    ticks = given.batches * pieces + 2 * (LAYERS + 1)
    spans = [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(marks)]
    wall, cpu = min(spans)
    if given.process == 0:
        print(json.dumps({"rate": samples / wall, "wall": wall / ticks, "cpu": cpu / ticks}), flush=True)
    if count > 1:
        distributed.stop()


def predict(given: argparse.Namespace) -> None:
    """Print what a tick is predicted to take on devices that share stages, or samples, and of a pipeline."""
    from pjc.dialects import proj
    from pjc.driver import compile_text
    from pjc.options import Options
    from pjc.passes.analysis.cost import MACHINES
    from pjc.passes.analysis.graph import only

    text = TEXT.replace("WIDTH", str(given.width)).replace("0..8", f"0..{given.layers}")
    compilation = compile_text(text, Options(solver="stream", batch=given.batch))
    pieces = only(compilation.at("proj"), proj.ProgramOp).pieces
    machine = MACHINES[given.machine]

    def seconds(**sizes: int) -> float:
        mesh = {"sample": 1, "feature": 1, "stack": 1, **sizes}
        return compilation.mesh_plan.predict(mesh, machine).seconds

    alone = seconds()
    print(f"{given.layers} layers of {given.width}, {pieces} pieces of {given.batch // pieces} samples")
    print("devices  stack: ms  works  sample: ms  works  a pipeline works")
    for devices in (1, 2, 4, 8, 16, 32, 64):
        if given.layers % devices:
            break
        shared = seconds(stack=devices)
        row = f"{devices:7} {1e3 * shared:10.2f} {alone / devices / shared:6.0%}"
        if given.batch // pieces >= 2 * devices:
            time_ = seconds(sample=devices)
            row += f" {1e3 * time_:11.2f} {alone / devices / time_:6.0%}"
        else:
            row += f" {'':11} {'':6}"
        print(f"{row} {pieces / (pieces + devices - 1):17.0%}")


def timed(count: int, arguments: list[str]) -> dict[str, float]:
    """Return the times of so many processes."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    env = {**os.environ, "XLA_FLAGS": THREAD, "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, *arguments, "--processes", str(count), "--port", str(port)]
    running = [
        subprocess.Popen([*command, "--process", str(index)], stdout=subprocess.PIPE, text=True, env=env)
        for index in range(count)
    ]
    said = [each.communicate()[0] for each in running]
    if any(each.returncode for each in running):
        raise SystemExit(f"a process of {count} failed")
    found_: dict[str, float] = json.loads(said[0].splitlines()[-1])
    return found_


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--batches", type=int, default=25, help="of an epoch")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--process", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--predict", action="store_true")
    parser.add_argument("--layers", type=int, default=LAYERS, help="of what is predicted")
    parser.add_argument("--machine", default="cpu", help="what is predicted for: cpu, gpu or tpu")
    given = parser.parse_args()
    if given.predict:
        predict(given)
        return
    if given.process is not None:
        work(given)
        return
    arguments = [
        word
        for name in ("width", "batch", "batches", "epochs")
        for word in (f"--{name}", str(getattr(given, name)))
    ]
    best: dict[int, float] = {}
    print(f"{'processes':>9} {'samples/s':>10} {'ms a tick':>10} {'CPU ms':>8}")
    for _ in range(ROUNDS):
        for count in given.processes:
            found = timed(count, arguments)
            best[count] = max(best.get(count, 0.0), found["rate"])
            print(
                f"{count:9} {found['rate']:10.0f} {found['wall'] * 1e3:10.2f} {found['cpu'] * 1e3:8.2f}",
                flush=True,
            )
    for count in given.processes[1:]:
        print(f"{count} processes: {best[count] / best[given.processes[0]]:.2f} times the samples a second")


if __name__ == "__main__":
    main()
