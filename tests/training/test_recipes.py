"""The table of recipes, number by number, against the reference (tests/reference/recipes.json)."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from keras_convnext import RECIPES, VARIANTS, Experiment, Recipe
from keras_convnext.checkpoints import CHECKPOINTS
from keras_convnext.preprocessing import Augmentation
from keras_convnext.preprocessing.augmentation.settings import SETTINGS
from keras_convnext.training.chosen_recipe import adapted_recipe, choose_recipe

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "recipes.json").read_text())
ROWS = REFERENCE["recipes"]
OWN = {
    *("small_images", "fine_tune", "linear_probe", "digits", "from_scratch"),
    *("detection", "segmentation", "detection_digit_scenes", "segmentation_digit_scenes"),
}
DENSE = ("detection_v1", "detection_v2", "segmentation_v1", "segmentation_v2")
SIZES = ("nano", "tiny", "base", "large", "huge")


def expected(name):
    """What the reference has for a recipe: `{variant: settings}`, each under this package's names."""
    row = ROWS[name]
    common = {
        "batch_size": row.get("batch", row.get("common", {}).get("batch")),
        "min_learning_rate": REFERENCE["optimizer_common"]["min_lr"],
    }
    if name == "v2_ft_fcmae_in1k":
        return {
            variant: {
                **common,
                "learning_rate": (one["base_lr"] or _printed(variant, one)) * common["batch_size"] / 256,
                "ema": row["common"]["ema"],
                "head_init_scale": row["common"]["head_init_scale"],
                "erasing_probability": row["common"]["reprob"],
                "rand_augment": row["common"]["rand_augment"][0],
                "layer_decay_kind": one["layer_decay_type"].split()[0],
                **_renamed(one),
            }
            for variant, one in row["per_variant"].items()
        }
    if name.startswith("v2_"):
        return {
            f"convnextv2_{size}": {
                **common,
                "learning_rate": row["base_lr"] * row["batch"] / 256,
                "layer_decay_kind": "group" if size in ("base", "large") else "single",
                **_renamed({key: value[size] if isinstance(value, dict) else value for key, value in row.items()}),
            }
            for size in SIZES
        }
    drop_path = row["drop_path"]
    variants = drop_path if all(variant in VARIANTS for variant in drop_path) else {"convnext_tiny": None}
    return {
        variant: {
            **common,
            "learning_rate": row["lr"],
            "layer_decay_kind": "group",
            **_renamed({key: value[variant] if _has(value, variant) else value for key, value in row.items()}),
            "drop_path_rate": drop_path.get(variant, drop_path.get("resnet50_regime")),
        }
        for variant in variants
    }


def _has(value, variant):
    return isinstance(value, dict) and variant in value


def _printed(variant, one):
    """The paper's rate; a tenth of it where base's in the authors' command is a tenth of the same."""
    return one["base_lr_paper_table11"] / (10 if variant == "convnextv2_large" else 1)


def _renamed(row):
    names = {
        "epochs": "epochs",
        "warmup_epochs": "warmup_epochs",
        "weight_decay": "weight_decay",
        "layer_decay": "layer_decay",
        "drop_path": "drop_path_rate",
        "smoothing": "label_smoothing",
        "mixup": "mixup",
        "cutmix": "cutmix",
        "reprob": "erasing_probability",
        "ema": "ema",
        "head_init_scale": "head_init_scale",
    }
    found = {ours: row[theirs] for theirs, ours in names.items() if theirs in row}
    if "rand_augment" in row:
        found["rand_augment"] = row["rand_augment"][0]
    return found


PAPERS = [name for name in RECIPES if name not in (*OWN, *DENSE)]
CASES = [(name, variant) for name in PAPERS for variant in expected(name)]


def is_dense(name):
    return name.startswith(("detection", "segmentation"))


def test_every_entry_for_detection_and_segmentation_is_there():
    assert set(DENSE) == {name for name in ROWS if is_dense(name)}
    assert set(DENSE) <= set(RECIPES)


def published(name):
    """V1's models: of detection those with Cascade Mask R-CNN; from ImageNet-1k's weights if there are both."""
    rows = [row for row in ROWS[name]["models"] if row.get("method") != "Mask R-CNN"]
    return {row["backbone"]: row for row in sorted(rows, key=lambda row: row["pretrain"], reverse=True)}


@pytest.mark.parametrize(
    ("name", "variant"), [(name, variant) for name in DENSE if name.endswith("v1") for variant in published(name)]
)
def test_every_number_of_v1s_dense_recipes_is_the_references(name, variant):
    row, recipe = published(name)[variant], RECIPES[name].for_variant(variant)
    found = {
        "lr": recipe.learning_rate,
        "weight_decay": recipe.weight_decay,
        "layer_decay": recipe.layer_decay,
        "drop_path": recipe.drop_path_rate,
        "layer_scale_init": recipe.layer_scale_init_value,
    }
    if name == "detection_v1":
        found |= {"epochs": recipe.epochs, "lr_steps": list(recipe.decay_epochs)}
    else:
        found["crop"] = recipe.image_size[0]
    assert found == {setting: row[setting] for setting in found}
    assert recipe.layer_decay_kind == {"layer_wise": "group", "stage_wise": "stage_wise"}[row["decay_type"]]
    assert variant in RECIPES[name].variants


@pytest.mark.parametrize("name", DENSE)
def test_what_the_dense_recipes_of_a_task_share_is_the_references(name):
    row, recipe = ROWS[name], RECIPES[name]
    assert recipe.batch_size == (16 if name == "detection_v1" else row["batch"])  # which the reference has in words
    assert recipe.augmentation is None and recipe.loss_smoothing == 0 and recipe.ema is None
    if "segmentation" in name:
        schedule = ROWS["segmentation_v1"]["lr_schedule"]
        updates = recipe.epochs * (20_210 // recipe.batch_size)
        assert 0 <= updates - row["iterations"] < 20_210 // recipe.batch_size
        assert recipe.warmup_epochs * (20_210 // recipe.batch_size) == pytest.approx(schedule["warmup_iters"])
        assert (recipe.schedule, recipe.min_learning_rate) == ("polynomial", schedule["min_lr"])
    else:
        assert (recipe.schedule, recipe.epochs, recipe.decay_epochs) == ("step", 36, (27, 33))
        assert recipe.warmup_epochs * (117_266 // recipe.batch_size) == pytest.approx(500, rel=1e-3)


@pytest.mark.parametrize("name", [name for name in DENSE if name.endswith("v2")])
def test_v2s_dense_recipes_are_within_the_published_sweeps(name):
    row = ROWS[name]
    backbones = {one["backbone"] for one in row["results"]} - {"convnext_base", "convnext_large"}
    assert set(RECIPES[name].variants) == backbones
    for variant in (None, *backbones):
        recipe = RECIPES[name].for_variant(variant)
        assert recipe.weight_decay == row["weight_decay"]
        assert recipe.layer_decay in row["sweep"]["layer_decay"]
        assert recipe.drop_path_rate in row["sweep"]["drop_path"]
        assert recipe.learning_rate in row["sweep"].get("lr", [row.get("lr")])


def test_every_entry_for_classification_is_there():
    others = ("fcmae_pretrain", "v2_vs_v1_in1k_224", "torchvision_recipe")
    assert set(PAPERS) == {name for name in ROWS if name not in others and not is_dense(name)}


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_every_number_is_the_references(name, variant):
    recipe = RECIPES[name].for_variant(variant)
    found = {**vars(recipe), **{name: getattr(recipe.augmentation, name) for name in SETTINGS}}
    for setting, value in expected(name)[variant].items():
        assert found[setting] == (pytest.approx(value) if isinstance(value, float) else value), setting
    assert not recipe.variants
    assert recipe.image_size == (384, 384) if name.endswith("384") else recipe.image_size == (224, 224)


def imagenet():
    """The example that has the papers' commands."""
    path = Path(__file__).parents[2] / "examples" / "train_imagenet.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


IMAGENET = imagenet()


@pytest.mark.parametrize("row", IMAGENET.ROWS, ids=lambda row: f"{row.variant}-{row.stage}")
def test_the_example_for_imagenet_trains_with_the_references_settings(row):
    """Those that an experiment ends up with, which are a recipe's and its own."""
    experiment = Experiment(variant=row.variant, recipe=row.recipe, size=row.size, data="imagenet")
    size = (row.size, row.size) if row.size else None
    recipe = adapted_recipe(choose_recipe(experiment.chosen_recipe), experiment, row.variant, size)
    found = {**vars(recipe), **{name: getattr(recipe.augmentation, name) for name in SETTINGS}}
    for setting, value in expected(row.recipe)[row.variant].items():
        assert found[setting] == (pytest.approx(value) if isinstance(value, float) else value), setting
    side = next((side for side in (384, 512) if row.stage.endswith(str(side))), 224)
    assert recipe.image_size == (side, side)
    if row.gpus:
        assert row.gpus * row.images_per_gpu == recipe.batch_size


def published_gpus(row):
    """The number of GPUs and of images for each that the reference has for a row, or None."""
    given = ROWS[row.recipe].get("nodes_gpus_perGPU_accum")
    size = row.variant.removeprefix("convnext_")
    if isinstance(given, dict):
        side = 384 if row.stage.endswith("384") else 224
        names = {name: value for key, value in given.items() for name in key.split("/")}
        given = names.get(size, names.get(f"{size}_{side}"))
    elif row.variant in ("convnext_tiny", "convnext_small"):  # which are in the paper alone
        given = None
    return given and (given[0] * given[1], given[2])


def test_the_example_for_imagenet_has_every_training_of_the_papers():
    rows = IMAGENET.ROWS
    trained = [(row.recipe, row.variant, row.size or RECIPES[row.recipe].image_size[0]) for row in rows]
    assert len(set(trained)) == len({row.output for row in rows}) == len(rows)
    sizes = {"ft_in22k_to_in1k": (224, 384), "v2_ft_in22k_to_in1k": (224, 384), "ft_in1k_384": (384,)}
    assert set(trained) == {
        (name, variant, 512 if (variant, size) == ("convnextv2_huge", 224) and "to_in1k" in name else size)
        for name, variant in CASES
        if name != "modernization_roadmap"
        for size in sizes.get(name, (224,))
    }
    for row in rows:
        assert (row.gpus, row.images_per_gpu) == (published_gpus(row) or (None, None)), row
        if row.checkpoint in CHECKPOINTS:
            assert CHECKPOINTS[row.checkpoint].variant == row.variant
            classes = {"at_384": 1000, "22k_to_1k_224": 21_841, "22k_to_1k_384": 21_841}
            assert CHECKPOINTS[row.checkpoint].num_classes == classes.get(row.stage, 0)  # 0: masked pre-training
            if row.stage == "at_384":
                assert row.checkpoint.endswith("_ema") == ("best EMA" in ROWS[row.recipe]["init"][row.variant])
        elif row.checkpoint:
            assert row.checkpoint in {other.output for other in rows if other.stage == "22k"}


def test_the_augmentation_by_default_is_the_recipes():
    assert RECIPES["in1k_from_scratch"].augmentation == Augmentation()


def test_the_augmentation_is_the_papers():
    common = REFERENCE["augmentation_common"]
    augmentation = RECIPES["in1k_from_scratch"].augmentation
    assert list(augmentation.scale) == common["random_resized_crop"]["scale"]
    assert augmentation.ratio == pytest.approx(common["random_resized_crop"]["ratio"])
    assert augmentation.flip_probability == common["hflip"]
    assert augmentation.rand_augment == common["rand_augment_means"]["magnitude"]
    assert augmentation.erasing_probability == common["random_erasing"]["prob"]
    assert (augmentation.mixup, augmentation.cutmix) == (common["mixup"]["alpha"], common["mixup"]["cutmix_alpha"])


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_recipes_are_sound(recipe):
    assert recipe.source
    assert 0 <= recipe.warmup_epochs < recipe.epochs
    assert 0 <= recipe.min_learning_rate < recipe.learning_rate
    assert set(recipe.variants) <= set(VARIANTS)
    assert Recipe.from_config(json.loads(json.dumps(recipe.get_config()))) == recipe
