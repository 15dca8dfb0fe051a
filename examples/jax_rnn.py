"""A recurrent cell in plain ``jax.numpy`` reads the rows of digits one by one: its scan becomes a loop."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

import pjc

ROWS, COLUMNS, UNITS = 8, 8, 64


def rnn(params, x):
    def cell(h, row):
        return jax.nn.relu(row @ params["input"] + h @ params["hidden"] + params["bias"]), None

    first = jnp.zeros((x.shape[0], UNITS))
    last, _ = jax.lax.scan(cell, first, x.swapaxes(0, 1))
    return last @ params["output"]


def start(key):
    a, b, c = jax.random.split(key, 3)
    return {
        "input": jax.random.normal(a, (COLUMNS, UNITS)) / COLUMNS**0.5,
        "hidden": jax.random.orthogonal(b, UNITS),
        "bias": jnp.zeros(UNITS),
        "output": jax.random.normal(c, (UNITS, 10)) / UNITS**0.5,
    }


def main(epochs=30, batch=64):
    """Train; return the accuracy on 360 digits that training never saw."""
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16).reshape(-1, ROWS, COLUMNS).astype(np.float32)
    random = np.random.default_rng(0)
    test, train = np.split(random.permutation(len(labels)), [360])
    per_epoch = len(train) // batch

    params, spec = start(jax.random.key(0)), pjc.f32["batch", ROWS, COLUMNS]
    prog = pjc.trace(rnn, params, spec, loss=pjc.cross_entropy(), batch=batch, rate=3e-3)
    state, step = prog.start(params, steps=epochs * per_epoch), jax.jit(prog.step)
    for _ in range(epochs):
        for rows in np.split(random.permutation(train)[: per_epoch * batch], per_epoch):
            state, _ = step(state, images[rows], labels[rows])

    return float((rnn(state.params, images[test]).argmax(-1) == labels[test]).mean())


if __name__ == "__main__":
    print(f"test accuracy: {main():.4f}")
