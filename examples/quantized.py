"""Weights of -1, 0 and 1, and hidden values of two bits, on scikit-learn's digits: no gradient leads here."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

import pjc


def network(params, x):
    h = pjc.quantize(0.5 * (x @ params["hidden"]), (0, 1, 2, 3))
    return 0.1 * (h @ params["out"])


def main(epochs=60, batch=64):
    """Train; return the accuracy on 360 digits that training never saw, and the trained weights."""
    pixels, labels = load_digits(return_X_y=True)
    pixels = (pixels / 16).astype(np.float32)
    random = np.random.default_rng(0)
    test, train = np.split(random.permutation(len(labels)), [360])
    per_epoch = len(train) // batch

    a, b = jax.random.split(jax.random.key(0))
    params = {
        "hidden": jax.random.uniform(a, (64, 128), minval=-1),
        "out": jax.random.uniform(b, (128, 10), minval=-1),
    }
    prog = pjc.trace(
        network,
        params,
        pjc.f32["batch", 64],
        loss=pjc.cross_entropy(),
        sets={"*": pjc.levels(-1, 0, 1)},
        batch=batch,
        rate=1e-2,
    )
    state, step = prog.start(params, steps=epochs * per_epoch), jax.jit(prog.step)
    for _ in range(epochs):
        for rows in np.split(random.permutation(train)[: per_epoch * batch], per_epoch):
            state, _ = step(state, pixels[rows], labels[rows])

    weights = prog.finish(state.params)  # state.params remember small moves; these are -1, 0 and 1
    assert set(np.unique(jnp.concatenate(jax.tree.leaves(weights), axis=None))) <= {-1, 0, 1}
    return float((network(weights, pixels[test]).argmax(-1) == labels[test]).mean())


if __name__ == "__main__":
    print(f"test accuracy: {main():.4f}")
