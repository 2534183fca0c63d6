"""Features or audio of a data set in checksummed TFRecord files that are read by record number (docs/shards.md)."""
