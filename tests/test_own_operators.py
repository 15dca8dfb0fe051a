"""Operators of the user's own: registered, compiled, checked, and refused where they are wrong."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import some_quick

import pjc
from pjc.builder import Network
from pjc.cli import main
from pjc.dialects import proj
from pjc.dialects.shapes import ShapeError
from pjc.dialects.signature import Signature
from pjc.driver import compile_text
from pjc.operators import REGISTERED
from pjc.options import Options
from pjc.passes.analysis.graph import only
from pjc.passes.analysis.rows import Mixed
from pjc.passes.analysis.samples import Samples
from pjc.runtime.projections.check import Subject, check

EXAMPLE = Path(__file__).parent.parent / "examples" / "winner.py"

NETWORK = """
input x: f32[batch, 6]
target y: class[batch, 3]
param w: f32[6, 8] = he_normal
h = winner(reshape(x @ w, (batch, 2, 4)))
param out: f32[8, 3] = normal(1)
output logits = flatten(h) @ out
require margin(logits, y)
"""


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Leave no operator of a test to the next."""
    before = dict(REGISTERED)
    yield
    REGISTERED.clear()
    REGISTERED.update(before)


def run_example() -> None:
    spec = importlib.util.spec_from_file_location("winner", EXAMPLE)
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def halve(x: jax.Array) -> jax.Array:
    return x / 2


def halved(x: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The projection onto the line ``z = x / 2``."""
    new = (x + z / 2) / 1.25
    return new, new / 2


def subject(name: str, size: int = 3, dtype: str = "float64") -> Subject:
    cls = REGISTERED[name]
    shapes = [tuple(size if isinstance(n, str) else n for n in shape) for shape in cls.signature.inputs]
    return Subject(cls(), shapes, cls.signature.result(shapes), dtype)


def test_calls_build_with_one() -> None:
    run_example()
    net = Network("m", batch=4)
    x, w = net.input("x", (4, 2, 8)), net.parameter("w", (8,), "zeros")
    h = net.apply(REGISTERED["winner"], net.product(x, w))
    assert str(h) == "f32[batch=4, 2, 8]"
    net.output("h", h)
    assert 'op.apply "winner" by "winner" "[n] -> [n]"' in str(net.module())
    with pytest.raises(ShapeError, match=r"winner takes 1 inputs, .*, found 2"):
        net.apply(REGISTERED["winner"], x, x)


@pytest.mark.parametrize("solver", some_quick(["dr", "ap", "cp"], 3))
def test_a_network_trains_with_one(solver: str, tmp_path: Path) -> None:
    run_example()
    program = pjc.compile(NETWORK, batch=4, solver=solver)
    assert 'op.apply "winner" by "winner" "[n] -> [n]"' in program.ir("feas")
    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    y = np.array([0, 1, 2, 1])
    params = program.init(0)
    before = np.sum(program.apply(params, x).argmax(-1) == y)
    for _ in range(20):
        params, info = program.update(params, x, y, iterations=50)
    assert np.isfinite(info["gap"])
    assert np.sum(program.apply(params, x).argmax(-1) == y) >= before
    program.save(tmp_path / "a.pjx")
    REGISTERED.clear()
    loaded = pjc.load(tmp_path / "a.pjx")
    np.testing.assert_array_equal(loaded.apply(params, x), program.apply(params, x))
    with pytest.raises(pjc.DiagnosticError, match="unknown name 'winner'"):
        loaded.apply(params, x[:2])
    assert main(["info", str(tmp_path / "a.pjx")]) == 0


@pytest.mark.slow
def test_forms_and_loops_leave_it_as_it_is() -> None:
    run_example()
    text = NETWORK.replace(
        "h = winner(reshape(x @ w, (batch, 2, 4)))",
        "for t in 0..3 {\n  s = winner(reshape(x @ w, (batch, 2, 4)))\n}\nh = s[2]",
    )
    x = np.random.default_rng(0).normal(size=(4, 6))
    y = np.array([0, 1, 2, 1])
    with jax.enable_x64(True):
        results = []
        for level in (0, 1):
            program = pjc.compile(text, batch=4, solver="dr", level=level, dtype="f64")
            results.append(program.update(program.init(0), x, y, iterations=20)[0])
    for name, value in results[0].items():
        np.testing.assert_allclose(results[1][name], value, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_example_passes_every_check(dtype: str) -> None:
    run_example()
    assert [finding for finding in check(subject("winner", dtype=dtype), 48) if finding.failed] == []


def wrong_scale(x: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    return z * 2, z


def off_the_graph(x: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    return x, z


def moves_on(x: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    return x + 0.1, (x + 0.1) / 2


def divides(x: jax.Array, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    return halved(x, z)[0] + 0 / x, halved(x, z)[1]


@pytest.mark.parametrize(
    ("projection", "fails"),
    [
        (wrong_scale, {"nearest"}),
        (off_the_graph, {"feasible"}),
        (moves_on, {"idempotent", "members stay", "nearest"}),
        (divides, {"finite", "feasible", "idempotent", "members stay", "nearest"}),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_wrong_projections_fail_their_checks(projection: object, fails: set[str]) -> None:
    pjc.operator("halve", "[] -> []", function=halve, projection=projection)  # type: ignore[arg-type]
    found = [finding for finding in check(subject("halve"), 32) if finding.failed]
    assert {finding.check for finding in found} == fails
    assert all(finding.example for finding in found)


def test_operators_on_numbers_broadcast() -> None:
    pjc.operator("mix", "[], [] -> []", function=lambda a, b: a + b, projection=lambda a, b, z: (a, b, a + b))
    text = "input a: f32[2, 3]\ninput b: f32[3]\noutput z = mix(a, b)\n"
    program = pjc.compile(text)
    a, b = np.ones((2, 3), np.float32), np.arange(3, dtype=np.float32)
    np.testing.assert_array_equal(program.apply({}, a, b), a + b)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("Halve", "[] -> []", halve, halved), "small letters, digits and '_', found 'Halve'"),
        (("dot", "[] -> []", halve, halved), "already an operator called 'dot'"),
        (("halve", "n -> n", halve, halved), "'n -> n' is no signature; write one like"),
        (("halve", "[n] -> [m]", halve, halved), "the size 'm' of the result is none of the inputs'"),
        (("halve", "[n] -> []", halve, halved), "the function of 'halve' returns"),
        (("halve", "[] -> []", halve, lambda x, z: x), "the projection of 'halve' returns"),
        (("halve", "[] -> []", halve, lambda x: x), "the projection of 'halve' fails: TypeError"),
    ],
)
def test_wrong_registrations_are_refused(arguments: tuple, message: str) -> None:
    name, signature, function, projection = arguments
    with pytest.raises(ValueError, match=re.escape(message)):
        pjc.operator(name, signature, function=function, projection=projection)
    assert name not in REGISTERED


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("winner(x, x)", "winner takes 1 inputs, [n] -> [n], found 2"),
        ("winner(sum(x, axis = (0, 1)))", "[n] -> [n] needs 1 axes at the end, found the shape []"),
        ("winer(x)", "unknown name 'winer'"),
    ],
)
def test_wrong_calls_are_told_with_their_place(call: str, message: str) -> None:
    run_example()
    with pytest.raises(pjc.DiagnosticError) as caught:
        pjc.compile(f"input x: f32[2, 3]\noutput z = {call}\n")
    assert message in str(caught.value) and "<string>:2:12" in str(caught.value)


def test_signatures_fit_shapes() -> None:
    product = Signature.parse("[n, 3], [n] -> [3, n]")
    assert str(product) == "[n, 3], [n] -> [3, n]"
    assert product.result([(5, 2, 4, 3), (5, 2, 4)]) == (5, 2, 3, 4)
    for shapes, message in [
        ([(4, 3)], "takes 2 inputs, found 1"),
        ([(4, 2), (4,)], "needs 3, found 2"),
        ([(4, 3), (5,)], "needs n = 4, found 5"),
        ([(2, 4, 3), (4,)], "equal axes in front"),
    ]:
        with pytest.raises(ShapeError, match=message):
            product.result(shapes)


def test_the_command_checks_and_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text(EXAMPLE.read_text().replace("jnp.minimum(x, level))", "x)"))
    assert main(["check-operator", str(bad), "--samples", "40"]) == 1
    out = capsys.readouterr().out
    assert "failed" in out and "off the graph" in out
    for text, message in [
        (None, "there is no file"),
        ("import pjc\n", "registers no operator"),
        ("1 / 0\n", "fails: ZeroDivisionError: division by zero"),
    ]:
        path = tmp_path / "other.py"
        if text is not None:
            path.write_text(text)
        assert main(["check-operator", str(path)]) == 1
        assert message in capsys.readouterr().err
    assert main(["check-operator", str(EXAMPLE), "loser"]) == 1
    assert "registers no operator 'loser'; it has winner" in capsys.readouterr().err


def test_the_command_line_runs_a_file_of_operators(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "net.pjn"
    model.write_text(NETWORK)
    assert main([str(model), "--batch", "4", "--emit", "net"]) == 1
    assert "unknown name 'winner'" in capsys.readouterr().err
    assert main([str(model), "--batch", "4", "--emit", "net", "--operators", str(EXAMPLE)]) == 0
    assert 'op.apply "winner"' in capsys.readouterr().out
    assert jnp.zeros(1).dtype == jnp.float32


def test_samples_are_split_where_an_operator_reads_sites_alone() -> None:
    pjc.operator("halve", "[] -> []", function=halve, projection=halved)
    text = "input x: f32[batch, 4]\ntarget y: f32[batch, 4]\nparam w: f32[4, 4] = he_normal\n"
    text += "z = {}\noutput z\nrequire squared_error(z, y)\n"
    whole = compile_text(text.format("halve(x @ w)"), Options(batch=8, solver="dr")).at("proj")
    program = only(whole, proj.ProgramOp)
    rows = Samples(program, 8).rows_of(program.held()[proj.Place("halve", "copies", 0)])
    assert rows is not None and rows.axis == 0


def test_samples_are_not_split_where_an_operator_reads_several_at_a_site() -> None:
    run_example()
    text = "input x: f32[batch, 4]\ntarget y: f32[4, batch]\nparam w: f32[4, 4] = he_normal\n"
    text += "z = winner(transpose(x @ w))\noutput z\nrequire squared_error(z, y)\n"
    program = only(compile_text(text, Options(batch=8, solver="dr")).at("proj"), proj.ProgramOp)
    with pytest.raises(Mixed, match=r"'winner' reads several samples at one site, \[n\] -> \[n\]"):
        Samples(program, 8)


def answers(x: jax.Array, d: jax.Array, u: jax.Array) -> jax.Array:
    """The response of ``x / 2``: the line's, in the metric in which values weigh u."""
    return d * (u / 2) / (1 + u / 4)


def loses(x: jax.Array, d: jax.Array, u: jax.Array) -> jax.Array:
    """The same by a difference, in which small demands are lost."""
    return (x + answers(x, d, u)) - x


def overshoots(x: jax.Array, d: jax.Array, u: jax.Array) -> jax.Array:
    return 2 * answers(x, d, u)


def breaks(x: jax.Array, d: jax.Array, u: jax.Array) -> jax.Array:
    return answers(x, d, u) + 0 / x


@pytest.mark.parametrize(
    ("respond", "fails"),
    [
        (answers, set()),
        (loses, {"small demands"}),
        (overshoots, {"nearest responses"}),
        (breaks, {"finite responses", "nearest responses"}),
    ],
)
def test_a_wrong_response_is_found(respond: Callable[..., jax.Array], fails: set[str]) -> None:
    pjc.operator("half", "[] -> []", function=halve, projection=halved, respond=respond)
    found = check(subject("half", dtype="float32"), 48)
    assert {finding.check for finding in found if finding.failed} == fails
    assert "small demands" in {finding.check for finding in found}


def test_responses_and_gains_are_for_one_site() -> None:
    pjc.operator(
        "half",
        "[n] -> [n]",
        function=halve,
        projection=halved,
        respond=answers,
        gain=lambda x, u: (1 + u / 4) / u,
        bridge=halve,
    )
    one = REGISTERED["half"]()
    x, d = jnp.ones((2, 5, 3)), jnp.full((2, 5, 3), 1e-9)
    assert one.precise and one.gain((x,), 0.1).shape == (2, 5, 1)
    np.testing.assert_allclose(one.scaled_response((x,), d, 0.1)[0], d / 2, rtol=1e-6)
    bridged = one.bridged()
    np.testing.assert_allclose(bridged.project((x,), x)[1], halved(x, x)[1], rtol=1e-6)
    assert bridged.bridged() is bridged


@pytest.mark.parametrize(("respond", "solver"), [(None, "sweep"), (answers, "sweep"), (None, "dr")])
def test_training_is_warned_of_operators_without_a_response(respond: Callable | None, solver: str) -> None:
    pjc.operator("half", "[] -> []", function=halve, projection=halved, respond=respond)
    text = """
input x: f32[batch, 3]
target y: f32[batch, 2]
param w: f32[3, 2] = he_normal
output z = half(x @ w)
require squared_error(z, y)
"""
    said = compile_text(text, Options(solver=solver, batch=4)).cautions()
    assert len(said) == (respond is None and solver == "sweep")
    assert all("half answers" in each and "respond" in each for each in said)


def test_without_a_response_the_projection_answers() -> None:
    pjc.operator("half", "[] -> []", function=halve, projection=halved)
    one, x, d = REGISTERED["half"](), jnp.array([3.0]), jnp.array([1.0])
    assert not one.precise and one.gain((x,), 1e-3) == 2
    np.testing.assert_allclose(one.respond((x,), d, 1e-3)[0], answers(x, d, 1.0), rtol=1e-6)
    assert "small demands" not in {finding.check for finding in check(subject("half"), 8)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bridge": halve}, "'half' has a bridge but no response"),
        ({"gain": lambda x, u: u}, "'half' has a gain but no response"),
        ({"respond": lambda x, d, u: (x, x)}, "the response of 'half' returns"),
        ({"respond": answers, "gain": lambda x, u: jnp.stack([u, u])}, "the gain of 'half' returns"),
    ],
)
def test_responses_that_do_not_fit_are_refused(given: dict, message: str) -> None:
    with pytest.raises(pjc.PjcError, match=message):
        pjc.operator("half", "[] -> []", function=halve, projection=halved, **given)
