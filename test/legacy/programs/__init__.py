"""Small programs in the manner of those that were written for lakefs_client 1.44."""
