"""Random networks: ``apply`` against jax.numpy, and feasible points stay where they are."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from random_networks import BATCH, RandomNetwork
from xdsl.dialects.builtin import DenseArrayBase, ModuleOp, f64
from xdsl.parser import Parser

from pjc.dialects import ops, proj
from pjc.driver import compile_text
from pjc.options import Options
from pjc.passes.analysis.graph import only
from pjc.runtime.emit import Emitter
from pjc.universe import context

COUNT = 200
QUICK = 12
SEEDS = [pytest.param(seed, marks=() if seed < QUICK else pytest.mark.slow) for seed in range(COUNT)]


def unoptimized(function: Any, *arguments: Any) -> Any:
    """Run a function under XLA without its slower passes: the networks are tiny and there are many."""
    options = {"xla_backend_optimization_level": 0}
    return jax.jit(function).lower(*arguments).compile(compiler_options=options)(*arguments)


def draw(network: RandomNetwork) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    generator = np.random.default_rng(network.seed)
    params = {name: generator.normal(size=shape) for name, shape in network.parameters.items()}
    x = generator.normal(size=(BATCH, network.width))
    return params, {"x": x, "y": generator.integers(0, 3, BATCH).astype(np.int32)}


def satisfy_margins(module: ModuleOp) -> None:
    """Widen the margins so that every logit satisfies them: then a forward pass is a feasible point."""
    for op in module.walk():
        if isinstance(op, ops.MarginOp):
            op.bounds = DenseArrayBase.from_list(f64, [1e6, -1e6])


@pytest.mark.parametrize("seed", SEEDS)
def test_apply_equals_numpy_and_a_feasible_point_stays(seed: int) -> None:
    network = RandomNetwork(seed)
    with jax.enable_x64(True):
        params, data = draw(network)
        compilation = compile_text(network.text, Options(solver="ap", batch=BATCH, dtype="f64", level=0))
        satisfy_margins(compilation.at("net"))
        emitter = Emitter(only(compilation.at("proj"), proj.ProgramOp))

        def run(params: Any, data: Any) -> Any:
            state, fixed = emitter.start(params, data)
            return emitter.apply(params, data), state, emitter.iterate(emitter.first(state), fixed)[0].state

        outputs, before, after = unoptimized(run, params, data)
        expected = network.evaluate(params, data["x"])
        np.testing.assert_allclose(outputs["logits"], expected, rtol=1e-12, atol=1e-12)
        assert sorted(after) == sorted(before)
        for name, value in before.items():
            np.testing.assert_allclose(after[name], value, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("seed", range(0, COUNT, 10))
def test_every_stage_prints_and_parses_back(seed: int) -> None:
    compilation = compile_text(RandomNetwork(seed).text, Options(batch=BATCH))
    for module in (compilation.at("net"), compilation.at("feas"), compilation.at("proj")):
        again = Parser(context(), str(module)).parse_module()
        again.verify()
        assert module.is_structurally_equivalent(again)
