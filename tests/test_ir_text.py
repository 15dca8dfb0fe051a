"""Texts in MLIR's syntax that xDSL's lexer would take badly, and what the terminal is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import pjc
from pjc.commands import opt
from pjc.diagnostics import Diagnostic, DiagnosticError, PjcError, Span, printable
from pjc.dialects import ops
from pjc.ir_text import parse_ir

LONG = "n" * 50_000
"""Long enough that a search which is exponential in it, or square, does not end."""


BEFORE = "net.network @n dims {} attributes {a = "


def network(attribute: str) -> str:
    """Return a network whose second line holds an attribute after BEFORE."""
    return f'// a comment with a " in it\n{BEFORE}{attribute}}} {{\n^bb0:\n}}\n'


def refusal(text: str) -> str:
    with pytest.raises(DiagnosticError) as error:
        parse_ir(text, "n.mlir")
    return str(error.value)


WRONG = [
    ('"' + LONG, 0, "this string is not closed on its line"),
    ('"a\\22' + LONG, 0, "this string is not closed on its line"),
    ('@"' + LONG, 1, "this string is not closed on its line"),
    ('"a\\q"', 2, "this is no escape"),
    ('"a\\é"', 2, "this is no escape"),
    ('"a\\1"', 2, "this is no escape"),
    ("99999999999999999999 : i64", 0, "the integer 99999999999999999999 does not fit"),
    ("array<i64: 1, -9223372036854775809>", 14, "the integer -9223372036854775809 does not fit"),
    ("3000000000 : i32", 0, "the integer 3000000000 does not fit into i32: -2147483648 to 2147483647"),
    ("128 : i8", 0, "the integer 128 does not fit into i8: -128 to 127"),
    ("[1 : i8, 0xFFFF : i16]", 9, "the integer 65535 does not fit into i16"),
    ("array<i32: 1, 3000000000>", 14, "the integer 3000000000 does not fit into i32"),
    ("array<i8: 200, 1>", 10, "the integer 200 does not fit into i8"),
    ("array<i16: 0x8000>", 11, "the integer 32768 does not fit into i16"),
    ("array<i4: 9>", 10, "the integer 9 does not fit into i4: -8 to 7"),
    ("dense<[1, 200]> : tensor<2xi8>", 10, "the integer 200 does not fit into i8"),
    ("dense<3000000000> : tensor<2xi32>", 6, "the integer 3000000000 does not fit into i32"),
    ("dense<[[40000], [1]]> : tensor<2x1xi16>", 8, "the integer 40000 does not fit into i16"),
    ("1.0e400 : f64", 0, "the number 1.0e400 is too large for 64 bits"),
    ("array<f64: 1.0, -2.0e309>", 16, "the number -2.0e309 is too large for 64 bits"),
    ("0xfffffffffffffffff : i64", 0, "the integer 0xfffffffffffffffff does not fit"),
    ("9" * 5000, 0, "the integer 9999"),
    ("٣ : i64", 0, "the character U+0663 cannot stand here"),
    ("²", 0, "the character U+00B2 cannot stand here"),
    ('"a\x1b[2J"', 2, "the character U+001B cannot stand here"),
    ('"\x9b2J"', 1, "the character U+009B cannot stand here"),
    ("\0", 0, "the character U+0000 cannot stand here"),
]


@pytest.mark.parametrize(("attribute", "at", "said"), WRONG)
def test_a_lexeme_that_is_wrong_is_refused_at_its_place(attribute: str, at: int, said: str) -> None:
    found = refusal(network(attribute))
    assert found.startswith(f"n.mlir:2:{len(BEFORE) + at + 1}: error[PJC0601]: {said}")
    assert printable(found) == found


@pytest.mark.parametrize(("attribute", "at", "said"), WRONG)
def test_pjc_opt_refuses_the_same(
    attribute: str, at: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "n.mlir"
    path.write_text("builtin.module {}\n// -----\n" + network(attribute))
    assert opt.main([str(path), "--split-input-file"]) == 1
    found = capsys.readouterr().err
    assert f"n.mlir:4:{len(BEFORE) + at + 1}: error[PJC0601]: {said}" in found
    assert printable(found) == found


@pytest.mark.parametrize(
    "attribute",
    [
        '"a \\22 // é \\\\"',
        '"\\1B[2J"',
        "9223372036854775807 : i64",
        "-9223372036854775808 : i64",
        "0.12345678901234567890123 : f64",
        "dense<[1, 2]> : tensor<2xi64>",
        "dense<[-128, 127]> : tensor<2xi8>",
        "dense<[true, false]> : tensor<2xi1>",
        "array<i32: -2147483648, 2147483647>",
        "array<i1: true, false>",
        "array<ui8: 255>",
        "255 : ui8",
        "127 : i8",
        "true",
        "99999999999 : index",
        '@"99999999999999999999"',
    ],
)
def test_lexemes_that_are_right_pass(
    attribute: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "n.mlir"
    path.write_text(
        f'"test.op"() {{a = {attribute}}} : () -> () // é "\n%99999999999999999999 = "test.op"() : () -> i1\n'
    )
    assert opt.main([str(path), "--allow-unregistered-dialect"]) == 0
    assert attribute.split()[0].strip('@"')[:1] in capsys.readouterr().out


def test_a_value_that_its_type_cannot_hold_is_refused_at_its_line() -> None:
    assert refusal(network("array<i8: 300>")).startswith("n.mlir:2:")


@pytest.mark.parametrize("text", ["Größe", "\u202e\u2028", "層", "\x7f\t\\"])
def test_texts_with_any_letters_are_read_back_as_they_were(text: str) -> None:
    body = '%x = op.input "NAME" ["2"] : tensor<2xf32>\n  op.output "y" %x : tensor<2xf32>'
    network = f"net.network @n dims {{}} {{\n  {body}\n}}\n"
    escaped = "".join(f"\\{byte:02X}" for byte in text.encode())
    module = parse_ir(network.replace("NAME", escaped), "n.mlir")
    assert str(parse_ir(str(module), "n.mlir")) == str(module)
    (label,) = [op.label.data for op in module.walk() if isinstance(op, ops.InputOp)]
    assert label == text


@pytest.mark.parametrize("raw", ["\x1b[2J", "\x9b", "\x07\0", "\u202e"])
def test_what_a_diagnostic_prints_holds_no_control_character(raw: str) -> None:
    line = f"a{raw}b"
    text = Diagnostic(f"no {raw}", Span("f", 1, len(line), 1, len(line) + 1), f"a {raw}").render(line)
    assert printable(text) == text
    shown, caret = text.splitlines()[1:3]
    assert shown[caret.index("^")] == "b"
    assert printable(str(PjcError(f"no file {raw}"))) == str(PjcError(f"no file {raw}"))


def test_the_line_that_is_shown_is_the_one_of_the_line_number() -> None:
    text = Diagnostic("no", Span("f", 2, 1, 2, 2)).render("a\u2028b\x0cc\r\nd\r\n")
    assert text.splitlines()[1:] == ["    d", "    ^"]


PROGRAM = "input x: f32[batch, 2]\noutput x\n"
MLIR = [
    "transform.named_sequence @m() {\n}\n",
    "func.func @f(%a: i32) {\n  return\n}\n",
    '// a comment\n#map = affine_map<(d0) -> (d0)>\n"func.func"() ({}) : () -> ()\n',
    "%0 = arith.constant 3 : i32\n",
    '%a, %b:2 = "test.op"() : () -> (i1, i1, i1)\n',
    "func.return\n",
    "!alias = i32\nml_program.global @g : i32\n",
]


@pytest.mark.parametrize("text", MLIR)
@pytest.mark.parametrize("name", ["a.mlir", "a.txt", "a.MLIR", "a", "a.pjn", None])
def test_mlir_of_others_is_not_taken_for_a_network(text: str, name: str | None, tmp_path: Path) -> None:
    given: Path | str = text
    if name is not None:
        given = tmp_path / name
        given.write_text(text)
    with pytest.raises(DiagnosticError, match=r"looks like MLIR, and holds none of net\.network, feas"):
        pjc.compile(given)


@pytest.mark.parametrize(
    "text", ["x.w = 3\n", "a.b(x) = 2\n", "nn.c + 1\n", "hello world\n", '"a.b"\n', "a.b, c = x\n"]
)
@pytest.mark.parametrize("name", ["a.pjn", "a.txt", "a"])
def test_other_mistakes_are_those_of_the_language(text: str, name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DiagnosticError, match=rf"{name}:1:\d+: error\[PJC010\d\]: (?!.*MLIR)"):
        pjc.compile(tmp_path / name)


@pytest.mark.parametrize("name", ["a.pjn", "b.PJN"])
def test_ir_that_is_named_as_a_network_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(pjc.compile(PROGRAM).ir("net"))
    with pytest.raises(DiagnosticError, match="holds IR, and is named as a network in pjc's language"):
        pjc.compile(tmp_path / name)
    (tmp_path / "a.mlir").write_text(PROGRAM)
    with pytest.raises(DiagnosticError, match=r"a network in pjc's language is named \.pjn"):
        pjc.compile(tmp_path / "a.mlir")


def test_networks_need_no_ending(tmp_path: Path) -> None:
    for name in ("a.txt", "b", "c.network"):
        (tmp_path / name).write_text(PROGRAM)
        assert [each.name for each in pjc.compile(tmp_path / name).outputs] == ["x"]
