"""Every docstring's example runs as a user would type it: with the imports that stand in it, and nothing else.

On torch the examples run every time; on the other backends they are slow tests.
"""

import sys

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Takes from each example the names of the module that it stands in, which a user's session does not have."""
    keras = sys.modules.get("keras")  # which tests/conftest.py or the modules import
    is_slow = keras is not None and keras.backend.backend() != "torch"
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            item.dtest.globs = {"__name__": "__main__"}
            if is_slow:
                item.add_marker(pytest.mark.slow)
