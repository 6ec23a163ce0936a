"""Writes a small folder of photographs, `FOLDER/train/CLASS/*.jpg` and `FOLDER/test`: crops of scikit-image's.

python .ci/photographs.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

CLASSES = {"astronaut": data.astronaut, "cat": data.chelsea, "coffee": data.coffee}
SIDE = 96
COUNTS = {"train": 16, "test": 4}


def main(folder):
    random = np.random.default_rng(0)
    for name, load in CLASSES.items():
        picture = Image.fromarray(load())
        for part, count in COUNTS.items():
            place = Path(folder, part, name)
            place.mkdir(parents=True)
            for number in range(count):
                side = int(random.integers(150, 300))
                left, top = (int(random.integers(0, most - side + 1)) for most in picture.size)
                crop = picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))
                crop.save(place / f"{number}.jpg", quality=92)


if __name__ == "__main__":
    main(*sys.argv[1:])
