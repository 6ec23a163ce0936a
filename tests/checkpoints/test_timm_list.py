"""The catalog against timm's own list. Collected on torch alone: the lists are the same on every backend."""

from keras_convnext.checkpoints import CHECKPOINTS


def test_the_catalog_has_every_convnext_of_timm_that_has_weights(timm):
    names = [*timm.list_pretrained("convnext*"), *timm.list_pretrained("test_convnext*")]
    assert len(names) > 80
    assert {name for name in names if name not in CHECKPOINTS} == set()


def test_the_facts_are_timms(timm):
    for name, entry in CHECKPOINTS.items():
        if entry.hub_name == f"timm/{name}":
            cfg = timm.get_pretrained_cfg(name)
            assert (entry.image_size, entry.num_classes) == (cfg.input_size[1], cfg.num_classes), name
            assert (entry.mean, entry.std) == (cfg.mean, cfg.std), name
            if "dl.fbaipublicfiles.com" not in entry.url:  # whose evaluation is the authors'
                evaluation = entry.crop_pct, entry.interpolation, entry.squash
                assert evaluation == (cfg.crop_pct, cfg.interpolation, cfg.crop_mode == "squash"), name
