"""Tables of comma-separated text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..parts import Request
from ..source import Form, Source, register

if TYPE_CHECKING:
    from ..dataset import Dataset


@register
class Csv(Source):
    forms = (Form("FILE.csv", "a table of numbers and categories, with --target COLUMN (or .tsv)"),)
    what = "a CSV file"
    takes = Source.takes | {
        "target",
        "delimiter",
        "decimal",
        "encoding",
        "no_header",
        "categorical",
        "ignore",
        "missing",
        "weights",
    }
    suffixes = (".csv", ".tsv")

    def load(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        from ..csv_file import load_csv

        return load_csv(Path(where), request.target, request)

    def unlabelled(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        from ..csv_file import load_csv

        return load_csv(Path(where), request.target, request, labelled=False)
