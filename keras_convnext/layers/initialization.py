"""How the authors' code draws convolution and linear weights."""

import keras


def weight_initializer(scale=1.0):
    """A new normal initializer of deviation `0.02 * scale`.

    The authors call `trunc_normal_(std=0.02)`, which cuts at plus and minus 2, a hundred deviations away: a plain
    normal distribution. (Table 5 of arXiv:2201.03545 prints 0.2; the code uses 0.02.) Each call returns a new
    initializer: one that is shared would draw the same numbers for every weight of a shape.

    Args:
        scale: float, what the drawn weights are multiplied by (`head_init_scale`).
    """
    return keras.initializers.RandomNormal(stddev=0.02 * scale)
