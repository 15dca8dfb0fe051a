"""Data sets of OpenML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..parts import Request
from ..source import Form, Source, register

if TYPE_CHECKING:
    from ..dataset import Dataset


@register
class OpenML(Source):
    forms = (
        Form("openml:NAME[:VERSION]", "a data set of OpenML, fetched by scikit-learn; perhaps with --target"),
    )
    what = "a table of OpenML"
    takes = Source.takes | {"target", "missing"}
    prefix = "openml:"

    def load(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        from ..openml import load_openml

        return load_openml(where, request.target, request.missing)
