"""Which weights decay, and how fast each learns: rules on weight paths, exactly one of which must match each weight.

Both are the authors' parameter groups (facebookresearch/ConvNeXt and ConvNeXt-V2, optim_factory.py; for detection and
segmentation, mmcv_custom). A weight's learning rate is the optimizer's times `decay ** (last + 1 - id)`. The id of its
layer grows with depth, `last` is the greatest id in the stages, and later layers, such as the head, learn at the full
rate.
"""

import math
import re
from collections.abc import Sequence

import keras

from keras_convnext.scalars import share

WEIGHT_DECAY_RULES = (
    (r"kernel(_[ab])?$", True),
    (r"(^|/)(bias|gamma|beta|\w+_scale|\w+_amax_history)$", False),
)
"""Whether a weight decays, by the end of its path (facebookresearch/ConvNeXt; for GRN, ConvNeXt-V2).

The two factors of LoRA decay like the kernel. The scales that Keras keeps for float8 are not trained by gradients.
"""

EQUAL_RATES = (("", 1.0),)
"""Every weight learns at the optimizer's rate."""

FROM_THE_START = (("", 0),)
"""Every weight learns from the first update on."""

BODY = r"(stem|stage_\d+_(downsample|block_\d+))"


def layer_decay_rules(depths: tuple[int, ...], decay: float, kind: str = "group") -> tuple[tuple[str, float], ...]:
    """Rules for layer-wise learning rate decay: the earlier a layer, the lower its rate (arXiv:2201.03545, A.1).

    Args:
        depths: number of blocks in each stage.
        decay: learning rate of a layer divided by that of the next one, in (0, 1].
        kind: `"group"` (V1, and V2 base and large: three blocks of the third stage share an id), `"single"` (V2: each
            block has an id) or `"stage_wise"` (V1's segmentation: each stage has an id, and the stem and all
            downsampling layers have the lowest). All but `"single"` need four stages. Defaults to `"group"`.

    Returns:
        Pairs `(regex, factor)`, for `AdamW(learning_rate_rules=...)`. The factor is 1 outside the stem and stages.

    Raises:
        ValueError: an unknown kind, a decay out of range, or a number of stages that the kind does not allow.

    Example:

    >>> from keras_convnext.training import layer_decay_rules
    >>> rules = layer_decay_rules((3, 3, 27, 3), decay=0.5)
    >>> rules[0], rules[-1][1]
    (('(^|/)stem/', 0.0001220703125), 1.0)
    """
    if kind not in _IDS:
        raise ValueError(f"`kind` must be one of {', '.join(_IDS)}. Received: {kind!r}")
    decay = share("decay", decay)
    if kind != "single" and len(depths) != 4:
        raise ValueError(f"Layer decay by {kind} is for four stages; `single` is for any. Received: depths={depths}")
    ids, last = _IDS[kind](depths)
    rules = tuple((rf"(^|/){layer}/", decay ** (last + 1 - number)) for layer, number in ids)
    return (*rules, (rf"^(?!(.*/)?{BODY}/)", 1.0))


def unfreeze_rules(starts: dict[str, int]) -> tuple[tuple[str, int], ...]:
    """Rules for weights that are frozen at first, such as those of a pretrained backbone under a new head.

    Args:
        starts: the update from which on a stage learns, by the name of the stage, such as `"stage_3"`. Weights outside
            the stem and stages learn from the first update on.

    Returns:
        Pairs `(regex, update)`, for `AdamW(unfreeze_rules=...)`.

    Example:

    >>> from keras_convnext.training import unfreeze_rules
    >>> unfreeze_rules({"stage_3": 100})[0]
    ('(^|/)stage_3_[^/]*/', 100)
    """
    rules = tuple((rf"(^|/){stage}_[^/]*/", update) for stage, update in starts.items())
    return (*rules, (rf"^(?!(.*/)?{BODY}/)", 0))


def _group(depths):
    last = 3 + math.ceil(depths[2] / 3)
    return [
        ("stem", 0),
        (r"stage_0_block_\d+", 1),
        (r"stage_1_(downsample|block_\d+)", 2),
        ("stage_2_downsample", 3),
        *((f"stage_2_block_{block}", 3 + block // 3) for block in range(depths[2])),
        (r"stage_3_(downsample|block_\d+)", last),
    ], last


def _single(depths):
    ids, count = [("stem", 1)], 0
    for stage, depth in enumerate(depths):
        if stage:
            ids.append((f"stage_{stage}_downsample", count + 1))
        ids += [(f"stage_{stage}_block_{block}", count + block + 1) for block in range(depth)]
        count += depth
    return ids, count


def _stage_wise(depths):
    stages = [(rf"stage_{stage}_block_\d+", stage + 1) for stage in range(len(depths))]
    return [(r"(stem|stage_\d+_downsample)", 0), *stages], 3 + math.ceil(depths[2] / 3)


_IDS = {"group": _group, "single": _single, "stage_wise": _stage_wise}

LAYER_DECAYS = tuple(_IDS)
"""The kinds of `layer_decay_rules`."""


def match_rules(name: str, rules: Sequence[tuple], variables: Sequence[keras.Variable]) -> list:
    """Returns, for each variable, the value of the one rule that matches its path.

    Args:
        name: name of the rules in the error.
        rules: pairs `(regex, value)`.
        variables: such as the weights of a model.

    Raises:
        ValueError: no rule matches a path, or several rules do; the message has all such paths.
    """
    matches = {
        variable.path: [(regex, value) for regex, value in rules if re.search(regex, variable.path)]
        for variable in variables
    }
    wrong = [f"{path} matches {[regex for regex, _ in found]}" for path, found in matches.items() if len(found) != 1]
    if wrong:
        raise ValueError(f"Each weight must match exactly one rule of `{name}`, but {'; '.join(wrong)}.")
    return [matches[variable.path][0][1] for variable in variables]
