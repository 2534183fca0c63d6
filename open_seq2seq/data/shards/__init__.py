"""Features or audio of a data set in checksummed TFRecord files."""
