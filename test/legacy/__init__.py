"""What code written for lakefs_client 1.44 relies on."""
