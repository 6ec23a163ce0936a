"""Classification: one class per image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import keras
import numpy as np

from keras_convnext.data import Batches, ImageData, Images, load_data
from keras_convnext.models import ConvNeXtClassifier, find_model, load_model, returns_logits, transfer, variant_of
from keras_convnext.preprocessing import ResizeAndCrop
from keras_convnext.training.confusion import draw_confusion
from keras_convnext.training.data_size import check_classes
from keras_convnext.training.evaluate import evaluate
from keras_convnext.training.mistakes import draw_mistakes
from keras_convnext.training.predictions import Predictions
from keras_convnext.training.tasks.task import Start, Task
from keras_convnext.variants import stem_for

if TYPE_CHECKING:
    from keras_convnext.training.experiment import Experiment
    from keras_convnext.training.recipe import Recipe
    from keras_convnext.training.run import Run


class Classification(Task):
    """Images with one class each, a `ConvNeXtClassifier`, cross-entropy and accuracy.

    Example:

    >>> from keras_convnext.training.tasks import Classification
    >>> len(Classification().load_data("digits").train)
    1438
    """

    name: ClassVar[str] = "classification"
    score: ClassVar[str] = "accuracy"
    reported: ClassVar[tuple[str, ...]] = ("accuracy", "loss")
    class_score: ClassVar[str] = "accuracy"
    counted: ClassVar[str] = "images"
    default_data: ClassVar[str] = "digits"
    files_size: ClassVar[int] = 224
    settings: ClassVar[tuple[str, ...]] = ("mixup", "cutmix")

    def load_data(self, source: str, skip_unreadable: bool = False, verbose: bool = True) -> ImageData:
        return load_data(source, skip_unreadable, verbose)

    def check_data(self, data: ImageData) -> None:
        check_classes(data)

    def default_recipe(self, experiment: "Experiment") -> str:
        return "fine_tune" if experiment.checkpoint else "digits" if experiment.data == "digits" else "small_images"

    def choose_stem(self, variant: str, side: int) -> int:
        return stem_for(variant, side)

    def from_variant(self, experiment: "Experiment", variant: str, stem: int) -> Start:
        return Start(
            lambda **arguments: ConvNeXtClassifier.from_preset(variant, stem_patch_size=stem, **arguments),
            variant,
            variant,
        )

    def from_checkpoint(self, experiment: "Experiment") -> Start:
        checkpoint: str = experiment.checkpoint  # type: ignore[assignment]  # it has one
        found = find_model(checkpoint)
        if found.path is None:  # a preset, which is loaded when the model is made
            return Start(
                lambda **arguments: ConvNeXtClassifier.from_preset(checkpoint, **arguments), found.variant, checkpoint
            )
        model = load_model(checkpoint, data_format="channels_last")
        backbone = getattr(model, "backbone", model)
        if getattr(backbone, "data_format", None) != "channels_last":
            received = getattr(backbone, "data_format", f"a {type(model).__name__}, which is not a ConvNeXt")
            raise ValueError(f"{checkpoint}: expected a ConvNeXt with data_format channels_last. Received: {received}")

        def make(layer_scale_init_value=None, data_format=None, **arguments):  # both are the checkpoint's
            return transfer(model, **arguments)

        variant = variant_of(model, any_stem=True)
        return Start(make, variant, f"{variant or 'convnext'}-tuned", model.input_shape[-1])

    def batches(self, recipe: "Recipe", model: keras.Model, images: Images, training: bool) -> Batches:
        backbone = getattr(model, "backbone", None)  # augmentation fills and erases with its mean and std
        mean, std = getattr(backbone, "mean", None), getattr(backbone, "std", None)
        return recipe.dataset(images, training, mean=mean, std=std)

    def compile(self, recipe: "Recipe", model: keras.Model, steps_per_epoch: int) -> None:
        recipe.compile(model, steps_per_epoch)

    def test(
        self,
        model: keras.Model,
        batches: Batches,
        label_smoothing: float = 0.0,
        verbose: str | int = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> tuple[dict, Predictions]:
        predictions = Predictions(len(batches.images), from_logits=returns_logits(model))
        return evaluate(model, batches, label_smoothing, verbose, [predictions], callbacks), predictions

    def predict(self, model: keras.Model, images: Sequence[np.ndarray], resize: ResizeAndCrop) -> list[np.ndarray]:
        """Returns the probabilities of the classes for each image."""
        outputs = model.predict(np.stack([resize(image) for image in images]).astype("float32"), verbose=0)
        return list(keras.ops.convert_to_numpy(keras.ops.softmax(outputs)) if returns_logits(model) else outputs)

    def facts(self, prediction: np.ndarray, class_names: Sequence[str], top: int) -> dict:
        order = np.argsort(-prediction, kind="stable")[:top]
        return {"classes": [{"name": class_names[i], "probability": float(prediction[i])} for i in order]}

    def describe(self, facts: dict) -> str:
        return ", ".join(f"{entry['name']} {entry['probability']:.1%}" for entry in facts["classes"])

    def draw(self, run: "Run", images: Images, predictions: Predictions, part: str = "test") -> None:
        """Writes `confusion.png` and `mistakes.png` into a run folder; see `Task.draw`."""
        classes, probabilities = predictions.classes, predictions.probabilities
        run.write("confusion.png", lambda path: draw_confusion(images.labels, classes, images.class_names, path, part))
        run.write("mistakes.png", lambda path: draw_mistakes(images, classes, probabilities, path, part))
