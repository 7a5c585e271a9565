"""Downloads: whole files, and objects that are read like files."""
