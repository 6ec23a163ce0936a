"""The seventeen steps as data: what each changes in the description of the network, and what the paper measured.

"A ConvNet for the 2020s" (arXiv:2201.03545), section 2, Figure 2, Tables 10 and 11. Details that the paper leaves open
follow the code that its authors submitted (anonymous20222022/convnext, models/modeling_resnet.py).
"""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Network:
    """The description of a network on the path.

    Attributes:
        depths: blocks in each stage.
        width: width of the first stage. It doubles from stage to stage.
        stem: `"resnet"`, a 7x7 convolution and a max pooling, both of stride 2; or `"patchify"`, a 4x4 convolution of
            stride 4.
        block: the order of a block's convolutions and their output channels. `"bottleneck"`: 1x1 to `width`, k x k to
            `width`, 1x1 to `4 * width`. `"inverted"`: 1x1 to `4 * width`, k x k to `4 * width`, 1x1 to `width`.
            `"depthwise_first"`: k x k to the input's channels, 1x1 to `4 * width`, 1x1 to `width`.
        depthwise: whether the k x k convolution is depthwise.
        kernel_size: k, the side of that convolution's kernel.
        activation: `"relu"` or `"gelu"`.
        activations: `"every"`: one activation after each convolution of a block, the last one after the residual sum.
            `"one"`: a single activation, between the two 1x1 convolutions.
        norms: `"every"`: one norm after each convolution of a block. `"one"`: a single norm, after the k x k
            convolution. The convolution of a shortcut has a norm in both cases.
        norm: `"batch"` or `"layer"`. With `"layer"` the convolutions have biases, except those of the shortcuts.
        separate_downsampling: if True, a norm and a 2x2 convolution of stride 2 stand between the stages, and a norm
            follows the stem and the global pooling. If False, the first block of each stage has stride 2.

    Example:

    >>> from keras_convnext.roadmap import Network
    >>> Network(depths=(3, 4, 6, 3), width=64).widths()
    (64, 128, 256, 512)
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

    def widths(self) -> tuple[int, ...]:
        """The width of each stage."""
        return tuple(self.width * 2**stage for stage in range(len(self.depths)))

    def out_channels(self, width: int) -> int:
        """The output channels of a block of that width.

        Args:
            width: width of the block's stage.
        """
        return 4 * width if self.block == "bottleneck" else width


REGIMES = {
    "resnet50": Network(depths=(3, 4, 6, 3), width=64),
    "resnet200": Network(depths=(3, 24, 36, 3), width=64),
}
"""The networks at which the paths start: one leads to ConvNeXt-T, the size of Swin-T, the other to ConvNeXt-B, the size
of Swin-B."""


@dataclass(frozen=True)
class Published:
    """The paper's figures for a step.

    Attributes:
        top1: accuracy on ImageNet-1k's validation images in percent: the mean of three trainings from ResNet-50, or
            a single training from ResNet-200.
        gflops: GFLOPs as the paper prints them, where one multiply-accumulate is one FLOP.
        standard_deviation: that of the three accuracies, in percentage points; None for a single training.

    Example:

    >>> from keras_convnext.roadmap import STEPS
    >>> STEPS["gelu"].published["resnet50"]
    Published(top1=80.62, gflops=4.15, standard_deviation=0.14)
    """

    top1: float
    gflops: float
    standard_deviation: float | None = None


@dataclass(frozen=True)
class Step:
    """A step on the path.

    Attributes:
        name: the paper's name of the step.
        section: the section of the paper that describes it.
        change: what the step changes, in words.
        changes: the fields of `Network` that change, with their new values.
        changes_by_regime: the same for changes that differ between the regimes.
        published: a `Published` for each regime.
        adopted: whether the path keeps the change. If False, the next step starts from the last adopted one.

    Example:

    >>> from keras_convnext.roadmap import STEPS
    >>> STEPS["kernel_9"].change, STEPS["kernel_9"].adopted
    ('depthwise kernels 7 -> 9', False)
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
        change="blocks 1:1:3:1, as in Swin; from ResNet-200 also width 64 -> 84",
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
        change="inverted bottleneck: blocks wide inside, narrow outside",
        changes={"block": "inverted"},
        published=_published((80.64, 4.64, 0.03), (82.64, 15.68)),
    ),
    "move_up_depthwise": Step(
        name="move up depthwise conv",
        section="2.5",
        change="the depthwise convolution comes first in the block",
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
        change="GELU in place of every ReLU of a block",
        changes={"activation": "gelu"},
        published=_published((80.62, 4.15, 0.14), (82.19, 14.81)),
    ),
    "fewer_activations": Step(
        name="fewer activations",
        section="2.6",
        change="one GELU per block, between the 1x1 convolutions",
        changes={"activations": "one"},
        published=_published((81.27, 4.15, 0.06), (82.71, 14.81)),
    ),
    "fewer_norms": Step(
        name="fewer norms",
        section="2.6",
        change="one norm per block, after the depthwise convolution",
        changes={"norms": "one"},
        published=_published((81.41, 4.15, 0.09), (83.17, 14.81)),
    ),
    "bn_to_ln": Step(
        name="BN -> LN",
        section="2.6",
        change="LayerNorm in place of BatchNorm; convolutions have biases",
        changes={"norm": "layer"},
        published=_published((81.47, 4.46, 0.09), (83.35, 14.81)),
    ),
    "separate_downsampling": Step(
        name="separate d.s. conv",
        section="2.6",
        change="a LayerNorm and a 2x2 convolution between stages: ConvNeXt",
        changes={"separate_downsampling": True},
        published=_published((81.97, 4.49, 0.06), (83.6, 15.35)),
    ),
}
"""The steps by name, in the paper's order.

Table 10 prints two GFLOPs that differ from a count of its networks, both on the path from ResNet-50. BN -> LN: the
network has 4.15, the table prints 4.46 (Figure 2 prints 4.2, and Table 11 has no change at this step). The last step:
the network has 4.46, the table prints 4.49. The other 32 figures agree to the last digit.
"""


PEERS = {"resnet50": ("Swin-T", Published(81.3, 4.5)), "resnet200": ("Swin-B", Published(83.5, 15.43))}
"""The transformer with which the paper compares the last step of each regime."""


def describe(step: str, regime: str = "resnet50") -> Network:
    """Describes the network of a step: the regime's ResNet with the changes of all adopted steps up to this one.

    Args:
        step: a name in `STEPS`.
        regime: `"resnet50"` or `"resnet200"`. Defaults to `"resnet50"`.

    Raises:
        ValueError: The step or the regime is unknown.

    Example:

    >>> from keras_convnext.roadmap import describe
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
            break
    return network
