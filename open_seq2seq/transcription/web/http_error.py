"""An HTTP error response: the status and a sentence for the user, as JSON ``{"error": sentence}``."""
import json

from werkzeug.exceptions import HTTPException


class HttpError(HTTPException):
    """Ends the handling of a request.

    Args:
      status: HTTP status, 4xx or 5xx.
      sentence: what is wrong and how to fix it.
      headers: dict of further response headers.

    Attributes:
      code: the status.
      description: the sentence.
      headers: dict.
    """

    def __init__(self, status, sentence, headers=None):
        super().__init__(sentence)
        self.code, self.headers = status, dict(headers or {})

    def get_body(self, environ=None, scope=None):
        return json.dumps({"error": self.description})

    def get_headers(self, environ=None, scope=None):
        return [("Content-Type", "application/json")] + list(self.headers.items())
