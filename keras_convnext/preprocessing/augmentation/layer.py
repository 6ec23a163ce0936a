"""A step of the augmentation as a keras-cv layer, for tf.data. Imports keras-cv and TensorFlow."""

from typing import Any

import keras
import numpy as np

from keras_convnext.extras import require
from keras_convnext.preprocessing.augmentation.annotations import ANNOTATIONS
from keras_convnext.preprocessing.augmentation.random_resized_crop import RandomResizedCrop
from keras_convnext.preprocessing.augmentation.sample import SAMPLE, check_entries, through_steps
from keras_convnext.preprocessing.augmentation.step import Step, check_step
from keras_convnext.scalars import integer, optional

tf = require("tensorflow", extra="cv")  # first: keras-cv does not import without it
keras_cv = require("keras_cv", extra="cv")

LARGEST_SEED = 2**31 - 1
"""Seeds that a layer draws itself are smaller."""


@keras.saving.register_keras_serializable(package="keras_convnext")
class AugmentationLayer(keras_cv.layers.BaseImageAugmentationLayer):  # type: ignore[name-defined]  # found at run time
    """A step as a keras-cv layer, which stands beside keras-cv's own, for example in `keras_cv.layers.Augmenter`.

    The results equal those of `augment_sample`. The layer computes with NumPy and Pillow, so it runs on the CPU,
    eagerly or in `tf.data.Dataset.map`.

    Args:
        step: a step of `preprocessing.augmentation`, such as `RandAugment()`, or one of your own.
        bounding_box_format: format of the boxes, as for keras-cv's layers, such as `"xyxy"`. Defaults to None: the
            inputs have no boxes.
        seed: seed of the numbers that the layer draws for inputs without an entry `seed`. Defaults to None: they differ
            in each run.
        repeat: how many steps of the same class come before it, so that those with equal seeds draw different numbers.
            Defaults to 0.
        **kwargs: as for `keras.layers.Layer`, such as `name`.

    Raises:
        ValueError: not a step, or a `RandomResizedCrop` without height and width.

    Call: an image of shape `(height, width, channels)`, or a batch of them; or a dict with `images` and any of these
    entries, for the image or for each image of the batch:

    - `labels`, which a step on one image leaves as they are.
    - `bounding_boxes`, `segmentation_masks` and `keypoints`, as for `augment_sample`. In a batch, boxes may be ragged,
      or dense and padded with -1. As from keras-cv's layers, the boxes of a batch come back ragged, and those of one
      image as a tensor without padding.
    - `seed` of shape `(3,)`: the training's seed, the epoch, and the index of the image. It makes the result
      reproducible. Without it each image draws its own numbers, which differ in each epoch.

    Other numbers and vectors pass through. A step on images returns uint8 for uint8. It takes float32 too, as
    keras-cv's layers emit it: numbers are rounded and clipped to 0..255, and returned as float32. A step on arrays
    takes any numbers and returns float32. A step on batches needs a batch, with one-hot `labels` or with
    `segmentation_masks`, returns float32, and draws from the first image's seed. An annotation that the step cannot
    move is refused.

    Example:

    >>> import keras_cv
    >>> import numpy as np
    >>> import tensorflow as tf
    >>> from keras_convnext.preprocessing.augmentation import RandomFlip
    >>> from keras_convnext.preprocessing.augmentation.layer import AugmentationLayer
    >>> flip = AugmentationLayer(RandomFlip(probability=1.0), bounding_box_format="xyxy")
    >>> augmenter = keras_cv.layers.Augmenter([flip, keras_cv.layers.Grayscale(output_channels=3)])
    >>> boxes = {"boxes": np.array([[[0, 0, 10, 20.0]]]), "classes": np.zeros((1, 1))}
    >>> inputs = {"images": np.zeros((1, 32, 48, 3), "float32"), "bounding_boxes": boxes}
    >>> dataset = tf.data.Dataset.from_tensors(inputs).map(augmenter, num_parallel_calls=tf.data.AUTOTUNE)
    >>> next(iter(dataset))["bounding_boxes"]["boxes"].to_list()
    [[[38.0, 0.0, 48.0, 20.0]]]
    """

    def __init__(
        self,
        step: Step,
        bounding_box_format: str | None = None,
        seed: int | None = None,
        repeat: int = 0,
        **kwargs: Any,
    ):
        optional(integer, "seed", seed, 0)
        super().__init__(seed=seed, **kwargs)
        check_step(step)
        if isinstance(step, RandomResizedCrop) and None in (step.height, step.width):
            raise ValueError(f"The crop needs a size here: give its `height` and `width`. Received: {step}")
        self.step = step
        self.bounding_box_format = bounding_box_format
        self.seed = seed
        self.repeat = integer("repeat", repeat, 0)
        self.auto_vectorize = False

    def _ensure_inputs_are_compute_dtype(self, inputs):
        """Converts the inputs to tensors. Images and label maps keep their dtype."""
        if not isinstance(inputs, dict):
            images = _tensor(inputs)
            self._check({"images": images})
            return images
        if "images" not in inputs:
            raise ValueError(f"Expected a dict with `images`. Received: {sorted(inputs)}")
        inputs = tf.nest.map_structure(_tensor, inputs)
        for name in {"bounding_boxes", "keypoints"} & inputs.keys():  # as keras-cv's layers do
            inputs[name] = tf.nest.map_structure(lambda value: tf.cast(value, "float32"), inputs[name])
        self._check(inputs)
        return inputs

    def _check(self, inputs):
        """Refuses what the step cannot augment."""
        name = type(self.step).__name__
        shape = inputs["images"].shape
        if self.step.works_on == "images" and shape[-1] not in (1, 3, None):
            raise ValueError(f"{name} needs images of three channels or one. Received: images of shape {shape}")
        if "seed" in inputs and inputs["seed"].shape[-1:] not in ([3], [None]):
            raise ValueError(
                "`seed` must have three integers for each image: the seed of the training, the epoch, and the index of "
                f"the image. Received: `seed` of shape {inputs['seed'].shape}"
            )
        known = {*SAMPLE, "seed", "targets"}
        others = {entry: _shape(value) for entry, value in inputs.items() if entry not in known}
        check_entries(inputs.keys() & known, others, [self.step], axes=shape.rank - 2)
        if "bounding_boxes" in inputs and self.bounding_box_format is None:
            raise ValueError(
                f"{name} was given `bounding_boxes`, and not their format: write "
                f'`AugmentationLayer({name}(...), bounding_box_format="xyxy")`, or the format that they have.'
            )

    def _augment(self, inputs):
        if self.step.works_on == "batches":
            raise ValueError(f"{type(self.step).__name__} needs a batch of images. Received: a single image")
        return {**inputs, **self._augmented(self._with_seed(_relevant(inputs)))}

    def _batch_augment(self, inputs):
        if self.step.works_on == "batches":
            return self._mixed(inputs)
        relevant = self._with_seed(_relevant(inputs), _count(inputs["images"]))
        found = tf.map_fn(self._augmented, relevant, fn_output_signature=self._signature(inputs))
        return {**inputs, **found}

    def _with_seed(self, inputs, *batch):
        """The inputs with a seed for one image, or for each image of a batch. Where there is none, it is drawn."""
        if "seed" in inputs:
            return inputs
        return {**inputs, "seed": self._random_generator.uniform((*batch, 3), 0, LARGEST_SEED, tf.int64)}

    def _augmented(self, inputs):
        """One image and its annotations, after the step."""
        images = _dense(inputs["images"])
        sample = {name: _dense(inputs[name]) for name in ("segmentation_masks", "keypoints") if name in inputs}
        boxes = inputs.get("bounding_boxes")
        if boxes is not None:
            boxes = tf.nest.map_structure(_dense, boxes)
            boxes = self._converted(boxes, self.bounding_box_format, "xyxy", images)
        names = [*sample, *(boxes or ())]
        arrays = [images, *sample.values(), *(boxes or {}).values()]
        dtypes = [self._dtype_of_images(images.dtype), *(array.dtype for array in arrays[1:])]

        def augment(seed, images, *values):
            return self._augmented_arrays(seed, images, dict(zip(names, values, strict=True)))

        found, *others = _on_arrays(augment, [inputs["seed"], *arrays], dtypes)
        found.set_shape(self._shape_of_images(images.shape))
        outputs = dict(zip(names, others, strict=True))
        for name, value in sample.items():
            is_map = name == "segmentation_masks"
            outputs[name].set_shape(self._shape_of_images(value.shape) if is_map else value.shape)
        if boxes is not None:
            moved = {name: outputs.pop(name) for name in boxes}
            for name, value in moved.items():
                value.set_shape((None, *boxes[name].shape[1:]))
            moved["boxes"].set_shape((None, 4))
            outputs["bounding_boxes"] = self._converted(moved, "xyxy", self.bounding_box_format, found)
        outputs["images"] = found
        if self._stay_ragged(inputs["images"]):
            outputs |= {
                name: tf.RaggedTensor.from_tensor(outputs[name])
                for name in ("images", "segmentation_masks")
                if name in outputs
            }
        return outputs

    def _augmented_arrays(self, seed, images, annotations):
        """The step on arrays: the results in the order in which the inputs came."""
        sample = {"images": images, **annotations}
        if "boxes" in sample:
            sample["bounding_boxes"] = {name: sample.pop(name) for name in list(annotations) if name in BOXES}
        found = through_steps(sample, [(self.step, self.step.generator(seed, self.repeat))])
        found |= found.pop("bounding_boxes", {})
        pixels = found["images"].astype(self._dtype_of_images(tf.as_dtype(images.dtype)).as_numpy_dtype)
        return [pixels, *(found[name].astype(value.dtype) for name, value in annotations.items())]

    def _converted(self, boxes, source, target, images):
        if source == target:
            return boxes
        return keras_cv.bounding_box.convert_format(boxes, source=source, target=target, images=images)

    def _dtype_of_images(self, dtype):
        return tf.uint8 if self.step.works_on == "images" and dtype == tf.uint8 else tf.float32

    def _shape_of_images(self, shape):
        """The static shape after the step of an image or of a label map."""
        height, width, *channels = shape
        if self.step.works_on == "images":
            height, width = self.step.output_size(height, width)
        return height, width, *channels

    def _stay_ragged(self, images):
        return isinstance(images, tf.RaggedTensor) and None in self._shape_of_images((None, None))

    def _signature(self, inputs):
        """What `_augmented` returns for each image of a batch."""

        def pixels(value, dtype):
            if self._stay_ragged(inputs["images"]):
                return tf.RaggedTensorSpec(value.shape[1:], dtype, ragged_rank=1)
            return tf.TensorSpec(self._shape_of_images(value.shape[1:]), dtype)

        images, maps, keypoints = (inputs.get(name) for name in ("images", "segmentation_masks", "keypoints"))
        signature = {"images": pixels(images, self._dtype_of_images(images.dtype))}
        if "bounding_boxes" in inputs:
            signature["bounding_boxes"] = {
                name: tf.RaggedTensorSpec(
                    [None, 4] if name == "boxes" else [None, *value.shape[2:]], value.dtype, ragged_rank=0
                )
                for name, value in inputs["bounding_boxes"].items()
            }
        if maps is not None:
            signature["segmentation_masks"] = pixels(maps, maps.dtype)
        if keypoints is not None:
            is_ragged = isinstance(keypoints, tf.RaggedTensor)
            signature["keypoints"] = (
                tf.RaggedTensorSpec([None, 2], keypoints.dtype, ragged_rank=0)
                if is_ragged
                else tf.TensorSpec(keypoints.shape[1:], keypoints.dtype)
            )
        return signature

    def _mixed(self, inputs):
        """A batch after a step on batches."""
        names = [name for name in ("images", "labels", "segmentation_masks") if name in inputs]
        if isinstance(inputs["images"], tf.RaggedTensor):
            raise ValueError(f"{type(self.step).__name__} needs images of one size. Received: a ragged batch")
        if len(names) == 1:
            raise ValueError(f"{type(self.step).__name__} needs one-hot `labels` or `segmentation_masks`.")
        seeds = self._with_seed(inputs, _count(inputs["images"]))["seed"]
        dtypes = [inputs[name].dtype if name == "segmentation_masks" else tf.float32 for name in names]

        def augment(seeds, *arrays):
            return self._mixed_arrays(seeds[0], dict(zip(names, arrays, strict=True)))

        found = _on_arrays(augment, [seeds, *(inputs[name] for name in names)], dtypes)
        return {
            **inputs,
            **{name: tf.ensure_shape(one, inputs[name].shape) for name, one in zip(names, found, strict=True)},
        }

    def _mixed_arrays(self, seed, batch):
        images = np.array(batch["images"], "float32")
        labels = batch.get("labels", np.zeros((len(images), 1), "float32"))
        generator = self.step.generator(seed, self.repeat)
        if "segmentation_masks" in batch:
            maps = batch["segmentation_masks"].copy()
            found = self.step.augment_label_maps(images, labels, maps, generator)
        else:
            found = self.step.augment_batch(images, labels, generator)
        named = dict(zip(("images", "labels", "segmentation_masks"), found, strict=False))
        return [named[name] for name in batch]

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "step": keras.saving.serialize_keras_object(self.step),
            "bounding_box_format": self.bounding_box_format,
            "seed": self.seed,
            "repeat": self.repeat,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "step": keras.saving.deserialize_keras_object(config["step"])})


BOXES = ("boxes", "classes")
"""The entries of `bounding_boxes`."""


def _on_arrays(function, inputs, dtypes):
    """Calls a function of arrays that returns a list of arrays, and depends on nothing else: a seed is among them."""
    found = tf.numpy_function(function, inputs, dtypes, stateful=False)
    return found if isinstance(found, list | tuple) else [found]  # eagerly, one array comes without its list


def _relevant(inputs):
    """The entries that a step on one image may change, and its seed."""
    return {name: inputs[name] for name in ("images", "seed", *ANNOTATIONS) if name in inputs}


def _tensor(value):
    return value if isinstance(value, tf.RaggedTensor) else tf.convert_to_tensor(value)


def _count(images):
    """The number of images of a batch, which may be ragged."""
    return images.nrows() if isinstance(images, tf.RaggedTensor) else tf.shape(images, out_type=tf.int64)[0]


def _dense(value):
    return value.to_tensor() if isinstance(value, tf.RaggedTensor) else value


def _shape(value):
    """The shape of an entry; of several, that with the most axes."""
    return max((tuple(one.shape) for one in tf.nest.flatten(value)), key=len)
