"""What the package promises: the API document, the names of 1.44, the answers of real servers."""
