"""`predict`, `evaluate` and `convert` with published weights and with files of weights."""

import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from keras_convnext import ConvNeXtBackbone, ConvNeXtClassifier, load_checkpoint, save_checkpoint
from keras_convnext.checkpoints import CHECKPOINTS, ade20k_classes, cached_path, imagenet_classes
from keras_convnext.cli.labelled_images import _labels
from keras_convnext.cli.source import find_source
from keras_convnext.data import read_image, read_label_map
from keras_convnext.models import load_model
from keras_convnext.preprocessing import ResizeAndCrop, preprocessor
from keras_convnext.segmentation import UPerNet
from keras_convnext.segmentation import predict as predict_label_map

NAME = "convnextv2_atto_1k_224_ema"
CLASSES = {"n02123045": 281, "n02124075": 285, "n07920052": 967}
"""Of ImageNet: tabby, Egyptian cat, espresso."""


@pytest.fixture(scope="module")
def model():
    """A classifier of 1000 classes that tells pictures apart, if not by what is on them."""
    keras.utils.set_random_seed(1)
    model = ConvNeXtClassifier.from_preset("convnextv2_atto")
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path in ("head/kernel", "head/bias"):
            weight.assign(rng.normal(size=weight.shape).astype("float32"))
    return model


@pytest.fixture
def cached(model, tmp_path, monkeypatch):
    """The model in Keras's cache, as if it had been downloaded under NAME; the path of the file."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    path = cached_path(CHECKPOINTS[NAME])
    path.parent.mkdir(parents=True)
    save_checkpoint(model, path)
    return path


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """A folder with a sub-folder for each of CLASSES, called by its id, with two pictures each."""
    from skimage import data

    folder = tmp_path_factory.mktemp("photographs")
    for name, picture in zip(CLASSES, (data.chelsea(), data.astronaut(), data.coffee()), strict=True):
        (folder / name).mkdir()
        Image.fromarray(picture).save(folder / name / "first.png")
        Image.fromarray(picture[:, ::-1]).save(folder / name / "second.png")
    return folder


@pytest.fixture
def logits(model, photographs):
    """What the model gives for the pictures, in their order."""
    transform = preprocessor(NAME)
    images = np.stack([transform(read_image(path)) for path in sorted(photographs.rglob("*.png"))])
    return model.predict(images.astype("float32"), verbose=0)


def once(form):
    return pytest.param(form, marks=pytest.mark.once)


@pytest.fixture(params=["name", once("hub name"), once("file"), once("safetensors"), "keras"])
def source(request, cached, model, tmp_path):
    """The same model in each form that the commands take."""
    form = request.param
    if form == "safetensors":
        save_checkpoint(model, tmp_path / "model.safetensors", layout="timm")
    if form == "keras":
        model.save(tmp_path / "model.keras")
    return {"name": NAME, "hub name": "facebook/convnextv2-atto-1k-224", "file": cached}.get(
        form, tmp_path / f"model.{form}"
    )


@pytest.mark.filterwarnings("ignore:.*restricts their use")
def test_predict_prints_names_of_imagenet(cli, source, photographs, logits):
    paths = sorted(photographs.rglob("*.png"))
    result = cli("predict", source, *paths, "--json", "--top", "3")
    assert result.code == 0, result.err
    names = [one.name for one in imagenet_classes()]
    for fact, row in zip(json.loads(result.out)["images"], logits, strict=True):
        probabilities = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        best = np.argsort(-row)[:3]
        assert [entry["name"] for entry in fact["classes"]] == [names[i] for i in best]
        given = [entry["probability"] for entry in fact["classes"]]
        np.testing.assert_allclose(given, probabilities[best], rtol=1e-3)


@pytest.mark.once
def test_predict_shows_the_licence(cli, cached, photographs):
    for source in (NAME, cached):
        assert cli("predict", source, photographs / "n02123045" / "first.png").err.count("CC-BY-NC-4.0") == 1


@pytest.mark.filterwarnings("ignore:.*restricts their use")
def test_evaluate_finds_the_classes_and_shows_the_published_figure(cli, source, photographs, logits):
    result = cli("evaluate", source, "--data", photographs, "--batch", "4", "--json")
    assert result.code == 0, result.err
    facts = json.loads(result.out)
    labels = np.repeat(list(CLASSES.values()), 2)
    assert (facts["part"], facts["images"]) == ("all", 6)
    assert facts["accuracy"] == pytest.approx((logits.argmax(-1) == labels).mean())
    assert [one["name"] for one in facts["classes"]] == ["tabby", "Egyptian cat", "espresso"]
    shifted = logits - logits.max(-1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(-1)) - shifted[np.arange(6), labels]
    assert facts["loss"] == pytest.approx(losses.mean(), rel=1e-4)
    is_known = not str(source).endswith(("model.safetensors", "model.keras"))
    assert facts["published"] == ({"accuracy": 0.767, "top5_accuracy": None} if is_known else None)


@pytest.mark.once
@pytest.mark.filterwarnings("ignore:.*restricts their use")
def test_evaluate_knows_what_is_right(cli, cached, photographs, logits, tmp_path):
    """The same pictures in folders of the classes that the model gives them, called by name."""
    names = [one.name for one in imagenet_classes()]
    chosen = sorted({int(row.argmax()) for row in logits})
    for path, row in zip(sorted(photographs.rglob("*.png")), logits, strict=True):
        folder = tmp_path / "right" / names[row.argmax()]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{path.parent.name}-{path.name}").write_bytes(path.read_bytes())
    assert len(chosen) > 1
    lines = cli("evaluate", NAME, "--data", tmp_path / "right").out.splitlines()
    assert any(line.startswith("6 images (all): accuracy 1.0000, top-5 1.0000, loss") for line in lines)
    assert "published, on ImageNet-1k's 50000 validation images: accuracy 0.7670" in lines


@pytest.mark.filterwarnings("ignore:.*restricts their use")
@pytest.mark.parametrize("size", [64, once(96)])
def test_another_size(cli, cached, model, photographs, size):
    path = photographs / "n02124075" / "first.png"
    (fact,) = json.loads(cli("predict", NAME, path, "--size", size, "--json", "--top", "1").out)["images"]
    image = preprocessor(NAME, size)(read_image(path))
    row = model.predict(image[None].astype("float32"), verbose=0)[0]
    assert fact["classes"][0]["name"] == imagenet_classes()[row.argmax()].name


@pytest.mark.filterwarnings("ignore:.*restricts their use")
def test_convert_takes_a_name(cli, cached, model, tmp_path):
    result = cli("convert", NAME, tmp_path / "model.keras")
    assert result.code == 0, result.err
    saved = load_model(tmp_path / "model.keras")
    assert saved.backbone.license == "CC-BY-NC-4.0"
    for weight, same in zip(saved.weights, model.weights, strict=True):
        np.testing.assert_array_equal(weight, same)
    assert cli("convert", NAME, tmp_path / "timm.safetensors", "--layout", "timm").code == 0
    load_checkpoint(saved, tmp_path / "timm.safetensors")


@pytest.mark.parametrize("form", [".pt", ".keras"])
def test_a_file_is_prepared_for_as_its_name(cached, tmp_path, monkeypatch, form):
    """Of a checkpoint of another size, crop and mean than most."""
    entry = replace(CHECKPOINTS[NAME], image_size=96, crop_pct=1.0, squash=True, mean=(0.1, 0.2, 0.3), top1=50.0)
    monkeypatch.setitem(CHECKPOINTS, NAME, entry)
    by_name = find_source(NAME)
    path = cached
    if form == ".keras":
        path = tmp_path / "model.keras"
        by_name.load().save(path)
    by_file = find_source(path)
    assert by_file.transform == by_name.transform == ResizeAndCrop(96, 96, squash=True)
    assert by_file.load().backbone.mean == entry.mean
    assert by_file.checkpoint == entry
    assert find_source(path, size=64).transform == find_source(NAME, size=64).transform == ResizeAndCrop(64, 64, 0.875)


@pytest.mark.filterwarnings("ignore:.*restricts their use")
def test_channels_first_elsewhere_is_no_matter(cli, cached, photographs, logits):
    path = photographs / "n02123045" / "first.png"
    keras.config.set_image_data_format("channels_first")
    try:
        for source in (NAME, cached):
            (fact,) = json.loads(cli("predict", source, path, "--json", "--top", "1").out)["images"]
            assert fact["classes"][0]["name"] == imagenet_classes()[logits[0].argmax()].name
    finally:
        keras.config.set_image_data_format("channels_last")


def test_convert_of_weights_without_a_head_is_a_backbone(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    path = cached_path(CHECKPOINTS["convnextv2_atto_1k_224_fcmae"])
    path.parent.mkdir(parents=True)
    save_checkpoint(ConvNeXtBackbone.from_preset("convnextv2_atto"), path, layout="fcmae")
    result = cli("convert", "convnextv2_atto_1k_224_fcmae", tmp_path / "backbone.keras")
    assert result.code == 0, result.err
    assert "fcmae, convnextv2_atto, no classes, CC-BY-NC-4.0" in result.out
    assert "CC-BY-NC-4.0, which restricts" in result.err
    assert cli("convert", tmp_path / "backbone.keras", tmp_path / "again.pth", "--layout", "fcmae").code == 0


def test_a_keras_file_is_known_by_what_is_in_it(cli, model, tmp_path):
    model.save(tmp_path / "model.keras")
    (tmp_path / "model.keras").rename(tmp_path / "model.dat")
    assert cli("convert", tmp_path / "model.dat", tmp_path / "model.pth").code == 0


@pytest.mark.once
@pytest.mark.filterwarnings("ignore:.*restricts their use")
@pytest.mark.parametrize("part", ["val", "Testing"])
def test_a_folder_of_validation_or_test_images_alone(cli, cached, photographs, tmp_path, part):
    shutil.copytree(photographs, tmp_path / "data" / part)
    (tmp_path / "data" / part / ".DS_Store").write_bytes(b"")
    result = cli("evaluate", NAME, "--data", tmp_path / "data", "--json")
    assert json.loads(result.out)["images"] == 6
    assert f"{part}: 1 file is left out: 1 hidden\n" in result.err


@pytest.mark.parametrize(
    ("given", "class_names", "labels"),
    [
        (("n01443537", "n01440764"), None, [1, 0]),
        (("tench", "n01443537"), None, [0, 1]),
        (tuple(sorted(map(str, range(1000)))), None, [int(n) for n in sorted(map(str, range(1000)))]),
        (("cat", "dog"), ("class 0", "class 1"), [0, 1]),
    ],
)
def test_classes_are_found_by_id_name_number_or_place(capsys, given, class_names, labels):
    names = class_names or tuple(one.name for one in imagenet_classes())
    assert _labels("data", given, names).tolist() == labels
    assert ("are taken to be the model's in their order" in capsys.readouterr().err) == (class_names is not None)


@pytest.mark.parametrize("count", [3, 1000])
def test_a_class_that_is_unknown_among_known_ones_is_refused(count):
    names = tuple(one.name for one in imagenet_classes())
    with pytest.raises(ValueError, match=rf"1 of its {count} classes are not among the model's 1000: 'tenhc'\."):
        _labels("data", ("tenhc", *names[1:count]), names)


def test_a_model_of_one_class_refuses_others():
    with pytest.raises(ValueError, match="Expected names such as 'class 0'"):
        _labels("data", ("cat", "dog"), ("class 0",))


# === What is refused


@pytest.mark.parametrize("command", [("predict", NAME, "photo.jpg"), ("evaluate", NAME, "--data", "digits")])
def test_refuses_images_smaller_than_the_stride(refusal, command):
    assert "--size 10: images must have 32 pixels or more" in refusal(*command, "--size", "10")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "No such file or folder, and no such preset: nowhere. Unknown preset"),
        (["convnext_atto"], "is an architecture without weights"),
        ([NAME, "--ema"], "--ema applies to training checkpoints (.pth), not to published ones"),
        ([NAME, "--variant", "convnextv2_atto"], "--variant cannot be given for a published checkpoint"),
    ],
)
def test_convert_refuses(refusal, tmp_path, arguments, message):
    source, *options = arguments
    assert message in refusal("convert", source, tmp_path / "out.keras", *options)


def test_convert_takes_no_weights_for_a_variant(refusal, cached, tmp_path):
    line = refusal("convert", cached, tmp_path / "out.keras", "--variant", NAME)
    assert "Unknown variant" in line


def test_names_the_weights_of_an_architecture(refusal, photographs):
    line = refusal("predict", "convnextv2_atto", photographs / "n02123045" / "first.png")
    assert f"an architecture, without weights; weights of it are {NAME}, " in line
    assert "there are no published weights of it" in refusal("predict", "convnext_mini", "photo.jpg")


@pytest.mark.parametrize("name", ["convnextv2_atto_1k_224_fcmae", "convnext_base.clip_laion2b"])
def test_refuses_weights_without_classes(refusal, name):
    assert "features of images, not classes" in refusal("predict", name, "photo.jpg")


@pytest.mark.parametrize("command", [["predict", "nowhere", "a.png"], ["evaluate", "nowhere", "--data", "digits"]])
def test_refuses_a_name_of_nothing(refusal, command):
    line = refusal(*command)
    assert "No such file or folder, and no such preset: nowhere. " in line


def test_refuses_pictures_before_the_download(refusal, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    assert "No such file or folder: gone.png" in refusal("predict", NAME, "gone.png")
    assert "--data is needed" in refusal("evaluate", NAME)
    assert not (tmp_path / "home").exists()


def test_refuses_data_of_other_classes(refusal, cached, write_digits, tmp_path):
    folder = write_digits(tmp_path / "digits")
    line = refusal("evaluate", NAME, "--data", folder, "--json")
    assert "3 of its 3 classes are not among the model's 1000: 'one', 'two', 'zero'. Expected names such as" in line


def test_refuses_images_of_other_channels(refusal, cached):
    assert "images of 1 channels; the model takes 3" in refusal("evaluate", NAME, "--data", "digits")


def test_refuses_a_model_of_normalized_images(refusal, tmp_path):
    ConvNeXtClassifier.from_preset("convnext_mini", include_preprocessing=False).save(tmp_path / "model.keras")
    assert "expected a model that takes images in 0..255" in refusal("predict", tmp_path / "model.keras", "photo.jpg")


def test_refuses_a_file_without_a_classifier(refusal, model, tmp_path):
    save_checkpoint(model.backbone, tmp_path / "model.safetensors", layout="timm")
    assert "expected a classifier, a UPerNet or a run folder. Found: a ConvNeXtBackbone" in refusal(
        "predict", tmp_path / "model.safetensors", "photo.jpg"
    )


def test_refuses_another_size_than_the_model_takes(refusal, trained, tmp_path):
    assert "a run determines the size of its images" in refusal("predict", trained.path, "photo.jpg", "--size", "64")
    ConvNeXtClassifier.from_preset("convnext_mini", input_shape=(16, 16, 3)).save(tmp_path / "model.keras")
    line = refusal("predict", tmp_path / "model.keras", "photo.jpg", "--size", "64")
    assert "the model takes images of 16 x 16 pixels" in line


@pytest.fixture
def segmenter(tmp_path, monkeypatch):
    """The name of a published UPerNet, here a small one in Keras's cache."""
    name = "upernet_convnext_tiny_1k_512x512"
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setitem(CHECKPOINTS, name, replace(CHECKPOINTS[name], variant="convnext_atto"))
    path = cached_path(CHECKPOINTS[name])
    path.parent.mkdir(parents=True)
    model = UPerNet.from_preset("convnext_atto", num_classes=150)
    save_checkpoint(model, path)
    return name, model, path


def test_a_published_segmenter_sees_windows_of_the_photograph(cli, segmenter, tmp_path):
    name, model, path = segmenter
    photograph = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype="uint8")
    for kind, pixels in (("images", photograph), ("annotations", photograph[..., 0] // 2)):
        (tmp_path / "data" / kind / "training").mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / "data" / kind / "training" / "a.png")
    names = [one.name for one in ade20k_classes()]
    (tmp_path / "data" / "objectInfo150.csv").write_text("Name\n" + "\n".join(f'"{one}"' for one in names))
    expected = predict_label_map(model, photograph, mode="slide", crop=64, shorter_side=64)
    for source in (name, path):
        facts = cli("predict", source, tmp_path / "data/images", "--size", "64", "--json", "--top", "150").out
        shares = {one["name"]: one["share"] for one in json.loads(facts)["images"][0]["classes"]}
        assert shares == pytest.approx({names[i]: (expected == i).mean() for i in np.unique(expected)})
    result = cli("evaluate", name, "--data", tmp_path / "data", "--size", "64", "--json")
    assert result.code == 0, result.err
    true = read_label_map(tmp_path / "data/annotations/training/a.png").astype(int)
    annotated = true < 150
    facts = json.loads(result.out)
    assert facts["pixel_accuracy"] == pytest.approx((true == expected)[annotated].mean())
    assert facts["published"] is None
