"""Converting floating-point types that NumPy does not have to float32."""

import numpy as np


def _float8_e4m3fn(bits):
    """1 bit of sign, 4 of exponent, 3 of fraction: a float16 with another exponent offset, and with NaN for Inf."""
    bits = bits.astype("uint16")
    halves = ((bits & 0x80) << 8 | (bits & 0x7F) << 7).view("float16")
    return np.where(bits & 0x7F == 0x7F, np.float32("nan"), halves.astype("float32") * 256)


WIDENED = {
    "bfloat16": lambda bits: (bits.astype("uint32") << 16).view("float32"),
    "float8_e5m2": lambda bits: (bits.astype("uint16") << 8).view("float16").astype("float32"),
    "float8_e4m3fn": _float8_e4m3fn,
}
"""For types that NumPy does not have, functions that convert them to float32."""
