"""What only a CUDA device can show: tests, and the program behind ``make test-gpu``."""
