"""`predict`: the most likely classes of images, by name."""

import json
import shutil

import keras
import numpy as np
import pytest
from PIL import Image

from keras_convnext import ConvNeXtClassifier, save_checkpoint
from keras_convnext.cli.source import find_source
from keras_convnext.data import load_digits
from keras_convnext.models import load_model

pytestmark = pytest.mark.once


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


@pytest.fixture
def named(trained, tmp_path):
    """A copy of the run whose classes have names."""
    run = shutil.copytree(trained.path, tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    config["class_names"] = [f"digit {n}" for n in range(10)]
    (run / "config.json").write_text(json.dumps(config))
    return run


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
    model = load_model(trained.path / "model.keras")
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


def test_class_names_are_those_of_the_run(cli, named, images):
    (fact,) = json.loads(cli("predict", named, images[0][0], "--json", "--top", "10").out)["images"]
    assert {entry["name"] for entry in fact["classes"]} == {f"digit {n}" for n in range(10)}


@pytest.mark.parametrize("file", ["model.keras", "state/epoch-2/model.keras"])
def test_the_file_of_a_run_has_its_class_names_and_size(cli, named, images, file):
    """Images of another size than the run's come out as in the run."""
    paths, _ = images
    Image.open(paths[0]).resize((30, 20)).save(paths[0])
    result = cli("predict", named / file, *paths, "--top", "3")
    assert result.code == 0, result.err
    assert "digit " in result.out and "class " not in result.out
    if file == "model.keras":
        assert result.out == cli("predict", named, *paths, "--top", "3").out


def test_another_model_in_the_folder_of_a_run(cli, refusal, named, images):
    """By the name of its file it is what it is; in the run's place it is refused."""
    other = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=2, input_shape=(8, 8, 1))
    other.save(named / "other.keras")
    assert "class 1" in cli("predict", named / "other.keras", images[0][0]).out
    other.save(named / "model.keras")
    assert "model.keras: gives outputs of shape (2,), and the run has 10 classes" in refusal(
        "predict", named, images[0][0]
    )
    ConvNeXtClassifier.from_preset("convnext_mini", num_classes=10, input_shape=(8, 8, 3)).save(named / "model.keras")
    assert "takes images of shape (8, 8, 3)" in refusal("predict", named, images[0][0])


def test_the_configuration_of_another_program_is_passed_over(cli, trained, images, tmp_path):
    shutil.copy(trained.path / "model.keras", tmp_path / "model.keras")
    (tmp_path / "config.json").write_text('{"model_type": "convnext"}')
    assert "class 1" in cli("predict", tmp_path / "model.keras", images[0][0], "--top", "10").out


def test_a_step_of_the_roadmap(cli, images, tmp_path):
    """A functional model of no class of ours, in a run folder."""
    inputs = keras.Input((8, 8, 1))
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(inputs))
    keras.Model(inputs, outputs).save(tmp_path / "model.keras")
    config = {"class_names": ["cat", "dog"], "image_shape": [8, 8, 1], "recipe": {}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for name in (tmp_path, tmp_path / "model.keras"):
        assert "cat" in cli("predict", name, images[0][0]).out


@pytest.mark.parametrize("form", ["folder", "pattern", "folders by a pattern"])
def test_takes_folders_and_patterns(cli, trained, write_digits, tmp_path, form):
    folder = write_digits(tmp_path / "pictures", count=12)  # 36, more than a batch
    (folder / "one" / "notes.txt").write_text("no image")
    given = {"folder": folder, "pattern": folder / "*" / "*.png", "folders by a pattern": folder / "*e*"}[form]
    result = cli("predict", trained.path, given, "--json")
    assert result.code == 0, result.err
    facts = json.loads(result.out)["images"]
    chosen = sorted(folder.rglob("*.png"))
    if form == "folders by a pattern":
        chosen = [path for path in chosen if "e" in path.parent.name]
    assert [fact["image"] for fact in facts] == [str(path) for path in chosen]
    assert ("1 file is left out" in result.err) == (form != "pattern")
    (alone,) = json.loads(cli("predict", trained.path, facts[-1]["image"], "--json").out)["images"]
    assert [one["name"] for one in alone["classes"]] == [one["name"] for one in facts[-1]["classes"]]


def test_a_file_whose_name_looks_like_a_pattern(cli, trained, images):
    path = images[0][0].with_name("photo[1].png")
    images[0][0].rename(path)
    assert cli("predict", trained.path, path).out.startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty", "empty: no images in this folder."),
        ("*.jpg", "*.jpg: no file matches."),
        ("", "expected image files, got an empty name."),
        ("gone", "No such file or folder: gone\n"),
    ],
)
def test_refuses_where_there_is_no_image(refusal, trained, tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert message in refusal("predict", trained.path, name)


def test_refuses_and_names_an_unreadable_image(refusal, trained, images, broken):
    other = broken.with_name("other.png")
    other.write_bytes(b"")
    line = refusal("predict", trained.path, images[0][0], broken, other)
    assert f"{broken}: not a readable image" in line
    assert ", and 1 more. Fix or remove them, or leave them out with --skip-unreadable." in line


def test_refuses_and_names_a_missing_image(refusal, trained):
    line = refusal("predict", trained.path, "nowhere.png", "--skip-unreadable")
    assert line == "keras-convnext predict: No such file or folder: nowhere.png\n"


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
    assert f"{model}: cut off or damaged" in refusal("predict", run, images[0][0])


def test_refuses_what_is_no_run(refusal, images, tmp_path):
    assert "not a run folder" in refusal("predict", tmp_path, images[0][0])


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"class_names": null, "image_shape": [8, 8, 1], "recipe": {}}',
        '{"class_names": ["a"], "image_shape": 8, "recipe": {}}',
        '{"class_names": ["a"], "image_shape": [8, 8], "recipe": {}}',
        '{"class_names": ["a"], "image_shape": [8, 8, 1], "recipe": "digits"}',
    ],
)
def test_refuses_a_config_of_others(refusal, named, images, content):
    (named / "config.json").write_text(content)
    assert "config.json" in refusal("predict", named, images[0][0])


def test_names_the_extra_of_a_missing_package(refusal, trained, images, without):
    without("PIL")
    message = 'PIL, which is not installed: pip install "keras-convnext[cli]"'
    assert message in refusal("predict", trained.path, images[0][0], "--skip-unreadable")


def test_refuses_a_model_without_pooling(refusal, images, tmp_path):
    model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=3, global_pool=None)
    model.save(tmp_path / "model.keras")
    line = refusal("predict", tmp_path / "model.keras", images[0][0])
    assert 'reset_classifier(3, global_pool="avg")' in line


@pytest.mark.parametrize("form", ["preset", "keras", "safetensors"])
def test_refuses_embeddings(refusal, images, tmp_path, form, monkeypatch):
    """CLIP's, whether they are named or in a file that says what it is."""
    name = "convnext_base.clip_laion2b"
    source = name
    if form != "preset":
        model = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=640)
        model.backbone.preset = name
        source = tmp_path / f"model.{form}"
        model.save(source) if form == "keras" else save_checkpoint(model, source)
    assert "features of images, not classes" in refusal("predict", source, images[0][0])


@pytest.mark.parametrize("form", ["keras", "safetensors"])
def test_a_file_has_its_variants_image_size(tmp_path, form):
    model, path = ConvNeXtClassifier.from_preset("convnext_mini", num_classes=3), tmp_path / f"model.{form}"
    model.save(path) if form == "keras" else save_checkpoint(model, path)
    assert find_source(path).transform.height == 8
