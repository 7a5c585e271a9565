"""Uploads: files, streams and writers, in parts or in one request."""
