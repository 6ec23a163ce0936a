"""What `export` takes and refuses, what it checks, and what it leaves behind."""

import errno
import importlib
import os
import re
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.export import FORMATS, ExportError, export, read_metadata
from keras_convnext.export.check import PHOTOGRAPHS, check_batches, largest_difference
from keras_convnext.export.deployed import prepared_model
from keras_convnext.export.runtimes import RUNTIMES
from keras_convnext.preprocessing import ResizeAndCrop

TINY = {"depths": (1, 1), "dims": (8, 16), "kernel_size": 3, "stem_patch_size": 2}
NATIVE = {"torch": "torch", "tensorflow": "tf_saved_model", "jax": None}[keras.backend.backend()]
"""The format that is written fastest."""

ON_TENSORFLOW = () if keras.backend.backend() == "tensorflow" else pytest.mark.slow
"""For what takes PyTorch's tracing seconds."""

native = pytest.mark.skipif(NATIVE is None, reason="JAX writes no format itself: test_matrix.py has its processes")


@pytest.fixture
def tiny(randomize):
    """A factory: a small classifier of five classes with random weights."""

    def make(num_classes=5, deviation=0.1, **changes):
        return randomize(ConvNeXtClassifier(ConvNeXtBackbone(**{**TINY, **changes}), num_classes), deviation)

    return make


def path_in(folder):
    return folder / f"model{FORMATS[NATIVE].suffix}"


def run(path, images):
    (outputs,) = RUNTIMES[NATIVE](path)(images).values()
    return outputs


def predict(model, images):
    return keras.ops.convert_to_numpy(model(images, training=False))


@native
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data_format": "channels_first", "input_shape": (3, None, None)},
        {"input_shape": (None, None, 6)},
        pytest.param({"input_shape": (12, 20, 1)}, marks=pytest.mark.slow),
        pytest.param({"data_format": "channels_first", "input_shape": (6, 16, 12)}, marks=pytest.mark.slow),
        pytest.param({"include_preprocessing": False}, marks=pytest.mark.slow),
        pytest.param({"norm": "rms_norm", "hidden_activation": "silu"}, marks=ON_TENSORFLOW),
        pytest.param({"stem": "overlap_act", "stem_patch_size": 4}, marks=ON_TENSORFLOW),
        pytest.param({"output_stride": 2}, marks=ON_TENSORFLOW),
    ],
    ids=str,
)
def test_models_of_every_kind_are_exported(changes, tiny, tmp_path, images):
    model = tiny(**changes)
    path = path_in(tmp_path)
    exported = export(model, path)
    assert exported.path == str(path) and exported.difference < 1e-5
    shape = [side or free for side, free in zip(model.input_shape[1:], (24, 20, 24), strict=True)]
    for count in (1, 4):
        x = images(count, *shape)
        expected = predict(model, x)
        np.testing.assert_allclose(run(path, x), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert os.listdir(tmp_path) == [path.name]


@native
def test_a_custom_head(tiny, tmp_path, images):
    backbone = tiny().backbone
    x = keras.layers.Dense(7, activation="gelu")(keras.layers.GlobalMaxPooling2D()(backbone.output))
    model = keras.Model(backbone.input, keras.layers.Dense(2)(x))
    path = path_in(tmp_path)
    assert export(model, path, batch_size=2).difference < 1e-5
    x = images(2, 16, 16, 3)
    np.testing.assert_allclose(run(path, x), predict(model, x), rtol=1e-4, atol=1e-4)
    assert read_metadata(path)["input"]["shape"] == [2, None, None, 3]


@native
def test_all_levels_of_a_backbone(tiny, tmp_path, images):
    backbone = tiny().backbone
    path = path_in(tmp_path)
    export(keras.Model(backbone.input, backbone.pyramid_outputs), path, image_size=(32, 16))
    outputs = RUNTIMES[NATIVE](path)(images(1, 32, 16, 3))
    assert {name: value.shape for name, value in outputs.items()} == {"P1": (1, 16, 8, 8), "P2": (1, 8, 4, 16)}


@native
def test_softmax_and_class_names(tiny, tmp_path, images):
    model = tiny()
    path = path_in(tmp_path)
    export(model, path, softmax=True, class_names=list("abcde"), image_size=16)
    x = images(3, 16, 16, 3)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(predict(model, x)))
    np.testing.assert_allclose(run(path, x), expected, atol=1e-5)
    metadata = read_metadata(path)
    assert metadata["class_names"] == list("abcde") and metadata["outputs"] == ["probabilities"]
    assert metadata["input"]["shape"] == [None, 16, 16, 3] and metadata["input"]["range"] == [0, 255]


@native
def test_photographs_of_any_size_go_in(tiny, tmp_path):
    model, path = tiny(), path_in(tmp_path)
    transform = ResizeAndCrop(32, 32, crop_pct=0.875)
    export(model, path, preprocessing=transform, preprocess=True)
    metadata = read_metadata(path)
    assert metadata["in_graph"] and metadata["input"]["dtype"] == "uint8"
    for file in sorted(PHOTOGRAPHS.glob("*.jpg")):
        photograph = np.array(Image.open(file))
        expected = predict(model, transform(photograph)[None].astype("float32"))
        np.testing.assert_allclose(run(path, photograph[None]), expected, atol=2e-3 * np.abs(expected).max())


@native
@pytest.mark.parametrize("scale", [pytest.param(1, marks=pytest.mark.slow), 100])
def test_float16_of_v2_is_finite_where_squares_overflow(scale, tiny, tmp_path, images):
    """GRN's norm is the root of a sum of squares. Of hidden activations of 256 and more, they are beyond float16."""
    model = tiny(use_grn=True, layer_scale_init_value=None)
    for block in map(model.get_layer, ("stage_0_block_0", "stage_1_block_0")):
        block.pointwise_conv_1.kernel.assign(block.pointwise_conv_1.kernel * scale)
        block.pointwise_conv_2.kernel.assign(block.pointwise_conv_2.kernel / scale)
    path = path_in(tmp_path)
    assert export(model, path, dtype="float16").difference < 1e-2
    x = images(2, 32, 32, 3)
    hidden = keras.ops.convert_to_numpy(first_hidden_activations(model, x))
    assert (np.square(hidden).sum((1, 2)).max() > np.finfo("float16").max) == (scale == 100)
    for values in (x, np.full_like(x, 255), np.zeros_like(x)):
        outputs, expected = run(path, values), predict(model, values)
        assert outputs.dtype == "float32" and np.isfinite(outputs).all()
        np.testing.assert_allclose(outputs, expected, atol=1e-2 * np.abs(expected).max())


def first_hidden_activations(model, images):
    block = model.get_layer("stage_0_block_0")
    stem = keras.Model(model.input, model.get_layer("stem").output)
    return block.pointwise_conv_1(block.norm(block.depthwise_conv(stem(images))))


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX writes no format itself")
@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_outputs_keep_their_names_in_any_order(suffix, tiny, tmp_path):
    backbone = tiny().backbone
    outputs = {"z": backbone.output, "a": 2.0 * backbone.output + 1.0}
    path = tmp_path / f"model{suffix}"
    assert export(keras.Model(backbone.input, outputs), path).difference < 1e-5
    assert set(read_metadata(path)["outputs"]) == {"a", "z"}


@native
def test_a_model_that_was_compiled_or_is_mixed(tiny, tmp_path):
    def own_loss(y_true, y_pred):
        return keras.ops.mean(y_pred)

    model = tiny()
    model.compile("adam", own_loss)
    export(model, path_in(tmp_path))
    (tmp_path / "mixed").mkdir()
    exported = export(tiny(dtype="mixed_bfloat16"), path_in(tmp_path / "mixed"))
    assert exported.difference < 1e-5


@native
def test_what_the_metadata_say(tiny, tmp_path):
    first = tiny(data_format="channels_first", input_shape=(3, 16, 16), include_preprocessing=False)
    model = keras.Sequential([keras.Input((3, 16, 16)), first, keras.layers.Softmax()])
    export(model, path_in(tmp_path))
    metadata = read_metadata(path_in(tmp_path))
    assert metadata["input"]["layout"] == "NCHW" and metadata["input"]["range"] is None
    assert metadata["outputs"] == ["output"]
    (tmp_path / "sigmoid").mkdir()
    sigmoid = ConvNeXtClassifier(ConvNeXtBackbone(**TINY), 5, activation="sigmoid")
    export(sigmoid, path_in(tmp_path / "sigmoid"))
    assert read_metadata(path_in(tmp_path / "sigmoid"))["outputs"] == ["output"]


@native
def test_a_model_that_is_not_ours(tmp_path):
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Dropout(0.9), keras.layers.Flatten()]
    )
    path = path_in(tmp_path)
    export(model, path)
    x = np.ones((2, 8, 8, 3), "float32")
    np.testing.assert_allclose(run(path, x), predict(model, x), atol=1e-5)


@native
def test_a_file_that_differs_is_refused_and_removed(tiny, tmp_path, monkeypatch, backend):
    programs = importlib.import_module(f"keras_convnext.export.{backend}_programs")
    write = programs.WRITERS[NATIVE]

    def write_another(deployed, path, metadata):
        for weight in deployed.weights:
            if weight.path.endswith("head/kernel"):
                weight.assign(1.01 * weight)
        write(deployed, path, metadata)

    monkeypatch.setitem(programs.WRITERS, NATIVE, write_another)
    with pytest.raises(ExportError, match=r"differs from the model by 1\.0e-02 of its largest output; at most 1e-04"):
        export(tiny(), path_in(tmp_path))
    assert os.listdir(tmp_path) == []


@native
def test_a_converter_that_fails_leaves_nothing(tmp_path):
    @keras.saving.register_keras_serializable(package="tests")
    class Unknown(keras.layers.Layer):
        def call(self, inputs):
            raise NotImplementedError("no such operation")

        def compute_output_spec(self, inputs):
            return keras.KerasTensor(inputs.shape, inputs.dtype)

    image = keras.Input((8, 8, 3))
    with pytest.raises(ExportError, match=r"converter failed: .*no such operation"):
        export(keras.Model(image, Unknown()(image)), path_in(tmp_path))
    assert os.listdir(tmp_path) == []


REFUSED = {
    "ending": ({"path": "model.h5"}, "the ending does not name a format. Expected .onnx for ONNX"),
    "format": ({"format": "tensorrt"}, "`format` must be one of onnx, litert, openvino, torch, tf_saved_model"),
    "another ending": ({"format": "litert"}, "`format=litert` needs a name that ends in .tflite"),
    "dtype": ({"dtype": "int4"}, "`dtype` must be one of float32, float16. Received: dtype='int4'"),
    "batch": ({"batch_size": 0}, "`batch_size` must be an integer, at least 1"),
    "size": ({"image_size": 64}, "The model takes images of 16 x 16 pixels. Received: 64 x 64"),
    "preprocess": ({"preprocess": True}, "`preprocess` needs `preprocessing`"),
    "two sizes": (
        {"preprocess": True, "preprocessing": ResizeAndCrop(16, 16), "image_size": 16},
        "Leave out `image_size`",
    ),
    "another size": (
        {"preprocessing": ResizeAndCrop(32, 32)},
        "makes images of 32 x 32 pixels, and the file takes 16 x 16",
    ),
    "three sides": ({"image_size": (1, 2, 3)}, "`image_size` must be a side or (height, width)"),
    "no folder": ({"path": "no/model.onnx"}, "is not a folder. Make it first"),
    "one name": ({"class_names": "horse"}, "`class_names` must be a sequence of names"),
    "names": ({"class_names": ["a"]}, "`class_names` must name the model's 5 classes. Received: 1 names"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_arguments_are_refused_before_any_work(case, tiny, tmp_path):
    arguments, message = REFUSED[case]
    arguments = {"path": "model.onnx", **arguments}
    with pytest.raises(ValueError, match=re.escape(message)):
        export(tiny(input_shape=(16, 16, 3)), tmp_path / arguments.pop("path"), **arguments)
    assert os.listdir(tmp_path) == []


def test_models_that_cannot_be_exported_are_refused(tiny, tmp_path):
    first, second = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="Only functional models of one input, of images, are exported"):
        export(keras.Model([first, second], first + second), tmp_path / "model.onnx")
    with pytest.raises(ValueError, match="`softmax` turns the logits"):
        export(tiny(num_classes=0), tmp_path / "model.onnx", softmax=True)
    quantized = tiny()
    quantized.quantize("int8")
    with pytest.raises(ValueError, match="`dtype=float16` needs float32 weights"):
        export(quantized, tmp_path / "model.onnx", dtype="float16")


def test_nothing_is_replaced(tiny, tmp_path):
    for name in ("model.onnx", "model.bin"):
        (tmp_path / name).write_text("mine")
    for name in ("model.onnx", "model.xml"):
        with pytest.raises(ValueError, match="already exists"):
            export(tiny(), tmp_path / name)
    assert {file.read_text() for file in tmp_path.iterdir()} == {"mine"}


def test_a_layer_that_keras_cannot_load_is_named(tiny, tmp_path):
    class Mine(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    model = tiny()
    with pytest.raises(ValueError, match="register_keras_serializable"):
        prepared_model(keras.Model(model.input, Mine()(model.output)))


@pytest.mark.once
def test_a_class_that_another_backend_does_not_know(tmp_path, backend):
    name, other = ("model.pt2", "torch") if backend == "tensorflow" else ("model.tflite", "tensorflow")

    @keras.saving.register_keras_serializable(package="tests")
    class Twice(keras.layers.Layer):
        def call(self, inputs):
            return inputs + inputs

    image = keras.Input((8, 8, 3))
    message = rf"class 'Twice'. It does not know classes of your own: export with KERAS_BACKEND={other}"
    with pytest.raises(ExportError, match=message):
        export(keras.Model(image, Twice()(image)), tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_names_the_file(tiny, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys.modules["keras_convnext.export.export_model"], "write_and_check", full)
    monkeypatch.setattr(sys.modules["keras_convnext.export.export_model"], "export_elsewhere", full)
    with pytest.raises(OSError, match=r"No space left on device: .*model\.onnx"):
        export(tiny(), tmp_path / "model.onnx")
    assert os.listdir(tmp_path) == []


@pytest.mark.once
def test_a_missing_converter_names_the_extra(run_python, hide_packages):
    program = hide_packages(["onnx", "tf2onnx"]) + (
        "import keras_convnext\nfrom keras_convnext.export import export\n"
        "model = keras_convnext.ConvNeXtBackbone(depths=(1,), dims=(4,))\n"
        "try:\n    export(model, 'model.onnx')\nexcept ModuleNotFoundError as error:\n    print(error)\n"
    )
    printed = run_python(program, "torch")
    assert "Writing ONNX needs packages that are not installed: from torch, onnx" in printed
    assert 'pip install "keras-convnext[export]"' in printed


@pytest.mark.once
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_check_batches(dtype):
    random = check_batches((None, None, None, 3), dtype)
    assert [batch.shape for batch in random] == [(3, 128, 128, 3), (1, 160, 96, 3)]
    assert all(batch.dtype == dtype and batch.min() >= 0 and batch.max() <= 255 for batch in random)
    photographs = random[0].reshape(3, -1)
    assert len(np.unique(photographs, axis=0)) == 3 and photographs.std() > 30
    first = check_batches((2, 6, None, None), dtype, channels_first=True, image_size=(24, 40))
    assert [batch.shape for batch in first] == [(2, 6, 24, 40), (2, 6, 160, 96)]
    assert [batch.shape for batch in check_batches((None, 300, 500, 1), dtype)] == [(3, 300, 500, 1), (1, 300, 500, 1)]


@pytest.mark.once
def test_largest_difference_refuses_other_outputs():
    logits = {"logits": np.array([1.0, 2.0])}
    assert largest_difference(logits, {"output_0": np.array([1.0, 1.5])}) == 0.25
    for outputs, message in (
        ({"logits": np.array([1.0, np.nan])}, "NaN or Inf"),
        ({"logits": np.ones(3)}, "shape"),
        ({"a": np.ones(2), "b": np.ones(2)}, "the outputs a, b"),
    ):
        with pytest.raises(ExportError, match=message):
            largest_difference(logits, outputs)


@pytest.mark.once
def test_a_file_without_metadata_is_refused(tmp_path):
    (tmp_path / "model.tflite").write_bytes(b"TFL3")
    with pytest.raises(ValueError, match="no metadata of keras_convnext"):
        read_metadata(tmp_path / "model.tflite")
