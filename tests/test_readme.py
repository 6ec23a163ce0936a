"""The README's Python runs as it stands there, from top to bottom; each block imports what it uses.

On torch it runs every time; on the other backends it is a slow test.
"""

import ast
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_convnext import ConvNeXtClassifier, save_checkpoint
from keras_convnext.checkpoints import CHECKPOINTS, cached_path

pytestmark = pytest.mark.once

README = Path(__file__).parents[1] / "README.md"


def test_python_blocks_run(tmp_path, monkeypatch):
    """The published checkpoint that some of them load is one of new weights here, and in Keras's cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    name = "convnext_tiny_1k_224_ema"
    save_checkpoint(ConvNeXtClassifier.from_preset("convnext_tiny"), f"{name}.pth")
    cached_path(CHECKPOINTS[name]).parent.mkdir(parents=True)
    shutil.copy(f"{name}.pth", cached_path(CHECKPOINTS[name]))
    Image.fromarray(np.zeros((300, 400, 3), "uint8")).save("photo.jpg")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len(blocks) == 15
    namespace = {}
    with pytest.warns(UserWarning, match="1000 classes and the model 10"):
        for block in blocks:
            exec(block, namespace)
            for name in imported_by(block):
                namespace.pop(name, None)
    assert namespace["metrics"]["test_accuracy"] > 0.2
    assert namespace["features"].output.shape == (None, 320)


def imported_by(block):
    """The names that a block imports. A later block must import them again: a reader may copy it alone."""
    imports = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {(alias.asname or alias.name).partition(".")[0] for node in imports for alias in node.names}
