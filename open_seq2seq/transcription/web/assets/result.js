// One recording: audio, spectrogram, words.

import * as server from "./server.js";
import {Timeline} from "./timeline.js";
import {clock} from "./words.js";

const UNCERTAIN = 0.7;                          // words of less confidence are dotted
const PLAY = "M7 4l14 8-14 8z", PAUSE = "M6 4h4v16H6zM14 4h4v16h-4z";

const element = (id) => document.getElementById(id);

export class Result {
  constructor(onError) {
    this.onError = onError;
    this.audio = element("audio");
    this.timeline = new Timeline(
      element("timeline"), element("spectrogram"), (seconds) => this.seek(seconds), () => this.viewMoved());
    this.buttons = [];
    this.words = [];
    this.stopAt = Infinity;
    element("play").addEventListener("click", () => this.toggle());
    element("timeline").addEventListener("keydown", (event) => {
      if (event.key === " ") {
        event.preventDefault();
        this.toggle();
      }
    });
    element("zoom").addEventListener("input", () => this.timeline.setZoom(element("zoom").valueAsNumber));
    element("scroll").addEventListener("input", () => this.timeline.setStart(element("scroll").valueAsNumber));
    element("transcript").addEventListener("keydown", (event) => this.walk(event));
    for (const kind of ["play", "pause", "ended"]) this.audio.addEventListener(kind, () => this.playingChanged());
    this.audio.addEventListener("seeked", () => this.moved());
    this.audio.addEventListener("error", () => {
      if (this.audio.getAttribute("src")) onError("The recording cannot be played back.");
    });
  }

  hide() {
    element("result").hidden = true;
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.timeline.open(0);
    this.recording = null;
  }

  async show(recording) {
    const another = this.recording !== recording;
    if (another) {
      this.recording = recording;
      element("result").setAttribute("aria-busy", "true");
      this.words = this.buttons = [];
      this.stopAt = Infinity;
      element("transcript").replaceChildren();
      element("result_name").textContent = recording.name;
      element("result_duration").textContent = clock(recording.duration, 1);
      element("result").hidden = false;
      element("zoom").value = 0;
      this.timeline.open(recording.duration);
      this.audio.src = server.audioAddress(recording.id);
      this.moved(0);
    }
    this.showWarnings(recording.warnings);
    const done = recording.state === "done";
    for (const id of ["downloads", "word_hint"]) element(id).hidden = !done || !recording.words.length;
    element("no_words").hidden = !done || recording.words.length > 0;
    if (done && this.words !== recording.words) this.showWords(recording);
    if (another) await this.showPicture(recording);
  }

  async showPicture(recording) {
    try {
      const points = await server.points(recording.id);
      if (this.recording !== recording) return;  // another one was selected meanwhile
      this.timeline.setPoints(points, recording.spectrogram.seconds_per_column, recording.spectrogram.band_hz);
      element("result").setAttribute("aria-busy", "false");
    } catch (error) {
      if (this.recording === recording) this.onError(error.message);
    }
  }

  showWarnings(warnings) {
    element("warnings").hidden = !warnings.length;
    element("warnings").replaceChildren(...warnings.map((warning) => {
      const item = document.createElement("li");
      item.textContent = `Warning: ${warning}`;
      return item;
    }));
  }

  showWords(recording) {
    this.words = recording.words;
    this.buttons = this.words.map((word, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = word.text;
      button.title = `${clock(word.start, 2)} to ${clock(word.end, 2)}` +
        (word.confidence === null ? "" : `, ${Math.round(100 * word.confidence)} % certain`);
      button.classList.toggle("uncertain", word.confidence !== null && word.confidence < UNCERTAIN);
      button.tabIndex = i ? -1 : 0;             // one stop for the Tab key; arrow keys move from there
      button.addEventListener("click", () => this.playWord(i));
      return button;
    });
    element("transcript").replaceChildren(...this.buttons.flatMap((button) => [button, " "]));
    this.timeline.setWords(this.words);
    for (const link of element("downloads").querySelectorAll("a")) {
      link.href = server.transcriptAddress(recording.id, link.dataset.extension);
    }
  }

  playWord(i) {
    this.focusWord(i);
    this.audio.currentTime = this.words[i].start;
    this.stopAt = Math.max(this.words[i].end, this.words[i].start + 0.2);
    this.play();
  }

  focusWord(i) {
    for (const button of this.buttons) button.tabIndex = -1;
    this.buttons[i].tabIndex = 0;
    this.buttons[i].focus();
  }

  walk(event) {
    const at = this.buttons.indexOf(event.target), last = this.buttons.length - 1;
    const places = {ArrowLeft: Math.max(at - 1, 0), ArrowRight: Math.min(at + 1, last), Home: 0, End: last};
    if (at < 0 || !(event.key in places)) return;
    event.preventDefault();
    this.focusWord(places[event.key]);
  }

  toggle() {
    this.stopAt = Infinity;
    if (this.audio.paused) this.play();
    else this.audio.pause();
  }

  play() {
    // rejected when playback is interrupted by another click
    this.audio.play().catch((error) => {
      if (error.name !== "AbortError") this.onError(`The recording cannot be played (${error.message}).`);
    });
  }

  seek(seconds) {
    this.stopAt = Infinity;
    this.audio.currentTime = seconds;
    this.moved(seconds);
  }

  playingChanged() {
    const playing = !this.audio.paused && !this.audio.ended;
    element("play").setAttribute("aria-label", playing ? "Pause" : "Play");
    element("play_shape").setAttribute("d", playing ? PAUSE : PLAY);
    if (playing) requestAnimationFrame(() => this.tick());
  }

  tick() {
    if (this.audio.paused) return;
    if (this.audio.currentTime >= this.stopAt) this.audio.pause();
    this.moved();
    requestAnimationFrame(() => this.tick());
  }

  moved(position = this.audio.currentTime) {
    if (!this.recording) return;
    element("time").textContent = `${clock(position, 1)} / ${clock(this.recording.duration, 1)}`;
    this.timeline.moveTo(position);
    const now = this.buttons[this.words.findIndex((word) => position >= word.start && position < word.end)];
    if (now === this.marked) return;
    this.marked?.classList.remove("spoken_now");
    now?.classList.add("spoken_now");
    this.marked = now;
  }

  viewMoved() {
    const {duration, seconds, start} = this.timeline, scroll = element("scroll");
    scroll.hidden = seconds >= duration;
    scroll.max = duration - seconds;
    scroll.value = start;
  }
}
