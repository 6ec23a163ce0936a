"""Which tests are slow on which backend; and every docstring's example runs as a user would type it.

Docstrings' examples, and tests marked `once`, run on torch every time; on the other backends they are slow tests.
"""

import gc
import sys

import pytest

collect_ignore = ["keras_convnext/kernels/torch/depthwise_triton.py"]  # has no example, and imports Triton


@pytest.fixture(scope="module", autouse=True)
def few_objects_to_collect():
    """Keeps what is there before a module's tests from Python's garbage collector.

    TensorFlow and PyTorch bring a million objects, and Keras collects garbage for each layer that it quantizes: the
    tests of quantized models took half of their time for looking through objects that stay.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Takes from each example the names of the module that it stands in, which a user's session does not have."""
    keras = sys.modules.get("keras")  # which tests/conftest.py or the modules import
    is_elsewhere = keras is not None and keras.backend.backend() != "torch"
    for item in items:
        is_example = isinstance(item, pytest.DoctestItem)
        if is_example:
            item.dtest.globs = {"__name__": "__main__"}
        if is_elsewhere and (is_example or item.get_closest_marker("once")):
            item.add_marker(pytest.mark.slow)
