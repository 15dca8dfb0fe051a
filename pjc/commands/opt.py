"""``pjc opt``: run any pipeline of passes on any IR file, in the manner of mlir-opt."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import IO

from xdsl.dialects.builtin import ModuleOp
from xdsl.utils.arg_spec import parse_pipeline
from xdsl.utils.exceptions import (
    ArgSpecParseError,
    DiagnosticException,
    ParseError,
    PassFailedException,
    VerifyException,
)
from xdsl.xdsl_opt_main import xDSLOptMain

from pjc.diagnostics import DiagnosticError, mistake, printable
from pjc.ir_text import parse_module
from pjc.options import Options
from pjc.python_files import PythonName
from pjc.reading import reading, reason
from pjc.sources import IrSource, open_source
from pjc.universe import PASSES, UNIVERSE, pass_factory


class PjcOptMain(xDSLOptMain):
    """xDSL's driver with pjc's dialects, passes and frontends.

    A pass may be named without its dialect where that is clear: ``-p fuse,bipartition``.
    """

    lines_before = 0

    def register_all_dialects(self) -> None:
        super().register_all_dialects()
        for name, factory in UNIVERSE.all_dialects.items():
            if name not in self.ctx.registered_dialect_names:
                self.ctx.register_dialect(name, factory)

    def register_all_passes(self) -> None:
        super().register_all_passes()
        self.available_passes.update({name: pass_factory(name) for name in PASSES})

    def register_all_arguments(self, arg_parser: ArgumentParser) -> None:
        arg_parser.prog = "pjc opt"
        super().register_all_arguments(arg_parser)

    def setup_pipeline(self) -> None:
        try:
            self._named_in_full()
            super().setup_pipeline()
        except PassFailedException:
            raise
        except (ArgSpecParseError, Exception) as error:  # the former is none of the latter
            text = " ".join(str(error).split())
            raise mistake(
                f"-p {self.args.passes}: {text}", "docs/passes.md has each pass's options"
            ) from None

    def _named_in_full(self) -> None:
        """Give the passes that are named without their dialect their whole names."""
        full = {name.split("-", 1)[1]: name for name in PASSES}
        specs = list(parse_pipeline(self.args.passes))
        for index, spec in enumerate(specs):
            if spec.name not in self.available_passes:
                if spec.name not in full:
                    known = ", ".join(PASSES)
                    message = f"unknown pass '{spec.name}'; pjc's are {known}"
                    raise PassFailedException(message)
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
        stream, extension = super().get_input_stream()
        if extension not in self.available_frontends and IrSource.recognises(Path(self.get_input_name())):
            extension = "mlir"
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``pjc opt`` and return its exit status."""
    try:
        PjcOptMain(description="Run passes on net, feas and proj IR.", args=argv).run()
    except DiagnosticError as error:
        print(error, file=sys.stderr)
        return 1
    except (ParseError, VerifyException, PassFailedException, DiagnosticException) as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        return 1
    except OSError as error:
        print(printable(f"error: {error.filename}: {error.strerror}"), file=sys.stderr)
        return 1
    except UnicodeDecodeError as error:
        print(f"error: the input is not UTF-8 text: {error}", file=sys.stderr)
        return 1
    except Exception as error:  # whatever a text that was edited by hand makes of xDSL and of passes
        if os.environ.get("PJC_TRACEBACK"):
            raise
        print(
            printable(
                f"error: the input is no IR that its passes can take: {type(error).__name__}: {reason(error)}"
            ),
            file=sys.stderr,
        )
        return 1
    return 0
