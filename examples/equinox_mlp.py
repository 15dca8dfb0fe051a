"""An MLP of Equinox on scikit-learn's digits: partition, trace, step, combine."""

import equinox as eqx
import jax
import numpy as np
from sklearn.datasets import load_digits

import pjc


def main(epochs=30, batch=64):
    """Train; return the accuracy on 360 digits that training never saw."""
    pixels, labels = load_digits(return_X_y=True)
    pixels = (pixels / 16).astype(np.float32)
    random = np.random.default_rng(0)
    test, train = np.split(random.permutation(len(labels)), [360])
    per_epoch = len(train) // batch

    model = eqx.nn.MLP(64, 10, width_size=128, depth=2, key=jax.random.key(0))
    params, static = eqx.partition(model, eqx.is_array)

    def mlp(params, x):
        return jax.vmap(eqx.combine(params, static))(x)

    spec = pjc.f32["batch", 64]
    prog = pjc.trace(mlp, params, spec, loss=pjc.cross_entropy(), batch=batch, rate=3e-3)
    state, step = prog.start(params, steps=epochs * per_epoch), jax.jit(prog.step)
    for _ in range(epochs):
        for rows in np.split(random.permutation(train)[: per_epoch * batch], per_epoch):
            state, _ = step(state, pixels[rows], labels[rows])

    model = eqx.combine(state.params, static)
    return float((jax.vmap(model)(pixels[test]).argmax(-1) == labels[test]).mean())


if __name__ == "__main__":
    print(f"test accuracy: {main():.4f}")
