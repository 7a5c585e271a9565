"""Tests of the public surface: the API document, the names of 1.44, recorded server responses."""
