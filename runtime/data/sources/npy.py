"""Pairs of .npy files, which may be larger than memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..parts import Request
from ..source import Form, Source, register

if TYPE_CHECKING:
    from ..dataset import Dataset


@register
class Npy(Source):
    forms = (
        Form("npy:X.npy,Y.npy", "two arrays, of any size: the first stays on disk"),
        Form("npy:FOLDER", "x.npy and y.npy in a folder"),
    )
    what = ".npy files"
    prefix = "npy:"
    suffixes = (".npy",)

    def load(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        from ..npy import find_npy

        return find_npy(where)

    def files(self, spec: str) -> tuple[str, ...]:
        x, _, y = self.where(spec).partition(",")
        return (x, y) if y else (x,)

    def unlabelled(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        from ..npy import find_npy

        return find_npy(where, labelled=False)
