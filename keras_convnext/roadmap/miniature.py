"""The paper's path in miniature: every step's network from ResNet to ConvNeXt, narrow, trained on small images.

A `Miniature` says what is trained, on what data and how. `train` trains it in a run folder, one run per step and seed:

    FOLDER/config.json      the settings, from which an interrupted experiment is resumed
      STEP-SEED/            one run folder per training, without its state once it is complete
      results.json          accuracy per step beside the paper's, and their rank correlation; written at the end
      roadmap.png           the same as a figure
"""

import shutil
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import keras

from keras_convnext.data import ImageData, Images, load_data, with_validation
from keras_convnext.data.load import is_name
from keras_convnext.roadmap.figure import draw_miniature
from keras_convnext.roadmap.network import STRIDE, build, narrowed
from keras_convnext.roadmap.rank_correlation import FEWEST_PAIRS, rank_correlation
from keras_convnext.roadmap.steps import STEPS, describe
from keras_convnext.scalars import flag, integer
from keras_convnext.training import RECIPES, Recipe, Run, create_run, fit, for_data_size
from keras_convnext.training.record import restore_state

TRAINED_STEPS = tuple(name for name in STEPS if name != "resnet")
"""`resnet` is the same network as `resnet_enhanced`, trained by another recipe. Here there is one recipe."""


def miniature_recipe(image_size: int = STRIDE, epochs: int = 3) -> Recipe:
    """The recipe `small_images`, which trains every network of a `Miniature`, without layer scale.

    Args:
        image_size: side in pixels to which images are resized. Defaults to 32.
        epochs: number of epochs. Defaults to 3.

    Example:

    >>> from keras_convnext.roadmap.miniature import miniature_recipe
    >>> miniature_recipe(epochs=2).image_size
    (32, 32)
    """
    recipe = RECIPES["small_images"].with_settings({"epochs": epochs})
    return replace(recipe, image_size=(image_size, image_size), layer_scale_init_value=None)


@dataclass(frozen=True)
class Miniature:
    """The settings of an experiment: which networks are trained, on what data, how often and by which recipe.

    Attributes:
        data: a data set that `data.load_data` takes.
        regime: `"resnet50"` or `"resnet200"`.
        steps: names in `TRAINED_STEPS`.
        seeds: number of trainings per step, with the seeds 0, 1, ...
        width_divisor: the number by which the widths of the networks are divided.
        recipe: a recipe with an `image_size`.
        skip_unreadable: whether image files that cannot be read are left out. Defaults to False.

    Raises:
        ValueError: A step or the regime is unknown, a width is not divisible, or the images are smaller than 32 pixels.

    Example:

    >>> from keras_convnext.roadmap.miniature import Miniature
    >>> Miniature(steps=("gelu", "bn_to_ln"), seeds=3).width_divisor
    4
    """

    data: str = "digits"
    regime: str = "resnet50"
    steps: tuple[str, ...] = TRAINED_STEPS
    seeds: int = 1
    width_divisor: int = 4
    recipe: Recipe = field(default_factory=miniature_recipe)
    skip_unreadable: bool = False

    def __post_init__(self):
        object.__setattr__(self, "steps", tuple(dict.fromkeys(self.steps)))
        unknown = [step for step in self.steps if step not in TRAINED_STEPS]
        if unknown or not self.steps:
            raise ValueError(
                f"`steps` must be some of {', '.join(TRAINED_STEPS)}. Received: {', '.join(unknown) or 'none'}"
            )
        size = self.recipe.image_size
        if size is None or min(size) < STRIDE:
            raise ValueError(f"`size` must be at least {STRIDE} pixels. Received: {size}")
        integer("seeds", self.seeds, 1)
        flag("skip_unreadable", self.skip_unreadable)
        for step in self.steps:
            narrowed(describe(step, self.regime), self.width_divisor)

    def for_data(self, images: Images) -> "Miniature":
        """Chooses the batch size for the number of training images. The number of epochs stays.

        Args:
            images: the training images.

        Raises:
            ValueError: The images cannot be augmented, or are too few for a batch.
        """
        recipe = for_data_size(self.recipe, len(images), keep=("epochs",))
        recipe.dataset(images).close()
        return replace(self, recipe=recipe)

    def with_epochs(self, epochs: int) -> "Miniature":
        """The same experiment with another number of epochs per training."""
        return replace(self, recipe=self.recipe.with_settings({"epochs": epochs}))

    def network(self, step: str, input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
        """Builds the network of a step, randomly initialized, with the recipe's stochastic depth.

        Args:
            step: a name in `STEPS`.
            input_shape: `(height, width, channels)`.
            num_classes: number of classes.
        """
        return build(
            step,
            self.regime,
            num_classes=num_classes,
            input_shape=input_shape,
            drop_path_rate=self.recipe.drop_path_rate,
            width_divisor=self.width_divisor,
        )

    def get_config(self) -> dict:
        """The settings as a dict for JSON, with the absolute path of the data."""
        data = self.data if is_name(self.data) else str(Path(self.data).resolve())
        return {**vars(self), "data": data, "recipe": self.recipe.get_config()}

    @classmethod
    def from_config(cls, config: dict) -> "Miniature":
        """The experiment whose `get_config` is `config`.

        Args:
            config: such as the folder's config.json.

        Raises:
            ValueError: A setting is missing, or out of its range.
        """
        names = [name for name in cls.__dataclass_fields__ if name != "skip_unreadable"]  # folders of 0.2 have none
        missing = set(names) - set(config if isinstance(config, dict) else ())
        if missing:
            raise ValueError(
                f"A miniature of the roadmap needs {', '.join(names)}. Missing: {', '.join(sorted(missing))}"
            )
        settings = {name: config[name] for name in names} | {"recipe": Recipe.from_config(config["recipe"])}
        return cls(**settings, skip_unreadable=config.get("skip_unreadable", False))


def load_images(experiment: Miniature) -> ImageData:
    """Loads the data of an experiment, with the validation images split off.

    Raises:
        ValueError: There is no such data set.
    """
    return with_validation(load_data(experiment.data, experiment.skip_unreadable), experiment.recipe.seed)


def train(experiment: Miniature, data: ImageData, run: Run, progress: Callable[[str], None] = print) -> dict:
    """Trains the networks of an experiment, all steps with one seed before the next seed, and writes the results.

    A training that was interrupted is resumed after its last complete epoch, and a complete one is kept.

    Args:
        experiment: the settings.
        data: as `load_images` returns it.
        run: the folder of the experiment.
        progress: called with a line of text before each training. Defaults to `print`.

    Returns:
        The results, as `summarize` returns them.

    Raises:
        FloatingPointError: A loss is NaN or Inf.
    """
    steps, seeds = experiment.steps, experiment.seeds
    found: dict[str, list[tuple[float, float]]] = {step: [] for step in steps}
    for seed in range(seeds):
        for number, step in enumerate(steps, start=1):
            progress(f"seed {seed + 1} of {seeds}, step {number} of {len(steps)}: {step}")
            found[step].append(train_step(experiment, step, seed, data, run.path))
    results = summarize(found, experiment.regime)
    run.write_json("results.json", results)
    run.write("roadmap.png", lambda path: draw_miniature(results, path))
    return results


def train_step(
    experiment: Miniature, step: str, seed: int, data: ImageData, folder: Path, verbose: int | str = 2
) -> tuple[float, float]:
    """Trains the network of one step in the run folder `folder/STEP-SEED`, or resumes it there.

    Args:
        experiment: the settings.
        step: a name in `TRAINED_STEPS`.
        seed: seed of the weights, the order of the images and their augmentation.
        data: with validation images.
        folder: where the run folder lies.
        verbose: as in `model.fit`. Defaults to 2.

    Returns:
        `(accuracy, images per second)`. The accuracy is that on the test images, or on the validation images where
        there are no test images. The speed is that of the fastest epoch.
    """
    recipe = replace(experiment.recipe, seed=seed)
    path = folder / f"{step}-{seed}"
    if not (path / "metrics.json").is_file():
        history = ()
        if path.exists() and Run(path).last_state is None:  # killed before its first epoch was complete
            shutil.rmtree(path)
        if path.exists():
            run = Run.open(path)
            model, history = restore_state(run.last_state)  # type: ignore[arg-type]  # see above
        else:
            keras.utils.set_random_seed(seed)
            batches = recipe.dataset(data.train)
            model = experiment.network(step, batches.item_shape, len(data.class_names))
            batches.close()
            run = create_run(path, model, data, recipe, notes={"step": step, "regime": experiment.regime})
        fit(model, data, recipe, run, history, verbose=verbose)
        shutil.rmtree(path / "state")  # only a training that is resumed needs it
        keras.utils.clear_session()
    run = Run.open(path)
    metrics = run.read_json("metrics.json")
    accuracy = metrics["val_accuracy"] if metrics["test_accuracy"] is None else metrics["test_accuracy"]
    return accuracy, len(data.train) / min(float(row["seconds"]) for row in run.read_csv("history.csv"))


def summarize(found: dict[str, list[tuple[float, float]]], regime: str) -> dict:
    """Sets the accuracies of an experiment beside the paper's.

    Args:
        found: from the name of a step to `(accuracy, images per second)`, one pair per seed.
        regime: `"resnet50"` or `"resnet200"`.

    Returns:
        A dict with `regime`; `steps`, one dict per step; `rank_correlation` with the paper's accuracies and its 95 %
        confidence `interval`. The last two are None for fewer than four steps, and if all accuracies are equal.

    Example:

    >>> from keras_convnext.roadmap.miniature import summarize
    >>> row = summarize({"gelu": [(0.5, 100.0), (0.75, 120.0)]}, "resnet50")["steps"][0]
    >>> row["mean"], row["images_per_second"], row["top1"]
    (0.625, 110.0, 80.62)
    """
    rows: list[dict[str, Any]] = []
    for step, trainings in found.items():
        accuracies = [accuracy for accuracy, _ in trainings]
        rows.append(
            {
                "step": step,
                "accuracies": accuracies,
                "mean": statistics.mean(accuracies),
                "standard_deviation": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
                "images_per_second": statistics.median(speed for _, speed in trainings),
                "top1": STEPS[step].published[regime].top1,
            }
        )
    correlation, interval = None, None
    if len(rows) >= FEWEST_PAIRS and len({row["mean"] for row in rows}) > 1:
        correlation, interval = rank_correlation([row["mean"] for row in rows], [row["top1"] for row in rows])
    return {"regime": regime, "steps": rows, "rank_correlation": correlation, "interval": interval}
