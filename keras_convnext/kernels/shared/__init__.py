"""What several backends' kernels have in common."""
