"""Semantic segmentation: a class for each pixel, by UPerNet on a ConvNeXt backbone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np

from keras_convnext import segmentation
from keras_convnext.data import AnnotatedBatches, AnnotatedImages, ImageData, letterbox, read_image
from keras_convnext.data.letterbox import inner_size, resize_nearest
from keras_convnext.models import ConvNeXtBackbone
from keras_convnext.preprocessing import ResizeAndCrop
from keras_convnext.training.failures import original_errors
from keras_convnext.training.tasks.annotated import AnnotatedTask
from keras_convnext.variants import stem_for

if TYPE_CHECKING:
    from PIL.Image import Image

    from keras_convnext.training.experiment import Experiment
    from keras_convnext.training.recipe import Recipe
    from keras_convnext.training.run import Run

DRAWN = 8
"""The number of images in the picture of a run."""

SMALL_SIDE = 128
"""Up to this side in pixels, images are segmented by `convnext_mini` by default. It has three stages: the maps of a
fourth, of stride 32, would have a few pixels only."""


class Segmentation(AnnotatedTask):
    """Images with label maps, UPerNet, cross-entropy per pixel, and mean IoU.

    Example:

    >>> from keras_convnext.training.tasks import Segmentation
    >>> Segmentation().score
    'miou'
    """

    name: ClassVar[str] = "segmentation"
    score: ClassVar[str] = "miou"
    reported: ClassVar[tuple[str, ...]] = ("miou", "pixel_accuracy", "loss")
    class_score: ClassVar[str] = "iou"
    counted: ClassVar[str] = "pixels"
    target: ClassVar[str] = "label_map"
    level_norm: ClassVar[bool | tuple[int, ...]] = True
    settings: ClassVar[tuple[str, ...]] = ("hidden_size",)

    def check_data(self, data: ImageData) -> None:
        """Label maps of any content can be trained on."""

    def choose_variant(self, side: int) -> str:
        return "convnext_mini" if side <= SMALL_SIDE else super().choose_variant(side)

    def choose_stem(self, variant: str, side: int) -> int:
        return stem_for(variant, side)

    def network(self, experiment: "Experiment") -> str:
        return "upernet"

    def assemble(
        self, experiment: "Experiment", backbone: str | ConvNeXtBackbone, num_classes: int, **arguments: Any
    ) -> keras.Model:
        arguments |= {"num_classes": num_classes, "hidden_size": experiment.hidden_size}
        if isinstance(backbone, str):
            return segmentation.UPerNet.from_preset(backbone, **arguments)
        return segmentation.UPerNet(backbone, **arguments)

    def compile(self, recipe: "Recipe", model: keras.Model, steps_per_epoch: int) -> None:
        model.compile(
            optimizer=recipe.optimizer(model, steps_per_epoch),
            loss=segmentation.SegmentationLoss(),
            metrics=[segmentation.MeanIoU(model.num_classes)],
        )

    def test(
        self,
        model: keras.Model,
        batches: AnnotatedBatches,
        label_smoothing: float = 0.0,
        verbose: str | int = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> tuple[dict, list[np.ndarray]]:
        images = batches.images
        if None in model.input_shape[1:3]:
            return _test_by_windows(model, images, batches.size, verbose)
        metric = segmentation.MeanIoU(len(images.class_names))
        scored = keras.Model(model.inputs, model.outputs)  # it has the same layers
        scored.compile(loss=segmentation.SegmentationLoss(), metrics=[metric])
        with original_errors(batches):
            loss = scored.evaluate(batches, verbose=verbose, callbacks=list(callbacks), return_dict=True)["loss"]
        found = metric.scores(images.class_names)
        first = images.take(range(min(DRAWN, len(images))))
        shown = [_label_map(model, read_image(pixels), batches.size) for pixels in first.pixels]
        return {**found, "loss": loss, "classes": _rows(found)}, shown

    def predict(self, model: keras.Model, images: Sequence[np.ndarray], resize: ResizeAndCrop) -> list[np.ndarray]:
        """Returns the label map of each image."""
        return [_label_map(model, image, (resize.height, resize.width)) for image in images]

    def facts(self, prediction: np.ndarray, class_names: Sequence[str], top: int) -> dict:
        counts = np.bincount(prediction.ravel(), minlength=len(class_names))
        order = np.argsort(-counts, kind="stable")[:top]
        shares = [(class_names[index], float(counts[index] / prediction.size)) for index in order if counts[index]]
        return {"classes": [{"name": name, "share": share} for name, share in shares]}

    def describe(self, facts: dict) -> str:
        return ", ".join(f"{one['name']} {one['share']:.1%}" for one in facts["classes"])

    def draw_prediction(self, image: np.ndarray, prediction: np.ndarray, class_names: Sequence[str]) -> "Image":
        return segmentation.draw_label_map(image, prediction, class_names)

    def draw(self, run: "Run", images: AnnotatedImages, predictions: Any, part: str = "test") -> None:
        """Writes `label_maps.png`: the first images with their true label maps, and beside them the predicted ones."""
        pictures = [
            segmentation.draw_label_map(pixels, label_map, images.class_names)
            for pixels, annotation, found in zip(images.pixels, images.annotations, predictions, strict=False)
            for label_map in (annotation.label_map, found)
        ]
        captions = ["true", "predicted"] * (len(pictures) // 2)
        run.write("label_maps.png", lambda path: segmentation.draw_grid(pictures, captions, path=path))


def _test_by_windows(model, images, size, verbose):
    """The scores of a model of any size at the images' own sizes, as the authors evaluate; and the first label maps."""
    shown = []
    progress = keras.utils.Progbar(len(images), verbose=1 if verbose == "auto" else verbose)

    def predictions():
        for pixels in images.pixels:
            label_map = _label_map(model, read_image(pixels), size)
            if len(shown) < DRAWN:
                shown.append(label_map)
            progress.add(1)
            yield label_map

    truths = (annotation.label_map for annotation in images.annotations)
    found = segmentation.segmentation_scores(truths, predictions(), images.class_names)
    return {**found, "classes": _rows(found)}, shown


def _rows(found):
    """The scores of the classes that are in the images or in the predictions."""
    return [
        {"name": name, "pixels": one["pixels"], "iou": one["iou"], "accuracy": one["accuracy"]}
        for name, one in found["classes"].items()
        if one["iou"] is not None
    ]


def _label_map(model, image, size):
    """The label map of an image of any size.

    A model of a fixed size sees the image in the size of its training, see `data.letterbox`. One of any size, such as a
    published one, sees windows of that size of the resized image, as in the authors' evaluation.
    """
    if None in model.input_shape[1:3]:
        return segmentation.predict(model, image, mode="slide", crop=size[0], shorter_side=size[0])
    height, width = inner_size(image.shape[:2], size)
    predicted = segmentation.predict(model, letterbox({"images": image}, size)["images"])
    return resize_nearest(predicted[:height, :width], image.shape[:2])
