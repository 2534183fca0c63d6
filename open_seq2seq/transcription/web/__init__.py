"""A web page, by default for this machine only, that transcribes uploaded files and recordings of the microphone."""
