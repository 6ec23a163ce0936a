"""`python -m keras_convnext`: the same as the `keras-convnext` command."""

import sys

from keras_convnext.cli import main

if __name__ == "__main__":
    sys.exit(main())
