"""The archives of arrays that Keras's data sets are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..parts import Request
from ..source import Form, Source, register

if TYPE_CHECKING:
    from ..dataset import Dataset


@register
class Keras(Source):
    forms = (Form("keras:FILE.npz", "x_train, y_train, x_test, y_test; also where Keras keeps such files"),)
    what = "an archive of Keras"
    prefix = "keras:"

    def load(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        from ..npz import load_npz

        return load_npz(_file(where))

    def files(self, spec: str) -> tuple[str, ...]:
        return (str(_file(self.where(spec))),)

    def unlabelled(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        from ..npz import load_npz

        return load_npz(_file(where), labelled=False)


def _file(where: str) -> Path:
    """Return the archive of a name, which may be where Keras keeps what it fetched."""
    path = Path(where)
    kept = Path.home() / ".keras" / "datasets" / path.name
    return kept if path.name == where and not path.exists() and kept.exists() else path
