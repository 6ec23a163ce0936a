"""What each publisher says about each checkpoint of a ConvNeXt: rows of facts, of which `catalog` makes its entries.

Top-1 and top-5 accuracies are in percent, on ImageNet-1k's validation images, at the row's image size. None means that
nothing was published, and 0 classes that the checkpoint has no classifier.
"""

from typing import Any

SQUASH = {"squash": True}
CLIP = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
}
DINOV3 = {"license": "dinov3-license"}
HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
EUPE = {"license": "fair-noncommercial-research-license"}

V1 = (
    # facebookresearch/ConvNeXt, README.md. Path, variant, image size, classes, top-1, transformers' name on the hub.
    # The README has 78.7 for isotropic S, the paper's Table 2 79.7.
    ("convnext_tiny_1k_224_ema.pth", "convnext_tiny", 224, 1000, 82.1, "facebook/convnext-tiny-224"),
    ("convnext_small_1k_224_ema.pth", "convnext_small", 224, 1000, 83.1, "facebook/convnext-small-224"),
    ("convnext_base_1k_224_ema.pth", "convnext_base", 224, 1000, 83.8, "facebook/convnext-base-224"),
    ("convnext_large_1k_224_ema.pth", "convnext_large", 224, 1000, 84.3, "facebook/convnext-large-224"),
    ("convnext_base_1k_384.pth", "convnext_base", 384, 1000, 85.1, "facebook/convnext-base-384"),
    ("convnext_large_1k_384.pth", "convnext_large", 384, 1000, 85.5, "facebook/convnext-large-384"),
    ("convnext_tiny_1k_224.pth", "convnext_tiny", 224, 1000, None, None),
    ("convnext_small_1k_224.pth", "convnext_small", 224, 1000, None, None),
    ("convnext_base_1k_224.pth", "convnext_base", 224, 1000, None, None),
    ("convnext_tiny_22k_224.pth", "convnext_tiny", 224, 21841, None, None),
    ("convnext_small_22k_224.pth", "convnext_small", 224, 21841, None, None),
    ("convnext_base_22k_224.pth", "convnext_base", 224, 21841, None, "facebook/convnext-base-224-22k"),
    ("convnext_large_22k_224.pth", "convnext_large", 224, 21841, None, "facebook/convnext-large-224-22k"),
    ("convnext_xlarge_22k_224.pth", "convnext_xlarge", 224, 21841, None, "facebook/convnext-xlarge-224-22k"),
    ("convnext_tiny_22k_1k_224.pth", "convnext_tiny", 224, 1000, 82.9, None),
    ("convnext_small_22k_1k_224.pth", "convnext_small", 224, 1000, 84.6, None),
    ("convnext_base_22k_1k_224.pth", "convnext_base", 224, 1000, 85.8, "facebook/convnext-base-224-22k-1k"),
    ("convnext_large_22k_1k_224.pth", "convnext_large", 224, 1000, 86.6, "facebook/convnext-large-224-22k-1k"),
    ("convnext_xlarge_22k_1k_224_ema.pth", "convnext_xlarge", 224, 1000, 87.0, "facebook/convnext-xlarge-224-22k-1k"),
    ("convnext_tiny_22k_1k_384.pth", "convnext_tiny", 384, 1000, 84.1, None),
    ("convnext_small_22k_1k_384.pth", "convnext_small", 384, 1000, 85.8, None),
    ("convnext_base_22k_1k_384.pth", "convnext_base", 384, 1000, 86.8, "facebook/convnext-base-384-22k-1k"),
    ("convnext_large_22k_1k_384.pth", "convnext_large", 384, 1000, 87.5, "facebook/convnext-large-384-22k-1k"),
    ("convnext_xlarge_22k_1k_384_ema.pth", "convnext_xlarge", 384, 1000, 87.8, "facebook/convnext-xlarge-384-22k-1k"),
    ("convnext_iso_small_1k_224_ema.pth", "convnext_isotropic_small", 224, 1000, 78.7, None),
    ("convnext_iso_base_1k_224_ema.pth", "convnext_isotropic_base", 224, 1000, 82.0, None),
    ("convnext_iso_large_1k_224_ema.pth", "convnext_isotropic_large", 224, 1000, 82.6, None),
)

V2 = (
    # facebookresearch/ConvNeXt-V2, README.md; the same columns. `fcmae`: pre-trained by masking, not fine-tuned.
    ("pt_only/convnextv2_atto_1k_224_fcmae.pt", "convnextv2_atto", 224, 0, None, None),
    ("pt_only/convnextv2_femto_1k_224_fcmae.pt", "convnextv2_femto", 224, 0, None, None),
    ("pt_only/convnextv2_pico_1k_224_fcmae.pt", "convnextv2_pico", 224, 0, None, None),
    ("pt_only/convnextv2_nano_1k_224_fcmae.pt", "convnextv2_nano", 224, 0, None, None),
    ("pt_only/convnextv2_tiny_1k_224_fcmae.pt", "convnextv2_tiny", 224, 0, None, None),
    ("pt_only/convnextv2_base_1k_224_fcmae.pt", "convnextv2_base", 224, 0, None, None),
    ("pt_only/convnextv2_large_1k_224_fcmae.pt", "convnextv2_large", 224, 0, None, None),
    ("pt_only/convnextv2_huge_1k_224_fcmae.pt", "convnextv2_huge", 224, 0, None, None),
    ("im1k/convnextv2_atto_1k_224_ema.pt", "convnextv2_atto", 224, 1000, 76.7, "facebook/convnextv2-atto-1k-224"),
    ("im1k/convnextv2_femto_1k_224_ema.pt", "convnextv2_femto", 224, 1000, 78.5, "facebook/convnextv2-femto-1k-224"),
    ("im1k/convnextv2_pico_1k_224_ema.pt", "convnextv2_pico", 224, 1000, 80.3, "facebook/convnextv2-pico-1k-224"),
    ("im1k/convnextv2_nano_1k_224_ema.pt", "convnextv2_nano", 224, 1000, 81.9, "facebook/convnextv2-nano-1k-224"),
    ("im1k/convnextv2_tiny_1k_224_ema.pt", "convnextv2_tiny", 224, 1000, 83.0, "facebook/convnextv2-tiny-1k-224"),
    ("im1k/convnextv2_base_1k_224_ema.pt", "convnextv2_base", 224, 1000, 84.9, "facebook/convnextv2-base-1k-224"),
    ("im1k/convnextv2_large_1k_224_ema.pt", "convnextv2_large", 224, 1000, 85.8, "facebook/convnextv2-large-1k-224"),
    ("im1k/convnextv2_huge_1k_224_ema.pt", "convnextv2_huge", 224, 1000, 86.3, "facebook/convnextv2-huge-1k-224"),
    ("im22k/convnextv2_nano_22k_224_ema.pt", "convnextv2_nano", 224, 1000, 82.1, "facebook/convnextv2-nano-22k-224"),
    ("im22k/convnextv2_nano_22k_384_ema.pt", "convnextv2_nano", 384, 1000, 83.4, "facebook/convnextv2-nano-22k-384"),
    ("im22k/convnextv2_tiny_22k_224_ema.pt", "convnextv2_tiny", 224, 1000, 83.9, "facebook/convnextv2-tiny-22k-224"),
    ("im22k/convnextv2_tiny_22k_384_ema.pt", "convnextv2_tiny", 384, 1000, 85.1, "facebook/convnextv2-tiny-22k-384"),
    ("im22k/convnextv2_base_22k_224_ema.pt", "convnextv2_base", 224, 1000, 86.8, "facebook/convnextv2-base-22k-224"),
    ("im22k/convnextv2_base_22k_384_ema.pt", "convnextv2_base", 384, 1000, 87.7, "facebook/convnextv2-base-22k-384"),
    ("im22k/convnextv2_large_22k_224_ema.pt", "convnextv2_large", 224, 1000, 87.3, "facebook/convnextv2-large-22k-224"),
    ("im22k/convnextv2_large_22k_384_ema.pt", "convnextv2_large", 384, 1000, 88.2, "facebook/convnextv2-large-22k-384"),
    ("im22k/convnextv2_huge_22k_384_ema.pt", "convnextv2_huge", 384, 1000, 88.7, "facebook/convnextv2-huge-22k-384"),
    ("im22k/convnextv2_huge_22k_512_ema.pt", "convnextv2_huge", 512, 1000, 88.9, "facebook/convnextv2-huge-22k-512"),
)

UPERNET = (
    # facebookresearch/ConvNeXt, semantic_segmentation/README.md. Name of the file without ".pth", variant of the
    # backbone, side of the training crops in pixels, mean IoU in percent at one scale, by sliding windows.
    ("upernet_convnext_tiny_1k_512x512", "convnext_tiny", 512, 46.0),
    ("upernet_convnext_small_1k_512x512", "convnext_small", 512, 48.7),
    ("upernet_convnext_base_1k_512x512", "convnext_base", 512, 49.1),
    ("upernet_convnext_base_22k_640x640", "convnext_base", 640, 52.6),
    ("upernet_convnext_large_22k_640x640", "convnext_large", 640, 53.2),
    ("upernet_convnext_xlarge_22k_640x640", "convnext_xlarge", 640, 53.6),
)

TORCHVISION = (
    # pytorch/vision, torchvision/models/convnext.py. Variant, file (with the first digits of its SHA-256), shorter side
    # before the crop to 224, top-1, top-5.
    ("convnext_tiny", "convnext_tiny-983f1562.pth", 236, 82.52, 96.146),
    ("convnext_small", "convnext_small-0c510722.pth", 230, 83.616, 96.65),
    ("convnext_base", "convnext_base-6075fbad.pth", 232, 84.062, 96.87),
    ("convnext_large", "convnext_large-ea097f82.pth", 232, 84.414, 96.976),
)

KERAS_APPLICATIONS = (
    # keras-team/keras, keras/src/applications/convnext.py. Variant, top-1 (as its converter measured, with TensorFlow's
    # resizing), SHA-256 of the file with the head and of the one without.
    (
        "convnext_tiny",
        81.312,
        "8ae6e78ce2933352b1ef4008e6dd2f17bc40771563877d156bc6426c7cf503ff",
        "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
    ),
    (
        "convnext_small",
        82.392,
        "ce1277d8f1ee5a0ef0e171469089c18f5233860ceaf9b168049cb9263fd7483c",
        "6fc8009faa2f00c1c1dfce59feea9b0745eb260a7dd11bee65c8e20843da6eab",
    ),
    (
        "convnext_base",
        85.364,
        "52cbb006d3dadd03f6e095a8ca1aca47aecdd75acb4bc74bce1f5c695d0086e6",
        "40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
    ),
    (
        "convnext_large",
        86.36,
        "070c5ed9ed289581e477741d3b34beffa920db8cf590899d6d2c67fba2a198a6",
        "96f02b6f0753d4f543261bc9d09bed650f24dd6bc02ddde3066135b63d23a1cd",
    ),
    (
        "convnext_xlarge",
        86.732,
        "c1f5ccab661354fc3a79a10fa99af82f0fbf10ec65cb894a3ae0815f17a889ee",
        "de3f8a54174130e0cecdc71583354753d557fcf1f4487331558e2a16ba0cfe05",
    ),
)

TIMM_RELEASES = (
    # huggingface/pytorch-image-models (timm), timm/models/convnext.py and results-imagenet.csv. Name, file (with the
    # first digits of its SHA-256), crop_pct, top-1, top-5; 1000 classes, 224 pixels.
    ("convnext_atto.d2_in1k", "convnext_atto_d2-01bb0f51.pth", 0.875, 75.672, 92.914),
    ("convnext_atto_ols.a2_in1k", "convnext_atto_ols_a2-78d1c8f3.pth", 0.875, 75.902, 92.842),
    ("convnext_femto.d1_in1k", "convnext_femto_d1-d71d5b4c.pth", 0.875, 77.498, 93.678),
    ("convnext_femto_ols.d1_in1k", "convnext_femto_ols_d1-246bf2ed.pth", 0.875, 77.852, 93.826),
    ("convnext_pico.d1_in1k", "convnext_pico_d1-10ad7f0d.pth", 0.875, 79.516, 94.554),
    ("convnext_pico_ols.d1_in1k", "convnext_pico_ols_d1-611f0ca7.pth", 0.95, 79.542, 94.706),
    ("convnext_nano.d1h_in1k", "convnext_nano_d1h-7eb4bdea.pth", 0.95, 80.762, 95.332),
    ("convnext_nano_ols.d1h_in1k", "convnext_nano_ols_d1h-ae424a9a.pth", 0.95, 80.906, 95.254),
    ("convnext_tiny_hnf.a2h_in1k", "convnext_tiny_hnf_a2h-ab7e9df2.pth", 0.95, 82.23, 95.86),
)

TIMM_HUB: tuple[tuple[Any, ...], ...] = (
    # The same sources. Name, image size, classes, crop_pct, top-1, top-5, what else differs.
    ("convnext_zepto_rms.ra4_e3600_r224_in1k", 224, 1000, 0.875, 72.82, 91.106, HALF),
    ("convnext_zepto_rms_ols.ra4_e3600_r224_in1k", 224, 1000, 0.9, 73.234, 91.27, HALF),
    ("convnext_tiny.in12k_ft_in1k", 224, 1000, 0.95, 84.192, 97.132, {}),
    ("convnext_small.in12k_ft_in1k", 224, 1000, 0.95, 85.164, 97.502, {}),
    ("convnext_nano.in12k_ft_in1k", 224, 1000, 0.95, 82.306, 96.338, {}),
    ("convnext_nano.r384_in12k_ft_in1k", 384, 1000, 1.0, 83.334, 96.624, {}),
    ("convnext_tiny.in12k_ft_in1k_384", 384, 1000, 1.0, 85.154, 97.634, SQUASH),
    ("convnext_small.in12k_ft_in1k_384", 384, 1000, 1.0, 86.186, 97.92, SQUASH),
    ("convnext_nano.in12k", 224, 11821, 0.95, None, None, {}),
    ("convnext_nano.r384_in12k", 384, 11821, 1.0, None, None, {}),
    ("convnext_nano.r384_ad_in12k", 384, 11821, 1.0, None, None, {}),
    ("convnext_tiny.in12k", 224, 11821, 0.95, None, None, {}),
    ("convnext_small.in12k", 224, 11821, 0.95, None, None, {}),
    ("convnext_base.clip_laion2b_augreg_ft_in12k_in1k", 256, 1000, 1.0, 86.378, 97.976, CLIP),
    ("convnext_base.clip_laion2b_augreg_ft_in12k_in1k_384", 384, 1000, 1.0, 87.144, 98.228, SQUASH | CLIP),
    ("convnext_large_mlp.clip_laion2b_soup_ft_in12k_in1k_320", 320, 1000, 1.0, 87.97, 98.474, CLIP),
    ("convnext_large_mlp.clip_laion2b_soup_ft_in12k_in1k_384", 384, 1000, 1.0, 88.334, 98.574, SQUASH | CLIP),
    ("convnext_base.clip_laion2b_augreg_ft_in1k", 256, 1000, 1.0, 86.184, 97.674, CLIP),
    ("convnext_base.clip_laiona_augreg_ft_in1k_384", 384, 1000, 1.0, 86.49, 97.96, CLIP),
    ("convnext_large_mlp.clip_laion2b_augreg_ft_in1k", 256, 1000, 1.0, 87.344, 98.222, CLIP),
    ("convnext_large_mlp.clip_laion2b_augreg_ft_in1k_384", 384, 1000, 1.0, 87.89, 98.448, SQUASH | CLIP),
    ("convnext_xxlarge.clip_laion2b_soup_ft_in1k", 256, 1000, 1.0, 88.622, 98.718, CLIP),
    ("convnext_base.clip_laion2b_augreg_ft_in12k", 256, 11821, 1.0, None, None, CLIP),
    ("convnext_large_mlp.clip_laion2b_soup_ft_in12k_320", 320, 11821, 1.0, None, None, CLIP),
    ("convnext_large_mlp.clip_laion2b_augreg_ft_in12k_384", 384, 11821, 1.0, None, None, SQUASH | CLIP),
    ("convnext_large_mlp.clip_laion2b_soup_ft_in12k_384", 384, 11821, 1.0, None, None, SQUASH | CLIP),
    ("convnext_xxlarge.clip_laion2b_soup_ft_in12k", 256, 11821, 1.0, None, None, CLIP),
    ("convnext_base.clip_laion2b", 256, 640, 1.0, None, None, CLIP),
    ("convnext_base.clip_laion2b_augreg", 256, 640, 1.0, None, None, CLIP),
    ("convnext_base.clip_laiona", 256, 640, 1.0, None, None, CLIP),
    ("convnext_base.clip_laiona_320", 320, 640, 1.0, None, None, CLIP),
    ("convnext_base.clip_laiona_augreg_320", 320, 640, 1.0, None, None, CLIP),
    ("convnext_large_mlp.clip_laion2b_augreg", 256, 768, 1.0, None, None, CLIP),
    ("convnext_large_mlp.clip_laion2b_ft_320", 320, 768, 1.0, None, None, CLIP),
    ("convnext_large_mlp.clip_laion2b_ft_soup_320", 320, 768, 1.0, None, None, CLIP),
    ("convnext_xxlarge.clip_laion2b_soup", 256, 1024, 1.0, None, None, CLIP),
    ("convnext_xxlarge.clip_laion2b_rewind", 256, 1024, 1.0, None, None, CLIP),
    ("convnext_tiny.dinov3_lvd1689m", 224, 0, 1.0, None, None, DINOV3),
    ("convnext_small.dinov3_lvd1689m", 224, 0, 1.0, None, None, DINOV3),
    ("convnext_base.dinov3_lvd1689m", 224, 0, 1.0, None, None, DINOV3),
    ("convnext_large.dinov3_lvd1689m", 224, 0, 1.0, None, None, DINOV3),
    ("convnext_tiny.eupe_lvd1689m", 256, 0, 1.0, None, None, EUPE),
    ("convnext_small.eupe_lvd1689m", 256, 0, 1.0, None, None, EUPE),
    ("convnext_base.eupe_lvd1689m", 256, 0, 1.0, None, None, EUPE),
    ("test_convnext.r160_in1k", 160, 1000, 0.95, None, None, HALF),
    ("test_convnext2.r160_in1k", 160, 1000, 0.95, None, None, HALF),
    ("test_convnext3.r160_in1k", 160, 1000, 0.95, None, None, HALF),
)

TIMM_OF_AUTHORS = (
    # The same sources: the authors' checkpoints under timm's names. Name, the authors' name, top-1, top-5.
    ("convnext_tiny.fb_in22k_ft_in1k", "convnext_tiny_22k_1k_224", 82.9, 96.616),
    ("convnext_small.fb_in22k_ft_in1k", "convnext_small_22k_1k_224", 84.582, 97.414),
    ("convnext_base.fb_in22k_ft_in1k", "convnext_base_22k_1k_224", 85.814, 97.856),
    ("convnext_large.fb_in22k_ft_in1k", "convnext_large_22k_1k_224", 86.612, 98.036),
    ("convnext_xlarge.fb_in22k_ft_in1k", "convnext_xlarge_22k_1k_224_ema", 86.97, 98.204),
    ("convnext_tiny.fb_in1k", "convnext_tiny_1k_224_ema", 82.066, 95.854),
    ("convnext_small.fb_in1k", "convnext_small_1k_224_ema", 83.144, 96.432),
    ("convnext_base.fb_in1k", "convnext_base_1k_224_ema", 83.838, 96.746),
    ("convnext_large.fb_in1k", "convnext_large_1k_224_ema", 84.304, 96.892),
    ("convnext_tiny.fb_in22k_ft_in1k_384", "convnext_tiny_22k_1k_384", 84.098, 97.138),
    ("convnext_small.fb_in22k_ft_in1k_384", "convnext_small_22k_1k_384", 85.752, 97.878),
    ("convnext_base.fb_in22k_ft_in1k_384", "convnext_base_22k_1k_384", 86.826, 98.244),
    ("convnext_large.fb_in22k_ft_in1k_384", "convnext_large_22k_1k_384", 87.456, 98.38),
    ("convnext_xlarge.fb_in22k_ft_in1k_384", "convnext_xlarge_22k_1k_384_ema", 87.764, 98.552),
    ("convnext_tiny.fb_in22k", "convnext_tiny_22k_224", None, None),
    ("convnext_small.fb_in22k", "convnext_small_22k_224", None, None),
    ("convnext_base.fb_in22k", "convnext_base_22k_224", None, None),
    ("convnext_large.fb_in22k", "convnext_large_22k_224", None, None),
    ("convnext_xlarge.fb_in22k", "convnext_xlarge_22k_224", None, None),
    ("convnextv2_nano.fcmae_ft_in22k_in1k", "convnextv2_nano_22k_224_ema", 82.038, 96.174),
    ("convnextv2_nano.fcmae_ft_in22k_in1k_384", "convnextv2_nano_22k_384_ema", 83.366, 96.74),
    ("convnextv2_tiny.fcmae_ft_in22k_in1k", "convnextv2_tiny_22k_224_ema", 83.904, 96.964),
    ("convnextv2_tiny.fcmae_ft_in22k_in1k_384", "convnextv2_tiny_22k_384_ema", 85.098, 97.632),
    ("convnextv2_base.fcmae_ft_in22k_in1k", "convnextv2_base_22k_224_ema", 86.752, 98.02),
    ("convnextv2_base.fcmae_ft_in22k_in1k_384", "convnextv2_base_22k_384_ema", 87.638, 98.416),
    ("convnextv2_large.fcmae_ft_in22k_in1k", "convnextv2_large_22k_224_ema", 87.266, 98.24),
    ("convnextv2_large.fcmae_ft_in22k_in1k_384", "convnextv2_large_22k_384_ema", 88.18, 98.52),
    ("convnextv2_huge.fcmae_ft_in22k_in1k_384", "convnextv2_huge_22k_384_ema", 88.666, 98.734),
    ("convnextv2_huge.fcmae_ft_in22k_in1k_512", "convnextv2_huge_22k_512_ema", 88.86, 98.74),
    ("convnextv2_atto.fcmae_ft_in1k", "convnextv2_atto_1k_224_ema", 76.644, 93.042),
    ("convnextv2_femto.fcmae_ft_in1k", "convnextv2_femto_1k_224_ema", 78.476, 93.984),
    ("convnextv2_pico.fcmae_ft_in1k", "convnextv2_pico_1k_224_ema", 80.304, 95.082),
    ("convnextv2_nano.fcmae_ft_in1k", "convnextv2_nano_1k_224_ema", 81.856, 95.74),
    ("convnextv2_tiny.fcmae_ft_in1k", "convnextv2_tiny_1k_224_ema", 82.948, 96.286),
    ("convnextv2_base.fcmae_ft_in1k", "convnextv2_base_1k_224_ema", 84.89, 97.088),
    ("convnextv2_large.fcmae_ft_in1k", "convnextv2_large_1k_224_ema", 85.762, 97.574),
    ("convnextv2_huge.fcmae_ft_in1k", "convnextv2_huge_1k_224_ema", 86.26, 97.752),
    ("convnextv2_atto.fcmae", "convnextv2_atto_1k_224_fcmae", None, None),
    ("convnextv2_femto.fcmae", "convnextv2_femto_1k_224_fcmae", None, None),
    ("convnextv2_pico.fcmae", "convnextv2_pico_1k_224_fcmae", None, None),
    ("convnextv2_nano.fcmae", "convnextv2_nano_1k_224_fcmae", None, None),
    ("convnextv2_tiny.fcmae", "convnextv2_tiny_1k_224_fcmae", None, None),
    ("convnextv2_base.fcmae", "convnextv2_base_1k_224_fcmae", None, None),
    ("convnextv2_large.fcmae", "convnextv2_large_1k_224_fcmae", None, None),
    ("convnextv2_huge.fcmae", "convnextv2_huge_1k_224_fcmae", None, None),
)

DINOV3_HUB = (
    # huggingface/transformers, models/dinov3_convnext. Its DINOv3ViTImageProcessor squashes images to 224 pixels, with
    # the bilinear filter. The hub gives the files only to users who accepted the licence.
    ("facebook/dinov3-convnext-tiny-pretrain-lvd1689m", "convnext_tiny"),
    ("facebook/dinov3-convnext-small-pretrain-lvd1689m", "convnext_small"),
    ("facebook/dinov3-convnext-base-pretrain-lvd1689m", "convnext_base"),
    ("facebook/dinov3-convnext-large-pretrain-lvd1689m", "convnext_large"),
)

WITHOUT_WEIGHTS = ("convnext_atto_rms.untrained", "convnextv2_small.untrained")
"""timm's names for architectures without published weights."""
