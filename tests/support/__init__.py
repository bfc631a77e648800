"""What the tests of the server stand on: a child without a kernel, a wire without descriptors."""
