"""Make a model fast for inference: fold its layer scale and, on PyTorch, export and compile it with torch.

    python examples/fast_inference.py [--variant convnext_tiny] [--smoke]

It prints the milliseconds for one image with the model as it is and in each faster form.
"""

import argparse
import statistics
import time

import keras
import numpy as np

from keras_convnext import ConvNeXtClassifier


def milliseconds(call, times):
    """The median time of a call, after two calls that do not count. A call ends when its result is on the CPU."""
    seconds = []
    for _ in range(times + 2):
        started = time.perf_counter()
        keras.ops.convert_to_numpy(call())
        seconds.append(time.perf_counter() - started)
    return 1e3 * statistics.median(seconds[2:])


def exported(model, image):
    """The model as a function of torch tensors: none of Keras's code runs in a call."""
    import torch

    with torch.no_grad():
        return torch.compile(torch.export.export(model.eval(), (image,)).module())


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--variant", default="convnext_tiny")
    parser.add_argument("--smoke", action="store_true", help="a small model, few calls")
    args = parser.parse_args()
    variant, size, times = ("convnext_mini", 16, 3) if args.smoke else (args.variant, 224, 30)

    model = ConvNeXtClassifier.from_preset(variant, input_shape=(size, size, 3), data_format="channels_last")
    fused = model.fuse()
    images = np.random.default_rng(0).uniform(0, 255, size=(1, size, size, 3)).astype("float32")
    expected = model.predict_on_batch(images)
    np.testing.assert_allclose(fused.predict_on_batch(images), expected, rtol=1e-4, atol=1e-4)
    print(f"as it is       {milliseconds(lambda: model.predict_on_batch(images), times):8.1f} ms")
    print(f"fused          {milliseconds(lambda: fused.predict_on_batch(images), times):8.1f} ms")

    if keras.backend.backend() == "torch":
        import torch

        tensor = keras.ops.convert_to_tensor(images)  # on the device of the weights
        compiled = exported(fused, tensor)
        with torch.no_grad():
            outputs = keras.ops.convert_to_numpy(compiled(tensor))
            np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)
            print(f"fused, compiled{milliseconds(lambda: compiled(tensor), times):8.1f} ms")


if __name__ == "__main__":
    main()
