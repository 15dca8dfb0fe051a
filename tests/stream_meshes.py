"""Streams on meshes of eight CPU devices and on one; test_stream_meshes.py runs it as a process.

``python stream_meshes.py CASES`` with cases as JSON, ``[[layers, mesh, ticks], ..]``, prints a line of JSON
for each: the largest difference to one device of a parameter, of what outer steps and rings hold, and of what
is told; and the compiled step. Of many ticks also the differences after a drain and of a training run;
whether a run that goes on from a checkpoint within an epoch gives the same bits; and the difference of one
that goes on from there on one device.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

DEVICES = 8
BATCH, PIECES = 16, 4
MANY = 100
"""The ticks from which on also drains and checkpoints are looked at."""
TEXT = """
input x: f32[batch, 5]
target y: f32[batch, 3]
def dense(x, width) {
    param weight: f32[x.shape[-1], width] = he_normal
    return x @ weight
}
def biased(x) {
    param bias: f32[x.shape[-1]] = normal(0.1)
    return x + bias
}
h = relu(biased(dense(x, 6)))
a = h
for i in 0..LAYERS {
    param w: f32[6, 6] = normal(0.2)
    require w in box(-0.5, 0.5)
    h = h + relu(biased(h @ w))
}
output logits = dense(concat(h, a), 3)
require squared_error(logits, y, strength = 1.0)
"""


def largest_difference(one: Any, other: Any) -> float:
    """Return the largest difference of two arrays of a name, relative to the largest entry if above 1."""
    import numpy as np

    assert one.keys() == other.keys()
    pairs = [(np.float64(one[name]), np.float64(other[name])) for name in one]
    found = [np.max(np.abs(a - b)) / max(1.0, np.max(np.abs(a))) for a, b in pairs]
    assert np.all(np.isfinite(found))
    return float(max(found, default=0.0))


def stepped(program: Any, batches: list[Any]) -> tuple[Any, Any, str]:
    """Return the state after so many batches, what was told of the last, and the compiled step."""
    compiled = program.lowered("step").compile()
    state = program.start(0, len(batches))
    for x, y in batches:
        params, held, info = compiled(state.params, state.optimizer, state.steps, {"x": x, "y": y})
        state = state._replace(params=params, optimizer=held)
    return state, info, compiled.as_text()


def resumed(one: Any, many: Any) -> dict[str, Any]:
    """Return what becomes of a run that is stopped within an epoch and goes on from its checkpoint."""
    import numpy as np
    from test_train import Watch, same

    from pjc.runtime.data import Dataset
    from pjc.runtime.history import Checkpoint, read_checkpoint, write_checkpoint
    from pjc.runtime.train import Run, train

    random = np.random.default_rng(1)
    x, y = (random.normal(size=(3 * BATCH, width)).astype("f") for width in (5, 3))
    data = Dataset(x, y, None, "few")
    run = Run(epochs=2, seed=1)
    whole, stopped = train(many, data, run), train(many, data, run, Watch(2))
    assert stopped.batch == 2
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.safetensors")
        write_checkpoint(path, Checkpoint(stopped), {})
        again = replace(run, start=read_checkpoint(path).result)
    here, there = train(many, data, again), train(one, data, again)
    latent = here.latent.keys() == whole.latent.keys() and all(
        np.array_equal(here.latent[name], whole.latent[name]) for name in whole.latent
    )
    return {
        "same": bool(same(here, whole) and latent),
        "on one": largest_difference(there.params, whole.params),
        "trained": largest_difference(train(one, data, run).params, whole.params),
    }


def run(layers: int, mesh: str, ticks: int) -> dict[str, Any]:
    """Return what a case gives."""
    import numpy as np

    import pjc

    settings = {"batch": BATCH, "solver": "stream", "outer": "adam", "rate": 1e-3}
    text = TEXT.replace("LAYERS", str(layers))
    one, many = pjc.compile(text, **settings), pjc.compile(text, mesh=mesh, **settings)
    random, count = np.random.default_rng(0), ticks // PIECES
    x, y = (random.normal(size=(count, BATCH, width)).astype("f") for width in (5, 3))
    batches = list(zip(x, y, strict=True))
    (alone, told, _), (state, said, hlo) = stepped(one, batches), stepped(many, batches)
    whole = many.unshard(state)
    found = {
        "moved": largest_difference(alone.params, one.init(0)),
        "params": largest_difference(alone.params, whole.params),
        "held": largest_difference(alone.optimizer, whole.optimizer),
        "told": largest_difference(_flat(told), _flat(said)),
        "hlo": hlo,
    }
    if ticks < MANY:
        return found
    drained = one.drain(alone)[0], many.unshard(many.drain(state)[0])
    found["drained"] = largest_difference(*(each.params for each in drained))
    return {**found, **resumed(one, many)}


def _flat(info: Any) -> dict[str, Any]:
    return {key: info[key] for key in ("demand", "loss")} | info["requirements"] | info["violation"]


def main() -> None:
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={DEVICES}"
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

    for layers, mesh, ticks in json.loads(sys.argv[1]):
        print(json.dumps({"case": [layers, mesh, ticks], **run(layers, mesh, ticks)}), flush=True)


if __name__ == "__main__":
    main()
