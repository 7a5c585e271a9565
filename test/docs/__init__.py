"""Tests that execute the examples of the documentation."""
