"""Data sets that have a name in the field, fetched from OpenML."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ..parts import CHANNELS_FIRST, Request
from ..source import Form, Source, register

if TYPE_CHECKING:
    from ..dataset import Dataset


class _Images(Source):
    """Images as OpenML has them: numbers from 0 to 255, axes as in ``shape``; the last are to test on."""

    name: ClassVar[str]
    shape: ClassVar[tuple[int, ...]]
    size: ClassVar[tuple[int, int]]
    """How many samples there are, and how many of them are the test part."""
    download: ClassVar[str]

    def load(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        from ..openml import as_images, load_openml, say_download

        say_download(self.word, self.name, self.download)
        return as_images(load_openml(self.name), self.word, self.shape, self.size)


@register
class Mnist(_Images):
    forms = (
        Form("mnist", "70,000 handwritten digits of 28 x 28 pixels, of OpenML; the last 10,000 to test"),
    )
    word = "mnist"
    name = "mnist_784:1"
    shape = (28, 28)
    size = (70000, 10000)
    download = "125 MB"


@register
class FashionMnist(_Images):
    forms = (Form("fashion_mnist", "70,000 pieces of clothing of 28 x 28 pixels, in the same way"),)
    word = "fashion_mnist"
    name = "Fashion-MNIST:1"
    shape = (28, 28)
    size = (70000, 10000)
    download = "150 MB"


@register
class Cifar10(_Images):
    forms = (
        Form("cifar10", "60,000 photographs of 32 x 32 pixels in RGB, of OpenML; the last 10,000 to test"),
    )
    takes = Source.takes - {"layout"}
    word = "cifar10"
    layout = CHANNELS_FIRST
    name = "CIFAR_10:1"
    shape = (3, 32, 32)
    size = (60000, 10000)
    download = "670 MB"


@register
class Higgs(Source):
    """Of 98,050 rows one lacks values; it is left out unless they are to be filled in."""

    forms = (Form("higgs", "98,050 collisions of particles, 28 numbers each, in two classes, of OpenML"),)
    takes = Source.takes - {"layout"} | {"missing"}
    word = "higgs"

    def load(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        from ..openml import load_openml, say_download

        say_download(self.word, "higgs:2", "40 MB")
        return load_openml("higgs:2", missing="drop" if request.missing == "refuse" else request.missing)
