"""The release."""

__version__ = "2.0.0"
