"""The command line in a process with a variant that trains in seconds, and on TensorFlow with several CPU devices."""

import os
import resource
import signal
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
    from keras_convnext.training.engine import meet
    from keras_convnext.variants import VARIANTS, ConvNeXtConfig

    row = ConvNeXtConfig(depths=(1, 1), dims=(8, 16), stem_patch_size=1, image_size=8, source="tests")
    VARIANTS["tiny"] = row
    VARIANTS["wide"] = replace(row, dims=(8, 128))  # has weights that `fsdp` splits
    VARIANTS["tiny4"] = replace(row, depths=(1, 1, 1, 1), dims=(4, 8, 12, 16), stem_patch_size=4)
    if "LARGEST_FILE" in os.environ:  # stands in for a full disk: writing fails with the same kind of error
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["LARGEST_FILE"]),) * 2)
    if "MEET_SECONDS" in os.environ:
        meet.SECONDS = float(os.environ["MEET_SECONDS"])
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
