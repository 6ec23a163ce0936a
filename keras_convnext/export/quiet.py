"""Silencing the deprecation warnings and progress messages of converters."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("root", "torch.onnx", "tensorflow", "tf2onnx")
"""tf2onnx warns about float16 by the root logger."""


@contextmanager
def quiet() -> Iterator[None]:
    """A context without Python's warnings, and with nothing but errors from the converters' loggers."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
