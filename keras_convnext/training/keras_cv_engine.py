"""The batches of a recipe as a tf.data graph of keras-cv layers, which needs the extra `cv`.

The default engine augments in processes (`data.AugmentedBatches`). This one gives the same batches from
`tf.data.Dataset.map`, in threads of one process.
"""

from collections import Counter
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from keras_convnext.data import Batches, Images, read_image
from keras_convnext.extras import require
from keras_convnext.preprocessing import Augmentation, ResizeAndCrop
from keras_convnext.preprocessing.augmentation import ImageFormat
from keras_convnext.preprocessing.augmentation.mix import smooth_labels
from keras_convnext.preprocessing.augmentation.pipeline import as_bytes

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_convnext.training.recipe import Recipe


def make_keras_cv_dataset(
    recipe: "Recipe",
    augmentation: Augmentation,
    images: Images,
    size: tuple[int, int],
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
) -> "tf.data.Dataset":
    """The training batches of a recipe as a tf.data dataset; see `Recipe.dataset`.

    Args:
        recipe: the recipe.
        augmentation: its augmentation.
        images: the training images.
        size: `(height, width)` of the results in pixels.
        mean: as for `Recipe.dataset`. Defaults to None.
        std: as for `Recipe.dataset`. Defaults to None.
    """
    tf = require("tensorflow", extra="cv")
    channels = 3 if images.are_files else images.pixels.shape[-1]
    augmentation = augmentation.for_images(ImageFormat(*size, channels, mean, std))
    batch_size = max(1, min(recipe.batch_size, len(images)) // recipe.accumulate)
    steps = len(Batches(images, batch_size, shuffle=True, group=recipe.accumulate))
    on_images, on_arrays, on_batches = (layers_of(augmentation, kind) for kind in ("images", "arrays", "batches"))
    labels = np.eye(len(images.class_names), dtype="float32")[images.labels]
    labels = smooth_labels(labels, recipe.label_smoothing).astype("float32")
    resize = ResizeAndCrop(*size)
    epochs = count()

    def order():
        """The indices of an epoch's images, with their seeds. Each pass over the dataset is the next epoch."""
        epoch = next(epochs)
        chosen = images.shuffled_order(recipe.seed, epoch)
        return np.stack([np.full_like(chosen, recipe.seed), np.full_like(chosen, epoch), chosen], axis=1)

    def read(index):
        return as_bytes(np.asarray(read_image(images.pixels[index])))

    def example(seed):
        pixels = tf.numpy_function(read, [seed[2]], tf.uint8, stateful=False)
        pixels.set_shape((None, None, channels) if images.are_files else images.pixels.shape[1:])
        inputs = {"images": pixels, "labels": tf.gather(labels, seed[2]), "seed": seed}
        for layer in on_images:
            inputs = layer(inputs)
        if inputs["images"].shape[:2] != size:
            pixels = tf.numpy_function(resize, [inputs["images"]], tf.uint8, stateful=False)
            inputs = {**inputs, "images": tf.ensure_shape(pixels, (*size, channels))}
        for layer in on_arrays:
            inputs = layer(inputs)
        return {**inputs, "images": tf.cast(inputs["images"], "float32")}

    def mixed(inputs):
        for layer in on_batches:
            inputs = layer(inputs)
        return inputs["images"], inputs["labels"]

    seeds = tf.data.Dataset.from_tensors(0).flat_map(
        lambda _: tf.data.Dataset.from_tensor_slices(
            tf.ensure_shape(tf.numpy_function(order, [], tf.int64, stateful=True), (None, 3))
        )
    )
    dataset = seeds.map(example, num_parallel_calls=recipe.workers or tf.data.AUTOTUNE)
    dataset = dataset.batch(batch_size, drop_remainder=True).map(mixed, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.take(steps).apply(tf.data.experimental.assert_cardinality(steps))
    return dataset.prefetch(tf.data.AUTOTUNE)


def layers_of(augmentation: Augmentation, kind: str) -> list:
    """The steps of an augmentation on `"images"`, `"arrays"` or `"batches"`, as keras-cv layers."""
    from keras_convnext.preprocessing.augmentation.layer import AugmentationLayer

    before: Counter[type] = Counter()
    layers = []
    for step in augmentation.steps_on(kind):
        layers.append(AugmentationLayer(step, repeat=before[type(step)]))
        before[type(step)] += 1
    return layers
