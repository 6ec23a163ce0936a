"""Matching the arrays of a checkpoint with the weights of a model. Unless all match, nothing is loaded."""

import re

import numpy as np

from keras_convnext.checkpoints.layouts import LAYOUTS

STEM_KERNELS = ("stem/conv/kernel", "stem/conv_1/kernel")
HEAD = re.compile(r"head(_norm|_hidden)?/.*")
LEVEL_NORMS = re.compile(r"(stage_\d+_norm)/.*")
"""The norms of a detector's backbone (`level_norm`), which no classifier has."""
PIXEL_HEADS = re.compile(r"(auxiliary_)?pixel_head/.*")
"""The last layers of a UPerNet."""
AUXILIARY = "auxiliary_"
"""What the names of the layers of a UPerNet's auxiliary head begin with."""


def find_layout(paths, names, head_norm_first=None):
    """Finds the layout of a checkpoint: the one in which the checkpoint has most of the model's weights.

    Args:
        paths: paths of the model's weights.
        names: names of the arrays in the checkpoint.
        head_norm_first: whether the model normalizes before it pools; None if it has no head.

    Raises:
        ValueError: no layout has any of the names.
    """
    names = set(names)

    def matches(layout):
        if not layout.has_head_like(head_norm_first):
            return 0
        entries = {path: layout.entry(path) for path in paths if not LEVEL_NORMS.match(path)}
        if any(entry is None and not HEAD.match(path) for path, entry in entries.items()):
            return 0
        return sum(entry is not None and entry.name in names for entry in entries.values())

    layout = max(LAYOUTS, key=matches)
    if matches(layout) == 0:
        segmenters = any(map(PIXEL_HEADS.match, paths))
        known = ", ".join(dict.fromkeys(layout.name for layout in LAYOUTS if layout.is_segmenter or not segmenters))
        hint = " Load the checkpoint of a classifier into the `backbone` of a UPerNet." if segmenters else ""
        raise ValueError(
            f"expected names of weights as in one of {known}; got {len(names)} names such as {sorted(names)[:3]}.{hint}"
        )
    return layout


def merge(shapes, arrays, layout, adapt_stem=False):
    """Computes the values of a model's weights from the arrays of a checkpoint.

    Args:
        shapes: dict of the shapes of the model's weights by path.
        arrays: dict of the checkpoint's arrays by name.
        layout: `Layout` of the checkpoint.
        adapt_stem: whether to adapt the stem to another number of channels. Defaults to False.

    Returns:
        `(values, notes)`: a dict of arrays by path, and a list of what the user should know, such as that the head was
        left out.

    Raises:
        ValueError: there are names without a counterpart, shapes that do not fit, or NaN or Inf. The message has all of
            them.
    """
    notes, problems, values = [], [], {}
    entries = {path: layout.entry(path) for path in shapes}
    head = {path: entry for path, entry in entries.items() if HEAD.match(path)}
    ignored = {name for name in arrays if re.fullmatch(layout.ignored, name)}

    # === Norms of levels that only one side has, and parts of the head without a counterpart
    levels, other_levels = _level_norms(entries, layout, arrays)
    if any(map(LEVEL_NORMS.match, entries)):
        entries = {path: entry for path, entry in entries.items() if path not in levels}
        if levels:
            lacking = ", ".join(sorted({LEVEL_NORMS.match(path)[1] for path in levels}))
            notes.append(f"The checkpoint has no norms of pyramid levels for {lacking}: the model's are unchanged.")
        if other_levels:
            notes.append(f"The model has no pyramid levels for {', '.join(other_levels)}: they are left out.")
            ignored |= set(other_levels)
    absent = {path for path, entry in head.items() if not entry or entry.name not in arrays}
    last = {path for path in head if path.startswith("head/")}
    if head and absent == set(head):
        notes.append("The checkpoint has no head: the model's head is unchanged.")
        entries = {path: entry for path, entry in entries.items() if path not in absent}
    elif last and last <= absent:
        parts = sorted({path.partition("/")[0] for path in absent})
        notes.append(f"The checkpoint has no last layer. These parts of the model are unchanged: {', '.join(parts)}.")
        entries = {path: entry for path, entry in entries.items() if path not in absent}
    elif (classes := _classes(head, shapes, arrays)) is not None:
        stored, own = classes
        notes.append(f"The checkpoint has {stored} classes and the model {own}: the model's last layer is unchanged.")
        ignored |= {head[path].name for path in last}
        entries = {path: entry for path, entry in entries.items() if path not in last}
    expected = {entry.name for entry in entries.values() if entry}
    heads = [layout] if head else [other for other in LAYOUTS if other.name == layout.name]
    dropped = sorted(set().union(*(each.head() for each in heads)) & set(arrays) - expected - ignored)
    if dropped and not (last and last <= entries.keys()):
        ignored |= set(dropped)

    # === Heads of a UPerNet without a counterpart
    without, left_out, said = _segmenter_heads(entries, shapes, layout, arrays)
    entries = {path: entry for path, entry in entries.items() if path not in without}
    ignored |= left_out
    notes += said

    # === All others
    for path, entry in entries.items():
        if entry is None:
            problems.append(f"{path}: {layout.name} has no such weight")
            continue
        name, stored, shape = entry.name, entry.array, shapes[path]
        if name not in arrays:
            problems.append(f"{path}: not in the checkpoint, where it would be {name}")
            continue
        value = arrays[name]
        if adapt_stem and path in STEM_KERNELS:
            value = _adapted(value, shape, stored)
        if _squeezed(value.shape) != _squeezed(stored.stored_shape(shape)):
            adapted = path in STEM_KERNELS and _adapted(value, shape, stored).shape == stored.stored_shape(shape)
            hint = " (adapt_stem=True adapts it)" if adapted else ""
            problems.append(f"{path}: expected {stored.stored_shape(shape)}, got {value.shape} in {name}{hint}")
        elif not np.isfinite(value).all():
            problems.append(f"{path}: {name} has NaN or Inf")
        else:
            values[path] = stored.restored(value, shape)
    problems += [
        f"{name}: the model has no such weight" + (" (level_norm=True has it)" if name in other_levels else "")
        for name in arrays
        if name not in expected | ignored
    ]
    if problems:
        raise ValueError(f"it does not fit the model, with the names of {layout.name}:\n  " + "\n  ".join(problems))
    return values, notes


def _level_norms(entries, layout, arrays):
    """The norms of levels that only one side has: those of the model by path, those of the checkpoint by name.

    A norm counts as present if the checkpoint has a part of it.
    """
    stages = sorted({stage for path in entries for stage in re.findall(r"^stage_\d+", path)})
    lacking, others = [], []
    for level in ("stem", *stages):
        paths = [f"{level}_norm/{name}" for name in ("gamma", "beta")]
        found = [entry.name for entry in map(layout.entry, paths) if entry and entry.name in arrays]
        if paths[0] not in entries:
            others += found
        elif not found:
            lacking += paths
    return lacking, others


def _segmenter_heads(entries, shapes, layout, arrays):
    """The heads of a UPerNet that are not loaded: paths of the model, names of the checkpoint, and notes."""
    without, left_out, notes = set(), set(), []
    last = {path: entry for path, entry in entries.items() if entry and PIXEL_HEADS.match(path)}
    if not last:
        return without, left_out, notes
    auxiliary = {path for path in entries if path.startswith(AUXILIARY)}
    names = {row[1] for row in layout.rows if row[0].startswith(AUXILIARY)}
    stored = {name for name in arrays if any(name.startswith((f"{row}.", f"{row}/")) for row in names)}
    if auxiliary and not stored:
        notes.append("The checkpoint has no auxiliary head: the model's is unchanged.")
        without |= auxiliary
    elif stored and not auxiliary:
        notes.append("The model has no auxiliary head: that of the checkpoint is left out.")
        left_out |= stored
    entry = last.get("pixel_head/bias")
    if entry and entry.name in arrays and arrays[entry.name].size != shapes["pixel_head/bias"][0]:
        classes, own = arrays[entry.name].size, shapes["pixel_head/bias"][0]
        notes.append(
            f"The checkpoint has {classes} classes and the model {own}: the model's last layers are unchanged."
        )
        without |= last.keys()
        left_out |= {entry.name for entry in last.values()} & arrays.keys()
    return without, left_out, notes


def _squeezed(shape):
    """The shape without axes of size 1: some sources store linear layers as 1x1 convolutions, or vectors as maps."""
    return tuple(size for size in shape if size != 1)


def _classes(head, shapes, arrays):
    """The checkpoint's number of classes and the model's, if they differ; else None."""
    entry = head.get("head/bias")
    if not entry or entry.name not in arrays:
        return None
    stored, own = arrays[entry.name].size, shapes["head/bias"][0]
    return None if stored == own else (stored, own)


def _adapted(value, shape, array):
    """A stem's kernel for another number of channels: its channels are summed, or repeated and rescaled."""
    height, width, wanted, filters = shape
    channels = value.size // (height * width * filters)
    if channels == wanted or value.shape != array.stored_shape((height, width, channels, filters)):
        return value
    kernel = array.restored(value, (height, width, channels, filters))
    if wanted == 1:
        kernel = kernel.sum(axis=2, keepdims=True)
    else:
        kernel = kernel[:, :, np.arange(wanted) % channels] * (channels / wanted)
    return array.stored(kernel.astype(value.dtype))
