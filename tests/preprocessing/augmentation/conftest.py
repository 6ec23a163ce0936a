"""timm's transforms, and many draws of ours."""

import numpy as np
import pytest
from scipy import stats


@pytest.fixture
def timm_data():
    """timm's data package."""
    from keras_convnext.extras import import_torchvision

    import_torchvision()
    import timm.data

    return timm.data


@pytest.fixture
def assert_alike():
    """A function: two samples are of one distribution, by the test of Kolmogorov and Smirnov."""

    def check(ours, theirs):
        assert len(ours) >= 2000
        assert stats.ks_2samp(ours, theirs).pvalue > 1e-3
        assert np.std(theirs) > 0

    return check
