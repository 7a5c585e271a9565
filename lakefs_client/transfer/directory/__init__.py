"""Directory transfers: many files, listings, and a report."""
