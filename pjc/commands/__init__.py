"""The commands of the command line, one file each; each has a ``main`` that takes its arguments."""

COMMANDS = {
    "compile": "compile",
    "train": "train",
    "solve": "solve",
    "evaluate": "evaluate",
    "predict": "predict",
    "info": "info",
    "export": "export",
    "opt": "opt",
    "diff": "diff",
    "check-operator": "check_operator",
    "plot": "plot",
    "view": "view",
    "explain": "explain",
    "doctor": "doctor",
}
"""The module of each command, which is imported when the command is run."""
