"""Train as `keras-convnext train --recipe small_images`, but with timm and torch, to compare accuracies.

    python examples/cifar10_timm.py cifar10.npz

It uses timm's ConvNeXt with the same stem, depths and widths, timm's own crop, flip, parameter groups, schedule and
loss, and the recipe's numbers. The tenth of the training images that ours validates with is left out here too, and the
test images are scored once, at the end. The extra `dev` must be installed.
"""

import argparse
import time

import numpy as np

from keras_convnext.extras import import_torchvision

import_torchvision()  # before timm does

# ruff: noqa: E402
import torch
from PIL import Image
from timm.data import create_transform
from timm.loss import LabelSmoothingCrossEntropy
from timm.models.convnext import ConvNeXt
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler

from keras_convnext import RECIPES
from keras_convnext.data import load_npz, with_validation
from keras_convnext.normalization import IMAGENET_MEAN, IMAGENET_STD
from keras_convnext.variants import get_variant, variant_for


class TransformedImages(torch.utils.data.Dataset):
    """Images to which a transform of Pillow images is applied."""

    def __init__(self, images, transform):
        self.images = images
        self.transform = transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.transform(Image.fromarray(self.images.pixels[index])), int(self.images.labels[index])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="cifar10.npz")
    parser.add_argument("--variant", help="(default: by the images' size, as for ours)")
    parser.add_argument("--stem", type=int, help="(default: likewise)")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--smoke", action="store_true", help="a step on random images")
    args = parser.parse_args()
    if args.data is None and not args.smoke:
        parser.error("give cifar10.npz, or --smoke")
    recipe = RECIPES["small_images"].with_epochs(args.epochs or RECIPES["small_images"].epochs)
    torch.manual_seed(args.seed)
    data = with_validation(_random_data() if args.smoke else load_npz(args.data), args.seed)
    if args.smoke:
        recipe = recipe.with_epochs(1)
    height, width, _ = data.train.pixels.shape[1:]
    variant, stem = variant_for(max(height, width))
    variant, stem = args.variant or variant, args.stem or stem
    transform = create_transform(
        (height, width),
        is_training=True,
        scale=recipe.augmentation.scale,
        ratio=recipe.augmentation.ratio,
        hflip=recipe.augmentation.flip_probability,
        color_jitter=None,
        interpolation="bicubic",
    )
    loader = torch.utils.data.DataLoader(
        TransformedImages(data.train, transform),
        recipe.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=args.workers,
        persistent_workers=args.workers > 0,
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = _timm_model(variant, stem, len(data.class_names), recipe).to(device)
    optimizer = create_optimizer_v2(model, "adamw", lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    scheduler = CosineLRScheduler(
        optimizer,
        t_initial=recipe.epochs * len(loader),
        lr_min=recipe.min_learning_rate,
        warmup_t=round(recipe.warmup_epochs * len(loader)),
        warmup_prefix=False,
        t_in_epochs=False,
    )
    loss_of = LabelSmoothingCrossEntropy(recipe.label_smoothing)
    step, started = 0, time.perf_counter()
    for epoch in range(recipe.epochs):
        model.train()
        losses = []
        for images, labels in loader:
            scheduler.step_update(step)
            loss = loss_of(model(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
            step += 1
        print(
            f"epoch {epoch + 1}: loss {torch.stack(losses).mean():.4f}, "
            f"validation accuracy {_accuracy(model, data.validation, device):.4f}, "
            f"{time.perf_counter() - started:.0f} s",
            flush=True,
        )
    print(f"timm {variant}, {recipe.epochs} epochs: test accuracy {_accuracy(model, data.test, device):.4f}")


def _timm_model(variant, stem, num_classes, recipe):
    """timm's ConvNeXt, without the stages that the variant lacks and without downsampling before the first stage."""
    config = get_variant(variant)
    missing = 4 - len(config.depths)
    model = ConvNeXt(
        num_classes=num_classes,
        depths=config.depths + (0,) * missing,
        dims=config.dims + config.dims[-1:] * missing,
        patch_size=stem,
        ls_init_value=recipe.layer_scale_init_value or config.layer_scale_init_value,
        drop_path_rate=recipe.drop_path_rate,
    )
    for stage in range(len(config.depths), 4):
        model.stages[stage] = torch.nn.Identity()
    model.stages[0].downsample = torch.nn.Identity()
    print(f"timm {variant}: {sum(weight.numel() for weight in model.parameters()):,} weights", flush=True)
    return model


@torch.no_grad()
def _accuracy(model, images, device):
    model.eval()
    mean, std = (255 * np.asarray(numbers, "float32") for numbers in (IMAGENET_MEAN, IMAGENET_STD))
    right = 0
    for start in range(0, len(images), 500):
        pixels = (images.pixels[start : start + 500].astype("float32") - mean) / std
        outputs = model(torch.tensor(pixels.transpose(0, 3, 1, 2)).to(device))
        right += int((outputs.argmax(-1).cpu().numpy() == images.labels[start : start + 500]).sum())
    return right / len(images)


def _random_data():
    from keras_convnext.data import ImageData, Images

    random = np.random.default_rng(0)

    def part(count):
        return Images(
            random.integers(0, 256, (count, 32, 32, 3), dtype="uint8"), np.arange(count) % 10, tuple("0123456789")
        )

    return ImageData(part(300), test=part(20))


if __name__ == "__main__":
    main()
