"""What becomes of the kernels of the backend *cupy*, compiled without a GPU."""
