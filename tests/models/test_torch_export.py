"""The model as a graph of torch's own. Collected on torch alone."""

import numpy as np
import torch


def test_exported_and_compiled_outputs_are_equal(small_classifier, randomize, images, version):
    model = randomize(small_classifier(version, input_shape=(32, 32, 3))).fuse()
    x = torch.from_numpy(images(2, 32, 32, 3))
    with torch.no_grad():
        expected = model(x, training=False)
        exported = torch.export.export(model.eval(), (x,)).module()
        compiled = torch.compile(exported)
        for form in (exported, compiled):
            np.testing.assert_allclose(form(x), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
