"""What a task is: how its data, model, loss, scores and pictures differ from those of another task."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import keras
import numpy as np

from keras_convnext.data import Batches, ImageData
from keras_convnext.preprocessing import ResizeAndCrop
from keras_convnext.training.engine import Engine
from keras_convnext.variants import variant_for

if TYPE_CHECKING:
    from PIL.Image import Image

    from keras_convnext.training.experiment import Experiment
    from keras_convnext.training.recipe import Recipe
    from keras_convnext.training.run import Run


class Start(NamedTuple):
    """Where a training starts.

    Attributes:
        make: makes the model from `num_classes`, `input_shape`, `data_format` and the recipe's arguments.
        variant: a name in `VARIANTS`, or None for a model from a file that is none of them.
        name: the part of the run's name that stands for the model.
        channels: number of channels that a model from a file takes, else None.
    """

    make: Callable
    variant: str | None
    name: str
    channels: int | None = None


class Task(ABC):
    """What differs between tasks. All else is shared: recipe, optimizer, run folder, and resuming.

    Example:

    >>> from keras_convnext.training.tasks import TASKS, Task
    >>> all(isinstance(task, Task) for task in TASKS.values())
    True
    """

    name: ClassVar[str]
    """The name of the task, as in `Experiment(task=...)`."""

    score: ClassVar[str]
    """The score by which the best epoch is chosen, such as `"accuracy"`: in 0..1, the higher the better."""

    reported: ClassVar[tuple[str, ...]]
    """The scores of `test` that stand in a run's `metrics.json`."""

    class_score: ClassVar[str]
    """The score of a single class in `test`'s `classes`."""

    counted: ClassVar[str]
    """What is counted of a class in `test`'s `classes`, such as `"images"`."""

    default_data: ClassVar[str]
    """The data that an experiment has by default; they are bundled."""

    files_size: ClassVar[int]
    """The side in pixels to which image files are resized by default."""

    settings: ClassVar[tuple[str, ...]] = ()
    """The settings of an `Experiment` that are for this task and no other."""

    @abstractmethod
    def load_data(self, source: str, skip_unreadable: bool = False, verbose: bool = True) -> ImageData:
        """Loads a data set.

        Args:
            source: name or path of the data set.
            skip_unreadable: whether to leave out what cannot be read. Defaults to False.
            verbose: whether to show a progress bar. Defaults to True.

        Raises:
            ValueError: there is no such data set, or something in it cannot be read.
        """

    @abstractmethod
    def check_data(self, data: ImageData) -> None:
        """Refuses data on which this task cannot be trained.

        Args:
            data: `data.ImageData`, before and after the validation images are sampled.

        Raises:
            ValueError: the message says what the data lack.
        """

    def check_size(self, side: int) -> None:
        """Refuses a size of square images that the task's models do not take. By default, all are taken.

        Args:
            side: the side in pixels.

        Raises:
            ValueError: the message says which sizes are taken.
        """
        return

    @abstractmethod
    def default_recipe(self, experiment: "Experiment") -> str:
        """Returns the name of the recipe that an experiment has by default."""

    def choose_variant(self, side: int) -> str:
        """Returns the name of the variant to start with on images with sides of `side` pixels."""
        return variant_for(side)[0]

    @abstractmethod
    def choose_stem(self, variant: str, side: int) -> int:
        """Returns the stride of the stem that a variant has by default for images with sides of `side` pixels."""

    @abstractmethod
    def from_variant(self, experiment: "Experiment", variant: str, stem: int) -> Start:
        """Returns the start from a variant whose weights are randomly initialized."""

    @abstractmethod
    def from_checkpoint(self, experiment: "Experiment") -> Start:
        """Returns the start from the weights of the experiment's checkpoint.

        Raises:
            ValueError: the file holds another kind of model.
        """

    @abstractmethod
    def batches(self, recipe: "Recipe", model: keras.Model, images: Any, training: bool) -> Batches:
        """Makes batches for `fit` or `evaluate`.

        Args:
            recipe: the `Recipe`.
            model: the model that takes the batches.
            images: a part of the data.
            training: whether the batches are for training: augmented, and in a new order each epoch.

        Raises:
            ValueError: a batch has more images than there are for training, or the images cannot be augmented.
        """

    @abstractmethod
    def compile(self, recipe: "Recipe", model: keras.Model, steps_per_epoch: int) -> None:
        """Compiles a model with the recipe's optimizer and schedule, and with the task's loss and metrics.

        Args:
            recipe: the `Recipe`.
            model: the model.
            steps_per_epoch: number of batches per epoch.
        """

    def epoch_scores(self, model: keras.Model, validation: Batches, engine: Engine) -> dict[str, float]:
        """Returns the scores on validation images that `evaluate` does not give, by name. Defaults to none.

        Args:
            model: the model after an epoch.
            validation: batches of this process's part of the validation images, in their order.
            engine: the `Engine` that trains.
        """
        return {}

    @abstractmethod
    def test(
        self,
        model: keras.Model,
        batches: Any,
        label_smoothing: float = 0.0,
        verbose: str | int = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> tuple[dict, Any]:
        """Scores a model.

        Args:
            model: the model, compiled or not.
            batches: batches of images in their order, such as `batches` makes.
            label_smoothing: label smoothing of the loss, where the task has one. Defaults to 0.
            verbose: as for `keras.Model.evaluate`. Defaults to 0.
            callbacks: Keras callbacks for the evaluation. Defaults to none.

        Returns:
            `(scores, predictions)`. `scores` has the floats of `reported`, and `classes`, a list of dicts with the
            `name` of a class, what there is of it, and its scores. `draw` takes `predictions`.
        """

    @abstractmethod
    def predict(self, model: keras.Model, images: Sequence[np.ndarray], resize: ResizeAndCrop) -> list[Any]:
        """Predicts images of any size.

        Args:
            model: the model.
            images: arrays of shape `(height, width, channels)` in 0..255.
            resize: how images are prepared for the model: its size, and for classification its crop.

        Returns:
            A prediction per image, which `facts` and `draw_prediction` take.
        """

    @abstractmethod
    def facts(self, prediction: Any, class_names: Sequence[str], top: int) -> dict:
        """Returns the content of a prediction, as JSON types.

        Args:
            prediction: one of those that `predict` returned.
            class_names: the name of each class.
            top: the most classes or objects to name.
        """

    @abstractmethod
    def describe(self, facts: dict) -> str:
        """Returns facts about an image in one line."""

    def draw_prediction(self, image: np.ndarray, prediction: Any, class_names: Sequence[str]) -> "Image":
        """Returns a PIL image with a prediction drawn on the image.

        Args:
            image: array of shape `(height, width, channels)` in 0..255.
            prediction: the one that `predict` returned for it.
            class_names: the name of each class.

        Raises:
            ValueError: the task's predictions cannot be drawn.
        """
        raise ValueError(f"A prediction of {self.name} has nothing to draw on the image.")

    @abstractmethod
    def draw(self, run: "Run", images: Any, predictions: Any, part: str = "test") -> None:
        """Draws predictions into a run folder.

        Args:
            run: the `Run`.
            images: a part of the data.
            predictions: what `test` returned for their batches.
            part: the name of the part. Defaults to `"test"`.
        """
