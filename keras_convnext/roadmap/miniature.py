"""The paper's path in miniature: every step's network from ResNet to ConvNeXt, narrow, trained on small images.

A `Miniature` says what is trained, on what and how; `train` trains it in a run folder, step by step and seed by seed:

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

import keras

from keras_convnext.data import load_data, with_validation
from keras_convnext.data.load import is_name
from keras_convnext.roadmap.figure import draw_miniature
from keras_convnext.roadmap.network import STRIDE, build, narrowed
from keras_convnext.roadmap.rank_correlation import FEWEST_PAIRS, rank_correlation
from keras_convnext.roadmap.steps import STEPS, describe
from keras_convnext.scalars import integer
from keras_convnext.training import RECIPES, Recipe, Run, create_run, fit, for_data_size
from keras_convnext.training.record import restore_state

TRAINED_STEPS = tuple(name for name in STEPS if name != "resnet")
"""`resnet` is the same network as `resnet_enhanced`, trained by another recipe. Here there is one recipe."""


def miniature_recipe(image_size=STRIDE, epochs=3):
    """The recipe `small_images`, which trains every network of a `Miniature`, without layer scale.

    Args:
        image_size: int, side in pixels to which images are resized. Defaults to 32.
        epochs: int. Defaults to 3.

    Returns:
        `Recipe`.

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
        data: str, a data set that `data.load_data` takes.
        regime: `"resnet50"` or `"resnet200"`.
        steps: tuple of str, names in `TRAINED_STEPS`.
        seeds: int, number of trainings per step, with the seeds 0, 1, ...
        width_divisor: int, by which the widths of the networks are divided.
        recipe: `Recipe` with an `image_size`.

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

    def __post_init__(self):
        object.__setattr__(self, "steps", tuple(dict.fromkeys(self.steps)))
        unknown = [step for step in self.steps if step not in TRAINED_STEPS]
        if unknown or not self.steps:
            raise ValueError(
                f"`steps` must be some of {', '.join(TRAINED_STEPS)}. Received: {', '.join(unknown) or 'none'}"
            )
        size = self.recipe.image_size
        if size is None or min(size) < STRIDE:
            raise ValueError(f"The networks take images of {STRIDE} x {STRIDE} pixels or more. Received: {size}")
        integer("seeds", self.seeds, 1)
        for step in self.steps:
            narrowed(describe(step, self.regime), self.width_divisor)

    def for_data(self, images):
        """Chooses the batch size for the number of training images. The number of epochs stays.

        Args:
            images: `data.Images`, those to train on.

        Returns:
            `Miniature`.

        Raises:
            ValueError: The images cannot be augmented, or are too few for a batch.
        """
        recipe = for_data_size(self.recipe, len(images), keep=("epochs",))
        recipe.dataset(images).close()
        return replace(self, recipe=recipe)

    def with_epochs(self, epochs):
        """The same experiment with another number of epochs per training.

        Args:
            epochs: int.

        Returns:
            `Miniature`.
        """
        return replace(self, recipe=self.recipe.with_settings({"epochs": epochs}))

    def network(self, step, input_shape, num_classes):
        """Builds the network of a step, with the recipe's stochastic depth.

        Args:
            step: str, a name in `STEPS`.
            input_shape: tuple `(height, width, channels)`.
            num_classes: int.

        Returns:
            `keras.Model`, randomly initialized.
        """
        return build(
            step,
            self.regime,
            num_classes=num_classes,
            input_shape=input_shape,
            drop_path_rate=self.recipe.drop_path_rate,
            width_divisor=self.width_divisor,
        )

    def get_config(self):
        """The settings as a dict for JSON, with the absolute path of the data."""
        data = self.data if is_name(self.data) else str(Path(self.data).resolve())
        return {**vars(self), "data": data, "recipe": self.recipe.get_config()}

    @classmethod
    def from_config(cls, config):
        """The experiment whose `get_config` is `config`.

        Args:
            config: dict, such as the folder's config.json.

        Returns:
            `Miniature`.

        Raises:
            ValueError: A setting is missing, or out of its range.
        """
        names = list(cls.__dataclass_fields__)
        missing = set(names) - set(config if isinstance(config, dict) else ())
        if missing:
            raise ValueError(
                f"A miniature of the roadmap needs {', '.join(names)}. Missing: {', '.join(sorted(missing))}"
            )
        return cls(**{name: config[name] for name in names} | {"recipe": Recipe.from_config(config["recipe"])})


def load_images(experiment):
    """Loads the data of an experiment, with the validation images split off.

    Args:
        experiment: `Miniature`.

    Returns:
        `data.ImageData`.

    Raises:
        ValueError: There is no such data set.
    """
    return with_validation(load_data(experiment.data), experiment.recipe.seed)


def train(experiment, data, run, report: Callable[[str], None] = print):
    """Trains the networks of an experiment, all steps with one seed before the next seed, and writes the results.

    A training that was interrupted is resumed after its last complete epoch, and a complete one is kept.

    Args:
        experiment: `Miniature`.
        data: `data.ImageData`, as `load_images` returns it.
        run: `Run`, the folder of the experiment.
        report: function of a line of text, called before each training. Defaults to `print`.

    Returns:
        dict, as `summarize` returns it.

    Raises:
        FloatingPointError: A loss is NaN or Inf.
    """
    steps, seeds = experiment.steps, experiment.seeds
    found = {step: [] for step in steps}
    for seed in range(seeds):
        for number, step in enumerate(steps, start=1):
            report(f"seed {seed + 1} of {seeds}, step {number} of {len(steps)}: {step}")
            found[step].append(train_step(experiment, step, seed, data, run.path))
    results = summarize(found, experiment.regime)
    run.write_json("results.json", results)
    run.write("roadmap.png", lambda path: draw_miniature(results, path))
    return results


def train_step(experiment, step, seed, data, folder, verbose=2):
    """Trains the network of one step in the run folder `folder/STEP-SEED`, or resumes it there.

    Args:
        experiment: `Miniature`.
        step: str, a name in `TRAINED_STEPS`.
        seed: int, seed of the weights, the order of the images and their augmentation.
        data: `data.ImageData`, with validation images.
        folder: `Path`, in which the run folder lies.
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
            model, history = restore_state(run.last_state)
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


def summarize(found, regime):
    """Sets the accuracies of an experiment beside the paper's.

    Args:
        found: dict from the name of a step to a list of `(accuracy, images per second)`, one per seed.
        regime: `"resnet50"` or `"resnet200"`.

    Returns:
        dict with `regime`; `steps`, one dict per step; `rank_correlation` with the paper's accuracies and its 95 %
        confidence `interval`. The last two are None for fewer than four steps, and if all accuracies are equal.

    Example:

    >>> from keras_convnext.roadmap.miniature import summarize
    >>> row = summarize({"gelu": [(0.5, 100.0), (0.75, 120.0)]}, "resnet50")["steps"][0]
    >>> row["mean"], row["images_per_second"], row["top1"]
    (0.625, 110.0, 80.62)
    """
    rows = []
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
