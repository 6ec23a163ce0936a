"""ImageNet as Kaggle's archive unpacks, in miniature: real JPEG files, of which some are CMYK, grey, or PNG inside."""

import shutil

import numpy as np
import pytest

from keras_convnext.checkpoints import imagenet_classes
from keras_convnext.data import AugmentedBatches, load_data, load_imagenet, read_image
from keras_convnext.data.imagenet_folder import IMAGES, SOLUTION
from keras_convnext.preprocessing import Augmentation

IDS = ("n01440764", "n01443537", "n01484850")
VALIDATION = {
    "ILSVRC2012_val_00000001": "n01484850 1 2 3 4",
    "ILSVRC2012_val_00000002": "n01440764 85 1 499 272 n01440764 1 1 20 20",
    "ILSVRC2012_val_00000003": "n01484850 9 9 99 99",
}


@pytest.fixture
def imagenet(tmp_path, write_image):
    """A folder as Kaggle's archive unpacks, with its other folders and tables."""
    root = tmp_path / "imagenet"
    for place, name in enumerate(reversed(IDS)):
        for number, mode in enumerate(("RGB", "L", "CMYK")):
            write_image(root / IMAGES / "train" / name / f"{name}_{number + place}.JPEG", mode, format="JPEG")
    write_image(root / IMAGES / "train" / IDS[0] / f"{IDS[0]}_99.JPEG", format="PNG")  # there is one such file
    for name in VALIDATION:
        write_image(root / IMAGES / "val" / f"{name}.JPEG")
    write_image(root / IMAGES / "test" / "ILSVRC2012_test_00000001.JPEG")
    (root / "ILSVRC" / "Annotations").mkdir()
    (root / "ILSVRC" / "ImageSets").mkdir()
    rows = [f"{name},{objects} \n" for name, objects in sorted(VALIDATION.items(), reverse=True)]
    (root / SOLUTION).write_text("ImageId,PredictionString\n" + "".join(rows))
    return root


@pytest.mark.parametrize("load", [load_imagenet, load_data])
def test_images_and_labels(imagenet, load):
    data = load(imagenet, verbose=False)
    assert data.class_names == IDS
    assert data.test is None
    assert [(file.parent.name, label) for file, label in zip(data.train.pixels, data.train.labels, strict=True)] == [
        (name, label) for label, name in enumerate(IDS) for _ in range(4 if label == 0 else 3)
    ]
    found = zip(data.validation.pixels, data.validation.labels, strict=True)
    assert {file.stem: IDS[label] for file, label in found} == {
        name: objects.split()[0] for name, objects in VALIDATION.items()
    }
    assert all(read_image(file).shape[-1] == 3 for file in data.train.pixels)


def test_the_order_of_ids_is_that_of_imagenets_classes():
    ids = [one.id for one in imagenet_classes()]
    assert ids == sorted(ids)


def test_batches(imagenet):
    batches = AugmentedBatches(load_imagenet(imagenet, verbose=False).train, (8, 8), Augmentation(), 4, workers=1)
    try:
        assert np.isfinite(batches[0][0]).all()
    finally:
        batches.close()


def test_folders_of_validation_classes_are_the_plain_layout(imagenet):
    """As a well-known script sorts them, then found by `load_folder`."""
    for name, objects in VALIDATION.items():
        folder = imagenet / IMAGES / "val" / objects.split()[0]
        folder.mkdir(exist_ok=True)
        (imagenet / IMAGES / "val" / f"{name}.JPEG").rename(folder / f"{name}.JPEG")
    shutil.rmtree(imagenet / IMAGES / "test")
    data = load_data(imagenet / IMAGES, verbose=False)
    assert data.class_names == IDS
    assert sorted(data.validation.labels) == [0, 2, 2]


def test_refuses_a_missing_table(imagenet):
    (imagenet / SOLUTION).unlink()
    with pytest.raises(ValueError, match=rf"{SOLUTION}: no such file\. It is in Kaggle's archive"):
        load_imagenet(imagenet, verbose=False)


def test_refuses_a_table_of_other_columns(imagenet):
    (imagenet / SOLUTION).write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"expected columns ImageId and PredictionString, got \['a', 'b'\]"):
        load_imagenet(imagenet, verbose=False)


def test_refuses_an_image_without_a_row(imagenet):
    shutil.copy(imagenet / IMAGES / "val/ILSVRC2012_val_00000001.JPEG", imagenet / IMAGES / "val/other.JPEG")
    with pytest.raises(ValueError, match=r"no row for other\.JPEG"):
        load_imagenet(imagenet, verbose=False)


def test_refuses_a_class_without_training_images(imagenet):
    shutil.rmtree(imagenet / IMAGES / "train" / IDS[2])
    with pytest.raises(ValueError, match="the class 'n01484850', of which there are no training images"):
        load_imagenet(imagenet, verbose=False)


def test_refuses_missing_validation_images(imagenet):
    shutil.rmtree(imagenet / IMAGES / "val")
    with pytest.raises(ValueError, match=r"val: no such folder\. Unpack the validation images, too"):
        load_imagenet(imagenet, verbose=False)


def test_an_unreadable_image(imagenet):
    bad = imagenet / IMAGES / "val/ILSVRC2012_val_00000003.JPEG"
    bad.write_bytes(bad.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"00000003\.JPEG.*`skip_unreadable=True`"):
        load_imagenet(imagenet, verbose=False)
    data = load_imagenet(imagenet, skip_unreadable=True, verbose=False)
    assert (data.skipped, len(data.validation)) == ((bad,), 2)
