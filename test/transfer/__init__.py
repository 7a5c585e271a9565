"""Uploads, against a sandbox and against servers that do what no sandbox does."""
