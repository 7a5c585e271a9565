"""Tests of transfers, against a sandbox and scripted servers."""
