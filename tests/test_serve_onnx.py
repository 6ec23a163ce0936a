"""The example that serves an exported file answers over loopback what the Keras model predicts, and refuses the rest.

The server runs in a process that can import neither Keras nor a backend.
"""

import http.client
import io
import json
import runpy
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import keras
import numpy as np
import pytest
from PIL import Image

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier
from keras_convnext.export import export
from keras_convnext.export.check import PHOTOGRAPHS
from keras_convnext.preprocessing import ResizeAndCrop

pytestmark = pytest.mark.once

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SCRIPT = Path(__file__).parents[1] / "examples/serve_onnx.py"
NAMES = [f"kind {number}" for number in range(7)]
SMALL = {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32), "kernel_size": 3}

# What is exported, how the model takes its images, and how far the file may be from the model. The example's own
# `--smoke`, which tests/test_examples.py runs, exports one with the channels last and without preprocessing.
MODELS = {
    "channels_first": (
        {"input_shape": (3, 64, 96), "data_format": "channels_first"},
        ResizeAndCrop(64, 96, crop_pct=0.875, interpolation="bilinear"),
        {"batch_size": 1},
        1e-4,
    ),
    "grey_preprocessed": (
        {"input_shape": (64, 64, 1)},
        ResizeAndCrop(64, 64, crop_pct=0.9),
        {"preprocess": True, "softmax": True},
        1e-2,
    ),
}

# Where a shell started the tests in the background, SIGINT may be ignored: the process takes it back.
START = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
import runpy
sys.argv[0] = {script!r}
runpy.run_path({script!r}, run_name="__main__")
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The models and their files, by name."""
    rng, found = np.random.default_rng(0), {}
    for name, (arguments, transform, options, _) in MODELS.items():
        model = ConvNeXtClassifier(
            ConvNeXtBackbone(**SMALL, **{"data_format": "channels_last", **arguments}), len(NAMES)
        )
        for weight in model.weights:
            start = 1.0 if weight.path.endswith("gamma") else 0.0
            weight.assign((start + 0.3 * rng.normal(size=weight.shape)).astype("float32"))
        path = tmp_path_factory.mktemp("exported") / f"{name}.onnx"
        export(model, path, preprocessing=transform, class_names=NAMES, **options)
        found[name] = (model, path)
    return found


@pytest.fixture
def start(hide_packages):
    """A function: starts the example in a process without Keras; returns it, and the address that it prints."""
    program = hide_packages(["keras", "keras_convnext", "torch", "tensorflow", "jax"]) + START.format(
        script=str(SCRIPT)
    )
    processes = []

    def run(path):
        process = subprocess.Popen(
            [sys.executable, "-c", program, path, "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        processes.append(process)
        line = process.stdout.readline()
        return process, urlsplit(line.partition(": ")[2].partition(",")[0]).netloc

    yield run
    for process in processes:
        process.kill()
        process.communicate()


def ask(address, method, path, body=None, headers=None):
    """The status of an answer, its JSON and its headers."""
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content else None, answer.headers
    finally:
        connection.close()


def send_bytes(address, content):
    """The whole answer to bytes that need not be HTTP. The client sends no more."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(2**16), b""))


def written(picture, format="PNG", **options):
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def pictures():
    """Files of photographs, and of random pixels of other sizes and modes."""
    rng = np.random.default_rng(1)
    grey = Image.fromarray(rng.integers(0, 256, (37, 90)).astype("uint8"))
    with_alpha = Image.fromarray(rng.integers(0, 256, (70, 41, 4)).astype("uint8"))
    palette = Image.fromarray(rng.integers(0, 256, (9, 9, 3)).astype("uint8")).quantize(16)
    files = [path.read_bytes() for path in sorted(PHOTOGRAPHS.glob("*.jpg"))]
    return [*files, written(grey), written(with_alpha), written(with_alpha, "WEBP"), written(palette, "GIF")]


@pytest.mark.parametrize("name", MODELS)
def test_answers_equal_the_models_predictions_from_many_threads(name, exported, start, pictures):
    model, path = exported[name]
    _, transform, _, tolerance = MODELS[name]
    channels_first = name == "channels_first"
    mode = "RGB" if channels_first else "L"
    images = []
    for content in pictures:
        picture = np.asarray(Image.open(io.BytesIO(content)).convert(mode))
        images.append(transform(picture.reshape(*picture.shape[:2], -1)))
    batch = np.stack(images).astype("float32")
    logits = model.predict(np.moveaxis(batch, -1, 1) if channels_first else batch, verbose=0)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    assert expected.std() > 0.1  # the probabilities differ

    _, address = start(path)
    numbers = [number % len(pictures) for number in range(20)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda number: ask(address, "POST", "/predict", pictures[number]), numbers))
    for number, (status, answer, _) in zip(numbers, answers, strict=True):
        assert status == 200, answer
        predictions = answer["predictions"]
        assert len(predictions) == 5
        probabilities = [one["probability"] for one in predictions]
        assert probabilities == sorted(probabilities, reverse=True)
        assert probabilities[0] == pytest.approx(expected[number].max(), abs=tolerance)
        for one in predictions:
            assert one["class"] == NAMES[one["number"]]
            assert one["probability"] == pytest.approx(expected[number][one["number"]], abs=tolerance)


def test_says_what_it_serves_and_ends_by_ctrl_c(exported, start):
    process, address = start(exported["grey_preprocessed"][1])
    for path in ("/", "/health", "/health?verbose=1"):
        status, facts, headers = ask(address, "GET", path)
        assert status == 200
        assert headers["Content-Type"] == "application/json"
        assert facts["class_names"] == NAMES
        assert facts["in_graph"] is True
    status, content, headers = ask(address, "HEAD", "/")
    assert (status, content) == (200, None)
    assert int(headers["Content-Length"]) > 0
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert process.stdout.read() == "stopped\n"


def test_refuses_everything_else_and_goes_on(exported, start, pictures):
    process, address = start(exported["channels_first"][1])
    small = written(Image.new("L", (8, 8)))
    photograph, noise = pictures[0], pictures[-4]
    refused = [
        (400, "the bytes of a picture", ("POST", "/predict", b"hello")),
        (400, "the bytes of a picture", ("POST", "/predict", b"")),
        (400, "the bytes of a picture", ("POST", "/predict", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n")),
        (400, "damaged or incomplete", ("POST", "/predict", photograph[: len(photograph) // 2])),
        (400, "damaged or incomplete", ("POST", "/predict", noise[: len(noise) // 2])),
        (400, "8 bits per channel", ("POST", "/predict", written(Image.new("I;16", (8, 8))))),
        (400, "at most 50000000 pixels", ("POST", "/predict", written(Image.new("L", (7100, 7100))))),
        (400, "at most 50000000 pixels", ("POST", "/predict", written(Image.new("1", (12000, 12000))))),
        (400, "100 times as long as wide", ("POST", "/predict", written(Image.new("L", (900, 8))))),
        (400, "a number of bytes", ("POST", "/predict", None, {"Content-Length": "-5"})),
        (400, "a number of bytes", ("POST", "/predict", None, {"Content-Length": "many"})),
        (404, "/predict", ("GET", "/favicon.ico")),
        (404, "/predict", ("POST", "/predict/more", small)),
        (405, "POST", ("GET", "/predict")),
        (405, "GET", ("POST", "/", small)),
        (405, "POST", ("PUT", "/predict", small)),
        (405, "POST", ("DELETE", "/predict")),
        (411, "Content-Length", ("POST", "/predict", iter([small]))),  # which is sent in chunks
        (413, "at most 20971520 bytes", ("POST", "/predict", bytes(20 * 2**20 + 1))),
        (413, "at most 20971520 bytes", ("POST", "/predict", None, {"Content-Length": "9" * 5000})),
        (501, "FOO", ("FOO", "/predict", small)),
    ]
    for status, sentence, request in refused:
        found, answer, headers = ask(address, *request)
        assert (found, list(answer)) == (status, ["error"]), (request[:2], sentence, answer)
        assert sentence in answer["error"]
        assert (headers["Allow"] is not None) == (status == 405)
    assert ask(address, "POST", "/predict", small)[0] == 200
    process.terminate()
    assert process.wait(30) == 0


def test_refuses_what_is_no_complete_request(exported, start):
    _, address = start(exported["channels_first"][1])
    head = b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Length: "
    assert list(json.loads(send_bytes(address, b"\x16\x03\x01\x02\x00 and more\r\n\r\n"))) == ["error"]
    assert b"ended after 3 of 900 bytes" in send_bytes(address, head + b"900\r\n\r\nabc")
    # A client that asks first, as curl does for large files, need not send what is too large.
    asking = send_bytes(address, head + b"99999999\r\nExpect: 100-continue\r\n\r\n")
    assert asking.startswith(b"HTTP/1.1 413 ")
    small = written(Image.new("L", (8, 8)))
    asking = send_bytes(address, head + b"%d\r\nExpect: 100-continue\r\n\r\n" % len(small) + small)
    assert asking.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")
    host, port = address.split(":")
    with socket.create_connection((host, int(port))) as gone:
        gone.sendall(head + b"900\r\n\r\n")
    assert ask(address, "GET", "/")[0] == 200


def test_refuses_files_that_it_cannot_serve(exported, tmp_path):
    model = onnx.load(exported["channels_first"][1])
    metadata = json.loads(model.metadata_props.pop().value)
    onnx.save(model, tmp_path / "bare.onnx")
    changes = {
        "normalized.onnx": {"input": {**metadata["input"], "range": None}},
        "channels.onnx": {"input": {**metadata["input"], "shape": [None, 6, 64, 96]}},
        "batch.onnx": {"input": {**metadata["input"], "shape": [8, 3, 64, 96]}},
        "size.onnx": {"preprocessing": None},
    }
    for name, change in changes.items():
        onnx.helper.set_model_props(model, {"keras_convnext": json.dumps({**metadata, **change})})
        onnx.save(model, tmp_path / name)
    (tmp_path / "text.onnx").write_text("hello")
    expected = {
        "none.onnx": "no such file.",
        "text.onnx": "not an ONNX file.",
        "bare.onnx": "no metadata in it. Expected a file that `keras-convnext export` wrote.",
        "normalized.onnx": "the model takes normalized images.",
        "channels.onnx": "the model takes 6 channels",
        "batch.onnx": "exported for batches of 8.",
        "size.onnx": "the file does not say how pictures are resized.",
    }
    classifier = runpy.run_path(str(SCRIPT))["Classifier"]
    for name, sentence in expected.items():
        with pytest.raises(ValueError) as error:
            classifier(tmp_path / name)
        assert sentence in str(error.value)
    process = subprocess.run([sys.executable, SCRIPT, tmp_path / "bare.onnx"], capture_output=True, text=True)
    assert process.returncode == 2
    assert process.stderr == f"serve_onnx.py: {tmp_path / 'bare.onnx'}: {expected['bare.onnx']}\n"


@pytest.mark.parametrize(
    "transform",
    [
        ResizeAndCrop(32, 32),
        ResizeAndCrop(24, 40, crop_pct=0.875),
        ResizeAndCrop(33, 31, crop_pct=0.95, interpolation="bilinear"),
        ResizeAndCrop(30, 30, squash=True),
    ],
)
def test_resizes_as_the_package_does(transform, rng):
    resize_and_crop = runpy.run_path(str(SCRIPT))["resize_and_crop"]
    settings = {name: getattr(transform, name) for name in transform.__dataclass_fields__}
    for height, width in ((1, 1), (5, 90), (90, 5), (31, 33), (40, 37), (37, 40), (121, 120)):
        for channels in ((), (3,)):
            pixels = rng.integers(0, 256, (height, width, *channels)).astype("uint8")
            found = np.asarray(resize_and_crop(Image.fromarray(pixels), **settings))
            expected = transform(pixels.reshape(height, width, -1))
            np.testing.assert_array_equal(found.reshape(expected.shape), expected)
