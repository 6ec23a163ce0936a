"""What a benchmark times: one model of one package, on one backend, at one task."""

from dataclasses import dataclass

TASKS = ("forward", "train")
DTYPES = ("float32", "bfloat16")
DEVICES = ("cpu", "gpu")


@dataclass(frozen=True)
class Case:
    """One thing to time.

    Attributes:
        package: a key of `packages.PACKAGES`.
        backend: `"tensorflow"`, `"jax"` or `"torch"`. In a runtime, the one that writes the exported model.
        form: the way to run it, one of the package's `forms`, or the runtime of an exported model; empty for the plain
            one.
        task: `"forward"` (without gradients) or `"train"` (forward, backward and a step of AdamW).
        variant: a key of `VARIANTS`; empty for a package that is a single model.
        batch: images per step.
        size: side of the images in pixels.
        dtype: `"float32"` or `"bfloat16"`: type of weights and activations in a forward pass, and of only the
            activations in training (mixed precision).
        device: `"cpu"` or `"gpu"`.

    Example:

    >>> from keras_convnext.benchmarking import Case
    >>> case = Case("timm", "torch", "compiled", "forward", "convnext_tiny", 8, 224, dtype="float32", device="cpu")
    >>> print(case)
    timm torch compiled
    """

    package: str
    backend: str
    form: str
    task: str
    variant: str
    batch: int
    size: int
    dtype: str
    device: str

    def __str__(self):
        return " ".join(part for part in (self.package, self.backend, self.form) if part)
