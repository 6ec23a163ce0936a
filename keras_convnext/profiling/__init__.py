"""Counting: parameters and multiply-accumulates."""

from keras_convnext.profiling.profile import Profile, ProfileRow, profile

__all__ = ["Profile", "ProfileRow", "profile"]
