"""What can be printed of a compilation, in order; loads nothing, for the command line's help."""

STARTS = ("net", "feas", "proj")
"""The stages whose IR is a source again."""

EMITTED = ("pjn", "ast", *STARTS, "placed", "stablehlo", "hlo")
