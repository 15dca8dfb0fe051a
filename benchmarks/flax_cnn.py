"""Trains the network of Flax's MNIST tutorial by sweeps and by optax's Adam, and says how good both are.

    python benchmarks/flax_cnn.py digits --epochs 20
    python benchmarks/flax_cnn.py FOLDER --epochs 5  # of mnist10k_train.npz and mnist10k_test.npz

Both start from the parameters that Flax draws, and take the same batches of 64, with a cosine over the run.
The rate of each is that of ``--rates`` whose mean accuracy over the seeds, on a tenth of the training part
that neither trains on, is best. Prints the mean and standard deviation of the test accuracy, in percent, for
each rate.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

import pjc

BATCH = 64
Part = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
Step = Callable[[Any, Any, Any], tuple[Any, Any]]


class CNN(nnx.Module):
    """Two convolutions, each rectified and pooled, and two dense layers."""

    def __init__(self, size: int, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(1, 32, kernel_size=(3, 3), rngs=rngs)
        self.conv2 = nnx.Conv(32, 64, kernel_size=(3, 3), rngs=rngs)
        self.linear1 = nnx.Linear((size // 4) ** 2 * 64, 256, rngs=rngs)
        self.linear2 = nnx.Linear(256, 10, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.avg_pool(nnx.relu(self.conv1(x)), window_shape=(2, 2), strides=(2, 2))
        x = nnx.avg_pool(nnx.relu(self.conv2(x)), window_shape=(2, 2), strides=(2, 2))
        return self.linear2(nnx.relu(self.linear1(x.reshape(x.shape[0], -1))))


def parts(where: str) -> tuple[Part, Part, Part]:
    """Return the images and labels to train on, to choose the rate by, and to test on."""
    if where == "digits":
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        images, order = (pixels / 16).reshape(-1, 8, 8, 1), np.random.default_rng(0).permutation(len(labels))
        held, test = order[:-360], order[-360:]
        train, tested = (images[held], labels[held]), (images[test], labels[test])
    else:
        files = [np.load(Path(where) / f"mnist10k_{part}.npz") for part in ("train", "test")]
        train, tested = ((each["x"][..., None] / 255, each["y"]) for each in files)
    count = len(train[1]) // 10
    cut = [(train[0][count:], train[1][count:]), (train[0][:count], train[1][:count]), tested]
    first, second, third = ((x.astype(np.float32), y.astype(np.int32)) for x, y in cut)
    return first, second, third


def sweeps(graph: Any, params: Any, x: Any, rate: float, steps: int) -> tuple[Any, Step]:
    """Return where training by sweeps starts, and its step; the state holds ``params``."""
    program = pjc.trace(
        lambda tree, x: nnx.merge(graph, tree)(x),
        params,
        x[:BATCH],
        loss=pjc.cross_entropy(),
        name="cnn",
        rate=rate,
    )
    return program.start(params, steps), jax.jit(program.step)


def adam(graph: Any, params: Any, x: Any, rate: float, steps: int) -> tuple[Any, Step]:
    """Return where training by gradients starts, and its step."""
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, steps))

    def loss(params: Any, x: Any, y: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(nnx.merge(graph, params)(x), y).mean()

    @jax.jit
    def step(state: Any, x: Any, y: Any) -> tuple[Any, Any]:
        params, remembered = state
        moves, remembered = optimizer.update(jax.grad(loss)(params, x, y), remembered)
        return (optax.apply_updates(params, moves), remembered), None

    return (params, optimizer.init(params)), step


METHODS = {"sweeps": sweeps, "adam": adam}


def run(method: str, rate: float, seed: int, data: tuple[Part, Part, Part], epochs: int) -> tuple[float, ...]:
    """Return the accuracy of a run on the second and the third part, in percent, and its seconds."""
    (x, y), *scored = data
    graph, params = nnx.split(CNN(x.shape[1], nnx.Rngs(seed)), nnx.Param)
    count = len(y) // BATCH
    state, step = METHODS[method](graph, params, x, rate, epochs * count)
    order, seconds = np.random.default_rng(seed), 0.0
    for epoch in range(epochs):
        start = time.perf_counter()
        for rows in np.split(order.permutation(len(y))[: count * BATCH], count):
            state, _ = step(state, x[rows], y[rows])
        jax.block_until_ready(state)
        seconds += time.perf_counter() - start if epoch else 0  # the first compiles
    trained = nnx.merge(graph, state.params if method == "sweeps" else state[0])
    predict = nnx.jit(lambda model, x: model(x).argmax(-1))

    def accuracy(part: Part) -> float:
        x, y = part
        found = [np.asarray(predict(trained, x[at : at + 1000])) for at in range(0, len(y), 1000)]
        return 100 * float((np.concatenate(found) == y).mean())

    return (*(accuracy(part) for part in scored), seconds * epochs / max(epochs - 1, 1))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", help="digits, or the folder of MNIST")
    parser.add_argument("--epochs", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--seeds", default="0,1,2", help="default: %(default)s")
    parser.add_argument("--rates", default="1e-3,3e-3,1e-2", help="default: %(default)s")
    parser.add_argument("--only", choices=METHODS, help="the method to train by (default: both)")
    given = parser.parse_args(arguments)
    data, seeds = parts(given.data), [int(each) for each in given.seeds.split(",")]
    for method in [given.only] if given.only else METHODS:
        means = {}
        for rate in map(float, given.rates.split(",")):
            found = [run(method, rate, seed, data, given.epochs) for seed in seeds]
            validated, tested, seconds = ([each[at] for each in found] for at in range(3))
            deviation = statistics.stdev(tested) if len(tested) > 1 else 0
            means[rate] = statistics.mean(validated)
            print(
                f"{method} at {rate:g}: {statistics.mean(tested):.2f} +- {deviation:.2f}, "
                f"{statistics.mean(seconds):.1f} s, validated {means[rate]:.2f}",
                flush=True,
            )
        print(f"{method}: best at {max(means, key=lambda rate: means[rate]):g}", flush=True)


if __name__ == "__main__":
    main()
