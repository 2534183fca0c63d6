"""From recognized words to keys: phrases, spaces, what can be deleted, and the window that all of it is for."""
from open_seq2seq.dictation.phrases import Command, PhraseFinder, Spacing
from open_seq2seq.dictation.typing_tool import CannotErase, WindowLost


class Writer:
    """Types what is dictated into the window that had the focus at the beginning.

    Args:
      typing: TypingTool.
      phrases: Phrases.
      whole_phrases: whether text is typed at the end of a phrase instead of word by word.
      separator: the text between two words of the model.
      follow_focus: whether text continues in another window that the user gives the focus to.
      warn: function of a text that the user should read.

    Attributes:
      window: the ``Window`` that text is for, or None.
      unwritten: str, text that was recognized and not typed because the window was lost.
    """

    def __init__(self, typing, phrases, whole_phrases=False, separator=" ", follow_focus=False,
                 warn=lambda text: None):
        self._typing, self._phrases, self._warn = typing, phrases, warn
        self._whole_phrases, self._follow_focus = whole_phrases, follow_focus
        self._finder, self._spacing = PhraseFinder(phrases), Spacing(phrases.capitalize, separator)
        self._history = []                   # of each phrase the list of (text, text before it) that was typed
        self._pending = []                   # texts that are typed at the end of the phrase, as in the history
        self.window, self.unwritten = None, ""

    def begin(self):
        """Begins a dictation in the focused window. In the same window as before it continues the text.

        Raises:
          WindowLost: no window has the focus.
        """
        self.unwritten, window = "", self._typing.target()
        if window is None:
            raise WindowLost("no window has the focus; click into the window that receives the text")
        if self.window is None or window.identifier != self.window.identifier:
            self._forget()
        self.window = window
        self._finder, self._pending = PhraseFinder(self._phrases), []
        self._history.append([])

    def add(self, words):
        """Takes words whose text is final.

        Args:
          words: list of str.

        Returns:
          True if one of them is the command that ends the dictation.

        Raises:
          WindowLost: the window was closed or lost the focus; ``unwritten`` has what was not typed.
          DeviceError: the typing tool failed.
        """
        return self._write(self._finder.add(words), ended=False)

    def end_phrase(self):
        """Ends a phrase: after a pause, and at the end of a dictation. Returns and raises as :meth:`add`."""
        stopped = self._write(self._finder.end(), ended=True)
        if self._history[-1]:
            self._history.append([])
        return stopped

    def _write(self, items, ended):
        stopped, texts = False, []
        for item in items:
            if isinstance(item, Command):
                self._queue(texts)
                texts = []
                stopped |= self._obey(item.action)
            else:
                texts.append(item.text)
        self._queue(texts)
        if self._pending and (ended or stopped or not self._whole_phrases):
            pending, self._pending = self._pending, []
            self._type(pending)
        return stopped

    def _queue(self, texts):
        for text in texts:
            before = self._spacing.before
            self._pending.append((self._spacing.join(text), before))

    def _type(self, pieces):
        text = "".join(text for text, _ in pieces)
        try:
            try:
                self._typing.type_text(text, self.window)
            except WindowLost:
                if not self._moves_on():
                    raise
                text = text.lstrip(" ")
                self._typing.type_text(text, self.window)
                pieces, self._spacing.before = [(text, "")], text
        except BaseException:
            self.unwritten += text
            raise
        self._history[-1] += pieces

    def _obey(self, action):
        """Runs a command; returns whether it ends the dictation."""
        if action == "stop":
            return True
        # what is still to be typed is part of the current phrase
        phrase = self._pending or next((phrase for phrase in reversed(self._history) if phrase), None)
        if not phrase:
            return False
        removed = phrase[-1:] if action == "delete_word" else list(phrase)
        if phrase is not self._pending:
            count = sum(len(text) for text, _ in removed)
            try:
                self._typing.erase(count, self.window)
            except WindowLost:
                if not self._moves_on():
                    raise
                # the text is in the other window, where it stays
                return False
            except CannotErase as error:
                self._warn(str(error))
                return False
        del phrase[len(phrase) - len(removed):]
        self._spacing.before = removed[0][1]
        return False

    def _moves_on(self):
        """After the focus moved: continues in the window that has it, if the user wants that; returns whether it does."""
        window = self._typing.target() if self._follow_focus else None
        if window is None or not self._typing.is_open(self.window):
            return False
        self.window = window
        self._forget()
        self._history.append([])
        return True

    def _forget(self):
        self._history, self._spacing.before = [], ""
