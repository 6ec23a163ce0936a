"""`import keras_convnext` and a model, where optional packages or other backends are missing."""

import pytest

OPTIONAL = ("PIL", "matplotlib", "keras_cv", "keras_hub", "scipy", "sklearn")
PROGRAM = """
import keras_convnext
backbone = keras_convnext.ConvNeXtBackbone(depths=(1,), dims=(4,))
assert not {names} & set(sys.modules)
print(backbone.count_params())
"""
PARAMETERS = 48 * 4 + 4 + 8 + (49 * 4 + 4) + 8 + (4 * 16 + 16) + (16 * 4 + 4) + 4


@pytest.mark.parametrize(
    ("names", "with_backend"),
    [
        pytest.param({"tensorflow"}, "jax", marks=pytest.mark.slow),
        pytest.param({"torch"}, "jax", marks=pytest.mark.slow),
        ({"jax", "jaxlib"}, "torch"),
        ({*OPTIONAL}, "torch"),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(sorted(value)),
)
def test_works_without(run_python, hide_packages, names, with_backend):
    program = hide_packages(names) + PROGRAM.format(names=names)
    assert int(run_python(program, with_backend)) == PARAMETERS
