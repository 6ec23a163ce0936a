"""The command line in a process with a variant that trains in seconds, and on TensorFlow with several CPU devices."""

import os
import sys
from dataclasses import replace


# --8<-- [start:split_cpu]
def split_cpu(count):
    """Makes TensorFlow see the CPU as several devices, before it looks for them."""
    import tensorflow as tf

    devices = [tf.config.LogicalDeviceConfiguration()] * count
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], devices)


# --8<-- [end:split_cpu]


def main():
    if os.environ["KERAS_BACKEND"] == "tensorflow":
        split_cpu(int(os.environ["TF_DEVICES"]))
    from keras_convnext.cli import main
    from keras_convnext.variants import VARIANTS, ConvNeXtConfig

    row = ConvNeXtConfig(depths=(1, 1), dims=(8, 16), stem_patch_size=1, image_size=8, source="tests")
    VARIANTS["tiny"] = row
    VARIANTS["tiny4"] = replace(row, depths=(1, 1, 1, 1), dims=(4, 8, 12, 16), stem_patch_size=4)
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
