"""A request that is not granted: the HTTP status and a sentence for the person who asked."""


class Refusal(Exception):
    """Ends the handling of a request.

    Args:
      status: HTTP status, 4xx or 5xx.
      sentence: what is wrong and how to mend it.
      headers: dict of further response headers.
    """

    def __init__(self, status, sentence, headers=None):
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, dict(headers or {})
