"""A web page, for this machine only unless asked otherwise, that transcribes what is dropped on it or spoken into it."""
