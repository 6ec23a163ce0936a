"""An extension of griffe: the examples of docstrings, which are doctests, become blocks of code on the site."""

import re

import griffe

DOCTEST = re.compile(r"^(?P<indent> *)>>> .*?(?=\n\s*\n|\Z)", re.DOTALL | re.MULTILINE)
"""From a prompt to the next empty line."""


class DoctestBlocks(griffe.Extension):
    def on_object(self, *, obj, **kwargs):
        if obj.docstring:
            obj.docstring.value = DOCTEST.sub(_fenced, obj.docstring.value)


def _fenced(match):
    indent = match["indent"]
    return f"{indent}```pycon\n{match[0]}\n{indent}```"
