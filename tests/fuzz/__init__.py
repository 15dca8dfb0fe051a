"""Mutants of every format that pjc reads: each must give a result or a sentence, soon and in little memory.

``python tests/fuzz_files.py`` runs them and counts.
"""
