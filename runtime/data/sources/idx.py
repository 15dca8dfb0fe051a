"""Files in the format of MNIST, told by their first bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..parts import Request
from ..source import Form, Source, register

if TYPE_CHECKING:
    from ..dataset import Dataset


@register
class Idx(Source):
    forms = (
        Form("FILE", "IDX images (the MNIST format, gzipped or not), labels found beside them"),
        Form("IMAGES,LABELS", "two IDX files"),
    )
    what = "an IDX file"

    def recognises(self, spec: str) -> bool:
        from ..idx import looks_like_idx

        path = Path(spec)
        return ("," in spec and not path.exists()) or looks_like_idx(path)

    def load(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        from ..idx import load_idx

        images, comma, labels = where.partition(",")
        if comma and not Path(where).exists():
            return load_idx(Path(images), Path(labels))
        return load_idx(Path(where))

    def files(self, spec: str) -> tuple[str, ...]:
        images, _, labels = spec.partition(",")
        return (spec,) if Path(spec).exists() or not labels else (images, labels)

    def unlabelled(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        from ..idx import load_idx

        images = Path(where if Path(where).exists() else where.partition(",")[0])
        return load_idx(images, labelled=False)
