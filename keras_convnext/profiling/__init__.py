"""Counting parameters, multiply-accumulates and activations. Timing is in `keras_convnext.benchmarking`."""

from keras_convnext.profiling.count import Count, count
from keras_convnext.profiling.profile import Profile, ProfileRow, profile

__all__ = ["Count", "Profile", "ProfileRow", "count", "profile"]
