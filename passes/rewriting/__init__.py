"""Rewrites that several passes use: of loops, of their parameters, of views of indices."""
