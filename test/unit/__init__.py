"""Tests of the core, layer by layer."""
