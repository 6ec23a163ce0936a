"""The recipes for dense prediction: COCO detection, ADE20K segmentation, and your own images.

The published ones are from "A ConvNet for the 2020s" (arXiv:2201.03545, A.3; facebookresearch/ConvNeXt,
object_detection and semantic_segmentation) and "ConvNeXt V2" (arXiv:2301.00808, A.3, A.4). They start from weights of
ImageNet, clip no gradients and leave augmentation to the task. Warmup and training are published in updates of the
weights; here they are epochs at the size of the published data set, so that they keep their share of a training on
other data.
"""

from keras_convnext.preprocessing.augmentation import RandomFlip, RandomResizedCrop
from keras_convnext.training.recipe import Recipe

_V1 = "facebookresearch/ConvNeXt; arXiv:2201.03545"
_V2 = "facebookresearch/ConvNeXt-V2; arXiv:2301.00808"

_COCO_UPDATES = 117_266 // 16
"""Updates per epoch of COCO's train2017, of whose images 117,266 have boxes, in batches of 16."""

_ADE20K_UPDATES = 20_210 // 16
"""Updates per epoch of ADE20K's training images in batches of 16."""

DENSE_RECIPES = {
    # COCO detection: arXiv:2201.03545, Table 3, A.3, Cascade Mask R-CNN (ImageNet-1k's weights, for large and xlarge
    # ImageNet-22k's); for base from ImageNet-22k's the source has a rate of 1e-4 and drop path 0.6, and for tiny with
    # Mask R-CNN a rate of 1e-4 and layer decay 0.95. Each output level has a LayerNorm (level_norm=True). The source
    # trains in mixed precision up to base, flips images and resizes them to a shorter side of 480 to 800 pixels; its
    # files do not give the warmup, which here is mmdetection's default of 500 updates.
    "detection_v1": Recipe(
        description="COCO detection, ConvNeXt from weights of ImageNet: 36 epochs of 16 images per update",
        source=f"{_V1} Table 3, A.3, object_detection; warmup: mmdetection's default",
        epochs=36,
        batch_size=16,
        learning_rate=2e-4,
        warmup_epochs=500 / _COCO_UPDATES,
        schedule="step",
        decay_epochs=(27, 33),
        weight_decay=0.05,
        layer_decay=0.7,
        layer_decay_kind="group",
        label_smoothing=0.0,
        drop_path_rate=0.4,
        layer_scale_init_value=1.0,
        image_size=(800, 1344),
        variants={
            "convnext_tiny": {"drop_path_rate": 0.4},
            "convnext_small": {"drop_path_rate": 0.6},
            "convnext_base": {"drop_path_rate": 0.7, "layer_decay": 0.8},
            "convnext_large": {"drop_path_rate": 0.7, "learning_rate": 1e-4},
            "convnext_xlarge": {"drop_path_rate": 0.8, "learning_rate": 1e-4},
        },
    ),
    # COCO detection with V2: arXiv:2301.00808, Table 6, A.3, Mask R-CNN. Of layer decay (0.9, 0.95) and drop path (0.2
    # to 0.5) only the sweeps are published; these are values of them. Steps and warmup are those of detection_v1.
    # Augmentation in the source: large-scale jitter, 0.1 to 2.0.
    "detection_v2": Recipe(
        description="COCO detection, ConvNeXt V2 from weights of ImageNet: 36 epochs of 32 images per update",
        source=f"{_V2} Table 6, A.3; layer decay and drop path: within the published sweeps",
        epochs=36,
        batch_size=32,
        learning_rate=1e-4,
        warmup_epochs=2 * 500 / _COCO_UPDATES,
        schedule="step",
        decay_epochs=(27, 33),
        weight_decay=0.05,
        layer_decay=0.95,
        layer_decay_kind="group",
        label_smoothing=0.0,
        drop_path_rate=0.2,
        image_size=(1024, 1024),
        variants={
            "convnextv2_base": {"drop_path_rate": 0.3},
            "convnextv2_large": {"drop_path_rate": 0.4},
            "convnextv2_huge": {"drop_path_rate": 0.5},
        },
    ),
    # ADE20K segmentation with UPerNet: arXiv:2201.03545, Table 4, A.3. The source counts 160,000 updates, which are 127
    # epochs of ADE20K's 20,210 images. Weights of ImageNet-1k and crops of 512 pixels, for large and xlarge
    # ImageNet-22k's and 640 pixels. Each output level has a LayerNorm (level_norm=True). The source trains in mixed
    # precision up to base. Loss of the auxiliary head: 0.4.
    "segmentation_v1": Recipe(
        description="ADE20K segmentation, ConvNeXt from weights of ImageNet: 160,000 updates, as epochs of ADE20K",
        source=f"{_V1} Table 4, A.3, semantic_segmentation",
        epochs=round(160_000 / _ADE20K_UPDATES),
        batch_size=16,
        learning_rate=1e-4,
        warmup_epochs=1500 / _ADE20K_UPDATES,
        min_learning_rate=0.0,
        schedule="polynomial",
        weight_decay=0.05,
        layer_decay=0.9,
        layer_decay_kind="stage_wise",
        label_smoothing=0.0,
        drop_path_rate=0.4,
        layer_scale_init_value=1.0,
        image_size=(512, 512),
        variants={
            "convnext_tiny": {"drop_path_rate": 0.4},
            "convnext_small": {"drop_path_rate": 0.3},
            "convnext_base": {"drop_path_rate": 0.4},
            "convnext_large": {"image_size": 640},
            "convnext_xlarge": {"image_size": 640, "learning_rate": 8e-5},
        },
    ),
    # ADE20K segmentation with V2 and UPerNet: arXiv:2301.00808, Table 7, A.4. Of learning rate (1e-4, 2e-4, 3e-4),
    # layer decay (0.8, 0.9) and drop path (0.1 to 0.4) only the sweeps are published; these are values of them. The
    # schedule and the kind of layer decay are those of segmentation_v1.
    "segmentation_v2": Recipe(
        description="ADE20K segmentation, ConvNeXt V2 from weights of ImageNet: 160,000 updates, as epochs of ADE20K",
        source=f"{_V2} Table 7, A.4; learning rate, layer decay and drop path: within the published sweeps",
        epochs=round(160_000 / _ADE20K_UPDATES),
        batch_size=16,
        learning_rate=1e-4,
        warmup_epochs=1500 / _ADE20K_UPDATES,
        min_learning_rate=0.0,
        schedule="polynomial",
        weight_decay=0.05,
        layer_decay=0.9,
        layer_decay_kind="stage_wise",
        label_smoothing=0.0,
        drop_path_rate=0.1,
        image_size=(512, 512),
        variants={
            "convnextv2_base": {"drop_path_rate": 0.2},
            "convnextv2_large": {"drop_path_rate": 0.3},
            "convnextv2_huge": {"drop_path_rate": 0.4},
        },
    ),
    # Images of your own with boxes, from scratch or from published weights.
    # keras-convnext train --task detection --checkpoint convnext_tiny_22k_224 --data train.json
    "detection": Recipe(
        description="your own images with boxes; crops and mirrors them",
        min_updates=2000,
        source="keras_convnext",
        epochs=12,
        batch_size=16,
        learning_rate=5e-4,
        warmup_epochs=0.5,
        label_smoothing=0.0,
        layer_scale_init_value=1.0,
        augmentation=[RandomResizedCrop(scale=(0.3, 1.0)), RandomFlip(probability=0.5)],
    ),
    # Images of your own with label maps, from scratch or from published weights.
    # keras-convnext train --task segmentation --checkpoint convnext_tiny_22k_224 --data folder
    "segmentation": Recipe(
        description="your own images with label maps; crops and mirrors them",
        min_updates=2000,
        source="keras_convnext",
        epochs=12,
        batch_size=16,
        learning_rate=5e-4,
        warmup_epochs=0.5,
        label_smoothing=0.0,
        layer_scale_init_value=1.0,
        augmentation=[RandomResizedCrop(scale=(0.3, 1.0)), RandomFlip(probability=0.5)],
    ),
    # The bundled scenes, from scratch. There are as many as wanted, and the digits must not be mirrored: nothing is
    # augmented. Without the limit on the gradients, RetinaNet's loss rises again after some epochs at this rate.
    # keras-convnext train --task detection
    "detection_digit_scenes": Recipe(
        description="scenes of the bundled digits, detection from scratch; augments nothing",
        min_updates=1000,
        source="keras_convnext",
        epochs=2,
        batch_size=8,
        learning_rate=1e-3,
        warmup_epochs=0.1,
        clip_norm=1.0,
        label_smoothing=0.0,
        layer_scale_init_value=1.0,
    ),
    # UPerNet first learns what is background, with larger gradients than those by which it then learns to tell digits
    # apart. Under a beta_2 of 0.999 they keep the steps small for thousands of updates: after 2000, the mIoU is 0.12 at
    # a clip_norm of 1.0, and 0.44 with these settings.
    # keras-convnext train --task segmentation
    "segmentation_digit_scenes": Recipe(
        description="scenes of the bundled digits, segmentation from scratch; augments nothing",
        min_updates=2000,
        source="keras_convnext",
        epochs=5,
        batch_size=8,
        learning_rate=4e-3,
        warmup_epochs=0.125,
        clip_norm=0.1,
        beta_2=0.95,
        label_smoothing=0.0,
        layer_scale_init_value=1.0,
    ),
}
"""The recipes by name, a part of `RECIPES`."""
