"""Detection: boxes with classes, by a detector of keras-cv on a ConvNeXt backbone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np

from keras_convnext import detection
from keras_convnext.data import AnnotatedBatches, AnnotatedImages, ImageData, read_image
from keras_convnext.detection.predict import MIN_CONFIDENCE
from keras_convnext.models import ConvNeXtBackbone
from keras_convnext.preprocessing import ResizeAndCrop
from keras_convnext.training.engine import Engine
from keras_convnext.training.failures import original_errors
from keras_convnext.training.tasks.annotated import AnnotatedTask
from keras_convnext.variants import get_variant

if TYPE_CHECKING:
    from PIL.Image import Image

    from keras_convnext.training.experiment import Experiment
    from keras_convnext.training.recipe import Recipe
    from keras_convnext.training.run import Run

DETECTORS: dict[str, Any] = {"retinanet": detection.retinanet, "yolov8": detection.yolov8}
"""The functions that assemble the detectors."""

LOSSES = {
    "RetinaNet": {"box_loss": "smoothl1", "classification_loss": "focal"},
    "YOLOV8Detector": {"box_loss": "ciou", "classification_loss": "binary_crossentropy"},
}
"""The losses of keras-cv's detectors, as its documentation compiles them, by the class of the model."""

SCORES = ("map", "ap50", "ap75")
"""The scores of COCO that stand in the history."""

STRIDE = 32
"""The stride of the last level that the detectors read. The sides of images are multiples of it."""

STAGES, SMALLEST = 4, "convnext_atto"
"""The number of stages that a detector needs, and the smallest variant that has as many."""

DRAWN = 12
"""The number of images in the picture of a run."""


class Detection(AnnotatedTask):
    """Images with boxes, a detector of keras-cv, its own losses, and COCO's mAP.

    Example:

    >>> from keras_convnext.training.tasks import Detection
    >>> Detection().score
    'map'
    """

    name: ClassVar[str] = "detection"
    score: ClassVar[str] = "map"
    reported: ClassVar[tuple[str, ...]] = (*SCORES, "loss")
    class_score: ClassVar[str] = "ap"
    counted: ClassVar[str] = "objects"
    target: ClassVar[str] = "boxes"
    level_norm: ClassVar[bool | tuple[int, ...]] = (1, 2, 3)
    settings: ClassVar[tuple[str, ...]] = ("detector",)

    def check_data(self, data: ImageData) -> None:
        parts: dict[str, Any] = {"training": data.train, "validation": data.validation, "test": data.test}
        for part, images in parts.items():
            if images is not None and not any(len(one.boxes) for one in images.annotations):
                raise ValueError(f"None of the {len(images)} {part} images has a box: there is nothing to detect.")

    def check_size(self, side: int) -> None:
        if side % STRIDE:
            raise ValueError(f"`size` must be a multiple of {STRIDE} for detection. Received: size={side}")

    def choose_variant(self, side: int) -> str:
        """Returns the name of a variant of four stages, of which the detectors read the last three."""
        chosen = super().choose_variant(side)
        return chosen if len(get_variant(chosen).depths) == STAGES else SMALLEST

    def choose_stem(self, variant: str, side: int) -> int:
        """Returns the variant's own stride, with which the levels that the detectors read have 8, 16 and 32."""
        return get_variant(variant).stem_patch_size

    def network(self, experiment: "Experiment") -> str:
        return experiment.detector or "retinanet"

    def assemble(
        self, experiment: "Experiment", backbone: str | ConvNeXtBackbone, num_classes: int, **arguments: Any
    ) -> keras.Model:
        return DETECTORS[self.network(experiment)](backbone, num_classes, **arguments)

    def compile(self, recipe: "Recipe", model: keras.Model, steps_per_epoch: int) -> None:
        model.compile(optimizer=recipe.optimizer(model, steps_per_epoch), **LOSSES[type(model).__name__])

    def epoch_scores(self, model: keras.Model, validation: AnnotatedBatches, engine: Engine) -> dict[str, float]:
        names = validation.images.class_names
        with engine.local(model):
            found = detection.COCOScores(validation, names).predict(model)
        annotations, detections = (
            [one for part in parts for one in part] for parts in zip(*engine.gather(found), strict=True)
        )
        scores = detection.coco_scores(annotations, detections, names)
        return {name: scores[name] for name in SCORES}

    def test(
        self,
        model: keras.Model,
        batches: AnnotatedBatches,
        label_smoothing: float = 0.0,
        verbose: str | int = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> tuple[dict, list[dict]]:
        images = batches.images
        if not model.compiled:  # Keras does not restore how a model of keras-cv was compiled
            model.compile(optimizer="sgd", **LOSSES[type(model).__name__])
        with original_errors(batches):
            loss = model.evaluate(batches, verbose=verbose, callbacks=list(callbacks), return_dict=True)["loss"]
            found = detection.COCOScores(batches, images.class_names).compute(model)
        classes = [
            {"name": name, "objects": one["objects"], "ap": one["ap"], "ap50": one["ap50"]}
            for name, one in found["classes"].items()
            if one["objects"]
        ]
        first = images.take(range(min(DRAWN, len(images))))
        shown = detection.predict(model, [read_image(pixels) for pixels in first.pixels], batches.size)
        return {**found, "loss": loss, "classes": classes}, shown

    def predict(
        self,
        model: keras.Model,
        images: Sequence[np.ndarray],
        resize: ResizeAndCrop,
        min_confidence: float = MIN_CONFIDENCE,
    ) -> list[dict]:
        """Returns the detections in each image, as `detection.predict`, from `min_confidence` on."""
        return detection.predict(model, images, (resize.height, resize.width), min_confidence)

    def facts(self, prediction: dict, class_names: Sequence[str], top: int) -> dict:
        columns = (prediction[name][:top] for name in ("classes", "confidence", "boxes"))
        return {
            "objects": [
                {"name": class_names[index], "confidence": float(confidence), "box": box.round(1).tolist()}
                for index, confidence, box in zip(*columns, strict=True)
            ]
        }

    def describe(self, facts: dict) -> str:
        lines = [
            f"{one['name']} {one['confidence']:.1%} at {' '.join(f'{edge:.0f}' for edge in one['box'])}"
            for one in facts["objects"]
        ]
        return ", ".join(lines) or "nothing found"

    def draw_prediction(self, image: np.ndarray, prediction: dict, class_names: Sequence[str]) -> "Image":
        return detection.draw_boxes(image, prediction, class_names)

    def draw(self, run: "Run", images: AnnotatedImages, predictions: list[dict], part: str = "test") -> None:
        """Writes `detections.png`: the first images with the detections, and the true boxes dashed."""
        pictures = [
            detection.draw_boxes(pixels, found, images.class_names, truth=annotation)
            for pixels, annotation, found in zip(images.pixels, images.annotations, predictions, strict=False)
        ]
        run.write("detections.png", lambda path: detection.draw_grid(pictures, path=path))
