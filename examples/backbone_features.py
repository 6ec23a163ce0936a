"""Use a backbone's features: the maps of all its stages, and pooled vectors to search images with.

    python examples/backbone_features.py [RUN]

RUN is a run folder of `keras-convnext train`; without one, the network is randomly initialized. `--smoke` uses few
images.
"""

import argparse

import keras
import numpy as np

from keras_convnext import ConvNeXtClassifier
from keras_convnext.data import load_digits
from keras_convnext.training import Run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    count = 100 if args.smoke else None
    digits = load_digits()
    known, queries = digits.train.pixels[:count], digits.test.pixels[:count]

    if args.run:
        classifier = Run.open(args.run).load_model()
    else:
        classifier = ConvNeXtClassifier.from_preset(
            "convnext_mini", num_classes=10, input_shape=(8, 8, 1), data_format="channels_last"
        )
    backbone = classifier.backbone

    # The feature map of each stage, on which a detector or a segmentation head builds.
    pyramid = keras.Model(backbone.input, backbone.pyramid_outputs)
    for level, maps in pyramid.predict(queries[:4], verbose=0).items():
        print(f"{level}: {maps.shape}")

    # The pooled, normalized vector before the last layer, by which images are compared.
    embed = keras.Model(classifier.input, classifier.get_layer("head_norm").output)
    known_vectors, query_vectors = (unit(embed.predict(images, verbose=0)) for images in (known, queries))
    nearest = np.argmax(query_vectors @ known_vectors.T, axis=1)
    agree = np.mean(digits.train.labels[nearest] == digits.test.labels[: len(queries)])
    print(f"for {agree:.1%} of {len(queries)} test images, the nearest of {len(known)} training images has their class")


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
