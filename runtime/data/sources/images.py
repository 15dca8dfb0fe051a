"""Folders of image files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..parts import CHANNELS_LAST, Request
from ..source import Form, Source, register

if TYPE_CHECKING:
    from ..dataset import Dataset


@register
class Images(Source):
    forms = (Form("images:FOLDER", "image files in a folder for each class (pip install 'pjc[images]')"),)
    what = "image files"
    takes = frozenset({"normalize", "resize", "class_weight"})
    prefix = "images:"
    layout = CHANNELS_LAST

    def load(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        from ..images import load_images

        return load_images(Path(where), sample, request.resize)

    def unlabelled(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        from ..images import load_images

        return load_images(Path(where), sample, request.resize, labelled=False)
