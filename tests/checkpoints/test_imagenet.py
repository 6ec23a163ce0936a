"""The classes of ImageNet-1k against timm's list of them."""

from keras_convnext.checkpoints import imagenet_classes


def test_are_those_of_timm(timm):
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    classes = imagenet_classes()
    assert [one.id for one in classes] == info.label_names()
    for index, one in enumerate(classes):
        assert one.name.partition(" (")[0] == info.index_to_description(index, detailed=False).split(", ")[0]


def test_every_name_stands_for_one_class():
    assert len({one.name for one in imagenet_classes()}) == 1000
