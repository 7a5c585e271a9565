"""Small programs in the style of code written for lakefs_client 1.44."""
