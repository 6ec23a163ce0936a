"""`import keras_convnext` and a model, where optional packages or other backends are missing."""

import pytest

OPTIONAL = ("PIL", "matplotlib", "keras_cv", "keras_hub", "scipy", "sklearn")
WITHOUT = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, *args, **kwargs):
        return None if name.partition(".")[0] in {names} else self.finder.find_spec(name, *args, **kwargs)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
import keras_convnext
backbone = keras_convnext.ConvNeXtBackbone(depths=(1,), dims=(4,))
assert not {names} & set(sys.modules)
print(backbone.count_params())
"""
PARAMETERS = 48 * 4 + 4 + 8 + (49 * 4 + 4) + 8 + (4 * 16 + 16) + (16 * 4 + 4) + 4


@pytest.mark.parametrize(
    ("names", "with_backend"),
    [
        ({"tensorflow"}, "jax"),
        ({"torch"}, "jax"),
        ({"jax", "jaxlib"}, "torch"),
        ({*OPTIONAL}, "torch"),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(sorted(value)),
)
def test_works_without(run_python, names, with_backend):
    assert int(run_python(WITHOUT.format(names=names), with_backend)) == PARAMETERS
