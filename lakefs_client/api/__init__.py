"""The groups of operations, one module each."""
