"""The embedded platform: which buckets exist, kept in a registry of our own."""
