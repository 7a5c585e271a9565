"""Every operation with random arguments and answers, compared with the API document."""
