"""Downloads, from a server on loopback: whole, cut off, refused, altered; and models from presets."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier, save_checkpoint
from keras_convnext.checkpoints import CHECKPOINTS, cached_path, download

NAME = "convnext_atto.d2_in1k"


def assert_equal(model, other):
    for weight, same in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(weight, same, err_msg=weight.path)


# === Models from presets


def test_a_model_from_a_preset_has_the_published_weights(published, source, server, capsys):
    model = ConvNeXtClassifier.from_preset(NAME)
    assert_equal(model, source.model)
    assert (model.backbone.preset, model.backbone.license) == (NAME, "Apache-2.0")
    assert "Downloading data from" in capsys.readouterr().out
    assert cached_path(published).read_bytes() == source.body
    ConvNeXtClassifier.from_preset(f"timm/{NAME}")
    assert server.asked == ["/convnext_atto.safetensors"]


def test_a_backbone_from_a_preset(published, source):
    assert_equal(ConvNeXtBackbone.from_preset(NAME), source.model.backbone)


def test_without_weights_nothing_is_downloaded(published, server):
    for model in (ConvNeXtClassifier, ConvNeXtBackbone):
        license = getattr(model.from_preset(NAME, load_weights=False), "license", None)
        assert license is None
    assert ConvNeXtClassifier.from_preset(NAME, load_weights=False).backbone.license is None
    assert server.asked == []


def test_another_number_of_classes_is_a_new_last_layer(published, source):
    with pytest.warns(UserWarning, match="1000 classes and the model 3"):
        model = ConvNeXtClassifier.from_preset(NAME, num_classes=3, drop_path_rate=0.1)
    assert_equal(model.backbone, source.model.backbone)
    assert model.output.shape == (None, 3)


def test_one_channel_adapts_the_stem_on_request(published, source):
    with pytest.raises(ValueError, match=r"stem/conv.*adapt_stem=True"):
        ConvNeXtBackbone.from_preset(NAME, input_shape=(None, None, 1))
    model = ConvNeXtBackbone.from_preset(NAME, input_shape=(None, None, 1), adapt_stem=True)
    kernel = np.asarray(source.model.backbone.get_layer("stem").weights[0])
    np.testing.assert_allclose(model.get_layer("stem").weights[0], kernel.sum(axis=2, keepdims=True), rtol=1e-5)


def test_number_of_classes_mean_and_name_are_the_presets(server, keras_home, monkeypatch):
    name = "convnext_base.clip_laion2b"
    model = ConvNeXtClassifier.from_preset(name, load_weights=False)
    assert (model.num_classes, model.name, model.backbone.name) == (640, "convnext_base_classifier", "convnext_base")
    assert model.backbone.mean == CHECKPOINTS[name].mean
    assert model.backbone.std == CHECKPOINTS[name].std
    keras.backend.clear_session()


@pytest.mark.parametrize("load_weights", [False, True])
def test_other_channels_are_normalized_with_the_average(source, keras_home, load_weights, publish):
    facts = {"mean": (0.5, 0.6, 0.7), "std": (0.25, 0.25, 0.4)}
    publish(source.body, **facts)
    options = {"load_weights": load_weights, "adapt_stem": True}
    assert ConvNeXtBackbone.from_preset(NAME, **options).mean == facts["mean"]
    for channels in (1, 4):
        model = ConvNeXtBackbone.from_preset(NAME, input_shape=(None, None, channels), **options)
        np.testing.assert_allclose([model.mean, model.std], [[0.6] * channels, [0.3] * channels])
    first = ConvNeXtBackbone.from_preset(
        NAME, input_shape=(1, None, None), data_format="channels_first", mean=0.1, **options
    )
    np.testing.assert_allclose([*first.mean, *first.std], [0.1, 0.3])


# === What can go wrong


def test_a_missing_file_is_reported_with_the_place_to_put_it(published, server, fails):
    server.files.clear()
    message = fails(published, OSError, "404")
    assert f"put the file there by hand: {cached_path(published)}" in message


def test_without_a_network_the_place_is_named_and_taken(published, source, monkeypatch, fails):
    unreachable = replace(published, url="http://127.0.0.1:9/convnext_atto.safetensors")
    monkeypatch.setitem(CHECKPOINTS, NAME, unreachable)
    message = fails(unreachable, OSError, "could not be downloaded")
    assert f"put the file there by hand: {cached_path(unreachable)}" in message
    cached_path(unreachable).write_bytes(source.body)
    assert_equal(ConvNeXtClassifier.from_preset(NAME), source.model)


@pytest.mark.parametrize("known", [True, False])
def test_a_cut_off_file_is_removed_and_the_next_attempt_restarts(server, source, keras_home, fails, known, publish):
    body = source.body
    entry = publish(body, sha256=None if known else "")
    server.files[entry.url.removeprefix(server.url)] = lambda handler: server.send(handler, body[:-1000], len(body))
    fails(entry, OSError, "retrieval incomplete")
    server.files[entry.url.removeprefix(server.url)] = body
    assert_equal(ConvNeXtClassifier.from_preset(NAME), source.model)


def test_a_file_cut_off_without_a_trace_is_found_by_what_is_in_it(server, source, keras_home, fails, publish):
    """The server says that this is all, and no SHA-256 is known."""
    entry = publish(source.body[:-1000], sha256="")
    fails(entry, ValueError, "It was removed")


def test_an_answer_that_is_no_checkpoint_is_removed(keras_home, fails, publish):
    entry = publish(b"<html>Sign in</html>", sha256="")
    fails(entry, ValueError, "It was removed")


@pytest.mark.parametrize("digits", [8, 64])
def test_wrong_bytes_are_removed(source, keras_home, fails, digits, publish):
    sha256 = hashlib.sha256(source.body).hexdigest()[:digits]
    altered = source.body[:-1] + bytes([source.body[-1] ^ 1])
    entry = publish(altered, sha256=sha256)
    fails(entry, ValueError, f"SHA-256 does not begin with {sha256[:8]}.*removed")


def test_a_file_that_was_altered_in_the_cache_is_removed(published, source, fails):
    ConvNeXtClassifier.from_preset(NAME)
    cached_path(published).write_bytes(source.body[:-1] + b"x")
    fails(published, ValueError, "SHA-256")
    assert_equal(ConvNeXtClassifier.from_preset(NAME), source.model)


def test_a_broken_connection_is_reported(published, server, source, fails):
    def break_off(handler):
        server.send(handler, source.body[:100_000], len(source.body))
        handler.connection.shutdown(2)

    server.files["/convnext_atto.safetensors"] = break_off
    fails(published, OSError, "could not be downloaded")


def test_an_interrupt_leaves_nothing_behind(published, monkeypatch):
    def interrupt(*arguments, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.utils.Progbar, "update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ConvNeXtClassifier.from_preset(NAME)
    assert list(cached_path(published).parent.iterdir()) == []


def test_a_redirect_is_followed(published, server, source):
    """As of the hub, whose files are all somewhere else."""

    def redirect(handler):
        handler.send_response(302)
        handler.send_header("Location", server.url + "/elsewhere")
        handler.end_headers()

    server.files["/elsewhere"] = source.body
    server.files["/convnext_atto.safetensors"] = redirect
    assert_equal(ConvNeXtClassifier.from_preset(NAME), source.model)


def test_a_silent_server_is_not_waited_for(published, server, monkeypatch, fails):
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 0.5)
    go_on = threading.Event()
    server.files["/convnext_atto.safetensors"] = lambda handler: go_on.wait(30)
    fails(published, OSError, "timed out")
    go_on.set()


def test_two_downloads_at_a_time_do_not_mix(server, source, keras_home, publish):
    entry = publish(source.body, sha256="")
    both = threading.Barrier(2, timeout=30)

    def meet(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(source.body)))
        handler.end_headers()
        for start in range(0, len(source.body), 4_000_000):
            both.wait()
            handler.wfile.write(source.body[start : start + 4_000_000])

    server.files["/convnext_atto.safetensors"] = meet
    with ThreadPoolExecutor(2) as pool:
        paths = list(pool.map(lambda _: download.cached_file(entry), range(2)))
    assert paths == [cached_path(entry)] * 2
    assert cached_path(entry).read_bytes() == source.body
    assert list(cached_path(entry).parent.iterdir()) == [cached_path(entry)]


def without_access_to(monkeypatch, folder):
    """Makes a folder look as if it could not be written, which root can always."""
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder and access(path, mode))


def test_a_cache_in_a_home_that_cannot_be_written(published, keras_home, source, monkeypatch):
    cached_path(published).parent.mkdir(parents=True)
    without_access_to(monkeypatch, keras_home)
    assert_equal(ConvNeXtClassifier.from_preset(NAME), source.model)


def test_names_the_folder_that_cannot_be_written(published, keras_home, server, monkeypatch):
    folder = keras_home / "models"
    folder.mkdir(parents=True)
    without_access_to(monkeypatch, folder)
    with pytest.raises(OSError, match=f"{folder} cannot be written; the environment variable KERAS_HOME"):
        ConvNeXtClassifier.from_preset(NAME)
    assert server.asked == []


def test_a_cache_that_cannot_be_written_is_named(published, server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    with pytest.raises(OSError, match=f"could not be downloaded.*put the file there by hand: {tmp_path / 'file'}"):
        ConvNeXtClassifier.from_preset(NAME)
    assert server.asked == []


@pytest.fixture
def torch_file(source, keras_home, tmp_path, publish):
    """The model published as a file of torch, in the cache; its entry."""
    save_checkpoint(source.model, tmp_path / "atto.pth", layout="timm")
    body = (tmp_path / "atto.pth").read_bytes()
    entry = publish(body, path="/convnext_atto.pth", sha256="")
    cached_path(entry).parent.mkdir(parents=True)
    cached_path(entry).write_bytes(body)
    return entry


def test_a_flipped_bit_in_a_file_of_torch_is_found(torch_file, fails):
    body = bytearray(cached_path(torch_file).read_bytes())
    body[len(body) // 2] ^= 1
    cached_path(torch_file).write_bytes(body)
    fails(torch_file, ValueError, "is damaged. It was removed")


def test_a_good_file_stays_where_this_torch_cannot_read_it(torch_file, server, monkeypatch):
    import torch

    state = torch.load(cached_path(torch_file), weights_only=True)
    torch.save(state, cached_path(torch_file), _use_new_zipfile_serialization=False)
    monkeypatch.setattr(torch, "__version__", "2.5.1")
    with pytest.raises(ValueError, match=r"need torch 2\.6 or later.*Got 2\.5\.1"):
        ConvNeXtClassifier.from_preset(NAME)
    assert cached_path(torch_file).exists()
    assert server.asked == []


READ = """
import sys
from dataclasses import replace
import numpy as np
from keras_convnext import ConvNeXtClassifier
from keras_convnext.checkpoints import CHECKPOINTS
name, url, path = sys.argv[1:]
CHECKPOINTS[name] = replace(CHECKPOINTS[name], url=url, sha256="")
np.savez(path, *ConvNeXtClassifier.from_preset(name).get_weights())
"""


def test_a_file_of_torch_needs_no_torch(source, server, keras_home, tmp_path, hide_packages):
    """As the authors publish theirs. Read on JAX, in a process that has no torch."""
    save_checkpoint(source.model, tmp_path / "model.pth", layout="official")
    server.files["/convnext_atto.pth"] = (tmp_path / "model.pth").read_bytes()
    arguments = [NAME, f"{server.url}/convnext_atto.pth", tmp_path / "weights.npz"]
    program = [sys.executable, "-c", hide_packages(["torch"]) + READ, *map(str, arguments)]
    subprocess.run(program, env={**os.environ, "KERAS_BACKEND": "jax"}, check=True, stdout=subprocess.DEVNULL)
    with np.load(tmp_path / "weights.npz") as arrays:
        for weight, name in zip(source.model.weights, arrays.files, strict=True):
            np.testing.assert_array_equal(weight, arrays[name], err_msg=weight.path)


# === The origin of weights


PROGRAM = """
import sys
from keras_convnext.checkpoints.catalog import Checkpoint
from keras_convnext.checkpoints.download import cached_file
cached_file(Checkpoint("convnext_atto.d2_in1k", "convnext_atto", sys.argv[1], "MIT"))
"""


def test_a_killed_download_does_not_spoil_the_cache(server, source, keras_home, publish):
    entry = publish(source.body, sha256="")
    begun, go_on = threading.Event(), threading.Event()

    def slow(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(source.body)))
        handler.end_headers()
        handler.wfile.write(source.body[:1_000_000])
        begun.set()
        go_on.wait(60)

    server.files["/convnext_atto.safetensors"] = slow
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, entry.url], stdout=subprocess.DEVNULL)
    assert begun.wait(60)
    folder = cached_path(entry).parent
    while not any(path.stat().st_size for path in folder.iterdir()):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    go_on.set()
    (left,) = folder.iterdir()
    assert left.name.endswith(".partial")

    server.files["/convnext_atto.safetensors"] = source.body
    assert_equal(ConvNeXtClassifier.from_preset(NAME), source.model)
    assert cached_path(entry).read_bytes() == source.body
    assert left.exists()  # it could be a download that is still going on

    long_ago = time.time() - download.STALE_SECONDS - 60
    os.utime(left, (long_ago, long_ago))
    cached_path(entry).unlink()
    ConvNeXtClassifier.from_preset(NAME)
    assert list(folder.iterdir()) == [cached_path(entry)]


def test_a_missing_package_is_named_before_the_download(published, server, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ModuleNotFoundError, match=r"keras-convnext\[checkpoints\]"):
        ConvNeXtClassifier.from_preset(NAME)
    assert server.asked == []
