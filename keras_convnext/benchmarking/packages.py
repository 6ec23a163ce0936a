"""What a benchmark can time: the ConvNeXts of several packages, and transformers. How each is built and counted."""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from keras_convnext.benchmarking import engines
from keras_convnext.benchmarking.attention_models import ATTENTION_MODELS, attention_model, profile_with_attention
from keras_convnext.benchmarking.case import Case
from keras_convnext.benchmarking.device import call_without_gpu
from keras_convnext.benchmarking.runtimes import RUNTIMES, our_runtime_step, torch_runtime_step
from keras_convnext.extras import import_torchvision, is_installed
from keras_convnext.models.image_model import check_image
from keras_convnext.profiling import count
from keras_convnext.variants import ConvNeXtConfig, get_variant, match

CLASSES = 1000


@dataclass(frozen=True)
class Package:
    """How to time one package.

    Attributes:
        module: the module to import. The package is skipped if it is not installed.
        backend: the backend on which it runs; None if it runs on any of Keras's.
        forms: the ways to run it, besides those in `runtimes.RUNTIMES`, in which ours and timm's also run. For another
            package than ours, the fastest form counts.
        build: returns one step of a case: a function without arguments that returns its result, for which
            `device.synchronize` waits.
    """

    module: str
    backend: str | None
    forms: tuple[str, ...]
    build: Callable[[Case], Callable]


# === Keras


def _keras_convnext(case):
    from keras_convnext.training import AdamW

    if case.form in engines.PROCESSES:
        return engines.engine_step(case, lambda share: _compiled(share, _our_model(share), AdamW(1e-3)))
    model = _our_model(case)
    if case.form in RUNTIMES:
        return our_runtime_step(case, model, _images(case))
    return _exported_step(case, model) if case.form == "exported" else _keras_step(case, model, AdamW(1e-3))


def _our_model(case):
    from keras_convnext.models import ConvNeXtClassifier

    return ConvNeXtClassifier.from_preset(
        case.variant,
        num_classes=CLASSES,
        input_shape=(case.size, case.size, 3),
        data_format="channels_last",
        include_preprocessing=False,
        remat=case.form == "remat",
        dtype=_policy(case),
    )


def _exported_step(case, model):
    """The model, exported by `torch.export` and compiled by `torch.compile`."""
    import torch

    x = torch.from_numpy(_images(case)).to(_torch_device(case), getattr(torch, case.dtype))
    with torch.no_grad():
        exported = torch.compile(torch.export.export(model.eval(), (x,)).module())

    def forward():
        with torch.no_grad():
            return exported(x).float().cpu()

    return forward


def _keras_applications(case):
    import keras

    names = {f"convnext_{name.lower()}": f"ConvNeXt{name}" for name in ("Tiny", "Small", "Base", "Large", "XLarge")}
    _configure(case)
    model = getattr(keras.applications, _known(case, names))(
        include_preprocessing=False,
        weights=None,
        input_shape=(case.size, case.size, 3),
        classifier_activation=None,
    )
    return _keras_step(case, model, keras.optimizers.AdamW(1e-3, weight_decay=0.05))


def _zeromodels(case):
    variant = _plain_variant(case)
    import keras
    from zeromodels.models.convnext import ConvNeXtImageClassify

    _configure(case)
    model = ConvNeXtImageClassify(
        depths=variant.depths, projection_dim=variant.dims, use_grn=variant.use_grn, image_size=case.size
    )
    return _keras_step(case, model, keras.optimizers.AdamW(1e-3, weight_decay=0.05))


def _attention_model(case):
    import keras

    model = attention_model(case.package, case.size, CLASSES, _policy(case))
    return _keras_step(case, model, keras.optimizers.AdamW(1e-3, weight_decay=0.05))


def _configure(case):
    """Sets globally what the models of a package have no argument for."""
    import keras

    keras.config.set_dtype_policy(_policy(case))
    keras.config.set_image_data_format("channels_last")


def _policy(case):
    return "mixed_bfloat16" if case.dtype == "bfloat16" and case.task == "train" else case.dtype


def _keras_step(case, model, optimizer):
    """What `predict` or `fit` does with each batch."""
    import keras

    if case.task == "forward":
        images = keras.ops.convert_to_tensor(_images(case), case.dtype)
        return lambda: model.predict_on_batch(images)
    model, x, y = _compiled(case, model, optimizer)
    return lambda: model.train_on_batch(x, y)


def _compiled(case, model, optimizer):
    """A compiled model, images and labels."""
    import keras

    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    optimizer.build(model.trainable_variables)
    return model, keras.ops.convert_to_tensor(_images(case)), keras.ops.convert_to_tensor(_labels(case))


# === torch


def _timm(case):
    import_torchvision()
    import timm

    model = timm.create_model(case.variant, num_classes=CLASSES)
    if case.form in RUNTIMES:
        return torch_runtime_step(case, model, np.ascontiguousarray(np.moveaxis(_images(case), -1, 1)))
    return _torch_step(case, model, lambda outputs: outputs)


def _torchvision(case):
    torchvision = import_torchvision()

    names = {f"convnext_{name}": f"convnext_{name}" for name in ("tiny", "small", "base", "large")}
    return _torch_step(case, getattr(torchvision.models, _known(case, names))(), lambda outputs: outputs)


def _transformers(case):
    variant = _plain_variant(case)
    if is_installed("torchvision"):  # transformers imports it where it is installed
        import_torchvision()
    import transformers

    kind = "ConvNextV2" if variant.use_grn else "ConvNext"
    config = getattr(transformers, f"{kind}Config")(
        depths=variant.depths, hidden_sizes=variant.dims, num_labels=CLASSES, image_size=case.size
    )
    model = getattr(transformers, f"{kind}ForImageClassification")(config)
    return _torch_step(case, model, lambda outputs: outputs.logits)


def _torch_device(case):
    return "cuda" if case.device == "gpu" else "cpu"


def _torch_step(case, model, logits_of):
    """A step of plain torch, in the forms of timm's own benchmark."""
    import torch

    device = _torch_device(case)
    layout = torch.channels_last if "channels_last" in case.form else torch.contiguous_format
    x = torch.from_numpy(_images(case)).permute(0, 3, 1, 2).contiguous(memory_format=layout).to(device)
    y = torch.from_numpy(_labels(case)).to(device)
    model = model.to(device, memory_format=layout)
    if "compiled" in case.form:
        model = torch.compile(model)
    if case.task == "forward":
        model.to(getattr(torch, case.dtype)).eval()
        x = x.to(getattr(torch, case.dtype))

        def forward():
            with torch.inference_mode():
                return logits_of(model(x)).float().cpu()

        return forward
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    model.train()

    def train():
        with torch.autocast(device, torch.bfloat16, enabled=case.dtype == "bfloat16"):
            loss = torch.nn.functional.cross_entropy(logits_of(model(x)), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.item()

    return train


# === The limits of the machine

MATRIX_SIDES = {"cpu": 2048, "gpu": 8192}
"""Sides of matrices that are large enough for the peak of a device."""
COPY_BYTES = 256 * 2**20


def _matrix_product(case):
    import keras

    shape = (MATRIX_SIDES[case.device],) * 2
    a, b = (keras.random.normal(shape, dtype=case.dtype, seed=seed) for seed in (0, 1))
    return lambda: keras.ops.matmul(a, b)


def _copy(case):
    if case.device == "gpu":
        import keras

        numbers = keras.ops.ones(COPY_BYTES // 4, "float32")
        return lambda: keras.ops.negative(numbers)  # reads and writes as a copy does, which may be a mere reference
    source, target = np.ones(COPY_BYTES // 8), np.empty(COPY_BYTES // 8)
    return lambda: np.copyto(target, source)


# === All of them


def macs(case: Case) -> int:
    """Counts the multiply-accumulates of a case's forward pass for one image, including those of attention.

    Raises:
        ValueError: the images are smaller than the stride of a ConvNeXt.
    """
    if case.package in ATTENTION_MODELS:
        return _attention_macs(case.package, case.size, case.device)
    row = get_variant(case.variant)
    stride = row.stem_patch_size * 2 ** (len(row.depths) - 1)
    check_image((None, case.size, case.size, 3), channels_first=False, stride=stride)
    return count(row, CLASSES, case.size).macs


@functools.cache
def _attention_macs(name, size, device):
    """Builds a model and counts it. For a GPU this is done in another process, to leave the GPU to the timed ones."""
    if device == "gpu":
        return call_without_gpu(f"{__name__}:_attention_macs", name, size, "cpu")
    return profile_with_attention(attention_model(name, size, CLASSES)).macs


def _images(case):
    return np.random.default_rng(0).normal(size=(case.batch, case.size, case.size, 3)).astype("float32")


def _labels(case):
    return np.random.default_rng(1).integers(CLASSES, size=case.batch)


def _known(case, names):
    """The package's own name of a variant."""
    if case.variant not in names:
        raise ValueError(f"{case.package} has no {case.variant}, only {', '.join(names)}.")
    return names[case.variant]


def _plain_variant(case):
    """The variant's row, for a package whose ConvNeXts differ only in depths, widths and GRN."""
    row = get_variant(case.variant)
    layer_scale = None if row.use_grn else ConvNeXtConfig.layer_scale_init_value
    plain = ConvNeXtConfig(row.depths, row.dims, use_grn=row.use_grn, layer_scale_init_value=layer_scale)
    if match(plain) != case.variant:
        raise ValueError(
            f"{case.package} has only plain ConvNeXts, of any depths and widths, with or without GRN: "
            f"{case.variant} has other settings too."
        )
    return row


OUR_FORMS = ("remat", "exported", *engines.PROCESSES)
"""Forms of ours that are timed on request: in training, `remat`, and `distributed` on an engine, in one process or in
`two-processes` of this machine; on torch, a forward pass `exported` and compiled."""

_TORCH_FORMS = ("contiguous", "channels_last", "compiled", "compiled channels_last")

OURS = "keras_convnext"
_PEERS = {
    "keras.applications": Package("keras", None, ("",), _keras_applications),
    "zeromodels": Package("zeromodels", None, ("",), _zeromodels),
    "timm": Package("timm", "torch", _TORCH_FORMS, _timm),
    "torchvision": Package("torchvision", "torch", _TORCH_FORMS, _torchvision),
    "transformers": Package("transformers", "torch", _TORCH_FORMS[:1], _transformers),
}
_LIMITS = {
    "matrix product": Package("keras", None, ("",), _matrix_product),
    "copy": Package("numpy", "numpy", ("",), _copy),
}
PACKAGES = {
    OURS: Package("keras_convnext", None, ("", *OUR_FORMS), _keras_convnext),
    **_PEERS,
    **{name: Package("keras_hub", None, ("",), _attention_model) for name in ATTENTION_MODELS},
    **_LIMITS,
}
PEERS = tuple(_PEERS)
"""The other packages that have a ConvNeXt."""
LIMITS = tuple(_LIMITS)
"""The cases that measure the limits of the machine."""
