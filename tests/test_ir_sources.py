"""IR as a source: an unedited dump trains to the same bits as the source, an edited one to others."""

from __future__ import annotations

import contextlib
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quick import some_quick
from safetensors.numpy import load_file

import pjc
from pjc import cli
from pjc.diagnostics import DiagnosticError
from pjc.dialects import proj
from pjc.driver import Compilation, compile_text
from pjc.ir_text import looks_like_ir
from pjc.options import Options
from pjc.passes.analysis.graph import only
from pjc.runtime.projections import REGISTERED
from pjc.signature import signature_of
from pjc.sources import IrSource, open_source, source_of

TEXT = """\
input x: f32[batch, 6]
target y: class[batch, 3]
def dense(x, width) {
  param weight: f32[x.shape[-1], width] = he_normal
  param bias: f32[width] = zeros
  return sum_relu(bias, x @ weight)
}
h = dense(x, 5)
for layer in 0..3 {
  h = dense(h, 5)
}
param last: f32[5, 3] = he_normal
output logits = h @ last
require cross_entropy(logits, y, strength = 2)
"""
ROWS = """\
input tokens: int[batch, 4]
target y: class[batch, 3]
param table: f32[7, 2] = he_normal
param w: f32[8, 3] = he_normal
output logits = reshape(embedding(table, tokens), (batch, 8)) @ w
require cross_entropy(logits, y)
"""
SEVERAL = """\
input x: f32[batch, 4]
target y: f32[batch, 3]
param w: f32[4, 3] = he_normal
output logits = x @ w
require multi_label(logits, y)
"""


def trained(program: pjc.Program) -> dict[str, Any]:
    """Return the parameters after an update from fixed ones."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=program.inputs[0].shape).astype(np.float32)
    y = rng.integers(0, 3, program.targets[0].shape)
    return program.update(program.init(0), x, y, iterations=7)[0]


def dumped(stage: str, **options: Any) -> str:
    return Compilation(source_of(TEXT), Options(batch=8, **options)).emit(stage)


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    assert one.keys() == other.keys()
    return all(np.array_equal(one[name], other[name]) for name in one)


ITERATED: dict[str, Any] = {"solver": "dr"}
RELAXED: dict[str, Any] = {"solver": "rrr", "step": 0.5}
OPTIONS = [{"level": 0}, {"level": 2}, {"solver": "ap"}, ITERATED, RELAXED, {"solver": "cp"}]


@pytest.mark.parametrize("stage", ["net", "feas", "proj"])
@pytest.mark.parametrize("options", [*OPTIONS, {"unroll": True}], ids=str)
def test_an_unedited_dump_is_the_same_program(stage: str, options: dict[str, Any]) -> None:
    again = Compilation(source_of(dumped(stage, **options)), Options(**left(options, stage)))
    assert again.emit("proj") == dumped("proj", **options)


def left(options: dict[str, Any], stage: str) -> dict[str, Any]:
    """Return the options that are not decided yet at a stage."""
    decided = {"net": (), "feas": ("unroll",), "proj": ("unroll", "solver", "step", "level")}[stage]
    return {name: value for name, value in options.items() if name not in decided}


def test_a_loop_that_is_no_family_stays_unrolled() -> None:
    text = (
        "input x: f32[batch, 3, 2]\ntarget y: class[batch, 2]\n"
        "e = identity(x)\nh = full((batch, 2), 0)\nfor t in 0..3 {\n  h = sum_relu(h, e[:, t], e[:, 1])\n}\n"
        "output h\nrequire margin(h, y)\n"
    )
    whole = compile_text(text, Options(batch=4, solver="dr"))
    assert "attributes {unrolled}" in whole.emit("net")
    again = Compilation(source_of(whole.emit("net")), Options(solver="dr"))
    assert again.emit("proj") == whole.emit("proj")


@pytest.mark.parametrize("options", [RELAXED], ids=str)
def test_an_unedited_dump_trains_to_the_same_bits(options: dict[str, Any]) -> None:
    whole = trained(pjc.compile(TEXT, batch=8, **options))
    for stage in ("net", "feas", "proj"):
        program = pjc.compile(dumped(stage, **options), **({} if stage == "proj" else options))
        assert same(whole, trained(program)), stage


@pytest.mark.parametrize("stage", ["net", "feas", "proj"])
@pytest.mark.parametrize("text", [TEXT, ROWS, SEVERAL], ids=["mlp", "rows", "several"])
def test_a_dump_has_the_signature_of_its_source(stage: str, text: str) -> None:
    whole = Compilation(source_of(text), Options(batch=4))
    again = Compilation(source_of(whole.emit(stage)))
    found, wanted = (signature_of(only(each.at("proj"), proj.ProgramOp), 50) for each in (again, whole))
    assert found == wanted and found.trainable


def test_what_the_declarations_say_of_numbers() -> None:
    rows, several = (
        signature_of(only(compile_text(text, Options(batch=4)).at("proj"), proj.ProgramOp), 1)
        for text in (ROWS, SEVERAL)
    )
    assert rows.inputs[0].classes == 7 and rows.targets[0].classes == 3
    assert several.targets[0].threshold is not None and several.targets[0].classes is None


@pytest.mark.parametrize(
    ("stage", "old", "new"),
    some_quick(
        [
            ("net", "strength 2.000000e+00", "strength 5.000000e-01"),
            ("feas", "strength 2.000000e+00", "strength 5.000000e-01"),
            ("proj", "strength = 2.000000e+00", "strength = 5.000000e-01"),
            ("net", "<1.0 * he_normal>", "<0.5 * he_normal>"),
            ("feas", "<1.0 * he_normal>", "<0.5 * he_normal>"),
            ("proj", "<1.0 * he_normal>", "<0.5 * he_normal>"),
        ],
        several=True,
    ),
)
def test_an_edited_dump_trains_to_others(stage: str, old: str, new: str) -> None:
    text, options = dumped(stage, **ITERATED), Options(**left(ITERATED, stage))
    assert old in text
    one, other = (Compilation(source_of(each), options).program() for each in (text, text.replace(old, new)))
    if "normal" in old:
        assert not same(one.init(0), other.init(0))
    else:
        assert not same(trained(one), trained(other))


def test_levels_that_were_edited_are_kept() -> None:
    text = dumped("feas", solver="cdr")
    moved = text.replace('"last" <1.0 * he_normal> part "L2"', '"last" <1.0 * he_normal> part "L9"')
    again = Compilation(source_of(moved), Options(solver="cdr"))
    assert str(again.at("feas")) == moved != text
    assert again.emit("proj") != dumped("proj", solver="cdr")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('parts ["A", "B"]', 'parts ["B", "A"]', r"the parts are \['A', 'B'\], found \['B', 'A'\]"),
        ('part "', 'part "other ', "loss 'cross_entropy' is in part B, but losses are in part A"),
    ],
)
def test_parts_that_were_edited_wrongly_are_refused(old: str, new: str, message: str) -> None:
    text = dumped("feas", **ITERATED).replace(old, new)
    text = text.replace('"other A"', '"B"').replace('"other B"', '"A"')
    with pytest.raises(DiagnosticError, match=message):
        Compilation(source_of(text), Options(**ITERATED)).at("feas")


def test_generic_syntax_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "d.mlir").write_text(dumped("feas"))
    command = [sys.executable, "-m", "pjc.cli", "opt", "d.mlir", "--print-op-generic"]
    generic = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert '"feas.problem"' in generic
    assert Compilation(source_of(generic)).emit("proj") == dumped("proj")


@pytest.mark.parametrize(
    "stage", [*(pytest.param(s, marks=pytest.mark.slow) for s in ("net", "feas")), "proj"]
)
@pytest.mark.slow
def test_the_command_line_trains_from_a_dump(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.pjn").write_text(TEXT)
    rng = np.random.default_rng(0)
    np.savez("data.npz", x=rng.normal(size=(40, 6)).astype("f"), y=rng.integers(0, 3, 40))
    run = ["--data", "data.npz", "--epochs", "2"]
    assert cli.main(["train", "net.pjn", "--batch", "8", *run]) == 0
    assert cli.main(["net.pjn", "--batch", "8", "--emit", stage, "-o", "dump.txt"]) == 0
    assert cli.main(["train", "dump.txt", *run]) == 0
    assert cli.main(["dump.txt"]) == 0 and Path("dump.pjx").stat().st_size > 1000
    whole, again = (load_file(f"{name}.params.safetensors") for name in ("net", "dump"))
    assert same(whole, again)
    loaded = pjc.load("dump.pjx")
    assert loaded.stages()[0] == stage and loaded.name == "net"
    capsys.readouterr()
    if stage != "net":
        assert cli.main(["dump.txt", "--emit", "net"]) == 1
        assert f"'net' starts at {stage}, which is behind net" in capsys.readouterr().err


def test_opt_takes_any_extension_that_it_recognises(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dump.txt"
    path.write_text("// edited\n\n" + dumped("net"))
    assert cli.main(["opt", str(path), "-p", "net-to-feas"]) == 0
    assert "feas.problem" in capsys.readouterr().out
    path.write_text("input x: f32[2]\noutput x\n")
    assert cli.main(["opt", str(path)]) == 1
    assert "holds no IR, and its name ends in none of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stage", "options", "message"),
    [
        ("net", {"batch": 4}, "batch does not apply to IR\nhint: it is for .pjn files and ONNX models"),
        ("net", {"dtype": "f64"}, "dtype does not apply to IR"),
        ("net", {"loss": "margin"}, "loss does not apply to IR\nhint: it is for ONNX models"),
        ("feas", {"unroll": True}, "unroll does not apply to .*, which starts at feas"),
        ("proj", {"solver": "ap"}, "solver does not apply to .*, which starts at proj"),
        ("proj", {"level": 0}, "level does not apply to .*, which starts at proj"),
        ("proj", {"copies": "held"}, "copies does not apply to .*, which starts at proj"),
    ],
)
def test_options_that_are_decided_are_refused(stage: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DiagnosticError, match=message):
        pjc.compile(dumped(stage), **options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("builtin.module {\n}\n", "should hold one of net.network.* and it holds nothing"),
        ("builtin.module {\n  net.network @x dims {} {\n", r"<string>:3:1: error\[PJC0601\]: "),
        ("builtin.module {\n  net.what\n}\n", r"<string>:3:1: error\[PJC0601\]: .*not registered"),
        ("proj.program @p parts [] dims {} {\n}\n", "expected a single block, but got 0 blocks"),
    ],
)
def test_wrong_ir_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(DiagnosticError, match=message):
        pjc.compile(text)


@pytest.mark.parametrize(
    ("stage", "old", "new", "message"),
    [
        ("net", "batch = 8", "batch = 10", "'x' has 8 entries along 'batch', and the dimension is 10"),
        ("feas", "batch = 8", "batch = 0", "dimension 'batch' is a whole number from 1, found 0"),
        ("feas", "batch = 8 : i64", "", "'x' has a dimension 'batch', which has no size"),
        ("proj", "batch = 8", "batch = -1", "dimension 'batch' is a whole number from 1, found -1"),
        ("proj", "batch = 8", "batch = 16", "the batch of 'network' is 16, and no input has 16 samples"),
        ("net", "classes 3", "classes 4", r"values of shape \[8, 3\] needs 3 classes, found 4"),
        ("feas", "classes 3", "classes 0", "'op.target' has classes from 1, found 0"),
        ("net", 'op.target "y"', 'op.target "x"', "'x' is declared twice, as input of .* and as target of"),
        ("proj", 'proj.iterate "dr', 'proj.iterate "adam', "unknown solver 'adam'"),
        ("proj", 'project_loss "cross_entropy"', 'project_loss "entropy"', "'network' cannot be compiled"),
        ("net", "xf32>", "xbf16>", "cannot be compiled"),
        ("feas", "strength 2.000000e+00", "strength -1.0", r":22:5: error.* positive, found -1.0\n"),
    ],
)
def test_wrong_edits_are_refused(stage: str, old: str, new: str, message: str) -> None:
    text = dumped(stage, **ITERATED)
    assert old in text
    with pytest.raises(DiagnosticError, match=message):
        pjc.compile(text.replace(old, new), **left(ITERATED, stage))


SWEPT: dict[str, Any] = {"solver": "sweep"}
LOOPED = """
input x: f32[batch, 3, 3]
target y: f32[batch, 3]
param w: f32[3, 3] = he_normal
z = full((batch, 3), 0)
for t in 0..3 {
  b = relu(broadcast(reshape(z, (batch, 1, 3)), (batch, 3, 3)) + x)
  z = sum(b, axis = 1) @ w
  require z in ball(1, 1)
}
output z = z
require squared_error(z, y)
"""


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (r"(op\.sum .*axes) \[1\]", r"\1 [-2]", r"\[1\], not \[-2\]"),
        ("axes = array<i64: 1>", "axes = array<i64: -1>", r"\[1\], not \[-1\]"),
    ],
)
def test_axes_of_dumps_are_counted_from_the_front(old: str, new: str, wanted: str) -> None:
    """A loop puts an axis in front, where -1 is another axis then."""
    edited, count = re.subn(old, new, Compilation(source_of(LOOPED), Options(batch=4)).emit("net"))
    assert count == 1
    with pytest.raises(DiagnosticError, match=rf":\d+:7: error.*from the front, in order: {wanted}"):
        pjc.compile(edited)


@pytest.mark.parametrize(
    ("options", "old", "new", "message"),
    [
        (SWEPT, "tensor<8x6xf32>", "tensor<8x6xi32>", "'x' is declared as tensor<8x6xi32>, and read as"),
        (SWEPT, 'target "y" classes 3', 'target "y" classes 3 : tensor<8xf32> //', "numbers of i32"),
        (SWEPT, "batch = 8", "other = 8", "a mean over samples needs their number"),
        (SWEPT, 'sweep "sweep"', 'sweep "dr"', "names the solver 'dr', and holds one sweep"),
        (SWEPT, 'sweep "sweep"', 'sweep "stream"', "names the solver 'stream', and holds one sweep"),
        (ITERATED, 'iterate "dr"', 'iterate "sweep"', "names the solver 'sweep', and holds iterations"),
        (ITERATED, ".matmul.1>]", ".matmul.1 for 0>]", "nodes of a number from 1, found 0"),
    ],
)
def test_a_program_does_what_it_declares(options: dict[str, Any], old: str, new: str, message: str) -> None:
    text = dumped("proj", **options)
    assert old in text
    with pytest.raises(DiagnosticError, match=message):
        pjc.compile(text.replace(old, new, 1))


def test_a_parameter_is_displaced_once() -> None:
    lines = dumped("proj", **SWEPT).splitlines()
    at = next(i for i, line in enumerate(lines) if "proj.displace @" in line)
    with pytest.raises(DiagnosticError, match=rf":{at + 2}:\d+: error.*is displaced twice"):
        pjc.compile("\n".join([*lines[: at + 1], lines[at], *lines[at + 1 :]]))


def test_rules_of_programs_are_told_at_the_operation_that_breaks_them() -> None:
    lines = dumped("proj", **ITERATED).splitlines()
    at = next(i for i, line in enumerate(lines) if "proj.write %" in line)
    lines[at] = lines[at].replace("@", "@no", 1)
    with pytest.raises(DiagnosticError, match=rf":{at + 1}:\d+: error"):
        pjc.compile("\n".join(lines))


def test_an_own_operator_is_the_one_that_was_applied() -> None:
    def projection(x: Any, y: Any) -> Any:
        return (x + 2 * y) / 5, (2 * x + 4 * y) / 5

    pjc.operator("doubled", "[n] -> [n]", function=lambda x: 2 * x, projection=projection)
    text = "input x: f32[batch, 3]\nparam w: f32[3, 3] = he_normal\noutput z = doubled(x @ w)\n"
    dump = Compilation(source_of(text), Options(batch=4)).emit("net")
    pjc.compile(dump)
    with pytest.raises(DiagnosticError, match=r"'doubled' is registered as \[n\] -> \[n\], and applied as"):
        pjc.compile(dump.replace("[n] -> [n]", "[] -> []"))
    del REGISTERED["doubled"]  # as in a process that has not run the file
    with pytest.raises(
        DiagnosticError, match=r"no operator called 'doubled' here\nhint: .*--operators FILE\.py"
    ):
        pjc.compile(dump)


@pytest.mark.parametrize("stage", ["net", "feas"])
def test_a_value_is_defined_before_it_is_used(stage: str) -> None:
    *lines, last = dumped(stage).splitlines()
    (at,) = (i for i, line in enumerate(lines) if "%logits =" in line)
    moved = "\n".join([*lines[:3], lines[at], *lines[3:at], *lines[at + 1 :], last])
    with pytest.raises(DiagnosticError, match=r":4:5: error.* is used before it is defined\n"):
        pjc.compile(moved)


def test_two_outputs_have_two_names() -> None:
    (line,) = (each for each in dumped("net").splitlines() if "op.output" in each)
    with pytest.raises(DiagnosticError, match="there are two outputs 'logits'"):
        pjc.compile(dumped("net").replace(line, f"{line}\n{line}"))


@pytest.mark.parametrize("stage", ["net", "feas", "proj"])
@pytest.mark.parametrize("seed", range(4))
def test_no_edit_ends_in_anything_but_a_mistake(stage: str, seed: int) -> None:
    whole = dumped(stage)
    rng = random.Random(f"{stage} {seed}")
    for _ in range(8):
        text = edited(whole, rng)
        with contextlib.suppress(pjc.PjcError):
            pjc.compile(text)


def edited(text: str, rng: random.Random) -> str:
    """Return the text with a line moved, left out or doubled, or a number or a name in it exchanged."""
    lines = text.splitlines()
    kind = rng.choice(["move", "drop", "double", "number", "name", "name"])
    at = rng.randrange(2, len(lines) - 2)
    if kind == "move":
        lines.insert(rng.randrange(2, len(lines) - 2), lines.pop(at))
    elif kind == "drop":
        del lines[at]
    elif kind == "double":
        lines.insert(at, lines[at])
    else:
        pattern = r"\b\d+\b" if kind == "number" else r'"[^"]*"|%[\w.]+|@[\w.]+'
        others = ["0", "-1", "3", "1000000000", str(2**63)]
        if kind == "name":
            others = re.findall(pattern, text)
        found = list(re.finditer(pattern, text))
        if found:
            one = rng.choice(found)
            return text[: one.start()] + rng.choice(others) + text[one.end() :]
    return "\n".join(lines)


def test_a_program_that_declares_nothing_is_refused() -> None:
    lines = [line for line in dumped("proj").splitlines() if "proj.target" not in line]
    with pytest.raises(DiagnosticError, match="reads 'y', which it does not declare"):
        pjc.compile("\n".join(lines) + "\n")


def test_ir_is_for_one_batch() -> None:
    program = pjc.compile(dumped("net"))
    with pytest.raises(pjc.PjcError, match=r"'x' has shape \(3, 6\), expected \(8, 6\)"):
        program.apply(program.init(0), np.zeros((3, 6), np.float32))


def test_what_is_recognised_as_ir(tmp_path: Path) -> None:
    assert looks_like_ir("// a comment\n\nbuiltin.module {") and looks_like_ir('"builtin.module"() ({')
    assert not looks_like_ir("input x: f32[2]\n") and not looks_like_ir("\n")
    path = tmp_path / "d.pjn.txt"
    path.write_text(dumped("proj"))
    source = open_source(path)
    assert isinstance(source, IrSource) and source.stage == "proj" and source.name == "network"


def test_unrolled_networks_stay_unrolled() -> None:
    options = Options(batch=8, unroll=True)
    text = Compilation(source_of(TEXT), options).emit("net")
    assert "net.for" not in text and "attributes {unrolled}" in text
    again = Compilation(source_of(text))
    assert "loop<" not in again.emit("feas")
    assert again.emit("proj").count("proj.part") == compile_text(TEXT, options).emit("proj").count(
        "proj.part"
    )
