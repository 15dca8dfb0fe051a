"""A program that trains by displacements, written in JAX: what the outer step and training need of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from pjc.runtime.outer import Outer, frozen_in, step_entries
from pjc.runtime.program import Program, Signature, TensorSpec

BATCH = 32


def program(outer: Outer | None = None, *, box: float | None = None, layers: int = 2) -> Program:
    """Return a classifier of 64 pixels whose displacement is the negative gradient of its loss.

    Args:
        outer: the outer step; None for a program whose step has yet to be given.
        box: parameters are required to be within that of 0; what training carries stays within a bit more.
        layers: equal layers that begin with nothing, which are held as one; none if that is 1.
    """
    names = tuple(f"layer{i}.w" for i in range(layers))
    signature = Signature(
        name="displacing",
        inputs=(TensorSpec("x", (BATCH, 64), "float32"),),
        targets=(TensorSpec("y", (BATCH,), "int32", 10),),
        outputs=(TensorSpec("z", (BATCH, 10), "float32"),),
        parameters=(
            TensorSpec("b", (10,), "float32"),
            TensorSpec("out.w", (64, 10), "float32"),
            *(TensorSpec(name, (10, 10), "float32") for name in names if layers > 1),
        ),
        batch=BATCH,
        iterations=1,
        trainable=True,
        families={"layers": names} if layers > 1 else {},
        solver="once",
        others=("several", "many"),
    )
    if outer is not None:
        signature = replace(signature, frozen=frozen_in(outer, signature.members))
    found = functions(box, layers)
    return Program(signature, found | (step_entries(outer, signature.members, found) if outer else {}), {})


def functions(box: float | None = None, layers: int = 2) -> dict[str, Callable[..., Any]]:
    """Return the entry points as an emitter gives them."""

    def init(key_data: Any) -> Any:
        key = jax.random.wrap_key_data(key_data)
        equal = {"layers": jnp.zeros((layers, 10, 10))} if layers > 1 else {}
        return {"b": jnp.zeros(10), "out.w": 0.1 * jax.random.normal(key, (64, 10)), **equal}

    def finish(params: Any) -> Any:
        return params if box is None else {n: jnp.clip(v, -box, box) for n, v in params.items()}

    def logits(params: Any, x: Any) -> Any:
        z = x @ params["out.w"] + params["b"]
        return z + sum(z @ each for each in params["layers"]) if layers > 1 else z

    def apply(params: Any, data: Any) -> Any:
        return {"z": logits(finish(params), data["x"])}

    def loss(params: Any, data: Any, weights: Any) -> Any:
        told = jax.nn.log_softmax(logits(params, data["x"]))
        rows = jnp.arange(BATCH)
        return -(weights * told[rows, data["y"]]).sum() / weights.sum()

    def weighted(params: Any, data: Any, weights: Any) -> Any:
        slope = jax.grad(loss)(finish(params), data, weights)
        asked = loss(finish(params), data, weights)
        info = {"demand": asked, "requirements": {"cross_entropy": asked}}
        return {name: -each for name, each in slope.items()}, info

    found: dict[str, Callable[..., Any]] = {
        "init": init,
        "apply": apply,
        "displacement": lambda params, data: weighted(params, data, jnp.ones(BATCH)),
        "displacement_weighted": weighted,
    }
    if box is not None:
        found["finish"] = finish
        found["keep"] = lambda params: {n: jnp.clip(v, -1.1 * box, 1.1 * box) for n, v in params.items()}
    return found
