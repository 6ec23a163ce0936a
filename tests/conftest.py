"""What every test has: the backend in its name, a seed, and a few helpers that use nothing of ours but constructors."""

import collections
import importlib.util
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

# The models are small: XLA optimizes one for longer than it runs.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")
if "PYTEST_XDIST_WORKER" in os.environ:  # several processes: torch's threads would wait for one another
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import keras
import numpy as np
import pytest
from PIL import Image

# What these test does not depend on the backend, and takes long: once is enough.
ON_TORCH = [
    "test_counts.py",
    "test_doctests.py",
    "test_log_lines.py",
    "test_missing_packages.py",
    "test_processes.py",
    "test_scalars.py",
    "test_wheel.py",
    "benchmarking/test_attention_models.py",
    "benchmarking/test_packages.py",
    "checkpoints/test_download.py",
    "checkpoints/test_gated.py",
    "checkpoints/test_origin.py",
    "checkpoints/test_timm_list.py",
    "checkpoints/test_torch_files.py",
    "checkpoints/test_torch_files_damaged.py",
    "checkpoints/test_torch_files_writer.py",
    "cli/test_augment.py",
    "cli/test_benchmark.py",
    "cli/test_channels_first.py",
    "cli/test_convert.py",
    "cli/test_published.py",
    "cli/test_roadmap_killed.py",
    "cli/test_shard.py",
    "cli/test_streams.py",
    "cli/test_summary.py",
    "cli/test_train_digits.py",
    "data/test_folder.py",
    "data/test_image_files.py",
    "data/test_imagenet_folder.py",
    "data/test_images.py",
    "data/test_load_shards.py",
    "data/test_npz.py",
    "data/test_tfds.py",
    "data/test_write_shards.py",
    "preprocessing/test_preset.py",
    "preprocessing/test_resize.py",
    "preprocessing/augmentation/test_mix.py",
    "preprocessing/augmentation/test_rand_augment.py",
    "preprocessing/augmentation/test_random_erasing.py",
    "preprocessing/augmentation/test_random_resized_crop.py",
    "profiling/test_count.py",
    "roadmap/test_blocks.py",
    "roadmap/test_rank_correlation.py",
    "training/test_parameter_groups.py",
]
collect_ignore = [] if keras.backend.backend() == "torch" else ON_TORCH

ROOT = Path(__file__).resolve().parents[1]

# Kernels of 3x3: those of 7x7 have their tests in layers/ and take JAX longer to compile.
SMALL = {"depths": (1, 1, 2, 1), "dims": (8, 16, 24, 32), "kernel_size": 3}
VERSIONS = {"v1": {}, "v2": {"use_grn": True, "layer_scale_init_value": None}}


@pytest.fixture(autouse=True, params=[keras.backend.backend()])
def backend(request):
    """The backend's name. As a parameter it stands in the name of every test."""
    return request.param


@pytest.fixture(scope="session", autouse=True)
def compiled_programs(tmp_path_factory):
    """On JAX, keeps what is compiled, here and in processes that tests start: most of it comes again and again."""
    with pytest.MonkeyPatch.context() as patch:
        if keras.backend.backend() == "jax":
            import jax

            folder = tmp_path_factory.getbasetemp()
            folder = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder  # one for all workers
            settings = {
                "jax_compilation_cache_dir": str(folder / "compiled"),
                "jax_persistent_cache_min_compile_time_secs": 0.0,
                "jax_persistent_cache_min_entry_size_bytes": -1,
            }
            for name, value in settings.items():
                jax.config.update(name, value)
                patch.setenv(name.upper(), str(value))
        yield


@pytest.fixture(scope="session")
def run_python():
    """A function: runs a program in a new interpreter on a backend, in the project's folder; returns what it prints."""

    def run(program, backend):
        if importlib.util.find_spec(backend) is None:
            pytest.skip(f"{backend} is not installed")
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


HIDE = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, *args, **kwargs):
        return None if name.partition(".")[0] in {names} else self.finder.find_spec(name, *args, **kwargs)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""


@pytest.fixture
def hide_packages():
    """A function: the first lines of a program that cannot import the packages of these names."""
    return lambda names: HIDE.format(names=set(names))


@pytest.fixture(autouse=True)
def seeded():
    """Makes each test draw the same numbers, whichever tests ran before it."""
    keras.utils.set_random_seed(0)


@pytest.fixture
def rng():
    """A seeded NumPy generator."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def write_coco():
    """A function: writes a part of a data set into a folder in COCO's format, with each box as a mask too."""

    def write(folder, part, images):
        (folder / part).mkdir()
        records = []
        for index, (pixels, annotation) in enumerate(zip(images.pixels, images.annotations, strict=True)):
            Image.fromarray(pixels).save(folder / part / f"{index}.png")
            for (left, top, right, bottom), number in zip(annotation.boxes.tolist(), annotation.classes, strict=True):
                polygon = [left, top, right, top, right, bottom, left, bottom]
                box = [left, top, right - left, bottom - top]
                records.append(
                    {"id": len(records) + 1, "image_id": index, "category_id": int(number), "bbox": box, "iscrowd": 0}
                    | {"area": box[2] * box[3], "segmentation": [polygon]}
                )
        height, width = images.pixels.shape[1:3]
        found = {
            "images": [
                {"id": index, "file_name": f"{index}.png", "height": height, "width": width}
                for index in range(len(images))
            ],
            "annotations": records,
            "categories": [{"id": number, "name": name} for number, name in enumerate(images.class_names)],
        }
        (folder / f"{part}.json").write_text(json.dumps(found))

    return write


@pytest.fixture(params=VERSIONS)
def version(request):
    """`"v1"` and `"v2"`, in turn."""
    return request.param


@pytest.fixture
def small_backbone():
    """A factory: `small_backbone("v1", **changes)`, a backbone of four stages for images from 32 pixels."""
    from keras_convnext import ConvNeXtBackbone

    def make(version="v1", **changes):
        return ConvNeXtBackbone(**{**SMALL, **VERSIONS[version], **changes})

    return make


@pytest.fixture
def small_classifier(small_backbone):
    """A factory: `small_classifier("v1", num_classes=5, **changes of the backbone)`."""
    from keras_convnext import ConvNeXtClassifier

    def make(version="v1", num_classes=5, **changes):
        return ConvNeXtClassifier(small_backbone(version, **changes), num_classes)

    return make


@pytest.fixture
def randomize(rng):
    """A function that gives every weight of a model new random values, so that none is 0, 1 or 1e-6, and returns it."""

    def set_weights(model, deviation=0.3):
        for weight in model.weights:
            start = 1.0 if weight.path.endswith("gamma") else 0.0
            weight.assign((start + deviation * rng.normal(size=weight.shape)).astype("float32"))
        return model

    return set_weights


@pytest.fixture
def images(rng):
    """A function: random images in 0..255, `images(batch, height, width, channels)`."""
    return lambda *shape: rng.uniform(0, 255, size=shape).astype("float32")


@pytest.fixture
def channels_first_globally():
    """Sets Keras's `image_data_format` to `"channels_first"`, and back."""
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format(before)


@pytest.fixture
def channels_first_home(tmp_path, monkeypatch):
    """Has Keras in new processes read a keras.json that sets its `image_data_format` so; gives the folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "keras.json").write_text(json.dumps({"image_data_format": "channels_first"}))
    monkeypatch.setenv("KERAS_HOME", str(folder))
    return folder


@pytest.fixture
def numpy_of(backend):
    """A function: the outputs of a layer, or of any function, as NumPy arrays, in the structure that they have.

    On JAX a layer is compiled as a whole, as `predict` does it; operation by operation takes ten times longer.
    """

    def call(layer, *args, **kwargs):
        if backend == "jax" and isinstance(layer, keras.Layer) and not kwargs:
            layer = _compiled(layer, *args)
        return keras.tree.map_structure(keras.ops.convert_to_numpy, layer(*args, **kwargs))

    return call


def _compiled(layer, *args):
    import jax

    if not layer.built:
        layer.build(args[0].shape)
    variables = [[v.value for v in group] for group in (layer.trainable_variables, layer.non_trainable_variables)]
    call = jax.jit(lambda variables, *args: layer.stateless_call(*variables, *args)[0])
    return lambda *args: call(variables, *args)


@pytest.fixture
def gradients(backend):
    """A function: the gradients of `sum(layer(x) * cotangent)`, by the backend's own means.

    `gradients(layer, x, cotangent, training=True)` returns those in `x`, and a list of those in the layer's weights.
    """
    return {"tensorflow": _tensorflow_gradients, "jax": _jax_gradients, "torch": _torch_gradients}[backend]


def _tensorflow_gradients(layer, x, cotangent, training=True):
    import tensorflow as tf

    x = tf.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(tf.cast(layer(x, training=training), "float32") * cotangent)
    in_x, in_weights = tape.gradient(loss, (x, [variable.value for variable in layer.trainable_variables]))
    return in_x.numpy(), [gradient.numpy() for gradient in in_weights]


def _jax_gradients(layer, x, cotangent, training=True):
    import jax

    states = [variable.value for variable in layer.non_trainable_variables]
    mode = {"training": training} if "training" in inspect.signature(layer.call).parameters else {}

    def loss(x, weights):
        outputs, _ = layer.stateless_call(weights, states, x, **mode)
        return (outputs.astype("float32") * cotangent).sum()

    weights = [variable.value for variable in layer.trainable_variables]
    in_x, in_weights = jax.jit(jax.grad(loss, argnums=(0, 1)))(jax.numpy.asarray(x), weights)
    return np.asarray(in_x), [np.asarray(gradient) for gradient in in_weights]


def _torch_gradients(layer, x, cotangent, training=True):
    import torch

    x = torch.tensor(x, requires_grad=True)
    weights = [variable.value for variable in layer.trainable_variables]
    loss = (layer(x, training=training).float() * torch.tensor(cotangent)).sum()
    in_x, *in_weights = torch.autograd.grad(loss, [x, *weights])
    return in_x.numpy(), [gradient.numpy() for gradient in in_weights]


@pytest.fixture(scope="session")
def macs_in_torch():
    """A function: multiply-accumulates of convolutions, linear layers and attention; torch counts two for each."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    def count(module, x):
        # with gradients and by products: the operations that have all of an attention inside are not counted
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            module.eval()(x)
        return counter.get_total_flops() // 2

    return count


@pytest.fixture(scope="session")
def calls_in_torch():
    """A function: how often a module of each class is called."""
    import torch

    def count(module, x):
        calls = collections.Counter()
        for part in module.modules():
            part.register_forward_hook(lambda part, *_: calls.update([type(part).__name__]))
        with torch.no_grad():
            module.eval()(x)
        return calls

    return count
