"""An operator of one's own: the winner of n numbers takes all, as a vector that is 1 there and 0 elsewhere.

A hard choice has no useful gradient: it is constant but where it jumps. Its graph is a union of n convex
sets, one for each winner j, ``{(x, e_j) : x_j >= x_i for all i}``, and the projection is the nearest of n. In
each, x_j rises to a level u and the others come down to at most u, where u is the mean of x_j and of those
others that are above u: as the largest terms of a maximum meet its value.
"""

import jax.numpy as jnp

import pjc


def winner(x):
    """Return 1 at the largest of x, of several the first, and 0 elsewhere."""
    return jnp.zeros_like(x).at[jnp.argmax(x)].set(1)


def project(x, z):
    """Return the nearest (x', z') of the graph: that of the best winner."""
    size = jnp.maximum(jnp.max(jnp.abs(x)), jnp.max(jnp.abs(z)))
    size = jnp.maximum(size, 1)  # squares of what is divided by it cannot overflow

    def with_winner(j):
        chosen = jnp.arange(x.size) == j
        others = jnp.sort(jnp.where(chosen, -jnp.inf, x))[::-1]
        sums = jnp.cumsum(jnp.concatenate([x[j : j + 1] / size, others[:-1] / size]))
        levels = size * (sums / jnp.arange(1, x.size + 1))
        level = jnp.maximum(levels[jnp.argmax(levels >= others)], x[j])
        moved = jnp.where(chosen, level, jnp.minimum(x, level))
        value = chosen.astype(x.dtype)
        return moved, value, jnp.sum(((moved - x) / size) ** 2) + jnp.sum(((value - z) / size) ** 2)

    moved, value, distance = [], [], []
    for j in range(x.size):
        one = with_winner(j)
        moved.append(one[0])
        value.append(one[1])
        distance.append(one[2])
    best = jnp.argmin(jnp.stack(distance))
    return jnp.stack(moved)[best], jnp.stack(value)[best]


pjc.operator("winner", "[n] -> [n]", function=winner, projection=project)
