"""``pjc opt``: run any pipeline of passes on any IR file, in the manner of mlir-opt."""

from __future__ import annotations

import inspect
import os
import textwrap
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import IO

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass, PassPipeline
from xdsl.utils.arg_spec import parse_pipeline, parse_spec
from xdsl.utils.exceptions import (
    ArgSpecParseError,
    DiagnosticException,
    ParseError,
    PassFailedException,
    VerifyException,
)
from xdsl.xdsl_opt_main import xDSLOptMain

from pjc import __version__
from pjc.codes import OPT_INPUT
from pjc.commands.arguments import Formatter, Parser
from pjc.commands.failures import fail, report
from pjc.commands.outputs import other_ir, require_apart, require_ours, require_place
from pjc.commands.shared import DumpOptions, Dumps
from pjc.diagnostics import CommandError, DiagnosticError, PjcError, code_of, mistake
from pjc.fields import nearest
from pjc.ir_text import parse_module
from pjc.options import Options
from pjc.python_files import PythonName, file_of
from pjc.reading import measured, reading, reason
from pjc.runtime.files import held, replace_file
from pjc.sources import IrSource, open_source
from pjc.universe import PASSES, UNIVERSE, pass_factory

_USAGE = "pjc opt [FILE] [-p PASS,PASS{option=value}] [options]"
_DESCRIPTION = """\
Runs passes on IR, in the manner of mlir-opt: on FILE, which is IR or any other network that pjc
takes, or on what comes on stdin. A pass of pjc may be named without its dialect: -p fuse.

passes of pjc, in the order of the pipeline; docs/passes.md has their options:
"""
_EXAMPLES = """
examples:
  pjc net.pjn --emit feas -o net.mlir
  pjc opt net.mlir -p fuse,legalize-bipartite,bipartition
  pjc opt net.pjn -p net-infer-shapes --print-op-generic
"""


class _Collected(StringIO):
    """The output, which is kept when xDSL closes it: a file is written when all of it is there."""

    def close(self) -> None:
        pass


class PjcOptMain(xDSLOptMain):
    """xDSL's driver with pjc's dialects, passes and frontends.

    A pass may be named without its dialect where that is clear: ``-p fuse,bipartition``.
    """

    lines_before = 0
    version_format = f"pjc {__version__}"

    def __init__(self, arguments: Sequence[str]) -> None:
        self.given = arguments
        super().__init__(args=arguments)

    def register_all_dialects(self) -> None:
        super().register_all_dialects()
        for name, factory in UNIVERSE.all_dialects.items():
            if name not in self.ctx.registered_dialect_names:
                self.ctx.register_dialect(name, factory)

    def register_all_passes(self) -> None:
        super().register_all_passes()
        self.available_passes.update({name: pass_factory(name) for name in PASSES})

    def register_all_arguments(self, arg_parser: ArgumentParser) -> None:
        """Add the arguments, and refuse what is wrong of those given in the words of the other commands."""
        super().register_all_arguments(arg_parser)
        arg_parser.add_argument(
            "--force", action="store_true", help="overwrite -o where it is something else than IR"
        )
        arg_parser.add_argument(
            "--print-ir-after-all", action="store_true", help="print the IR after every pass, on stderr"
        )
        arg_parser.add_argument(
            "--diff", action="store_true", help="with --print-ir-after-all: only what each pass changed"
        )
        self.own = own_parser(arg_parser, [name for name in self.available_passes if name not in PASSES])
        wanted = self.own.parse_args(self.given).target
        if parse_spec(wanted).name not in self.available_targets:
            known = ", ".join(self.available_targets)
            self.own.error(f"argument -t/--target: unknown target {wanted!r}; known are {known}")

    def run(self) -> None:
        """Run the passes, and write the output when all of it is there."""
        if self.args.output_file is None:
            super().run()
            return
        output, source = Path(self.args.output_file), self.args.input_file
        require_place(output)
        if source is not None:
            require_apart(output, [file_of(Path(source))], "the source")
        require_ours(output, other_ir(output), self.args.force)
        with held([output]):
            super().run()
            text = self.collected.getvalue()
            replace_file(output, lambda path: path.write_text(text, encoding="utf-8"))

    def prepare_output(self) -> IO[str]:
        if self.args.output_file is None:
            return super().prepare_output()
        self.collected = _Collected()
        return self.collected

    def setup_pipeline(self) -> None:
        try:
            self._named_in_full()
            super().setup_pipeline()
        except DiagnosticError:
            raise
        except (ArgSpecParseError, Exception) as error:  # the former is none of the latter
            text = " ".join(str(error).split())
            raise mistake(
                f"-p {self.args.passes}: {text}", "docs/passes.md has each pass's options"
            ) from None

    def apply_passes(self, prog: ModuleOp) -> None:
        """Run the passes, and print the IR between them where that was asked for."""
        options = DumpOptions(self.args.print_ir_after_all, diff=self.args.diff)
        if not options.print_ir_after_all:
            super().apply_passes(prog)
            return
        dumps, given = Dumps(options, before=str(prog)), self.pipeline.callback

        def between(before: ModulePass | None, module: ModuleOp, after: ModulePass | None) -> None:
            if given is not None:
                given(before, module, after)
            if before is not None:
                dumps(before.name, module)

        PassPipeline(self.pipeline.passes, between).apply(self.ctx, prog)

    def _named_in_full(self) -> None:
        """Give the passes that are named without their dialect their whole names."""
        full = {name.split("-", 1)[1]: name for name in PASSES}
        specs = list(parse_pipeline(self.args.passes))
        for index, spec in enumerate(specs):
            if spec.name not in self.available_passes:
                if spec.name not in full:
                    near = nearest(spec.name, [*PASSES, *full])
                    hint = f"did you mean '{near}'?" if near else f"pjc's are {', '.join(PASSES)}"
                    raise mistake(f"unknown pass '{spec.name}'", hint)
                specs[index] = replace(spec, name=full[spec.name])
        self.args.passes = ",".join(map(str, specs))

    def register_all_frontends(self) -> None:
        super().register_all_frontends()
        self.available_frontends["mlir"] = self.parse_text
        for ending in ("pjn", "onnx", "py"):
            self.available_frontends[ending] = self.parse_source

    def get_input_stream(self) -> tuple[IO[bytes], str]:
        """Return the input, and its kind: by the name's extension, else by what the file holds."""
        if PythonName.of(self.get_input_name()):
            return BytesIO(), "py"
        if self.args.input_file is not None:
            measured(Path(self.args.input_file), error=CommandError)
        stream, extension = super().get_input_stream()
        if extension not in self.available_frontends and IrSource.recognises(Path(self.get_input_name())):
            extension = "mlir"
        if extension not in self.available_frontends and not self.args.frontend:
            stream.close()
            known = ", ".join(self.available_frontends)
            raise mistake(
                f"{self.get_input_name()} holds no IR, and its name ends in none of {known}",
                "-f FRONTEND says what it is",
            )
        return stream, extension

    def parse_chunk(self, chunk: IO[bytes], file_extension: str, start_offset: int = 0) -> ModuleOp | None:
        """Return the module of a part of the input that begins after so many lines."""
        self.lines_before = start_offset
        try:
            return super().parse_chunk(chunk, file_extension, start_offset)
        except DiagnosticError as error:
            if not (self.args.parsing_diagnostics or self.args.verify_diagnostics):
                raise
            print(error)
            return None

    def parse_text(self, stream: IO[bytes]) -> ModuleOp:
        """Return the module of a text in MLIR's syntax."""
        file = self.get_input_name()
        with reading(file, "IR", mistake):
            text = "\n" * self.lines_before + stream.read().decode("utf-8-sig")
            return parse_module(self.ctx, text, file, not self.args.no_implicit_module)

    def parse_source(self, stream: IO[bytes]) -> ModuleOp:
        """Return the net module of a ``.pjn`` or ``.onnx`` file, or of FILE.py:NAME, as it is written."""
        stream.close()
        return open_source(self.get_input_name()).start(Options()).module


def all_arguments() -> ArgumentParser:
    """Return a parser of the arguments of ``pjc opt``."""
    return PjcOptMain([]).own


def own_parser(theirs: ArgumentParser, others: Sequence[str] = ()) -> Parser:
    """Return a parser of xDSL's arguments that shows pjc's passes first, and the names of ``others`` last."""
    for action in theirs._actions:
        if action.dest == "passes":
            action.help, action.metavar = "the passes to run, in this order", "PASSES"
        elif action.dest == "input_file":
            action.help, action.metavar = "IR, .pjn, .onnx or FILE.py:NAME (default: stdin)", "FILE"
        elif action.dest == "version":
            action.help = "show program's version number and exit"
    listed = "\n".join(line for name, told in passes_told().items() for line in _wrapped(told, name))
    return Parser(
        prog="pjc opt",
        usage=_USAGE,
        description=_DESCRIPTION + listed,
        epilog=_EXAMPLES + ("\n".join(["\npasses of xDSL:", *_wrapped(", ".join(others))]) if others else ""),
        formatter_class=Formatter,
        parents=[theirs],
        conflict_handler="resolve",  # both have --help
        allow_abbrev=False,
    )


_WIDTH = max(map(len, PASSES)) + 2


def passes_told() -> dict[str, str]:
    """Return what each pass does, in the first sentence of its docstring, in the order of the pipeline."""
    return {name: _sentence(inspect.getdoc(pass_factory(name)()) or "") for name in PASSES}


def _sentence(docstring: str) -> str:
    first = " ".join(docstring.split("\n\n")[0].split()).replace("``", "")
    return first.partition(". ")[0].rstrip(".")


def _wrapped(text: str, name: str = "") -> list[str]:
    """Return lines of at most 100 columns; behind a name they are its column's."""
    column = "  " + (" " * _WIDTH if name else "")
    first = f"  {name:<{_WIDTH}}" if name else column
    return textwrap.wrap(text, 100, initial_indent=first, subsequent_indent=column, break_on_hyphens=False)


def main(argv: Sequence[str]) -> int:
    """Run ``pjc opt`` and return its exit status."""
    try:
        PjcOptMain(argv).run()
    except (PjcError, OSError) as error:
        return report(error)
    except (ParseError, VerifyException, PassFailedException, DiagnosticException) as error:
        return fail(str(error), kind=code_of(error) or OPT_INPUT)
    except UnicodeDecodeError as error:
        return fail(f"the input is not UTF-8 text: {error}", kind=OPT_INPUT)
    except Exception as error:  # whatever a text that was edited by hand makes of xDSL and of passes
        if os.environ.get("PJC_TRACEBACK"):
            raise
        said = f"{type(error).__name__}: {reason(error)}"
        return fail(f"the input is no IR that its passes can take: {said}", kind=OPT_INPUT)
    return 0
