"""The README's Python runs as it stands there, from top to bottom."""

import re
from pathlib import Path

import pytest

from keras_convnext import ConvNeXtClassifier, save_checkpoint

README = Path(__file__).parents[1] / "README.md"


def test_python_blocks_run(tmp_path, monkeypatch):
    """The published checkpoint that one of them loads is one of new weights here."""
    monkeypatch.chdir(tmp_path)
    save_checkpoint(ConvNeXtClassifier.from_preset("convnext_tiny"), "convnext_tiny_1k_224_ema.pth")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) == 6
    namespace = {}
    with pytest.warns(UserWarning, match="1000 classes and the model 10"):
        for block in blocks:
            exec(block, namespace)
    assert namespace["metrics"]["test_accuracy"] > 0.2
    assert namespace["features"].output.shape == (None, 320)
