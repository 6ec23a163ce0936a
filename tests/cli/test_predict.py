"""`predict`: the most likely classes of images, by name."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_convnext.data import load_digits
from keras_convnext.models import load_classifier


@pytest.fixture
def images(tmp_path):
    """Three digits as PNG files, and their pixels."""
    pixels = load_digits().test.pixels[:3]
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image[..., 0]).save(path)
    return paths, pixels


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n")
    return path


def softmax(logits):
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def test_agrees_with_the_model(cli, trained, images):
    paths, pixels = images
    result = cli("predict", trained.path, *paths, "--json", "--top", "10")
    assert result.code == 0
    facts = json.loads(result.out)
    assert facts["skipped"] == []
    assert [fact["image"] for fact in facts["images"]] == [str(path) for path in paths]
    model = load_classifier(trained.path / "model.keras")
    probabilities = softmax(model.predict(pixels.astype("float32"), verbose=0))
    for fact, expected in zip(facts["images"], probabilities, strict=True):
        given = [entry["probability"] for entry in fact["classes"]]
        assert given == sorted(given, reverse=True)
        assert sum(given) == pytest.approx(1)
        by_name = {entry["name"]: entry["probability"] for entry in fact["classes"]}
        assert by_name == pytest.approx({str(n): p for n, p in enumerate(expected.tolist())}, rel=1e-4)


@pytest.mark.parametrize("option, count", [([], 5), (["--top", "1"], 1), (["--top", "3"], 3), (["--top", "99"], 10)])
def test_gives_the_most_likely(cli, trained, images, option, count):
    paths, _ = images
    (fact,) = json.loads(cli("predict", trained.path, paths[0], "--json", *option).out)["images"]
    assert len(fact["classes"]) == count
    assert sum(entry["probability"] for entry in fact["classes"]) <= 1 + 1e-6
    everything = json.loads(cli("predict", trained.path, paths[0], "--json", "--top", "10").out)["images"][0]
    assert fact["classes"] == everything["classes"][:count]


def test_prints_a_line_an_image(cli, trained, images):
    paths, _ = images
    facts = json.loads(cli("predict", trained.path, *paths, "--top", "2", "--json").out)["images"]
    result = cli("predict", trained.path, *paths, "--top", "2")
    assert result.code == 0
    assert result.out.splitlines() == [
        f"{fact['image']}: " + ", ".join(f"{entry['name']} {entry['probability']:.1%}" for entry in fact["classes"])
        for fact in facts
    ]


def test_an_image_given_twice_is_printed_twice(cli, trained, images):
    paths, _ = images
    assert len(cli("predict", trained.path, paths[0], paths[0]).out.splitlines()) == 2


def test_images_of_other_sizes_and_modes_are_converted(cli, trained, images, tmp_path):
    paths, _ = images
    Image.open(paths[0]).convert("RGBA").resize((30, 20)).save(tmp_path / "large.png")
    assert cli("predict", trained.path, tmp_path / "large.png").code == 0


def test_class_names_are_those_of_the_run(cli, trained, images, tmp_path):
    run = shutil.copytree(trained.path, tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config["class_names"] = [f"digit {n}" for n in range(10)]
    (run / "config.json").write_text(json.dumps(config))
    (fact,) = json.loads(cli("predict", run, images[0][0], "--json", "--top", "10").out)["images"]
    assert {entry["name"] for entry in fact["classes"]} == set(config["class_names"])


def test_refuses_and_names_an_unreadable_image(refusal, trained, images, broken):
    assert f"{broken}: not a readable image" in refusal("predict", trained.path, images[0][0], broken)


def test_refuses_and_names_a_missing_image(refusal, trained):
    assert "nowhere.png: not a readable image" in refusal("predict", trained.path, "nowhere.png")


def test_skips_unreadable_images_and_says_so(cli, trained, images, broken):
    paths, _ = images
    arguments = ["predict", trained.path, paths[0], broken, paths[1], "--skip-unreadable"]
    facts = json.loads(cli(*arguments, "--json").out)
    assert [fact["image"] for fact in facts["images"]] == [str(paths[0]), str(paths[1])]
    assert facts["skipped"] == [str(broken)]
    lines = cli(*arguments).out.splitlines()
    assert len(lines) == 3
    assert lines[-1] == f"1 unreadable skipped: {broken}"


def test_refuses_when_no_image_is_readable(refusal, trained, broken):
    assert "none of 1 images is readable" in refusal("predict", trained.path, broken, "--skip-unreadable")


def test_refuses_a_model_cut_off(refusal, trained, images, tmp_path):
    run = shutil.copytree(trained.path, tmp_path / "run")
    model = run / "model.keras"
    model.write_bytes(model.read_bytes()[: model.stat().st_size // 2])
    assert f"{model}: not a .keras file, or one that is cut off" in refusal("predict", run, images[0][0])


def test_refuses_what_is_no_run(refusal, images, tmp_path):
    assert "not a run folder" in refusal("predict", tmp_path, images[0][0])


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_refuses_a_config_of_others(refusal, trained, images, tmp_path, content):
    run = shutil.copytree(trained.path, tmp_path / "run")
    (run / "config.json").write_text(content)
    assert "config.json" in refusal("predict", run, images[0][0])


def test_names_the_extra_of_a_missing_package(refusal, trained, images, without):
    without("PIL")
    message = 'PIL, which is not installed: pip install "keras-convnext[cli]"'
    assert message in refusal("predict", trained.path, images[0][0], "--skip-unreadable")
