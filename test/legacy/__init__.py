"""Tests of the behavior that code for lakefs_client 1.44 relies on."""
