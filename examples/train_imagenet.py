"""The papers' trainings on ImageNet: which recipe, weights, GPUs and images per GPU each variant has in each stage.

    python examples/train_imagenet.py --list
    python examples/train_imagenet.py --variant convnext_tiny --stage from_scratch --data imagenet --distribute data

`--list`, which is the default, prints a `keras-convnext train` command for each training. With `--variant`, `--stage`
and `--data`, one of them runs, through `Experiment`. The folder of the data has `train/` and `val/`, each with a
sub-folder per class. ImageNet-22k has no validation images: without `val/`, a tenth of its images is set aside.

The settings of a recipe are for its batch, which is that of all GPUs together. On fewer GPUs than the authors', or with
less memory, `--accumulate` keeps the batch: 8 GPUs that hold 128 images each compute a batch of 4096 in 4 parts, with
`--accumulate 4`. `--smoke` trains a small variant on the bundled digits by the first row's recipe.

Sources: "A ConvNet for the 2020s" (arXiv:2201.03545, Tables 5 and 6), "ConvNeXt V2" (arXiv:2301.00808, Tables 9 to 13),
and TRAINING.md of facebookresearch/ConvNeXt, which has the GPUs. The masked pre-training of V2 is not in this package:
V2's rows start from the authors' pre-trained weights.
"""

import argparse
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path

from keras_convnext import Experiment
from keras_convnext.training.engine import DISTRIBUTIONS

RUNS = "runs/imagenet"


@dataclass(frozen=True)
class Row:
    """A training of a variant.

    Attributes:
        variant: a name in `VARIANTS`.
        stage: a key of `STAGES`.
        recipe: a name in `RECIPES`, which has all other settings.
        checkpoint: the weights to start from: a preset, or the run of an earlier row; None for random ones.
        size: side of the images in pixels, where it is not the recipe's.
        gpus: number of GPUs that the authors give; None where they give none.
        images_per_gpu: images that each of them has at a time.
    """

    variant: str
    stage: str
    recipe: str
    checkpoint: str | None = None
    size: int | None = None
    gpus: int | None = None
    images_per_gpu: int | None = None

    def experiment(self, data, **settings):
        """The training, with the data and further settings of `Experiment`."""
        start = {"checkpoint": self.checkpoint} if self.checkpoint else {"variant": self.variant}
        own = {"recipe": self.recipe, "size": self.size, "output": self.output, **start}
        return Experiment(**{"data": data, **own, **settings})

    def command(self, data=None):
        """The same training as a command."""
        start = ["--checkpoint", self.checkpoint] if self.checkpoint else ["--variant", self.variant]
        size = ["--size", str(self.size)] if self.size else []
        data = data or ("imagenet22k" if self.stage == "22k" else "imagenet")
        words = ["--data", data, "--recipe", self.recipe, *start, *size, "--output", self.output]
        return shlex.join(["keras-convnext", "train", *words, "--distribute", "data"])

    @property
    def output(self):
        """The path of the run."""
        return f"{RUNS}/{self.variant}-{self.stage}"


STAGES = {
    "from_scratch": "ImageNet-1k at 224 pixels, from random weights",
    "at_384": "ImageNet-1k at 384 pixels, from weights for 224",
    "22k": "ImageNet-22k at 224 pixels: V1 from random weights, V2 from masked pre-training",
    "22k_to_1k_224": "ImageNet-1k at 224 pixels, from weights of ImageNet-22k",
    "22k_to_1k_384": "ImageNet-1k at 384 pixels, from weights of ImageNet-22k",
    "22k_to_1k_512": "ImageNet-1k at 512 pixels, from weights of ImageNet-22k",
    "fcmae_to_1k": "ImageNet-1k at 224 pixels, from masked pre-training",
}


def _v2(size):
    return f"convnextv2_{size}"


def _masked(size):
    return f"convnextv2_{size}_1k_224_fcmae"


ROWS = (
    Row("convnext_tiny", "from_scratch", "in1k_from_scratch", gpus=32, images_per_gpu=128),
    Row("convnext_small", "from_scratch", "in1k_from_scratch", gpus=32, images_per_gpu=128),
    Row("convnext_base", "from_scratch", "in1k_from_scratch", gpus=32, images_per_gpu=128),
    Row("convnext_large", "from_scratch", "in1k_from_scratch", gpus=64, images_per_gpu=64),
    Row("convnext_isotropic_small", "from_scratch", "in1k_from_scratch_isotropic"),
    Row("convnext_isotropic_base", "from_scratch", "in1k_from_scratch_isotropic"),
    Row("convnext_isotropic_large", "from_scratch", "in1k_from_scratch_isotropic"),
    Row("convnext_base", "at_384", "ft_in1k_384", "convnext_base_1k_224", gpus=16, images_per_gpu=32),
    Row("convnext_large", "at_384", "ft_in1k_384", "convnext_large_1k_224_ema", gpus=16, images_per_gpu=32),
    Row("convnext_tiny", "22k", "in22k_pretrain"),
    Row("convnext_small", "22k", "in22k_pretrain"),
    Row("convnext_base", "22k", "in22k_pretrain", gpus=128, images_per_gpu=32),
    Row("convnext_large", "22k", "in22k_pretrain", gpus=128, images_per_gpu=32),
    Row("convnext_xlarge", "22k", "in22k_pretrain", gpus=128, images_per_gpu=32),
    *(
        Row(f"convnext_{name}", "22k_to_1k_224", "ft_in22k_to_in1k", f"convnext_{name}_22k_224", 224, *gpus)
        for name, *gpus in (("tiny",), ("small",), ("base", 16, 32), ("large", 16, 32), ("xlarge", 32, 16))
    ),
    *(
        Row(f"convnext_{name}", "22k_to_1k_384", "ft_in22k_to_in1k", f"convnext_{name}_22k_224", 384, *gpus)
        for name, *gpus in (("tiny",), ("small",), ("base", 32, 16), ("large", 32, 16), ("xlarge", 64, 8))
    ),
    *(
        Row(_v2(name), "fcmae_to_1k", "v2_ft_fcmae_in1k", _masked(name))
        for name in ("atto", "femto", "pico", "nano", "tiny", "base", "large", "huge")
    ),
    *(
        Row(_v2(name), "22k", "v2_ft_in22k_intermediate", _masked(name))
        for name in ("nano", "tiny", "base", "large", "huge")
    ),
    # The authors publish V2's weights after this stage, and not those of ImageNet-22k: it starts from the run before.
    *(
        Row(_v2(name), f"22k_to_1k_{side}", "v2_ft_in22k_to_in1k", f"{RUNS}/convnextv2_{name}-22k", side)
        for name, *sides in (*((name, 224, 384) for name in ("nano", "tiny", "base", "large")), ("huge", 384, 512))
        for side in sides
    ),
)
"""The trainings. All other settings are the recipe's: `RECIPES[row.recipe].for_variant(row.variant)`."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="print the commands (default)")
    parser.add_argument("--variant", help="of the printed commands, or of the training to run")
    parser.add_argument("--stage", choices=STAGES, help="of the printed commands, or of the training to run")
    parser.add_argument("--data", help="the FOLDER with the images: with it, the training runs")
    parser.add_argument("--output", help=f"new run folder (default: {RUNS}/VARIANT-STAGE)")
    parser.add_argument("--distribute", choices=DISTRIBUTIONS, help="train on all devices")
    parser.add_argument("--accumulate", type=int, help="number of parts in which a batch is computed (default: 1)")
    parser.add_argument("--smoke", action="store_true")
    args = parser.parse_args()
    rows = [row for row in ROWS if args.variant in (None, row.variant) and args.stage in (None, row.stage)]
    if not rows:
        parser.error(f"no such training: variant {args.variant}, stage {args.stage}; --list prints those there are")
    if args.smoke:
        small = {"variant": "convnext_mini", "size": 8, "epochs": 1, "batch_size": 64, "ema": 0.9}
        experiment = ROWS[0].experiment("digits", **small, output=f"{tempfile.mkdtemp()}/run")
    elif args.data is None or args.list:
        return print_commands(rows, args.data)
    elif len(rows) > 1:
        parser.error("give --variant and --stage, so that one training is left")
    else:
        given = {name: getattr(args, name) for name in ("output", "distribute", "accumulate") if getattr(args, name)}
        experiment = rows[0].experiment(args.data, **given)
        Path(experiment.output).parent.mkdir(parents=True, exist_ok=True)

    training = experiment.build()
    recipe = training.recipe
    if training.engine.writes:
        print(f"{training.name}, {recipe.source}: {training.engine}, batch {recipe.batch_size}")
    run = training.fit()
    if training.engine.writes:
        best = run.metrics
        print(f"{run.path}: validation accuracy {best['val_accuracy']:.4f} in epoch {best['best_epoch']}")


def print_commands(rows, data):
    """Prints the stages, each with its commands and the GPUs for which the authors give them."""
    for stage, line in STAGES.items():
        of_stage = [row for row in rows if row.stage == stage]
        if of_stage:
            print(f"\n# {stage}: {line}")
        for row in of_stage:
            gpus = f"  # {row.gpus} GPUs x {row.images_per_gpu} images" if row.gpus else ""
            print(row.command(data) + gpus)


if __name__ == "__main__":
    main()
