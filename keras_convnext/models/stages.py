"""The stages of a backbone: where each halves the map, where it dilates instead, and the size of its kernels."""

from typing import NamedTuple

from keras_convnext.scalars import integers


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
