"""The seventeen steps as data: what each changes in the network's description, and what the paper measured.

"A ConvNet for the 2020s" (arXiv:2201.03545), section 2, Figure 2, Tables 10 and 11. What the paper leaves open is as in
the code that its authors submitted (anonymous20222022/convnext, models/modeling_resnet.py).
"""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Network:
    """A network on the path.

    Attributes:
        depths: blocks in each stage.
        width: channels of the first stage's block, which double from stage to stage.
        stem: `"resnet"`, a 7x7 convolution of stride 2 and a pooling of stride 2; or `"patchify"`, a 4x4 convolution of
            stride 4.
        block: `"bottleneck"`: 1x1, k x k, 1x1, of `width`, `width` and `4 * width` channels. `"inverted"`: the same, of
            `4 * width`, `4 * width` and `width`. `"depthwise_first"`: k x k, 1x1, 1x1, of the channels that come in,
            `4 * width` and `width`.
        depthwise: whether the k x k convolution is depthwise.
        kernel_size: its side.
        activation: `"relu"` or `"gelu"`.
        activations: `"every"`: one after each convolution of a block, the last after the sum; `"one"`: between the 1x1
            convolutions alone.
        norms: `"every"`: one after each convolution of a block; `"one"`: after the k x k convolution alone. The
            convolution of a shortcut always has its own.
        norm: `"batch"` or `"layer"`. Where it is `"layer"` the convolutions have biases, but those of the shortcuts.
        separate_downsampling: whether a norm and a 2x2 convolution of stride 2 stand between the stages, with a norm
            after the stem and one after the pooling too; otherwise the first block of a stage has the stride.
    """

    depths: tuple[int, ...]
    width: int
    stem: str = "resnet"
    block: str = "bottleneck"
    depthwise: bool = False
    kernel_size: int = 3
    activation: str = "relu"
    activations: str = "every"
    norms: str = "every"
    norm: str = "batch"
    separate_downsampling: bool = False

    def widths(self):
        """The width of each stage."""
        return tuple(self.width * 2**stage for stage in range(len(self.depths)))

    def out_channels(self, width):
        """The channels that a block of a width gives."""
        return 4 * width if self.block == "bottleneck" else width


REGIMES = {
    "resnet50": Network(depths=(3, 4, 6, 3), width=64),
    "resnet200": Network(depths=(3, 24, 36, 3), width=64),
}
"""Where the paths begin: they lead to ConvNeXt-T, of the size of Swin-T, and to ConvNeXt-B, of that of Swin-B."""


@dataclass(frozen=True)
class Published:
    """The paper's figures for a step.

    Attributes:
        top1: accuracy on ImageNet-1k's validation images in percent: the mean of three trainings on the way from
            ResNet-50, one from ResNet-200.
        gflops: as the paper prints it, a multiply-accumulate being one.
        deviation: of the three; None for one.
    """

    top1: float
    gflops: float
    deviation: float | None = None


@dataclass(frozen=True)
class Step:
    """A step on the path.

    Attributes:
        name: the paper's.
        section: of the paper.
        change: what it changes, in words.
        changes: fields of `Network` and their new values.
        changes_by_regime: the same, for those that are others on each way.
        published: a `Published` for each regime.
        adopted: whether the path goes on from it; else it goes on from the last step that was.
    """

    name: str
    section: str
    change: str
    published: dict[str, Published]
    changes: dict = field(default_factory=dict)
    changes_by_regime: dict[str, dict] = field(default_factory=dict)
    adopted: bool = True


def _published(resnet50, resnet200):
    return {"resnet50": Published(*resnet50), "resnet200": Published(*resnet200)}


STEPS = {
    "resnet": Step(
        name="ResNet",
        section="2",
        change="PyTorch's ResNet, by its recipe",
        published=_published((76.13, 4.09), (78.2, 15.01)),
    ),
    "resnet_enhanced": Step(
        name="enhanced recipe",
        section="2.1",
        change="the same network, by the paper's recipe",
        published=_published((78.82, 4.09, 0.07), (81.14, 15.01)),
    ),
    "stage_ratio": Step(
        name="stage ratio",
        section="2.2",
        change="blocks 1:1:3:1, as Swin; from ResNet-200 also width 64 -> 84",
        changes_by_regime={
            "resnet50": {"depths": (3, 3, 9, 3)},
            "resnet200": {"depths": (3, 3, 27, 3), "width": 84},
        },
        published=_published((79.36, 4.53, 0.07), (81.33, 14.52)),
    ),
    "patchify_stem": Step(
        name='"patchify" stem',
        section="2.2",
        change="stem: one 4x4 convolution of stride 4",
        changes={"stem": "patchify"},
        published=_published((79.51, 4.42, 0.18), (81.59, 14.38)),
    ),
    "depthwise_conv": Step(
        name="depthwise conv",
        section="2.3",
        change="3x3 convolutions: depthwise",
        changes={"depthwise": True},
        published=_published((78.28, 2.35, 0.08), (80.54, 7.23)),
    ),
    "increase_width": Step(
        name="increase width",
        section="2.3",
        change="width 64 -> 96; from ResNet-200 84 -> 128",
        changes_by_regime={"resnet50": {"width": 96}, "resnet200": {"width": 128}},
        published=_published((80.5, 5.27, 0.02), (81.85, 16.76)),
    ),
    "inverting_dimensions": Step(
        name="inverting dimensions",
        section="2.4",
        change="blocks wide inside, narrow outside",
        changes={"block": "inverted"},
        published=_published((80.64, 4.64, 0.03), (82.64, 15.68)),
    ),
    "move_up_depthwise": Step(
        name="move up depthwise conv",
        section="2.5",
        change="the depthwise convolution first in the block",
        changes={"block": "depthwise_first"},
        published=_published((79.92, 4.07, 0.08), (82.04, 14.63)),
    ),
    "kernel_5": Step(
        name="kernel size -> 5",
        section="2.5",
        change="depthwise kernels 3 -> 5",
        changes={"kernel_size": 5},
        published=_published((80.35, 4.10, 0.08), (82.32, 14.70)),
        adopted=False,
    ),
    "kernel_7": Step(
        name="kernel size -> 7",
        section="2.5",
        change="depthwise kernels 3 -> 7",
        changes={"kernel_size": 7},
        published=_published((80.57, 4.15, 0.14), (82.3, 14.81)),
    ),
    "kernel_9": Step(
        name="kernel size -> 9",
        section="2.5",
        change="depthwise kernels 7 -> 9",
        changes={"kernel_size": 9},
        published=_published((80.57, 4.21, 0.06), (82.27, 14.95)),
        adopted=False,
    ),
    "kernel_11": Step(
        name="kernel size -> 11",
        section="2.5",
        change="depthwise kernels 7 -> 11",
        changes={"kernel_size": 11},
        published=_published((80.47, 4.29, 0.11), (82.18, 15.13)),
        adopted=False,
    ),
    "gelu": Step(
        name="ReLU -> GELU",
        section="2.6",
        change="every ReLU of a block: GELU",
        changes={"activation": "gelu"},
        published=_published((80.62, 4.15, 0.14), (82.19, 14.81)),
    ),
    "fewer_activations": Step(
        name="fewer activations",
        section="2.6",
        change="one GELU a block, between the 1x1 convolutions",
        changes={"activations": "one"},
        published=_published((81.27, 4.15, 0.06), (82.71, 14.81)),
    ),
    "fewer_norms": Step(
        name="fewer norms",
        section="2.6",
        change="one norm a block, after the depthwise convolution",
        changes={"norms": "one"},
        published=_published((81.41, 4.15, 0.09), (83.17, 14.81)),
    ),
    "bn_to_ln": Step(
        name="BN -> LN",
        section="2.6",
        change="BatchNorm: LayerNorm; convolutions with biases",
        changes={"norm": "layer"},
        published=_published((81.47, 4.46, 0.09), (83.35, 14.81)),
    ),
    "separate_downsampling": Step(
        name="separate d.s. conv",
        section="2.6",
        change="a LayerNorm and a 2x2 convolution between the stages: ConvNeXt",
        changes={"separate_downsampling": True},
        published=_published((81.97, 4.49, 0.06), (83.6, 15.35)),
    ),
}
"""The steps in the paper's order, by name.

Two GFLOPs that Table 10 prints are not those of its networks: from ResNet-50, BN -> LN has 4.15 (Figure 2 has 4.2, and
Table 11 no change at this step) where 4.46 stands, and the last step 4.46 where 4.49 stands. The other 32 are, to the
last digit.
"""


PEERS = {"resnet50": ("Swin-T", Published(81.3, 4.5)), "resnet200": ("Swin-B", Published(83.5, 15.43))}
"""The transformer that the paper compares the end of each path with."""


def describe(step, regime="resnet50"):
    """The network of a step: that of the regime, with the changes of all steps on the way.

    Args:
        step: str, a name of `STEPS`.
        regime: `"resnet50"` or `"resnet200"`. Defaults to `"resnet50"`.

    Returns:
        `Network`.

    Raises:
        ValueError: an unknown step or regime.

    Example:

    >>> from keras_convnext.models.roadmap import describe
    >>> describe("kernel_9").kernel_size, describe("gelu").kernel_size
    (9, 7)
    """
    for name, value, known in (("step", step, STEPS), ("regime", regime, REGIMES)):
        if value not in known:
            raise ValueError(f"Unknown {name} {value!r}. Expected one of {', '.join(known)}.")
    network = REGIMES[regime]
    for name, one in STEPS.items():
        if one.adopted or name == step:
            network = replace(network, **one.changes, **one.changes_by_regime.get(regime, {}))
        if name == step:
            return network
