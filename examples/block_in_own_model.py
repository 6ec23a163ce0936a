"""Use ConvNeXtBlock in your own model: a small network that removes noise from images.

    python examples/block_in_own_model.py

It learns to predict the noise in the bundled digits, and prints the signal-to-noise ratio before and after. `--smoke`
trains for one epoch.
"""

import argparse

import keras
import numpy as np

from keras_convnext.data import load_digits
from keras_convnext.layers import ConvNeXtBlock

NOISE = 0.3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    keras.utils.set_random_seed(0)

    image = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(32, 3, padding="same", data_format="channels_last")(image)
    for _ in range(3):
        x = ConvNeXtBlock(layer_scale_init_value=None, use_grn=True)(x)
    noise = keras.layers.Conv2D(1, 1, kernel_initializer="zeros", data_format="channels_last")(x)
    model = keras.Model(image, keras.layers.Subtract()([image, noise]))
    model.compile(keras.optimizers.AdamW(2e-3), loss="mse")

    digits = load_digits()
    (clean, noisy), (clean_test, noisy_test) = (with_noise(part.pixels) for part in (digits.train, digits.test))
    before = model.evaluate(noisy_test, clean_test, verbose=0)
    model.fit(noisy, clean, batch_size=64, epochs=1 if args.smoke else args.epochs, verbose=2)
    after = model.evaluate(noisy_test, clean_test, verbose=0)
    print(f"peak signal-to-noise ratio: {decibel(before):.1f} dB before, {decibel(after):.1f} dB after")
    if after >= before:
        raise SystemExit("the network removed no noise")


def with_noise(pixels):
    clean = pixels.astype("float32") / 255
    return clean, clean + np.random.default_rng(0).normal(0, NOISE, clean.shape).astype("float32")


def decibel(mean_square_error):
    return -10 * np.log10(mean_square_error)


if __name__ == "__main__":
    main()
