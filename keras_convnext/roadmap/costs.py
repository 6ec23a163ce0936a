"""What each step of the path costs, beside the paper's figures (arXiv:2201.03545, Tables 10 and 11)."""

from collections.abc import Callable

from keras_convnext.profiling import profile
from keras_convnext.roadmap.network import build
from keras_convnext.roadmap.steps import STEPS


def path_rows(regime: str = "resnet50", progress: Callable[[str], None] = lambda line: None) -> list[dict]:
    """Counts what each step costs, and sets it beside the paper's figures.

    Args:
        regime: `"resnet50"` or `"resnet200"`. Defaults to `"resnet50"`.
        progress: called with a line of text before each network is counted, which takes seconds. Defaults to a
            function that does nothing.

    Returns:
        A dict per step: `step`, `name`, `section`, `change`; `macs` and `params`, integers counted at 224
        pixels; the paper's `gflops`, `top1` and `standard_deviation`; and `adopted`.

    Raises:
        ValueError: The regime is unknown.
    """
    rows = []
    for number, (step, one) in enumerate(STEPS.items(), start=1):
        progress(f"counting step {number} of {len(STEPS)}: {step}")
        counts, published = profile(build(step, regime)), one.published[regime]
        rows.append(
            {
                "step": step,
                "name": one.name,
                "section": one.section,
                "change": one.change,
                "macs": counts.macs,
                "params": counts.params,
                "gflops": published.gflops,
                "top1": published.top1,
                "standard_deviation": published.standard_deviation,
                "adopted": one.adopted,
            }
        )
    return rows
