"""Streams: every stage works at every tick, and what comes of it over a run is what sweeps do, later."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
import pytest
from jax.extend import core
from sweep_networks import HEAD, LOSS
from test_train import Watch, same

import pjc
from pjc.diagnostics import DiagnosticError
from pjc.dialects import proj
from pjc.driver import compile_file, compile_text
from pjc.options import Options
from pjc.passes.analysis.graph import only
from pjc.passes.solvers import Stream, Sweep
from pjc.runtime.data import Dataset
from pjc.runtime.history import Checkpoint, read_checkpoint, write_checkpoint
from pjc.runtime.train import Run, train

INPUT = "input x: f32[batch, 5]"
LOOP = """
h = relu(biased(dense(x, 6)))
for i in 0..4 { h = h + relu(biased(dense(h, 6))) }
"""
OUT = "output logits = dense(h, 3)" + LOSS
NETWORKS = {
    "residual": INPUT + HEAD + LOOP + OUT,
    "rolled": INPUT
    + HEAD
    + "h = biased(dense(x, 6))\n"
    + "h = biased(dense(relu(h), 6))\n" * 5
    + OUT.replace("dense(h", "dense(relu(h)"),
    "straight from data": "input x: f32[batch, 6]" + HEAD + "h = x\n" + LOOP.split("\n", 2)[2] + OUT,
    "beside the loop": INPUT
    + HEAD
    + LOOP.replace("for", "a = h\nfor")
    + "output logits = dense(concat(h, a, x), 3)"
    + LOSS,
    "two values": INPUT
    + HEAD
    + """
h = relu(biased(dense(x, 6)))
g = dense(x, 4)
for i in 0..3 {
  h = h + relu(biased(dense(concat(h, g), 6)))
  g = biased(dense(h, 4)) * g
}
output logits = dense(concat(h, g), 3)"""
    + LOSS,
    "a loop without parameters": INPUT + HEAD + "for t in 0..3 { x = abs(0.5 * x - 1) }\n" + LOOP + OUT,
    "a loop called behind": INPUT.replace("x:", "real:")
    + HEAD
    + LOOP.replace("for i", "for behind").replace("(x", "(real")
    + OUT,
    "an input called as the loop": INPUT.replace("x:", "layer:")
    + HEAD
    + "h = biased(dense(layer, 6))\n"
    + "h = biased(dense(relu(h), 6))\n" * 5
    + OUT.replace("dense(h", "dense(relu(h)"),
    "a loss before the loop": INPUT
    + HEAD
    + LOOP.replace("for", "require dense(h, 1) in box(-0.1, 0.1)\nfor")
    + OUT,
    "a parameter in a set": INPUT
    + HEAD
    + """
h = relu(biased(dense(x, 6)))
for i in 0..4 {
  param w: f32[6, 6] = he_normal
  require w in box(-0.3, 0.3)
  h = h + relu(biased(h @ w))
}
"""
    + OUT,
}
BATCH = 8


def made(text: str, solver: str, batch: int = BATCH, **settings: Any) -> Any:
    """The program, in which sweeps and streams ask as much: in proportion to what whole pieces ask."""
    settings = {"demand": "power", **settings}
    return compile_text(text, Options(solver=solver, batch=batch, dtype="f64", **settings)).program()


def pieces_in(text: str, batch: int = BATCH) -> int:
    """Return how many pieces the batches of a stream have."""
    compilation = compile_text(text, Options(solver="stream", batch=batch))
    return only(compilation.at("proj"), proj.ProgramOp).pieces


def cut(*data: np.ndarray, pieces: int) -> list[tuple[np.ndarray, ...]]:
    """Return the pieces of a batch."""
    return list(zip(*(np.split(each, pieces) for each in data), strict=True))


def batches(program: Any, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(0)
    shape = program.inputs[0].shape
    return [(random.normal(size=shape), random.integers(0, 3, BATCH)) for _ in range(count)]


def apart(one: Any, other: Any) -> float:
    """Return the norm of the difference, relative to that of one, largest over the parameters."""
    found = {name: np.asarray(one[name]) - np.asarray(other[name]) for name in one}
    return max(float(np.linalg.norm(found[name]) / np.linalg.norm(np.asarray(one[name]))) for name in one)


@pytest.fixture(autouse=True)
def wide() -> Any:
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize(
    "network",
    [pytest.param(n, marks=() if n in ("residual", "two values") else pytest.mark.slow) for n in NETWORKS],
)
def test_one_batch_alone_is_asked_what_a_sweep_asks(network: str) -> None:
    text = NETWORKS[network]
    pieces = pieces_in(text)
    sweep, stream = made(text, "sweep", BATCH // pieces), made(text, "stream")
    params = sweep.init(1)
    ((x, y),) = batches(stream, 1)
    asked = [sweep.displacement(params, *piece) for piece in cut(x, y, pieces=pieces)]
    expected = {name: sum(moved[name] for moved, _ in asked) / pieces for name in params}
    found, said = stream.displacement(params, x, y)
    assert pieces == 2 and apart(expected, found) < 1e-12
    told = [info for _, info in asked]
    assert float(said["loss"]) == pytest.approx(sum(float(each["loss"]) for each in told) / pieces, rel=1e-12)
    for name, demand in said["requirements"].items():
        demands = [float(each["requirements"][name]) for each in told]
        assert float(demand) == pytest.approx(sum(demands) / pieces, rel=1e-12)
    assert said.keys() == told[0].keys() and said["requirements"].keys() == told[0]["requirements"].keys()


@pytest.mark.parametrize("network", ["residual", pytest.param("two values", marks=pytest.mark.slow)])
def test_at_a_rate_near_0_an_epoch_moves_what_sweeps_move(network: str) -> None:
    text, rate, count = NETWORKS[network], 1e-8, 7
    moved, losses = {}, {}
    pieces = pieces_in(text)
    given = batches(made(text, "stream"), count)
    parts = [piece for x, y in given for piece in cut(x, y, pieces=pieces)]
    for solver, size, every, data in (("sweep", BATCH // pieces, pieces, parts), ("stream", BATCH, 1, given)):
        program = made(text, solver, size, outer=optax.sgd(rate), accumulate=every)
        state = program.start(3, count)
        start, told = program.separate(state.params), []
        for x, y in data:
            state, info = program.step(state, x, y)
            told.append(float(info["loss"]))
        if program.streams:
            before = program.separate(state.params)
            state, info = program.drain(state)
            told.append(float(info["loss"]))
            assert apart(program.separate(state.params), before) > 0
        params = program.separate(state.params)
        moved[solver] = {name: (np.asarray(params[name]) - np.asarray(start[name])) / rate for name in params}
        losses[solver] = sum(told) / every
    assert apart(moved["sweep"], moved["stream"]) < 1e-5
    assert losses["stream"] == pytest.approx(losses["sweep"], rel=1e-5)


def products_in_a_row(jaxpr: core.Jaxpr) -> int:
    """Return the most products of which each waits for the one before; the body of a loop counts once."""
    behind: dict[Any, int] = {}
    for eqn in jaxpr.eqns:
        before = max((behind.get(v, 0) for v in eqn.invars if not isinstance(v, core.Literal)), default=0)
        inside = max(map(products_in_a_row, core.jaxprs_in_params(eqn.params)), default=0)
        own = 1 if eqn.primitive.name == "dot_general" else inside
        behind.update(dict.fromkeys(eqn.outvars, before + own))
    return max(behind.values(), default=0)


def test_no_product_of_a_tick_waits_for_that_of_another_layer() -> None:
    found = []
    for layers, settings in ((8, {"solver": "stream"}), (2, {"solver": "sweep", "unroll": True})):
        program = made(deep(layers), **settings)
        traced = program.jitted("step").trace(*program.abstract_arguments("step"))
        found.append(products_in_a_row(traced.jaxpr.jaxpr))
    assert found == [2, 8]  # forward and its response; forward through four products, and back


def test_a_stage_steps_once_for_each_batch_whenever_the_stream_rests() -> None:
    program = made(NETWORKS["residual"], "stream", outer="adam", schedule="constant")
    state = program.start(0)
    for pause in (2, 1, 3):
        for x, y in batches(program, pause):
            state, _ = program.step(state, x, y)
        state, _ = program.drain(state)
        rest, info = program.drain(state)
        assert float(info["loss"]) == 0 and all(
            np.array_equal(rest.params[name], state.params[name]) for name in state.params
        )
    counts = {name: np.asarray(each) for name, each in state.optimizer.items() if name.endswith(".count")}
    assert counts and all(np.all(each == 6) for each in counts.values())
    assert {each.shape for each in counts.values()} == {(), (4,)}


def test_the_text_of_a_stream_is_read_back(tmp_path: Path) -> None:
    text = str(compile_text(NETWORKS["residual"], Options(solver="stream", batch=BATCH)).at("proj"))
    path = tmp_path / "a.proj.mlir"
    path.write_text(text)
    assert str(compile_file(path).at("proj")) == text
    for line in (
        r'proj.ring @i "values" 0 to 1 stages 4 length 9 : tensor<1x4x6xf32>',
        r'proj.ring @i.asked "demands" 1 to 0 stages 4 length 1 : tensor<1x4x6xf32>',
        r'proj.stage "i" 1 stages 4 \{',
        r"proj.hand %\S+ to @i.asked : tensor<1x4x6xf32>",
    ):
        assert re.search(line, text), line


@pytest.mark.parametrize(
    ("line", "other", "told"),
    [
        ("to @i.asked", "to @j.asked", "ring '@j.asked' is not declared"),
        ('proj.stage "i" 1 stages 4', 'proj.stage "i" 1 stages 2', "2 stages displace '@"),
        ('@i "values" 0 to 1 stages 4 length 9', '@i "values" 0 to 1 stages 4 length 0', "length 0"),
        ('proj.stage "i"', 'proj.stage "before"', "stage 'before' is declared twice"),
        ("proj.ring @i.asked", "proj.ring @i", "ring 'i' is declared twice"),
        ('@i "values"', '@i "things"', "holds data, values, demands, found 'things'"),
        (
            "length 9 : tensor<1x4x6xf32>",
            "length 9 : tensor<1x4x7xf32>",
            "ring '@i' holds tensor<1x4x7xf32>, found tensor<1x4x6xf32>",
        ),
        (
            "length 5 : tensor<4xi32>",
            "length 5 : tensor<3xi32>",
            "ring '@y' holds tensor<3xi32> of tensor<8xi32>, which is none of 2 pieces",
        ),
    ],
)
def test_a_stream_that_does_not_fit_is_no_ir(line: str, other: str, told: str, tmp_path: Path) -> None:
    text = str(compile_text(NETWORKS["residual"], Options(solver="stream", batch=BATCH)).at("proj"))
    assert line in text
    path = tmp_path / "a.proj.mlir"
    path.write_text(text.replace(line, other))
    with pytest.raises(DiagnosticError, match=re.escape(told)):
        compile_file(path).at("proj")


def names_of(text: str) -> tuple[list[str], list[str]]:
    """Return the names of a stream's stages, and those of its rings."""
    found = str(compile_text(text, Options(solver="stream", batch=BATCH)).at("proj"))
    return re.findall(r'proj.stage "(\w+)"', found), re.findall(r"proj.ring @(\S+)", found)


def deep(layers: int, more: str = "") -> str:
    return INPUT + HEAD + LOOP.replace("0..4", f"0..{layers}") + more + OUT


@pytest.mark.parametrize(
    ("layers", "batch", "pieces"),
    [(2, 64, 1), (4, 64, 2), (8, 64, 4), (8, 50, 2), (8, 63, 3), (8, 4, 2), (32, 64, 16)],
)
def test_a_batch_has_the_pieces_that_leave_it_four_steps_on_its_way(
    layers: int, batch: int, pieces: int
) -> None:
    assert pieces_in(deep(layers), batch) == pieces


@pytest.mark.parametrize(
    "more",
    [
        "h = h + mean(h, 0)\n",
        "h = h @ transpose(h, (1, 0)) @ h\n",
        "require h in ball(1)\n",
    ],
)
def test_where_samples_are_mixed_a_batch_is_one_piece(more: str) -> None:
    assert pieces_in(deep(4, more)) == 1


@pytest.mark.parametrize(
    "text",
    [
        deep(8, "h = reshape(reshape(h, (8, 2, 3)), (8, 6))\n"),
        deep(8, "h = h + t\n").replace("input x", "input t: f32[8, 6]\ninput x"),
        deep(8).replace("x: f32[batch, 5]", "a: f32[5, batch]").replace(HEAD, "\nx = transpose(a)" + HEAD),
    ],
)
def test_a_network_that_is_for_one_batch_takes_it_whole_and_is_told_so(text: str) -> None:
    compilation = compile_text(text, Options(solver="stream", batch=8))
    assert only(compilation.at("proj"), proj.ProgramOp).pieces == 1
    assert any("answers 18 steps late" in each for each in compilation.cautions())


@pytest.mark.parametrize(
    ("more", "count", "told"),
    [
        ("", 3, "in 3 pieces: a batch of 8 has no 3 pieces of two samples or more"),
        ("", 8, "in 8 pieces: a batch of 8 has no 8 pieces of two samples or more"),
        ("", 0, "in 0 pieces: a batch of 8 has no 0 pieces of two samples or more"),
        ("h = h + mean(h, 0)\n", 2, "in 2 pieces: something in it reads several samples at once"),
        ("h = reshape(reshape(h, (8, 2, 3)), (8, 6))\n", 2, "in 2 pieces: .* differs in more than sizes"),
    ],
)
def test_pieces_that_were_asked_for_and_cannot_be_are_refused(more: str, count: int, told: str) -> None:
    text, options = deep(4, more), Options(solver="stream", batch=8)
    with pytest.raises(DiagnosticError, match=told):
        replace(compile_text(text, options), pieces=count).at("proj")
    if not more:
        whole = replace(compile_text(text, options), pieces=4).at("proj")
        assert only(whole, proj.ProgramOp).pieces == 4


def test_a_dump_has_the_pieces_that_its_text_is_for(tmp_path: Path) -> None:
    compilation = compile_text(NETWORKS["residual"], Options(solver="stream", batch=BATCH))
    for stage, pieces in (("feas", 1), ("proj", 2)):
        path = tmp_path / f"a.{stage}.mlir"
        path.write_text(str(compilation.at(stage)))
        found = compile_file(path, Options(solver="stream") if stage == "feas" else Options())
        assert only(found.at("proj"), proj.ProgramOp).pieces == pieces


@pytest.mark.parametrize(
    ("loop", "labels"),
    [("before", ["before_1", "before", "behind"]), ("behind", ["before", "behind", "behind_1"])],
)
def test_stages_have_names_of_their_own_whatever_the_loops(loop: str, labels: list[str]) -> None:
    assert names_of(NETWORKS["residual"].replace("for i", f"for {loop}"))[0] == labels


def test_links_have_names_of_their_own_whatever_the_inputs() -> None:
    _, rings = names_of(NETWORKS["an input called as the loop"])
    assert "layer" in rings and "layer_" in rings and len(set(rings)) == len(rings)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("h = dense(x, 6)\n", "it has no loop over its layers, .* write equal layers as a loop"),
        (
            "param first: f32[5, 6] = he_normal\nparam w: f32[6, 6] = he_normal\n"
            "h = x @ first\nfor i in 0..4 { h = relu(h @ w) }\n",
            "all iterations of loop 'i' read the same parameter; give each one of its own",
        ),
        (
            "param w: f32[6, 6] = he_normal\nparam v: f32[6, 6] = he_normal\ns = w + v\n"
            "h = dense(x, 6)\nfor i in 0..4 { h = relu(h @ s) }\n",
            "all iterations of loop 'i' read the same parameter; give each one of its own",
        ),
        (
            "a = dense(x, 6)\nh = a\nfor i in 0..4 { h = relu(dense(h, 6)) + a }\n",
            "each iteration of loop 'i' reads what stands before it; let the loop carry it",
        ),
        (
            "h = dense(x, 6)\nfor i in 0..4 {\n  h = relu(dense(h, 6))\n  all = h\n}\nh = all[1] + h\n",
            "reads what other iterations than the last one give",
        ),
        (
            "s = array((1, 2, 3, 4))\nh = dense(x, 6)\nfor i in 0..4 { h = relu(dense(h, 6)) * s[i] }\n",
            "read entries of what stands outside, each its own",
        ),
        (
            "param q: f32[4, 5] = normal(1)\nrequire 2 * q in box(-0.1, 0.1)\n" + LOOP,
            "requires something of a value that parameters alone change; require it of a parameter itself",
        ),
        (
            "g = full((batch, 6), 0.4)\nh = dense(x, 6)\n"
            "for i in 0..4 {\n  h = h + relu(dense(h, 6)) * g\n  g = relu(dense(g, 6))\n}\n",
            "loop 'i' also carries what data and parameters do not both change; compute that before",
        ),
        (
            "h = dense(x, 5)\nfor i in 0..4 {\n  h = h + relu(dense(h, 5)) * x\n  x = abs(0.5 * x - 1)\n}\n",
            "loop 'i' also carries what data and parameters do not both change",
        ),
        (
            "h = dense(x, 6)\n" + "".join(f"for {i} in 0..4 {{ h = relu(dense(h, 6)) }}\n" for i in "ij"),
            "it has several loops, 'i', 'j'",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_streamed_is_refused_with_the_reason(body: str, told: str) -> None:
    with pytest.raises(DiagnosticError, match=f"cannot be streamed: .*{told}"):
        compile_text(INPUT + HEAD + body + OUT, Options(solver="stream", batch=BATCH)).at("proj")


def test_what_a_stream_does_not_take_is_told() -> None:
    stream, sweep = (made(NETWORKS["residual"], solver) for solver in ("stream", "sweep"))
    ((x, y),) = batches(stream, 1)
    with pytest.raises(pjc.PjcError, match="which takes no weights of samples"):
        stream.displacement(stream.init(0), x, y, sample_weight=np.ones(BATCH))
    with pytest.raises(pjc.PjcError, match="the batches of a stream are all of one size, here 8, found 4"):
        stream.step(stream.start(0), x[:4], y[:4])
    with pytest.raises(pjc.PjcError, match="there is nothing to drain"):
        sweep.drain(sweep.start(0))
    with pytest.raises(DiagnosticError, match="take patterns that match all of them or none"):
        made(NETWORKS["rolled"], "stream", freeze=("dense_2.weight",))


def test_a_stream_is_a_sweep_with_another_lowering() -> None:
    assert Stream.defaults() == {**Sweep.defaults(), "demand": "plain"} and Stream.outer
    assert "somewhat less accuracy than of sweep" in str(Stream().caution(1)) and Sweep().caution(9) is None
    assert (Stream.lowering, Sweep.lowering) == ("feas-to-stream", "feas-to-sweep")


def test_a_run_that_is_resumed_within_an_epoch_gives_the_same_numbers(tmp_path: Path) -> None:
    program = made(NETWORKS["residual"], "stream")
    x, y = (np.concatenate(each) for each in zip(*batches(program, 6), strict=True))
    data, run = Dataset(x, y, 3, "few"), Run(epochs=3, seed=1)
    whole = train(program, data, run)
    path = tmp_path / "a.safetensors"
    for after in (2, 8):
        stopped = train(program, data, run, Watch(after))
        assert stopped.batch > 0
        write_checkpoint(path, Checkpoint(stopped), {})
        resumed = train(program, data, replace(run, start=read_checkpoint(path).result))
        assert same(resumed, whole)
        assert resumed.latent.keys() == whole.latent.keys()
        assert all(np.array_equal(resumed.latent[name], whole.latent[name]) for name in whole.latent)


@pytest.mark.parametrize("solver", ["sweep", pytest.param("stream", marks=pytest.mark.slow)])
def test_a_set_on_a_view_of_a_loops_parameter_is_kept_as_it_is_without_the_loop(solver: str) -> None:
    text = NETWORKS["a parameter in a set"].replace("require w in", "require w[0:3] in")
    rolled, flat = made(text, solver, outer=optax.sgd(0.01)), made(text, "sweep", unroll=True)
    params = rolled.init(0)
    wide = {name: 3 * value if name.startswith("w") else value for name, value in params.items()}
    ((x, y),) = batches(rolled, 1)
    state, _ = rolled.step(rolled.start(wide), x, y)
    found = rolled.finish(state.params)
    assert np.max(np.abs(found["w"][:, :3])) == 0.3 < np.max(np.abs(found["w"][:, 3:]))
    if solver == "sweep":
        assert apart(flat.displacement(wide, x, y)[0], rolled.displacement(wide, x, y)[0]) < 1e-12


@pytest.mark.slow
def test_a_saved_stream_goes_on_as_the_one_that_was_saved(tmp_path: Path) -> None:
    program = made(NETWORKS["residual"], "stream")
    program.save(tmp_path / "a.pjx")
    loaded = pjc.load(tmp_path / "a.pjx")
    found = []
    for each in (program, loaded):
        state = each.start(0, 3)
        for x, y in batches(each, 3):
            state, _ = each.step(state, x, y)
        state, _ = each.drain(state)
        found.append(state.params)
    assert all(np.array_equal(found[0][name], found[1][name]) for name in found[0])
    with pytest.raises(pjc.PjcError, match="outer step of a stream"):
        pjc.load(tmp_path / "a.pjx", outer=optax.sgd(0.1))
