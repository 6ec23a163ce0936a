"""The recipes, each headed by its source and by the command that uses it.

The published ones are from "A ConvNet for the 2020s" (arXiv:2201.03545, Tables 5 and 6, A.1, A.2;
facebookresearch/ConvNeXt, TRAINING.md and main.py) and "ConvNeXt V2" (arXiv:2301.00808, Tables 9 to 13;
facebookresearch/ConvNeXt-V2, TRAINING.md and main_finetune.py). Learning rates are peaks at the recipe's batch size:
V2's sources give them for 256 images, from which they are scaled. `dense_recipes` has those for detection and
segmentation.
"""

from keras_convnext.preprocessing.augmentation import (
    MixUpOrCutMix,
    RandAugment,
    RandomErasing,
    RandomFlip,
    RandomResizedCrop,
)
from keras_convnext.training.dense_recipes import DENSE_RECIPES
from keras_convnext.training.recipe import Recipe

_V1 = "facebookresearch/ConvNeXt; arXiv:2201.03545"
_V2 = "facebookresearch/ConvNeXt-V2; arXiv:2301.00808"
_V2_SMALL = {"epochs": 600, "learning_rate": 2e-4 * 1024 / 256, "warmup_epochs": 0}
_V2_LARGE = {
    "epochs": 100,
    "learning_rate": 6.25e-4 * 1024 / 256,
    "warmup_epochs": 20,
    "layer_decay": 0.6,
    "layer_decay_kind": "group",
}
_UNMIXED = [
    RandomResizedCrop(scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)),
    RandomFlip(probability=0.5),
    RandAugment(magnitude=9.0, magnitude_std=0.5, count=2, probability=0.5),
    RandomErasing(probability=0.25),
]
_MIXED = [*_UNMIXED, MixUpOrCutMix(mixup=0.8, cutmix=1.0)]


def _drop_path(**rates):
    return {name: {"drop_path_rate": rate} for name, rate in rates.items()}


RECIPES = {
    # ImageNet-1k from scratch: arXiv:2201.03545, Table 5.
    # keras-convnext train --recipe in1k_from_scratch --variant convnext_tiny --data imagenet
    "in1k_from_scratch": Recipe(
        description="ImageNet-1k from scratch, ConvNeXt tiny to large",
        source=f"{_V1} Table 5",
        epochs=300,
        batch_size=4096,
        learning_rate=4e-3,
        warmup_epochs=20,
        drop_path_rate=0.1,
        ema=0.9999,
        augmentation=_MIXED,
        image_size=(224, 224),
        variants=_drop_path(convnext_tiny=0.1, convnext_small=0.4, convnext_base=0.5, convnext_large=0.5),
    ),
    # Isotropic ConvNeXt: arXiv:2201.03545, A.1.
    # keras-convnext train --recipe in1k_from_scratch_isotropic --variant convnext_isotropic_small --data imagenet
    "in1k_from_scratch_isotropic": Recipe(
        description="ImageNet-1k from scratch, isotropic ConvNeXt",
        source=f"{_V1} A.1",
        epochs=300,
        batch_size=4096,
        learning_rate=4e-3,
        warmup_epochs=50,
        drop_path_rate=0.1,
        ema=0.9999,
        augmentation=_MIXED,
        image_size=(224, 224),
        variants=_drop_path(convnext_isotropic_small=0.1, convnext_isotropic_base=0.2, convnext_isotropic_large=0.5),
    ),
    # The steps from ResNet-50 to ConvNeXt-T: arXiv:2201.03545, section 2.1 and A.1.
    # keras-convnext train --recipe modernization_roadmap --variant convnext_tiny --data imagenet
    "modernization_roadmap": Recipe(
        description="ImageNet-1k from scratch, the steps from ResNet-50 to ConvNeXt",
        source=f"{_V1} 2.1, A.1",
        epochs=300,
        batch_size=4096,
        learning_rate=4e-3,
        warmup_epochs=20,
        drop_path_rate=0.1,
        augmentation=_MIXED,
        image_size=(224, 224),
    ),
    # ImageNet-22k: arXiv:2201.03545, Table 5.
    # keras-convnext train --recipe in22k_pretrain --variant convnext_base --data imagenet22k
    "in22k_pretrain": Recipe(
        description="ImageNet-22k from scratch, ConvNeXt tiny to xlarge",
        source=f"{_V1} Table 5",
        epochs=90,
        batch_size=4096,
        learning_rate=4e-3,
        warmup_epochs=5,
        augmentation=_MIXED,
        image_size=(224, 224),
        variants=_drop_path(
            convnext_tiny=0.0, convnext_small=0.0, convnext_base=0.1, convnext_large=0.1, convnext_xlarge=0.2
        ),
    ),
    # From 224 to 384 pixels on ImageNet-1k: arXiv:2201.03545, Table 6, A.2.
    # keras-convnext train --recipe ft_in1k_384 --checkpoint convnext_base_1k_224 --data imagenet
    "ft_in1k_384": Recipe(
        description="ImageNet-1k at 384 pixels, from weights for 224 pixels",
        source=f"{_V1} Table 6",
        epochs=30,
        batch_size=512,
        learning_rate=5e-5,
        warmup_epochs=0,
        weight_decay=1e-8,
        layer_decay=0.7,
        drop_path_rate=0.8,
        head_init_scale=0.001,
        augmentation=_UNMIXED,
        image_size=(384, 384),
        variants=_drop_path(convnext_base=0.8, convnext_large=0.95),
    ),
    # From ImageNet-22k to 1k: arXiv:2201.03545, Table 6. At 384 pixels too: --size 384.
    # keras-convnext train --recipe ft_in22k_to_in1k --checkpoint convnext_base_22k_224 --data imagenet
    "ft_in22k_to_in1k": Recipe(
        description="ImageNet-1k, from weights of ImageNet-22k",
        source=f"{_V1} Table 6",
        epochs=30,
        batch_size=512,
        learning_rate=5e-5,
        warmup_epochs=0,
        weight_decay=1e-8,
        layer_decay=0.8,
        head_init_scale=0.001,
        augmentation=_UNMIXED,
        image_size=(224, 224),
        variants={
            **_drop_path(convnext_tiny=0.0, convnext_small=0.1, convnext_base=0.2, convnext_large=0.3),
            "convnext_xlarge": {"drop_path_rate": 0.4, "ema": 0.9999},
        },
    ),
    # V2 after masked pre-training: arXiv:2301.00808, Tables 9 to 11. For base, the authors' command has a tenth of the
    # rate in the paper. The paper has the same rate for large, so large has a tenth of it here too.
    # keras-convnext train --recipe v2_ft_fcmae_in1k --checkpoint convnextv2_atto_1k_224_fcmae --data imagenet
    "v2_ft_fcmae_in1k": Recipe(
        description="ConvNeXt V2 on ImageNet-1k, from masked pre-training",
        source=f"{_V2} Tables 9-11",
        epochs=300,
        batch_size=1024,
        learning_rate=8e-4 * 1024 / 256,
        warmup_epochs=40,
        layer_decay=0.9,
        layer_decay_kind="single",
        drop_path_rate=0.2,
        head_init_scale=0.001,
        ema=0.9999,
        augmentation=_MIXED,
        image_size=(224, 224),
        variants={
            "convnextv2_atto": {
                **_V2_SMALL,
                "weight_decay": 0.3,
                "drop_path_rate": 0.1,
                "label_smoothing": 0.2,
                "augmentation": {"mixup": 0.0, "cutmix": 0.0},
            },
            "convnextv2_femto": {
                **_V2_SMALL,
                "drop_path_rate": 0.0,
                "label_smoothing": 0.2,
                "augmentation": {"mixup": 0.3, "cutmix": 0.3},
            },
            "convnextv2_pico": {
                **_V2_SMALL,
                "weight_decay": 0.3,
                "drop_path_rate": 0.0,
                "label_smoothing": 0.2,
                "augmentation": {"mixup": 0.3, "cutmix": 0.3},
            },
            "convnextv2_nano": {
                **_V2_SMALL,
                "weight_decay": 0.3,
                "drop_path_rate": 0.1,
                "label_smoothing": 0.2,
                "augmentation": {"mixup": 0.5, "cutmix": 0.5},
            },
            "convnextv2_tiny": {},
            "convnextv2_base": {
                **_V2_LARGE,
                "drop_path_rate": 0.1,
            },
            "convnextv2_large": {**_V2_LARGE, "drop_path_rate": 0.2},
            "convnextv2_huge": {
                "epochs": 50,
                "learning_rate": 1.25e-3 * 1024 / 256,
                "warmup_epochs": 10,
                "layer_decay": 0.75,
                "drop_path_rate": 0.3,
            },
        },
    ),
    # V2 on ImageNet-22k after masked pre-training: arXiv:2301.00808, Table 12.
    # keras-convnext train --recipe v2_ft_in22k_intermediate --checkpoint convnextv2_base_1k_224_fcmae --data in22k
    "v2_ft_in22k_intermediate": Recipe(
        description="ConvNeXt V2 on ImageNet-22k, from masked pre-training",
        source=f"{_V2} Table 12",
        epochs=90,
        batch_size=4096,
        learning_rate=2.5e-4 * 4096 / 256,
        warmup_epochs=5,
        layer_decay=0.9,
        layer_decay_kind="single",
        head_init_scale=0.001,
        augmentation=_MIXED,
        image_size=(224, 224),
        variants={
            "convnextv2_nano": {"drop_path_rate": 0.0},
            "convnextv2_tiny": {"drop_path_rate": 0.0},
            "convnextv2_base": {"layer_decay": 0.8, "layer_decay_kind": "group", "drop_path_rate": 0.1},
            "convnextv2_large": {"layer_decay": 0.8, "layer_decay_kind": "group", "drop_path_rate": 0.1},
            "convnextv2_huge": {"layer_decay": 0.8, "drop_path_rate": 0.3},
        },
    ),
    # V2 from ImageNet-22k to 1k: arXiv:2301.00808, Table 13. At 384 and 512 pixels too: --size.
    # keras-convnext train --recipe v2_ft_in22k_to_in1k --checkpoint runs/in22k --data imagenet
    "v2_ft_in22k_to_in1k": Recipe(
        description="ConvNeXt V2 on ImageNet-1k, from weights of ImageNet-22k",
        source=f"{_V2} Table 13",
        epochs=30,
        batch_size=512,
        learning_rate=2.5e-5 * 512 / 256,
        warmup_epochs=0,
        weight_decay=1e-8,
        layer_decay=0.8,
        layer_decay_kind="single",
        drop_path_rate=0.2,
        head_init_scale=0.001,
        ema=0.9999,
        augmentation=_UNMIXED,
        image_size=(224, 224),
        variants={
            "convnextv2_nano": {"epochs": 90, "layer_decay": 0.9, "drop_path_rate": 0.1},
            "convnextv2_tiny": {"epochs": 90, "layer_decay": 0.9, "drop_path_rate": 0.1},
            "convnextv2_base": {"layer_decay_kind": "group", "drop_path_rate": 0.2},
            "convnextv2_large": {"layer_decay_kind": "group", "drop_path_rate": 0.3},
            "convnextv2_huge": {"layer_decay": 0.85, "drop_path_rate": 0.5, "ema": None},
        },
    ),
    **DENSE_RECIPES,
    # Images of about 32 pixels, from scratch.
    # keras-convnext train --recipe small_images --data cifar10.npz
    "small_images": Recipe(
        description="your own images, from scratch; crops and mirrors them",
        min_updates=600,
        source="keras_convnext",
        epochs=28,
        batch_size=64,
        learning_rate=2e-3,
        warmup_epochs=0.5,
        layer_scale_init_value=1.0,
        augmentation=[RandomResizedCrop(scale=(0.7, 1.0)), RandomFlip(probability=0.5)],
    ),
    # A few thousand images of your own, from published weights.
    # keras-convnext train --recipe fine_tune --checkpoint convnext_tiny_22k_224 --data folder
    "fine_tune": Recipe(
        description="your own images, from published weights; all layers learn, the later the faster",
        min_updates=250,
        source="keras_convnext; the settings of arXiv:2201.03545 Table 6 for a small batch and fewer images",
        epochs=10,
        batch_size=64,
        learning_rate=5e-4,
        warmup_epochs=1,
        layer_decay=0.8,
        layer_decay_kind="single",
        drop_path_rate=0.1,
        head_init_scale=0.001,
        ema=0.999,
        ema_warmup=True,
        augmentation=[
            RandomResizedCrop(scale=(0.3, 1.0)),
            RandomFlip(probability=0.5),
            RandAugment(magnitude=9.0, magnitude_std=0.5, count=2, probability=0.5),
            RandomErasing(probability=0.25),
        ],
    ),
    # Few images of your own, from published weights: the new head learns first, then the last stages with it, one after
    # the other.
    # keras-convnext train --recipe linear_probe --checkpoint convnext_tiny_22k_224 --data folder
    "linear_probe": Recipe(
        description="few images of your own, from published weights; the head learns first, then the last stages",
        min_updates=250,
        source="keras_convnext",
        epochs=12,
        batch_size=64,
        learning_rate=1e-3,
        warmup_epochs=0.5,
        layer_decay=0.8,
        layer_decay_kind="single",
        unfreeze=(5, 8),
        augmentation=[RandomResizedCrop(scale=(0.5, 1.0)), RandomFlip(probability=0.5)],
    ),
    # The bundled digits: 97 % and more in a minute or two on two cores.
    # keras-convnext train
    "digits": Recipe(
        description="the bundled digits, or other tiny images that must not be mirrored",
        min_updates=600,
        source="keras_convnext",
        epochs=30,
        batch_size=64,
        learning_rate=4e-3,
        warmup_epochs=3,
        drop_path_rate=0.1,
    ),
    # Images of your own with any number of channels, from scratch, without augmentation.
    # keras-convnext train --recipe from_scratch --data images.npz
    "from_scratch": Recipe(
        description="your own images of any channels, from scratch; augments nothing",
        min_updates=600,
        source="keras_convnext; the settings of arXiv:2201.03545 Table 5 at a small batch",
        epochs=30,
        batch_size=64,
        learning_rate=1e-3,
        warmup_epochs=2,
        drop_path_rate=0.1,
    ),
}
"""The recipes by name."""
