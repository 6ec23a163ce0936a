"""Photographs that scikit-image brings along."""

import pytest
from PIL import Image

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "retina", "rocket")


@pytest.fixture(scope="session")
def photographs():
    """RGB photographs of different sizes, as Pillow images."""
    from skimage import data

    pictures = [Image.fromarray(getattr(data, name)()) for name in PHOTOGRAPHS]
    odd = pictures[1].crop((3, 5, 440, 250))  # sides that nothing divides
    return [*pictures, odd, odd.transpose(Image.Transpose.ROTATE_90), odd.resize((101, 67))]
