"""Results as values for JSON, as files to download, and kept for further pages."""
