"""What ``pjc view`` writes: a page of HTML, all in one file, that shows a network and how it is compiled.

``graph.py`` reads the constraint graph, ``dumps.py`` the stages with the place and the node of each line,
``record.py`` puts together all that the page shows, as JSON data, and ``page.py`` makes the file of it.
"""
