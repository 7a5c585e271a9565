"""Tests of every operation with random arguments and answers, against the API document."""
