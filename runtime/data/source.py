"""What a source of data says of itself, and how it comes to be known.

A source is a class in a module of its own in the package ``sources``, under ``@register``. That module is all
that there is to write: what recognises a source, refuses options, lists what there is in messages, in
``pjc train --help`` and in docs/data.md, reads the class. Such a module imports NumPy and whatever else is
heavy where it reads, not at its top, because the help lists sources without reading any.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from .errors import DataError
from .parts import CLASS_WEIGHTS, DECIMALS, LAYOUTS, MISSING, Parts, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from .dataset import Dataset
    from .fitting import Spec
    from .recipe import Known


class Form(NamedTuple):
    """One way to write a spec, such as ``FILE.csv``, and a line on it for the help."""

    written: str
    help: str


class Option(NamedTuple):
    """An option of ``pjc train`` that some sources take; ``purpose`` goes on with what takes it."""

    flag: str
    purpose: str


OPTIONS = {
    "target": Option("--target", "names a column of"),
    "normalize": Option("--normalize", "is for the features of"),
    "resize": Option("--resize", "is for"),
    "stride": Option("--stride", "is for windows of"),
    "layout": Option("--layout", "is for the samples of"),
    "delimiter": Option("--delimiter", "separates the columns of"),
    "decimal": Option("--decimal", "is for the numbers of"),
    "encoding": Option("--encoding", "is for the text of"),
    "no_header": Option("--no-header", "is for"),
    "categorical": Option("--categorical", "names columns of"),
    "ignore": Option("--ignore", "names columns of"),
    "missing": Option("--missing", "is for the values of"),
    "weights": Option("--weights", "names a column of"),
    "class_weight": Option("--class-weight", "is for the classes of"),
}
"""By the fields of Request that a source has to know of."""
_CHOICES = {"layout": LAYOUTS, "decimal": DECIMALS, "missing": MISSING, "class_weight": CLASS_WEIGHTS}


class Looked(NamedTuple):
    """Data as they are, a dataset or a text, and whether they have targets of their own."""

    data: Any
    labelled: bool


class Whole(NamedTuple):
    """All of some data, as a trained network takes it, before parts are set aside.

    Attributes:
        data: the data in the network's shapes, or a text.
        checksum: what :class:`Recipe` has of the data of training.
        parts: returns what trains, validates and tests, of the data and for a request; None for no such part.
        finish: makes the samples of data, filled in and normalized as in training.
        class_names: of the targets, in the order of their numbers.
        passed_over: columns that training did not have.
        remarks: what a person should read of how the data was read.
    """

    data: Any
    checksum: int
    parts: Callable[[Any, Request], tuple[Any, Any, Any]]
    finish: Callable[[Any], Dataset]
    class_names: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


class Source(ABC):
    """A kind of data, such as CSV files; what names data of it, such as ``iris.csv``, is called a spec.

    A spec belongs to the source of which it is the ``word``; else to the one whose ``prefix`` it begins with;
    else to the one with a suffix that it ends with, in capitals or not; else to the first, in the order of
    their modules' names, that recognises it.
    """

    forms: ClassVar[tuple[Form, ...]]
    what: ClassVar[str]
    """What the data is, as it stands in a sentence: ``a CSV file``; the ``word``, unless a class says."""
    takes: ClassVar[frozenset[str]] = frozenset({"normalize", "layout", "class_weight"})
    """The OPTIONS that mean something for the data."""
    layout: ClassVar[str | None] = None
    """One of LAYOUTS, where it is always that of the samples."""
    word: ClassVar[str] = ""
    prefix: ClassVar[str] = ""
    suffixes: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        if cls.word and not hasattr(cls, "what"):
            cls.what = cls.word

    def recognises(self, spec: str) -> bool:
        """Return whether a spec is of this source by more than its spelling, as by the first bytes of a file.

        The file need not be there. Raises nothing.
        """
        return False

    @abstractmethod
    def load(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        """Return the data at ``where``, a spec without the prefix.

        Of the options in ``request`` those count that the source takes; what else is in it may be of another
        spec. ``sample`` is the shape of a sample that a network takes, where there is one; in the source's
        own layout, where both have one. Raises DataError.
        """

    def parts(self, request: Request, test: Source | None, source: Spec, target: Spec) -> Parts:
        """Return the parts of ``request.data`` for a network with this input and target.

        ``test`` is the source of ``request.test_data``, if that is given. Samples are drawn from all over
        the data, the same in every run. Of a network without a target, whose ``target`` is its ``source``,
        the data need have no targets. Raises DataError.
        """
        from .fitting import fit, match, narrowed
        from .layouts import require_known
        from .missing import filled
        from .normalize import normalized
        from .splitting import own_test, split_parts
        from .weights import class_weighted

        if request.layout is not None:
            require_known(source.channels, source.name)
        labelled = target is not source
        given = self._samples(request.data, request, source, labelled)
        whole, remarks = fit(given, source, target, lacks=True, wide=True), given.remarks
        other: Dataset | None = None
        if test is not None and request.test_data:
            asked = replace(request, names=bool(given.class_names) or None)
            found = own_test(test._samples(request.test_data, asked, source, labelled))
            remarks += found.remarks
            other = fit(match(found, given), source, target, lacks=True, wide=True)
        train, validation, apart = split_parts(whole, request)
        test_checksum = None if other is None else other.checksum()
        apart = apart if other is None else other
        said = tuple(dict.fromkeys(remarks))
        parts = Parts(train, validation, apart, train.notes(), said, whole.checksum(), test_checksum)
        made = normalized(filled(parts, request.missing), request.normalize)
        return class_weighted(narrowed(made, source, target), request.class_weight)

    def whole(
        self, request: Request, known: Known, source: Spec, target: Spec, labelled: bool = True
    ) -> Whole:
        """Return all of ``request.data`` for a trained network, of whose data ``known`` was kept.

        Columns are ordered, categories and classes numbered as in training. Unless ``labelled`` there need be
        no targets. Raises DataError.
        """
        from .fitting import fit
        from .layouts import require_known
        from .splitting import split_parts

        if request.layout is not None:
            require_known(source.channels, source.name)
        labelled = labelled and target is not source
        asked = replace(request, names=bool(known.class_names) or None)
        found, more = known.ordered(self._samples(request.data, asked, source, labelled))
        numbered = known.numbered(found, target.classes) if labelled else found
        data = fit(numbered, source, target if labelled else source, lacks=True, wide=True)
        names = data.class_names or known.class_names
        return Whole(data, data.checksum(), split_parts, known.finished, names, more, found.remarks)

    def _samples(self, spec: str, request: Request, source: Spec, labelled: bool = True) -> Dataset:
        """Return the data of a spec for a network with this input, and in which layout it is."""
        from .layouts import stored_shape

        asked = request.layout if "layout" in self.takes else None
        shape = stored_shape(tuple(source.shape[1:]), source.channels, self.layout)
        load = self.load if labelled else self.unlabelled
        return replace(load(self.where(spec), request, shape), layout=self.layout or asked)

    def look(self, request: Request) -> Looked:
        """Return the data of a spec as it is, with its targets where they are found.

        Raises DataError.
        """
        where = self.where(request.data)
        try:
            return Looked(self.load(where, request, None), True)
        except DataError as error:
            try:
                return Looked(self.unlabelled(where, request, None), False)
            except DataError:
                raise error from None

    def unlabelled(self, where: str, request: Request, sample: tuple[int, ...] | None) -> Dataset:
        """Return what :meth:`load` does, or, where there are no targets, the samples with zeros for them.

        Raises DataError.
        """
        return self.load(where, request, sample)

    def files(self, spec: str) -> tuple[str, ...]:
        """Return the paths that a spec of this source names; raises nothing."""
        return () if spec == self.word else (self.where(spec),)

    def where(self, spec: str) -> str:
        """Return a spec of this source without the prefix."""
        return spec.removeprefix(self.prefix)

    def refusal(self, option: str, spec: str) -> str:
        """Return what is said of one of the OPTIONS that the source does not take."""
        takers = " or ".join(each.what for each in SOURCES if option in each.takes)
        flag, purpose = OPTIONS[option]
        return f"{flag} {purpose} {takers}, but the data is {spec!r}"

    def require_options(self, request: Request) -> None:
        """Raise DataError where ``request`` has an option that the source does not take, or that is none."""
        for option in OPTIONS:
            if option not in self.takes and getattr(request, option) != getattr(Request, option):
                raise DataError(self.refusal(option, request.data))
        for option, among in _CHOICES.items():
            value = getattr(request, option)
            if value != getattr(Request, option) and value not in among:
                raise DataError(f"{OPTIONS[option].flag} is {value!r}; expected {' or '.join(among)}")

    @property
    def is_path(self) -> bool:
        """Whether specs are paths of files, with no word or prefix before them."""
        return not (self.word or self.prefix)

    @classmethod
    def marks(cls) -> list[str]:
        """Return what specs are told by: the word, the prefix and the suffixes."""
        return [mark for mark in (cls.word, cls.prefix, *cls.suffixes) if mark]


SOURCES: list[Source] = []
"""All sources, in the order in which they are asked; importing the package ``sources`` fills it."""

Class = TypeVar("Class", bound=type[Source])


def register(cls: Class) -> Class:
    """Make a class known as a source; raises ValueError where its specs are another's already."""
    taken = {mark for each in SOURCES for mark in each.marks()}
    for mark in cls.marks():
        if mark in taken:
            raise ValueError(f"two sources of data take what is written {mark!r}")
    SOURCES.append(cls())
    return cls
