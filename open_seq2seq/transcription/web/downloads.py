"""Transcripts to take away: their formats as the browser has to be told of them."""
import os
import urllib.parse

from open_seq2seq.transcription.writers import FORMATS

_CONTENT_TYPES = {"txt": "text/plain", "json": "application/json", "srt": "application/x-subrip", "vtt": "text/vtt",
                  "ctm": "text/plain"}
# {extension: (Content-Type, function of a Transcript and the recording's name)}
DOWNLOADS = {extension: (_CONTENT_TYPES[extension] + "; charset=utf-8", write) for extension, write in FORMATS.values()}


def content_disposition(name, extension):
    """The header that names a download after its recording (RFC 6266).

    Args:
      name: of the recording, as it is displayed.
      extension: of the download, without the dot.

    Returns:
      str of ASCII characters.
    """
    file_name = "%s.%s" % (os.path.splitext(name)[0] or name, extension)
    return "attachment; filename*=UTF-8''" + urllib.parse.quote(file_name, safe="")
