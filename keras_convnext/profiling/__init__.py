"""Counting: parameters and multiply-accumulates."""

from keras_convnext.profiling.count import Count, count
from keras_convnext.profiling.profile import Profile, ProfileRow, profile

__all__ = ["Count", "Profile", "ProfileRow", "count", "profile"]
