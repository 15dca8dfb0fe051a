"""The projection of the sites of a product one row after another, each as dot.py has it.

Set, projection, solution, ties, source: as in dot.py, for all sites of ``z = a * w`` (bilinear.py).

What compressed forms compute from ``q = |a|^2 + |w|^2`` and ``p = a . w`` loses digits where ``|a + w|^2``,
which is ``q + 2 p``, is small beside q and z is far from p, and all of them where squares overflow. There the
copies of a row are made, projected, and forgotten: a row is as many sites as a row of a has, of a convolution
those of all samples at one place.

Shapes: as the map takes them; what stands at the sites has z's shape.

Exact: as dot.py, to rounding of the means over copies.

Cost: what dot.py takes for every site, in memory for the copies of one row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import Array, lax

from pjc.runtime.projections.bilinear import Bilinear
from pjc.runtime.projections.dot import Dot

Copies = tuple[Array, Array]
"""The copies of both operands in a row, which broadcast against each other; the last axis counts entries."""

Carry = tuple[Array, Array, tuple[Array, ...]]

Project = Callable[[Sequence[Copies], Sequence[Array]], tuple[Copies, tuple[Array, ...]]]
"""Returns the new copies in a row, and what is kept of its sites, from what the row has of the operands and
of what stands at the sites."""


def project_rows(
    a: Array, w: Array, z: Array, wanted: Sequence[int], product: Bilinear
) -> tuple[tuple[Array, ...], Array]:
    """Return the means of the new copies of the wanted operands (0 for a, 1 for w), and the new value."""

    def project(operands: Sequence[Copies], sites: Sequence[Array]) -> tuple[Copies, tuple[Array, ...]]:
        (copies,), (target,) = operands, sites
        (one, other), value = Dot().project(spread(copies, target), target)
        return (one, other), (value,)

    means, (value,) = over_rows([(a, w)], [z], project, product)
    return tuple(means[index] for index in wanted), value


def spread(copies: Copies, target: Array) -> Copies:
    """Return the copies of a row at each of its sites."""
    shape = (*target.shape, copies[0].shape[-1])
    return jnp.broadcast_to(copies[0], shape), jnp.broadcast_to(copies[1], shape)


def over_rows(
    operands: Sequence[tuple[Array, Array]], sites: Sequence[Array], project: Project, product: Bilinear
) -> tuple[Copies, tuple[Array, ...]]:
    """Return the means over copies of what ``project`` makes of each row, and what it keeps of all sites.

    Args:
        operands: pairs of arrays shaped as both operands of the map, one or more.
        sites: arrays shaped as its values, one or more; as many are kept.
        project: is given the copies in a row of each pair, and the row of each of ``sites``.
        product: the map.
    """
    a, w = operands[0]
    shares = [product.lhs_copies(sites[0], a), product.rhs_copies(sites[0], w)]
    most = [jnp.max(jnp.asarray(share, a.dtype)) for share in shares]
    framed = [(product.framed(one), other) for one, other in operands]

    def advance(index: Array, carry: Carry) -> Carry:
        lhs, rhs, kept = carry
        copies = [(product.lhs_row(one, index), product.rhs_row(other)) for one, other in framed]
        rows = [product.site_row(each, index) for each in sites]
        (one, other), found = project(copies, rows)
        # Divided before they are added up, so that sums of the largest floats do not overflow.
        lhs = product.lhs_put(lhs, one / most[0], index)
        rhs = product.rhs_put(rhs, other / most[1])
        kept = tuple(product.site_put(all_, row, index) for all_, row in zip(kept, found, strict=True))
        return lhs, rhs, kept

    start = jnp.zeros_like(framed[0][0]), jnp.zeros_like(w), tuple(jnp.zeros_like(each) for each in sites)
    lhs, rhs, kept = lax.fori_loop(0, product.rows(sites[0]), advance, start)
    lhs = product.unframed(lhs)
    return (lhs * (most[0] / shares[0]), rhs * (most[1] / shares[1])), kept
