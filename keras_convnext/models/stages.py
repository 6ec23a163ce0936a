"""The stages of a backbone: where each halves the map or dilates instead, its kernels, its pyramid level and norm."""

from typing import TYPE_CHECKING, NamedTuple

from keras_convnext.scalars import flag, integers

if TYPE_CHECKING:
    from keras_convnext.models.backbone import ConvNeXtBackbone


class StagePlan(NamedTuple):
    """The strides and dilations of one stage and of the downsampling layer before it."""

    stride: int  # of the stage's feature map
    dilation: int  # of its depthwise convolutions
    downsample_strides: int
    downsample_dilation: int


def plan_stages(
    depths: tuple[int, ...], dims: tuple[int, ...], stem_patch_size: int, output_stride: int
) -> list[StagePlan]:
    """Plans which stages halve the map, and which dilate instead because `output_stride` is reached."""
    if not depths or len(depths) != len(dims):
        raise ValueError(
            "`depths` and `dims` must have the same length, one entry per stage. "
            f"Received: depths={depths} ({len(depths)}), dims={dims} ({len(dims)})"
        )
    if min(*depths, *dims) < 1:
        raise ValueError(f"`depths` and `dims` must be positive. Received: depths={depths}, dims={dims}")
    for name, value in (("stem_patch_size", stem_patch_size), ("output_stride", output_stride)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1 or value & (value - 1):
            raise ValueError(f"`{name}` must be a power of two. Received: {name}={value}")
    if output_stride < stem_patch_size:
        raise ValueError(
            "`output_stride` must not be smaller than the stem's stride. "
            f"Received: output_stride={output_stride}, stem_patch_size={stem_patch_size}"
        )
    plan = [StagePlan(stem_patch_size, 1, 1, 1)]
    for _ in depths[1:]:
        stride, dilation = plan[-1].stride, plan[-1].dilation
        if stride < output_stride:
            plan.append(StagePlan(2 * stride, dilation, 2, 1))
        else:
            plan.append(StagePlan(stride, 2 * dilation, 1, dilation))
    return plan


def kernel_size_per_stage(kernel_size: int | tuple[int, ...], stages: int) -> tuple[int, ...]:
    """The kernel size of each stage."""
    several = isinstance(kernel_size, (tuple, list))
    sizes = integers("kernel_size", kernel_size if several else (kernel_size,) * stages, 1)
    if len(sizes) != stages:
        raise ValueError(
            f"`kernel_size` must be an integer, or a tuple with one for each of {stages} stages. "
            f"Received: kernel_size={kernel_size!r}"
        )
    return sizes


def level_names(stem_patch_size: int, stages: int) -> list[str]:
    """The name of each stage's pyramid level: level n has stride 2**n where no stage dilates."""
    first = stem_patch_size.bit_length() - 1
    return [f"P{first + stage}" for stage in range(stages)]


def stages_with_norm(level_norm: bool | tuple[int, ...], stages: int) -> tuple[int, ...]:
    """The stages whose levels have a norm."""
    if not isinstance(level_norm, (tuple, list)):
        return tuple(range(stages)) if flag("level_norm", level_norm) else ()
    chosen = integers("level_norm", level_norm, 0)
    if len(set(chosen)) < len(chosen) or any(stage >= stages for stage in chosen):
        raise ValueError(
            f"`level_norm` must be True, False or different stages from 0 to {stages - 1}. "
            f"Received: level_norm={level_norm!r}"
        )
    return tuple(sorted(chosen))


def level_norm_config(backbone: "ConvNeXtBackbone") -> bool | tuple[int, ...]:
    """The argument `level_norm` as a configuration has it: a dilated network with all norms has the stages' indices."""
    stages, reached = len(backbone.depths), backbone.stem_patch_size << (len(backbone.depths) - 1)
    return tuple(range(stages)) if backbone.level_norm is True and reached > backbone.stride else backbone.level_norm


def level_norm_from_config(config: dict) -> bool | tuple[int, ...]:
    """The argument `level_norm` that a configuration means.

    Up to version 0.2, of the stages that shared a stride only the last had a level, and so a norm. These configurations
    have `level_norm=True` for a dilated network, for which `level_norm_config` has indices.
    """
    level_norm = config.get("level_norm", False)
    if level_norm is not True:
        return level_norm
    depths, dims = integers("depths", config["depths"]), integers("dims", config["dims"])
    plan = plan_stages(depths, dims, config.get("stem_patch_size", 4), config.get("output_stride", 32))
    last = {planned.stride: stage for stage, planned in enumerate(plan)}
    return True if len(last) == len(plan) else tuple(last.values())
