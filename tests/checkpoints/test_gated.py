"""Files that the hub gives only to those who accepted a licence."""

import numpy as np
import pytest

from keras_convnext import ConvNeXtClassifier
from keras_convnext.checkpoints import cached_path, download

NAME = "convnext_atto.d2_in1k"


def assert_equal(model, other):
    for weight, same in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(weight, same, err_msg=weight.path)


@pytest.fixture
def gated(server, source, keras_home, monkeypatch, publish):
    """The model as DINOv3's are: its entry. The token is `secret`; the file is elsewhere, where none may be sent."""
    monkeypatch.setattr(download, "HUB", f"{server.url}/")
    monkeypatch.delenv("HF_TOKEN", raising=False)

    def answer(handler):
        token = handler.headers["Authorization"]
        if token != "Bearer secret":
            return handler.send_error(403 if token else 401, "Restricted")
        handler.send_response(302)
        handler.send_header("Location", server.url + "/elsewhere")
        handler.end_headers()

    def elsewhere(handler):
        assert "Authorization" not in handler.headers
        server.send(handler, source.body, len(source.body))

    path = "/facebook/dinov3/resolve/main/model.safetensors"
    entry = publish(source.body, path=path)
    server.files |= {path: answer, "/elsewhere": elsewhere}
    return entry


@pytest.mark.parametrize("token", [None, "another's"])
def test_a_gated_file_says_how_to_come_by_it(gated, server, monkeypatch, fails, token):
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    message = fails(gated, OSError, "403" if token else "401")
    assert f"accepted its licence: log in at {server.url}/facebook/dinov3, accept it" in message
    assert "set the environment variable HF_TOKEN to your token" in message
    assert f"or put the file there by hand: {cached_path(gated)}" in message
    assert token is None or token not in message


def test_a_gated_file_with_a_token(gated, source, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert_equal(ConvNeXtClassifier.from_preset(NAME), source.model)


def test_the_token_is_for_the_hub_alone(published, server, source, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    asked = []

    def answer(handler):
        asked.append(handler.headers["Authorization"])
        server.send(handler, source.body, len(source.body))

    server.files["/convnext_atto.safetensors"] = answer
    ConvNeXtClassifier.from_preset(NAME)
    assert asked == [None]
