"""The network of Flax's MNIST tutorial, on scikit-learn's digits: split, trace, step, merge.

A sweep's displacements go where gradients would. Flax's own model comes back trained, and predicts.
"""

import jax
import numpy as np
from flax import nnx
from sklearn.datasets import load_digits

import pjc


class CNN(nnx.Module):
    def __init__(self, rngs):
        self.conv1 = nnx.Conv(1, 32, kernel_size=(3, 3), rngs=rngs)
        self.conv2 = nnx.Conv(32, 64, kernel_size=(3, 3), rngs=rngs)
        self.linear1 = nnx.Linear(2 * 2 * 64, 128, rngs=rngs)
        self.linear2 = nnx.Linear(128, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.avg_pool(nnx.relu(self.conv1(x)), window_shape=(2, 2), strides=(2, 2))
        x = nnx.avg_pool(nnx.relu(self.conv2(x)), window_shape=(2, 2), strides=(2, 2))
        return self.linear2(nnx.relu(self.linear1(x.reshape(x.shape[0], -1))))


def main(epochs=20, batch=64):
    """Train; return the accuracy on 360 digits that training never saw."""
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16).reshape(-1, 8, 8, 1).astype(np.float32)
    random = np.random.default_rng(0)
    test, train = np.split(random.permutation(len(labels)), [360])
    per_epoch = len(train) // batch

    graph, params = nnx.split(CNN(nnx.Rngs(0)), nnx.Param)

    def cnn(params, x):
        return nnx.merge(graph, params)(x)

    spec = pjc.f32["batch", 8, 8, 1]
    prog = pjc.trace(cnn, params, spec, loss=pjc.cross_entropy(), batch=batch, rate=1e-2)
    state, step = prog.start(params, steps=epochs * per_epoch), jax.jit(prog.step)
    for _ in range(epochs):
        for rows in np.split(random.permutation(train)[: per_epoch * batch], per_epoch):
            state, _ = step(state, images[rows], labels[rows])

    model = nnx.merge(graph, state.params)
    return float((model(images[test]).argmax(-1) == labels[test]).mean())


if __name__ == "__main__":
    print(f"test accuracy: {main():.4f}")
