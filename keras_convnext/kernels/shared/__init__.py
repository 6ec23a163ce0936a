"""Functions that the kernels of several backends use."""
