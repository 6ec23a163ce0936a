"""Whether a model is being exported. Kernels then use plain operations, which converters and runtimes recognize."""

from collections.abc import Iterator
from contextlib import contextmanager

_products: list[str] = []
"""The contexts of `exporting` that are open. It is a list, since `torch.compile` cannot read a `ContextVar`. Meanwhile,
other threads compute in the export form too, which gives the same results."""

PRODUCTS = ("matmul", "convolution")


@contextmanager
def exporting(products: str = "matmul") -> Iterator[None]:
    """A context in which kernels compute in their export form, for tracing a model that another runtime will run.

    The export form has one convolution per depthwise convolution and per patch embedding, layer norms and GELUs as
    runtimes recognize and fuse them, and sums over maps in float32. It has no custom gradients, slices or barriers.

    Args:
        products: how a linear layer over the channels of a map is written: `"matmul"`, or `"convolution"`, a 1x1
            convolution, which ONNX Runtime computes faster. It has no effect on JAX. Defaults to `"matmul"`.

    Raises:
        ValueError: `products` is unknown.

    Example:

    >>> from keras import ops
    >>> from keras_convnext import kernels
    >>> with kernels.exporting():
    ...     y = kernels.gelu(ops.zeros(3))
    """
    if products not in PRODUCTS:
        raise ValueError(f"`products` must be one of {', '.join(PRODUCTS)}. Received: products={products!r}")
    _products.append(products)
    try:
        yield
    finally:
        _products.pop()


def is_exporting() -> bool:
    """Whether the caller is in the context of `exporting`."""
    return bool(_products)


def products_are_convolutions() -> bool:
    """Whether linear layers are to be written as 1x1 convolutions."""
    return bool(_products) and _products[-1] == "convolution"
