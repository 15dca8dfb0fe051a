"""Trains a network with Adam instead: the same .pjn file, data, parts, batches and epochs as ``pjc train``.

    python benchmarks/adam.py examples/digits_mlp.pjn --data digits --batch 64 --epochs 16 --rate 1e-3

The forward pass is the compiled program's, differentiated by JAX; the loss is the softmax cross-entropy,
or for numeric targets the mean squared error. Prints after every epoch the seconds of training so far and
the score on the validation part, at the end the score on the test part. Takes the options of ``pjc train``
that say what the data and the network are.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import jax
import numpy as np
import optax

import pjc
from pjc.commands.arguments import parse
from pjc.commands.train import USAGE
from pjc.commands.training.arguments import Arguments, request_of
from pjc.runtime.data.prepare import Parts, prepare
from pjc.runtime.evaluate import evaluator, metric
from pjc.runtime.trainable import batch_size, specs


def main() -> None:
    """Run the benchmark."""
    own = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    own.add_argument("--rate", type=float, default=1e-3, help="Adam's learning rate (default: 1e-3)")
    chosen, rest = own.parse_known_args()
    given = parse(Arguments, USAGE, rest)
    program = pjc.compile_file(given.model, given.options).program()
    parts = prepare(request_of(given.data), *specs(program))
    print(f"{given.model}: Adam, learning rate {chosen.rate:g}, batches of {batch_size(program)}")
    train(program, parts, given.run.epochs, given.run.seed, chosen.rate)


def train(program: Any, parts: Parts, epochs: int, seed: int, rate: float) -> float | None:
    """Print the score after every epoch; return the score on the test part."""
    data, size, name = parts.train, batch_size(program), metric(program)
    optimizer = optax.adam(rate)
    params = program.init(seed)
    state = optimizer.init(params)
    score = evaluator(program)

    def loss(params: Any, x: Any, y: Any) -> Any:
        output = program.apply(params, x)
        if specs(program)[1].classes is None:
            return ((output - y.reshape(output.shape)) ** 2).mean()
        return optax.softmax_cross_entropy_with_integer_labels(output, y).mean()

    @jax.jit
    def step(params: Any, state: Any, x: Any, y: Any) -> Any:
        updates, state = optimizer.update(jax.grad(loss)(params, x, y), state, params)
        return optax.apply_updates(params, updates), state

    first = np.arange(size)
    jax.block_until_ready(step(params, state, data.x[first], data.y[first]))  # compiled, not counted
    seconds = 0.0
    for epoch in range(epochs):
        began = time.perf_counter()
        order = np.random.default_rng([seed, epoch]).permutation(len(data))
        for start in range(0, len(data) - size + 1, size):
            rows = order[start : start + size]
            params, state = step(params, state, data.x[rows], data.y[rows])
        jax.block_until_ready(params)
        seconds += time.perf_counter() - began
        shown = (
            "" if parts.validation is None else f", validation {name} {score(params, parts.validation):.4f}"
        )
        print(f"epoch {epoch + 1}/{epochs}: {seconds:.2f} s{shown}", flush=True)
    if parts.test is None:
        return None
    found = score(params, parts.test)
    print(f"test {name}: {found:.4f}")
    return found


if __name__ == "__main__":
    main()
