"""NumPy's archives."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..parts import Request
from ..source import Form, Source, register

if TYPE_CHECKING:
    from ..dataset import Dataset


@register
class Npz(Source):
    forms = (Form("FILE.npz", "arrays x and y, or those of parts, as x_train or test_labels"),)
    what = "an .npz file"
    suffixes = (".npz",)

    def load(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        from ..npz import load_npz

        return load_npz(Path(where))

    def unlabelled(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        from ..npz import load_npz

        return load_npz(Path(where), labelled=False)
