"""Texts, which networks on characters are trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError
from ..parts import Parts, Request
from ..source import OPTIONS, Form, Looked, Source, Whole, register

if TYPE_CHECKING:
    from ..dataset import Dataset
    from ..fitting import Spec
    from ..recipe import Known
    from ..text import Text


@register
class TextFile(Source):
    forms = (Form("text:FILE", "characters; the network predicts the next one"),)
    what = "a text"
    takes = frozenset({"stride"})
    prefix = "text:"

    def load(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        raise DataError(
            f"a text has samples only once it is cut into windows for a network: {where} goes with --data "
            "text:FILE, and in Python through pjc.runtime.data.prepare"
        )

    def parts(self, request: Request, test: Source | None, source: Spec, target: Spec) -> Parts:
        """Return the parts, each of them a piece of the text, cut into windows."""
        from ..text import Vocabulary, load_text, require_text_network, room, windows

        require_text_network(source, target)
        whole = load_text(Path(self.where(request.data)))
        train, validation, apart = whole.parts(request)
        if test is not None and request.test_data:
            if test is not self:
                raise DataError(
                    f"--test-data is {request.test_data!r}, but the data is a text; name text:FILE"
                )
            apart = load_text(Path(self.where(request.test_data)))
        others = [part for part in (validation, apart) if part is not None]
        vocabulary = Vocabulary.measure(train, others, room(source, target))

        def cut(part: Text) -> Dataset:
            return windows(part, vocabulary, source, target, request.stride)

        return Parts(
            cut(train),
            None if validation is None else cut(validation),
            None if apart is None else cut(apart),
            vocabulary.notes(),
            checksum=whole.checksum(),
            test_checksum=apart.checksum() if apart is not None and request.test_data else None,
        )

    def look(self, request: Request) -> Looked:
        from ..text import load_text

        return Looked(load_text(Path(self.where(request.data))), False)

    def whole(
        self, request: Request, known: Known, source: Spec, target: Spec, labelled: bool = True
    ) -> Whole:
        """Return a text, of which the vocabulary of training makes windows."""
        from ..text import Text, load_text, require_text_network, room, windows

        require_text_network(source, target)
        vocabulary = known.vocabulary(room(source, target))
        text = load_text(Path(self.where(request.data)))
        vocabulary.require(text)

        def cut(part: Text) -> Dataset:
            return windows(part, vocabulary, source, target, request.stride)

        return Whole(text, text.checksum(), Text.parts, cut, vocabulary.names())

    def refusal(self, option: str, spec: str) -> str:
        """Return the same for every option: what is a matter of samples is none of a text."""
        return f"{OPTIONS[option].flag} does not apply to a text, and the data is {spec!r}"
