"""Builds networks from Python, as the frontends do: every function, loss, set and loop of the language.

>>> from pjc.builder import Network
>>> net = Network("mlp", batch=64)
>>> x = net.input("x", (64, 784))
>>> y = net.target("y", (64,), classes=10)
>>> hidden = net.within("hidden")
>>> w, b = hidden.parameter("w", (784, 128), "he_normal"), hidden.parameter("b", (128,), "zeros")
>>> h = hidden.sum_relu(hidden.matmul(x, w), b)
>>> logits = net.matmul(h, net.parameter("w", (128, 10), "0.5 * he_normal"))
>>> net.output("logits", logits)
>>> net.require_cross_entropy(logits, y, strength=1.0)
>>> module = net.module()

Each function of docs/language.md is a method of Network, with ``*inputs`` where it takes several tensors;
``product``, ``weighted`` and ``index`` are what ``a * b``, ``2 * a - b`` and ``x[0, 1:3]`` mean there.
"""

from pjc.builder.network import Network, Site
from pjc.builder.values import LoopIndex, Target, Tensor

__all__ = ["LoopIndex", "Network", "Site", "Target", "Tensor"]
