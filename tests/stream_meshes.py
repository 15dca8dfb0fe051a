"""Streams on meshes of eight CPU devices and on one; test_stream_meshes.py runs it as a process.

``python stream_meshes.py CASES`` with cases as JSON, ``[[network, mesh, ticks, settings], ..]``, prints a
line of JSON for each: the largest difference to one device of a parameter, of what outer steps and rings
hold, and of what is told; that of what is done with a state as one device has it, and as the devices have
it; what is said to a state of other devices; and the compiled step. Of many ticks also the differences after
a drain and of a training run; whether a run that goes on from a checkpoint within an epoch gives the same
bits; and the difference of one that goes on from there on one device.
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
"""The ticks from which on also drains, displacements and checkpoints are looked at."""
PARTS = """
input x: f32[batch, 6]
target y: f32[batch, 3]
def dense(x, width) {
    param weight: f32[x.shape[-1], width] = he_normal
    return x @ weight
}
def biased(x) {
    param bias: f32[x.shape[-1]] = normal(0.1)
    return x + bias
}
"""
LOSS = """
require squared_error(logits, y, strength = 1.0)
"""
LOOP = """
for i in 0..8 {
    param w: f32[6, 6] = normal(0.2)
    require w in box(-0.5, 0.5)
    h = h + relu(biased(h @ w))
}
"""
TANGENT = "in intersection(ball(1), fixed_sum(6))"
"""Sets of 36 entries with one point in common, to which Dykstra's method comes ever more slowly."""
NETWORKS = {
    "beside the loop": f"{PARTS}h = relu(biased(x))\na = h{LOOP}output logits = dense(concat(h, a), 3){LOSS}",
    "nothing at the ends": f"{PARTS}h = x{LOOP}output logits = h[:, 0:3]{LOSS}",
    "intersections at the ends": f"""{PARTS}
param first: f32[6, 6] = normal(0.5)
require first {TANGENT}
h = relu(x @ first){LOOP}
param last: f32[6, 6] = normal(0.5)
require last {TANGENT}
output logits = (h @ last)[:, 0:3]{LOSS}""",
}


def largest_difference(one: Any, other: Any) -> float:
    """Return the largest difference of two arrays of a name, relative to the largest entry if above 1."""
    import numpy as np

    assert one.keys() == other.keys()
    pairs = [(np.float64(one[name]), np.float64(other[name])) for name in one]
    assert all(a.shape == b.shape for a, b in pairs)
    found = [np.max(np.abs(a - b)) / max(1.0, np.max(np.abs(a))) for a, b in pairs]
    assert np.all(np.isfinite(found))
    return float(max(found, default=0.0))


def stepped(program: Any, state: Any, batches: list[Any]) -> tuple[Any, Any]:
    """Return the state after some batches, and what was told of the last."""
    for x, y in batches:
        state, info = program.step(state, x, y)
    return state, info


def hlo_of(program: Any, state: Any, x: Any, y: Any) -> str:
    """Return the compiled step, which JAX keeps for the calls of it."""
    data = {"x": x, "y": y}
    lowered = program.jitted("step").lower(state.params, state.optimizer, state.steps, data)
    return str(lowered.compile().as_text())


def spoilt(many: Any, state: Any) -> Any:
    """Return a state whose rows that are not in use hold anything."""
    import jax
    import numpy as np

    random = np.random.default_rng(3)

    def other(name: str, value: Any) -> Any:
        place = many.layout.place(name)
        if not place.is_at_end or not np.issubdtype(value.dtype, np.floating):
            return value
        rows = random.normal(0, 1e3, value.shape).astype(value.dtype)
        at = 0 if place.home == "first" else -1
        rows[at] = np.asarray(value)[at]
        return jax.device_put(rows, value.sharding)

    params, held = ({n: other(n, each) for n, each in part.items()} for part in state[:2])
    return state._replace(params=params, optimizer=held)


def handled(many: Any, one: Any, state: Any, batch: Any) -> dict[str, Any]:
    """Return how what is done with a state as devices have it differs from that with it as one has it."""
    import pjc

    whole, (x, _) = many.unshard(state), batch
    steps = [many.unshard(many.step(each, *batch)[0]) for each in (state, whole)]
    found = {
        "stepped": largest_difference(steps[0].params, steps[1].params),
        "separated": largest_difference(many.separate(state.params), many.separate(whole.params)),
        "finished": largest_difference(many.finish(state.params), many.finish(whole.params)),
        "applied": largest_difference(
            {"logits": one.apply(whole.params, x)}, {"logits": many.apply(state.params, x)}
        ),
    }
    (spoiled, told), (_, said) = (many.step(each, *batch) for each in (spoilt(many, state), state))
    found["unused"] = max(
        largest_difference(steps[0].params, many.unshard(spoiled).params),
        largest_difference(_flat(told), _flat(said)),
    )
    try:
        one.step(state, *batch)
    except pjc.PjcError as error:
        found["said"] = str(error)
    return found


def resumed(one: Any, many: Any) -> dict[str, Any]:
    """Return what becomes of a run that is stopped within an epoch and goes on from its checkpoint."""
    import numpy as np
    from test_train import Watch, same

    from pjc.runtime.data import Dataset
    from pjc.runtime.history import Checkpoint, read_checkpoint, write_checkpoint
    from pjc.runtime.train import Run, train

    random = np.random.default_rng(1)
    x, y = (random.normal(size=(3 * BATCH, width)).astype("f") for width in (6, 3))
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


def run(network: str, mesh: str, ticks: int, more: dict[str, Any]) -> dict[str, Any]:
    """Return what a case gives."""
    import numpy as np

    import pjc

    settings = {"batch": BATCH, "solver": "stream", "outer": "adam", "rate": 1e-3, **more}
    text = NETWORKS[network]
    one, many = pjc.compile(text, **settings), pjc.compile(text, mesh=mesh, **settings)
    random, count = np.random.default_rng(0), ticks // PIECES
    x, y = (random.normal(size=(count, BATCH, width)).astype("f") for width in (6, 3))
    batches = list(zip(x, y, strict=True))
    # Drawing them by init would be compiled for that alone.
    start = {each.name: random.normal(0, 0.3, each.shape).astype("f") for each in one.parameters}
    begun = one.start(start, count)
    hlo = hlo_of(many, many.shard(begun), *batches[0])
    (alone, told), (state, said) = stepped(one, begun, batches), stepped(many, begun, batches)
    whole = many.unshard(state)
    found = {
        "moved": largest_difference(alone.params, begun.params),
        "params": largest_difference(alone.params, whole.params),
        "held": largest_difference(alone.optimizer, whole.optimizer),
        "told": largest_difference(_flat(told), _flat(said)),
        "hlo": hlo,
        **handled(many, one, state, batches[0]),
    }
    if ticks < MANY:
        return found
    drained = one.drain(alone)[0], many.unshard(many.drain(whole)[0])
    found["drained"] = largest_difference(*(each.params for each in drained))
    asked = one.displacement(alone.params, *batches[0]), many.displacement(state.params, *batches[0])
    found["asked"] = largest_difference(*(each[0] for each in asked))
    return {**found, **resumed(one, many)}


def _flat(info: Any) -> dict[str, Any]:
    return {key: info[key] for key in ("demand", "loss")} | info["requirements"] | info["violation"]


def main() -> None:
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={DEVICES}"
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

    for network, mesh, ticks, settings in json.loads(sys.argv[1]):
        print(json.dumps(run(network, mesh, ticks, settings)), flush=True)


if __name__ == "__main__":
    main()
