"""What detection and segmentation share: their data, where they start, and batches augmented by the recipe's steps."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import numpy as np

from keras_convnext.data import AnnotatedBatches, AnnotatedImages, ImageData, load_annotated
from keras_convnext.models import ConvNeXtBackbone, backbone_of, find_model, load_model, transfer, variant_of
from keras_convnext.preprocessing.augmentation import ImageFormat, augment_sample
from keras_convnext.training.dataset import check_batch_size
from keras_convnext.training.tasks.task import Start, Task

if TYPE_CHECKING:
    from keras_convnext.training.experiment import Experiment
    from keras_convnext.training.recipe import Recipe


class AnnotatedTask(Task):
    """A task on annotated images, whose model is built on a backbone.

    Example:

    >>> from keras_convnext.training.tasks import TASKS
    >>> TASKS["segmentation"].target
    'label_map'
    """

    target: ClassVar[str]
    """What the model learns: `"boxes"` or `"label_map"`, as for `data.AnnotatedBatches`."""

    level_norm: ClassVar[bool | tuple[int, ...]]
    """The levels of a backbone that have a norm, as for `ConvNeXtBackbone`."""

    default_data: ClassVar[str] = "digit_scenes"
    files_size: ClassVar[int] = 512

    @abstractmethod
    def network(self, experiment: "Experiment") -> str:
        """Returns the name of the model on the backbone, such as `"upernet"`."""

    @abstractmethod
    def assemble(
        self, experiment: "Experiment", backbone: str | ConvNeXtBackbone, num_classes: int, **arguments: Any
    ) -> keras.Model:
        """Makes the model.

        Args:
            experiment: the `Experiment`.
            backbone: the name of a variant or of a published checkpoint, or a backbone.
            num_classes: number of classes.
            **arguments: arguments of the backbone, if it is named.
        """

    def load_data(self, source: str, skip_unreadable: bool = False, verbose: bool = True) -> ImageData:
        return load_annotated(source, target=self.target, skip_bad=skip_unreadable, verbose=verbose)

    def default_recipe(self, experiment: "Experiment") -> str:
        return f"{self.name}_digit_scenes" if experiment.data == self.default_data else self.name

    def from_variant(self, experiment: "Experiment", variant: str, stem: int) -> Start:
        return self._from_name(experiment, variant, variant, stem_patch_size=stem)

    def from_checkpoint(self, experiment: "Experiment") -> Start:
        checkpoint: str = experiment.checkpoint  # type: ignore[assignment]  # it has one
        found = find_model(checkpoint)
        if found.path is None:
            return self._from_name(experiment, checkpoint, found.variant)
        model = load_model(checkpoint, data_format="channels_last")
        backbone = backbone_of(model)
        if backbone is None or backbone.data_format != "channels_last":
            raise ValueError(
                f"{checkpoint}: expected a model with a ConvNeXt backbone of data_format channels_last. "
                f"Received: a {type(model).__name__}"
            )
        variant = variant_of(backbone, any_stem=True)

        def make(num_classes, head_init_scale=1.0, layer_scale_init_value=None, **arguments):  # the scale is its own
            tuned = transfer(backbone, num_classes=0, level_norm=self.level_norm, **arguments).backbone
            return self.assemble(experiment, tuned, num_classes)

        channels = backbone.input_shape[-1]
        return Start(make, variant, f"{self.network(experiment)}-{variant or 'convnext'}-tuned", channels)

    def batches(
        self, recipe: "Recipe", model: keras.Model, images: AnnotatedImages, training: bool
    ) -> AnnotatedBatches:
        return annotated_batches(recipe, model, images, self.target, training)

    def _from_name(self, experiment, name, variant, **given):
        def make(num_classes, head_init_scale=1.0, **arguments):  # the heads have their own initial weights
            return self.assemble(experiment, name, num_classes, level_norm=self.level_norm, **given, **arguments)

        return Start(make, variant, f"{self.network(experiment)}-{name}")


def annotated_batches(
    recipe: "Recipe", model: keras.Model, images: AnnotatedImages, target: str, training: bool
) -> AnnotatedBatches:
    """Makes batches of annotated images.

    Args:
        recipe: the `Recipe`.
        model: the model that takes them. Augmentation fills with its mean.
        images: `data.AnnotatedImages`.
        target: `"boxes"` or `"label_map"`.
        training: whether the batches are for training: augmented, and in a new order each epoch.

    Raises:
        ValueError: a batch has more images than there are for training, the recipe has no image size, or one of its
            steps cannot move annotations.
    """
    if training:
        check_batch_size(recipe.batch_size, len(images))
    own_size = images.pixels.shape[1:3] if isinstance(images.pixels, np.ndarray) else None
    size = recipe.image_size or own_size
    if size is None:
        raise ValueError("`image_size` is needed to make batches of image files. Received: None")
    return AnnotatedBatches(
        images,
        max(1, min(recipe.batch_size, len(images)) // recipe.accumulate),
        size,
        target=target,
        transform=_augmentation(recipe, model, size) if training else None,
        shuffle=training,
        seed=recipe.seed,
        threads=recipe.workers,
        group=recipe.accumulate if training else 1,
    )


def _augmentation(recipe, model, size):
    """The function that augments a sample; None without augmentation."""
    if recipe.augmentation is None:
        return None
    on_batches = [type(step).__name__ for step in recipe.augmentation.steps if step.works_on == "batches"]
    if on_batches:
        raise ValueError(
            f"{', '.join(on_batches)} mixes images and is for classification. Give the recipe an `augmentation` "
            "without it."
        )
    backbone = backbone_of(model)
    form = ImageFormat(*size, 3, getattr(backbone, "mean", None), getattr(backbone, "std", None))
    steps = recipe.augmentation.for_images(form).steps
    return lambda sample, seed: augment_sample(sample, seed, steps)
