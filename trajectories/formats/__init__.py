"""Readers and writers of the files of other projects: numpy in and out, nothing known of robots.

`foreign.py` has the types that all of them share, `registry.py` the list of formats and `open_source`.
"""
