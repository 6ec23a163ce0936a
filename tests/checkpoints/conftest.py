"""Models of other packages, files to read, and a server that publishes checkpoints."""

import argparse
import hashlib
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest

from keras_convnext import ConvNeXtClassifier, save_checkpoint
from keras_convnext.checkpoints import CHECKPOINTS, cached_path, read_arrays

PUBLISHED = "convnext_atto.d2_in1k"
"""The entry of the catalog that `publish` replaces."""


@pytest.fixture
def torch():
    import torch

    return torch


@pytest.fixture
def timm():
    """timm imports torchvision, of which the compiled part is for a torch with CUDA: no ConvNeXt needs it."""
    from keras_convnext.extras import import_torchvision

    import_torchvision()
    import timm

    return timm


@pytest.fixture
def torchvision():
    from keras_convnext.extras import import_torchvision

    return import_torchvision()


@pytest.fixture
def transformers(torchvision):
    import transformers

    return transformers


@pytest.fixture
def randomized(torch):
    """A function: gives all weights of a torch model values that show in its outputs, and returns it."""

    def randomize(model):
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                noise = torch.randn(weight.shape, generator=generator)
                if weight.numel() > max(weight.shape):
                    weight.copy_(noise / weight[0].numel() ** 0.5)
                else:
                    scale = name.endswith("gamma") or "scale" in name or "grn.weight" in name
                    start = 0.3 if scale else float(name.endswith("weight"))
                    weight.copy_(start + 0.1 * noise)
        return model.eval()

    return randomize


@pytest.fixture
def with_random_weights(rng):
    """A function: the same for a model of ours."""

    def randomize(model):
        for weight in model.weights:
            start = 1.0 if weight.name == "gamma" else 0.0
            start = 0.3 if "layer_scale" in weight.path or weight.path.endswith("grn/gamma") else start
            fan_in = weight.shape[0] * weight.shape[1] * weight.shape[2] if len(weight.shape) == 4 else weight.shape[0]
            fan_in = 49 if "depthwise_conv" in weight.path else fan_in
            scale = fan_in**-0.5 if weight.name == "kernel" else 0.1
            weight.assign((start + scale * rng.normal(size=weight.shape)).astype("float32"))
        return model

    return randomize


@pytest.fixture
def small_images(rng):
    """Three normalized images of 64 x 64 pixels, channels last."""
    return rng.normal(size=(3, 64, 64, 3)).astype("float32")


@pytest.fixture
def run_torch(torch):
    """A function: the output of a torch function on channels-last images, as NumPy arrays, maps channels last."""

    def run(function, images):
        with torch.no_grad():
            outputs = function(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
        return [y.numpy().transpose(0, 2, 3, 1) if y.ndim == 4 else y.numpy() for y in outputs]

    return run


@pytest.fixture
def classifier():
    """A function: a classifier of a variant for normalized images of 64 x 64 pixels."""

    def make(variant, num_classes=10, **changes):
        return ConvNeXtClassifier.from_preset(
            variant, num_classes=num_classes, include_preprocessing=False, input_shape=(64, 64, 3), **changes
        )

    return make


@pytest.fixture
def outputs(numpy_of):
    """A function: logits and pyramid levels of one of our classifiers."""
    import keras

    def run(model, images):
        levels = model.backbone.pyramid_outputs.values()
        return numpy_of(keras.Model(model.input, [model.output, *levels]), images)

    return run


@pytest.fixture
def assert_close():
    """A function: holds outputs against expected ones, to 1e-4; they must not be all alike."""

    def check(found, expected):
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.shape == theirs.shape
            assert theirs.std() > 0.1
            assert np.abs(ours - theirs).max() < 1e-4

    return check


@pytest.fixture
def saved(torch, tmp_path):
    """A function: saves an object as torch does; the path."""

    def save(content, **options):
        torch.save(content, tmp_path / "model.pth", **options)
        return tmp_path / "model.pth"

    return save


@pytest.fixture
def assert_as_torch(torch):
    """A function: holds the arrays that are read from a file against what torch reads."""

    def check(path):
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, weights_only=True)
        expected = {k: v for k, v in content.get("model", content).items() if isinstance(v, torch.Tensor)}
        found = read_arrays(path)
        assert list(found) == list(expected)
        for name, tensor in expected.items():
            tensor = (tensor.float() if tensor.is_floating_point() else tensor).detach()
            np.testing.assert_array_equal(found[name], tensor.numpy(), err_msg=name, strict=True)
            assert found[name].flags.writeable
        return found

    return check


@pytest.fixture
def rewritten():
    """A function: `rewritten(path, to, change, **options)` copies an archive with changes."""

    def rewrite(path, to, change, **options):
        """The archive with each record changed by a function of its name and bytes, and left out for None; the path."""
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w", **options) as new:
            for info in old.infolist():
                data = change(info.filename, old.read(info))
                if data is not None:
                    new.writestr(info.filename, data)
        return to

    return rewrite


@pytest.fixture
def server():
    """A server: `.files` are the answers by path, bytes or a function of the handler; `.asked` the paths so far.

    `.send(handler, body, length)` sends a body, and says that it has some length.
    """
    state = SimpleNamespace(files={}, asked=[], send=send)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            state.asked.append(self.path)
            answer = state.files.get(self.path)
            if answer is None:
                self.send_error(404, "Not Found")
            elif callable(answer):
                answer(self)
            else:
                state.send(self, answer, len(answer))

        def log_message(self, *arguments):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    state.url = f"http://127.0.0.1:{httpd.server_port}"
    yield state
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def send(handler, body, length):
    """Sends a body, and says that it has some length."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(length))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    """A folder for Keras's cache."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def source(tmp_path, with_random_weights):
    """A model of timm's atto, as `.model`, and its file as timm stores it, as `.body`."""
    model = with_random_weights(ConvNeXtClassifier.from_preset("convnext_atto"))
    save_checkpoint(model, tmp_path / "atto.safetensors", layout="timm")
    return SimpleNamespace(model=model, body=(tmp_path / "atto.safetensors").read_bytes())


@pytest.fixture
def published(publish, source, keras_home):
    """The model as if it had been published: the entry that PUBLISHED has meanwhile, its SHA-256 among its facts."""
    return publish(source.body)


@pytest.fixture
def publish(monkeypatch, server):
    """A function: makes a body the file of the entry `PUBLISHED`, on the server; returns the entry."""

    def publish(body, path="/convnext_atto.safetensors", sha256=None, **facts):
        server.files[path] = body
        sha256 = hashlib.sha256(body).hexdigest() if sha256 is None else sha256
        entry = replace(CHECKPOINTS[PUBLISHED], url=server.url + path, sha256=sha256, **facts)
        monkeypatch.setitem(CHECKPOINTS, PUBLISHED, entry)
        return entry

    return publish


@pytest.fixture
def fails():
    """A function: sees to it that the preset cannot be loaded, that nothing is left in the cache; the message."""

    def check(entry, error, match):
        with pytest.raises(error, match=match) as raised:
            ConvNeXtClassifier.from_preset(PUBLISHED)
        assert list(cached_path(entry).parent.iterdir()) == []
        assert entry.url in str(raised.value)
        return str(raised.value)

    return check


@pytest.fixture
def model(small_classifier, randomize):
    return randomize(small_classifier())


@pytest.fixture
def file(model, tmp_path):
    """An official checkpoint of the model."""
    path = tmp_path / "model.pth"
    save_checkpoint(model, path)
    return path


@pytest.fixture
def state(torch, file):
    """What is in that file: change it, and `torch.save` it there."""
    return torch.load(file, weights_only=True)["model"]
