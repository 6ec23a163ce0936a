"""Comparing sizes, which are symbols while torch exports a program."""

import torch


def comparable_size(size):
    """See the reference. A condition on a symbol would fix its value in the program."""
    return torch.scalar_tensor(size, dtype=torch.int64) if isinstance(size, torch.SymInt) else size
