"""The public surface, that is, what the rooms export: annotations, docstrings with all arguments, and examples."""

import dataclasses
import importlib
import inspect
import re

import pytest

from keras_convnext import kernels
from keras_convnext.kernels import reference

pytestmark = pytest.mark.once

PACKAGE = "keras_convnext"
ROOMS = (
    "",
    ".detection",
    ".segmentation",
    ".layers",
    ".models",
    ".training",
    ".preprocessing",
    ".preprocessing.augmentation",
    ".data",
    ".detection",
    ".checkpoints",
    ".roadmap",
    ".benchmarking",
    ".profiling",
    ".segmentation",
    ".export",
    ".kernels",
)
SECTION = re.compile(r"^(?:Args|Attributes):\n((?:(?: {4}.*)?\n)*)", re.MULTILINE)
ENTRY = re.compile(r"^ {4}(\S[^:]*):", re.MULTILINE)
EXAMPLE = re.compile(r"^\s*(>>> |```python$)", re.MULTILINE)


def exported():
    """Each exported class and function once, by its shortest public name. Of the kernels, the reference's."""
    found = {}
    for room in ROOMS:
        module = importlib.import_module(PACKAGE + room)
        for name in module.__all__:
            one = getattr(reference if module is kernels and hasattr(reference, name) else module, name)
            if inspect.isclass(one) or inspect.isfunction(one):
                found.setdefault(one, f"{module.__name__}.{name}")
    return {name: one for one, name in found.items()}


def is_ours(cls):
    return cls.__module__.partition(".")[0] == PACKAGE


def methods(cls):
    """The public methods and properties of a class that this package defines, its own and inherited ones.

    Returns:
        `(name, function, overrides)` for each: whether it overrides a method of another class, which tells what it is.
    """
    for place, base in enumerate(cls.__mro__):
        for name, value in vars(base).items() if is_ours(base) else ():
            function = getattr(value, "fget", None) or getattr(value, "__func__", value)
            is_first = not any(name in vars(earlier) for earlier in cls.__mro__[:place])
            if inspect.isfunction(function) and not name.startswith("_") and is_first:
                yield name, function, any(hasattr(later, name) for later in cls.__mro__[place + 1 :])


def constructor(cls):
    """The signature of a class's constructor; None if the package does not define it."""
    if dataclasses.is_dataclass(cls) or hasattr(cls, "_fields"):
        return inspect.signature(cls)
    makers = [base for base in cls.__mro__ if "__init__" in vars(base)]
    return inspect.signature(makers[0].__init__) if is_ours(makers[0]) else None


def callables(name, one):
    """What an export can be called by: `(name, signature, docstring, overrides)` of itself and of its methods."""
    if inspect.isfunction(one):
        yield name, inspect.signature(one), one.__doc__, False
        return
    if (signature := constructor(one)) is not None:
        yield name, signature.replace(return_annotation=None), one.__doc__, False
    for method, function, overrides in methods(one):
        yield f"{name}.{method}", inspect.signature(function), function.__doc__, overrides


def arguments(signature):
    return [one for one in signature.parameters.values() if one.name not in ("self", "cls")]


def documented(docstring):
    """The names that the section `Args` or `Attributes` of a docstring has, without the stars of `**kwargs`."""
    section = SECTION.search(inspect.cleandoc(docstring or "") + "\n")
    return [name.lstrip("*") for name in ENTRY.findall(section[1])] if section else []


def without_annotation(signature):
    """The arguments without an annotation, and "return" for a missing return type."""
    missing = [one.name for one in arguments(signature) if one.annotation is one.empty]
    return missing + ["return"] * (signature.return_annotation is signature.empty)


def docstring_faults(signature, docstring, overrides=False):
    """What is wrong with a docstring. A method that overrides another one needs none."""
    if not docstring:
        return [] if overrides else ["no docstring"]
    names, entries = [one.name for one in arguments(signature)], documented(docstring)
    faults = [f"{name} is no argument" for name in entries if name not in names]
    if overrides and not entries:
        return faults
    return faults + [f"no entry for {name}" for name in names if name not in entries]


EXPORTED = exported()
CALLABLES = {name: rest for export in EXPORTED.items() for name, *rest in callables(*export)}


@pytest.mark.parametrize("name", CALLABLES)
def test_has_annotations(name):
    signature, _, _ = CALLABLES[name]
    assert without_annotation(signature) == []


@pytest.mark.parametrize("name", CALLABLES)
def test_has_a_docstring_with_all_arguments_and_no_others(name):
    assert docstring_faults(*CALLABLES[name]) == []


@pytest.mark.parametrize("name", EXPORTED)
def test_has_a_docstring_with_an_example(name):
    assert EXAMPLE.search(EXPORTED[name].__doc__ or "")


def test_the_whole_surface_is_seen():
    """A check of the check: constructors, methods, properties, inherited methods, named tuples, a room's functions."""
    assert {
        "keras_convnext.ConvNeXtBackbone",
        "keras_convnext.ConvNeXtBackbone.from_preset",
        "keras_convnext.ConvNeXtBackbone.pyramid_outputs",
        "keras_convnext.ConvNeXtClassifier.quantize",
        "keras_convnext.Recipe",
        "keras_convnext.kernels.BlockWeights",
        "keras_convnext.kernels.block",
        "keras_convnext.layers.StochasticDepth.call",
        "keras_convnext.training.AdamW.update_step",
    } <= set(CALLABLES)


class Base:
    def one(self, a: int) -> int:
        """One.

        Args:
            a: a number.
        """


def test_faults_are_seen():
    """A check of the check."""

    def bare(a, *, b: int = 0, **kwargs):
        """No entries."""

    def wrong(a: int, b: int) -> int:
        """Some entries.

        Args:
            a: of two
                lines: with a colon.
            c: no argument.

        Raises:
            ValueError: never.
        """

    assert without_annotation(inspect.signature(bare)) == ["a", "kwargs", "return"]
    assert docstring_faults(inspect.signature(bare), bare.__doc__) == [
        "no entry for a",
        "no entry for b",
        "no entry for kwargs",
    ]
    assert docstring_faults(inspect.signature(wrong), wrong.__doc__) == ["c is no argument", "no entry for b"]
    assert docstring_faults(inspect.signature(wrong), None) == ["no docstring"]
    assert docstring_faults(inspect.signature(wrong), None, overrides=True) == []
    assert docstring_faults(inspect.signature(Base.one), Base.one.__doc__) == []
    assert without_annotation(inspect.signature(Base.one)) == []
