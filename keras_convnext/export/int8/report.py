"""What an int8 file gains and loses against its float file."""

from dataclasses import dataclass

LARGEST_LOSS = 0.005
"""The loss of accuracy above which an int8 file is not worth it: half a point."""

FEW_IMAGES = 100
"""With fewer images, the accuracy and the agreement say little: one image counts more than a point."""


@dataclass(frozen=True)
class Int8Report:
    """An int8 file against the float file that it was made of, in the same runtime and on the same images.

    Attributes:
        path: the int8 file.
        format: a key of `FORMATS`.
        images: number of images that both files were run on.
        float_size: size of the float file in bytes, with the weights.
        int8_size: size of the int8 file in bytes, with the weights.
        float_latency: median time of a batch in the float file, in milliseconds.
        int8_latency: median time of a batch in the int8 file, in milliseconds.
        latency_batch: images in that batch: 1, unless the file takes another number only.
        agreement: share of the images, or of the pixels, that both files give the same class, 0 to 1.
        float_accuracy: accuracy of the float file, 0 to 1; None without labels.
        int8_accuracy: accuracy of the int8 file, 0 to 1; None without labels.

    Example:

    >>> from keras_convnext.export.int8 import Int8Report
    >>> report = Int8Report("digits_int8.onnx", "onnx", 359, 1_790_081, 564_866, 0.5, 0.4, 1, 0.9944, 0.9777, 0.9777)
    >>> for line in report.lines():
    ...     print(line)
                    float32        int8
    size            1.79 MB     0.56 MB  3.2 times smaller
    latency        0.500 ms    0.400 ms  1.25 times as fast, 1 image per batch
    accuracy         97.77%      97.77%  no loss
    agreement                    99.44%  of 359 images get the same class
    """

    path: str
    format: str
    images: int
    float_size: int
    int8_size: int
    float_latency: float
    int8_latency: float
    latency_batch: int
    agreement: float
    float_accuracy: float | None = None
    int8_accuracy: float | None = None

    @property
    def speedup(self) -> float:
        """How many times as fast the int8 file is."""
        return self.float_latency / self.int8_latency

    @property
    def accuracy_lost(self) -> float | None:
        """By how much the accuracy is lower in int8, 0 to 1; negative if it is higher, None without labels."""
        if self.float_accuracy is None or self.int8_accuracy is None:
            return None
        return self.float_accuracy - self.int8_accuracy

    def objections(self) -> list[str]:
        """Why the int8 file may not be worth it, a sentence each. Empty if it is smaller, faster and as accurate."""
        lost, sentences = self.accuracy_lost, []
        if lost is not None and lost > LARGEST_LOSS:
            sentences.append(
                f"The int8 file loses {100 * lost:.2f} points of accuracy, more than {100 * LARGEST_LOSS:g}. Use the "
                "float file, or calibrate with more images like those that it will see."
            )
        if self.speedup <= 1:
            sentences.append(
                f"The int8 file is not faster on this machine: {self.int8_latency:.3g} ms per batch against "
                f"{self.float_latency:.3g} ms. Use the float file, unless the size of the file matters."
            )
        if self.int8_size >= self.float_size:
            sentences.append(
                "The int8 file is not smaller: the model is so small that its scales outweigh its weights."
            )
        if self.images < FEW_IMAGES:
            sentences.append(
                f"Agreement and accuracy were measured on {self.images} images only. Use {FEW_IMAGES} or more for "
                "figures that can be relied on."
            )
        return sentences

    def lines(self) -> list[str]:
        """The report as lines to print: a table, and the objections."""
        rows = [("", "float32", "int8", "")]
        rows.append(
            (
                "size",
                f"{self.float_size / 1e6:.2f} MB",
                f"{self.int8_size / 1e6:.2f} MB",
                f"{self.float_size / self.int8_size:.1f} times smaller",
            )
        )
        batch = f"{self.latency_batch} image{'s' * (self.latency_batch > 1)} per batch"
        rows.append(
            (
                "latency",
                f"{self.float_latency:.3f} ms",
                f"{self.int8_latency:.3f} ms",
                f"{self.speedup:.2f} times as fast, {batch}",
            )
        )
        if self.float_accuracy is not None and self.int8_accuracy is not None:
            points = 100 * (self.float_accuracy - self.int8_accuracy)
            change = f"{abs(points):.2f} points {'lost' if points > 0 else 'gained'}" if points else "no loss"
            rows.append(("accuracy", f"{self.float_accuracy:.2%}", f"{self.int8_accuracy:.2%}", change))
        rows.append(("agreement", "", f"{self.agreement:.2%}", f"of {self.images} images get the same class"))
        table = [f"{name:<11}{before:>12}{after:>12}  {note}".rstrip() for name, before, after, note in rows]
        return [*table, *self.objections()]
