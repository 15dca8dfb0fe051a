"""Goes on with a text, character by character, as a network on characters has learned to.

>>> "".join(sample(program, params, vocabulary, "ROMEO:", Draw(200)))                 # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data.errors import DataError
from .data.fitting import element_type, is_integer
from .data.text import Text, Vocabulary, require_text_network
from .predicting import forward, one_output
from .trainable import Trainable, specs


@dataclass(frozen=True)
class Draw:
    """How characters are drawn: ``count`` of them, each from the softmax of the scores over ``temperature``.

    At temperature 0 it is the likeliest character. The ``seed`` is from 0.
    """

    count: int
    temperature: float = 1.0
    seed: int = 0


def sample(
    program: Trainable, params: Mapping[str, Any], vocabulary: Vocabulary, prompt: str, draw: Draw
) -> Iterator[str]:
    """Yield the characters that follow a prompt, each drawn when the one before is known.

    A network that tells the character after each reads what there is, up to its length; one that tells the
    last alone reads a whole window, in front of a short prompt the first character again and again. The
    character for unknown ones is never drawn.

    Raises:
        DataError: if the network is none on characters, or the prompt is empty or has a character that has no
            class.
        TrainError: as :func:`pjc.runtime.predicting.predict`.
    """
    source, target = specs(program)
    require_text_network(source, target)
    if not prompt:
        raise DataError("the prompt has no characters; give one to begin with")
    text = Text.of(prompt, "the prompt")
    vocabulary.require(text)
    return _sample(program, params, vocabulary, list(vocabulary.encode(text)), draw)


def _sample(
    program: Trainable, params: Mapping[str, Any], vocabulary: Vocabulary, so_far: list[int], draw: Draw
) -> Iterator[str]:
    source, target = specs(program)
    length, every = source.shape[1], len(target.shape) == 2
    run, random = forward(program), np.random.default_rng(draw.seed)
    hot = None if is_integer(source) else np.eye(target.classes or 0, dtype=element_type(source))
    for _ in range(draw.count):
        last = so_far[-length:]
        filling = [so_far[0]] * (length - len(last))
        window = np.array(last + filling if every else filling + last)
        x = window.astype(element_type(source)) if hot is None else hot[window]
        output = one_output(run(params, x[None]))[0]
        scores = output[len(last) - 1] if every else output
        so_far.append(_drawn(np.asarray(scores[: len(vocabulary.codes)], np.float64), draw, random))
        yield chr(int(vocabulary.codes[so_far[-1]]))


def _drawn(scores: NDArray[Any], draw: Draw, random: np.random.Generator) -> int:
    """Return the number of a character."""
    if draw.temperature == 0 or not np.isfinite(scores).all():
        return int(np.nan_to_num(scores, nan=-np.inf).argmax())
    likely = np.exp((scores - scores.max()) / draw.temperature)
    return int(random.choice(len(likely), p=likely / likely.sum()))
