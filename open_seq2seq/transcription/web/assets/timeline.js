// The spectrogram with its axes, the words under it and the position in the recording.

import {clock} from "./words.js";

const WORDS_HEIGHT = 30, AXIS_HEIGHT = 22;      // CSS pixels
const SHORTEST_VIEW = 0.5;                      // seconds
const NAMED_HZ = [250, 500, 1000, 2000, 4000, 8000];
const TIME_STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200];

// From dark to bright with steadily rising lightness, so that it is readable without colors.
const COLORS = [
  [8, 6, 18], [42, 16, 66], [95, 24, 96], [151, 39, 93], [204, 62, 72], [239, 108, 46], [250, 170, 50], [252, 240, 170]];

function colorTable() {
  const table = new Uint8ClampedArray(256 * 3);
  for (let value = 0; value < 256; value++) {
    const place = (value / 255) * (COLORS.length - 1);
    const low = Math.min(Math.floor(place), COLORS.length - 2);
    for (let part = 0; part < 3; part++) {
      table[3 * value + part] = COLORS[low][part] + (place - low) * (COLORS[low + 1][part] - COLORS[low][part]);
    }
  }
  return table;
}

const TABLE = colorTable();

// As much of a word as fits; nothing instead of one or two letters.
function shortened(context, word, room) {
  if (context.measureText(word).width <= room) return word;
  for (let length = word.length - 1; length > 1; length--) {
    const shown = `${word.slice(0, length)}…`;
    if (context.measureText(shown).width <= room) return shown;
  }
  return "";
}

export class Timeline {
  // onSeek(seconds) is called when the user selects a position; onView when another part is shown
  constructor(element, canvas, onSeek, onView) {
    Object.assign(this, {element, canvas, onSeek, onView});
    this.open(0);
    new ResizeObserver(() => this.draw()).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      this.seekTo(event);
    });
    element.addEventListener("pointermove", (event) => {
      if (element.hasPointerCapture(event.pointerId)) this.seekTo(event);
    });
    element.addEventListener("keydown", (event) => this.keyDown(event));
  }

  // another recording, of which only the duration is known
  open(duration) {
    Object.assign(this, {duration, points: null, bandHz: [], words: [], position: 0, start: 0, seconds: duration});
    this.element.setAttribute("aria-valuemax", duration.toFixed(1));
    this.moveTo(0);
  }

  setPoints(points, secondsPerColumn, bandHz) {
    Object.assign(this, {points, secondsPerColumn, bandHz});
    this.draw();
  }

  setWords(words) {
    this.words = words;
    this.draw();
  }

  // zoom 0: the whole recording, 1: half a second
  setZoom(zoom) {
    const middle = this.position >= this.start && this.position <= this.start + this.seconds
      ? this.position : this.start + this.seconds / 2;
    this.seconds = this.duration * Math.min(SHORTEST_VIEW / this.duration, 1) ** zoom;
    this.setStart(middle - this.seconds / 2);
  }

  setStart(start) {
    this.start = Math.max(0, Math.min(start, this.duration - this.seconds));
    this.onView();
    this.draw();
  }

  moveTo(position) {
    this.position = position;
    this.element.setAttribute("aria-valuenow", position.toFixed(1));
    this.element.setAttribute("aria-valuetext", clock(position, 1));
    if (position < this.start || position > this.start + this.seconds) this.setStart(position - this.seconds * 0.1);
    else this.draw();
  }

  seekTo(event) {
    const box = this.element.getBoundingClientRect();
    const part = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    this.onSeek(this.start + part * this.seconds);
  }

  keyDown(event) {
    const places = {
      ArrowLeft: this.position - 1, ArrowDown: this.position - 1, ArrowRight: this.position + 1, ArrowUp: this.position + 1,
      PageDown: this.position - 10, PageUp: this.position + 10, Home: 0, End: this.duration,
    };
    if (!(event.key in places)) return;
    event.preventDefault();
    this.onSeek(Math.max(0, Math.min(this.duration, places[event.key])));
  }

  draw() {
    const scale = window.devicePixelRatio || 1;
    const width = this.element.clientWidth, height = this.element.clientHeight;
    if (!width || !this.duration) return;
    if (this.canvas.width !== Math.round(width * scale) || this.canvas.height !== Math.round(height * scale)) {
      this.canvas.width = Math.round(width * scale);
      this.canvas.height = Math.round(height * scale);
    }
    const context = this.canvas.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    const paint = {ink: style.getPropertyValue("--ink"), faint: style.getPropertyValue("--faint"),
                   line: style.getPropertyValue("--line"), mark: style.getPropertyValue("--mark")};
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    const top = height - WORDS_HEIGHT - AXIS_HEIGHT;
    if (this.points) {
      this.drawPoints(context, width, top);
      this.drawFrequencies(context, top);
    }
    this.drawTimes(context, width, top, paint);
    this.drawWords(context, width, height - WORDS_HEIGHT, paint);
    this.drawPosition(context, width, height);
  }

  x(seconds, width) {
    return (seconds - this.start) / this.seconds * width;
  }

  drawPoints(context, width, height) {
    const bands = this.bandHz.length, columns = this.points.length / bands;
    const key = [this.start, this.seconds, width].join();
    if (this.drawn?.key !== key || this.drawn.points !== this.points) {
      // column c is centered on c * secondsPerColumn
      const first = this.start / this.secondsPerColumn + 0.5, shown = this.seconds / this.secondsPerColumn;
      const images = Math.max(1, Math.min(Math.ceil(shown), width));
      const image = new ImageData(images, bands);
      for (let i = 0; i < images; i++) {
        const from = Math.min(Math.floor(first + i * shown / images), columns - 1);
        const to = Math.max(from + 1, Math.min(Math.floor(first + (i + 1) * shown / images), columns));
        for (let band = 0; band < bands; band++) {
          let value = 0;
          for (let column = from; column < to; column++) value = Math.max(value, this.points[column * bands + band]);
          const at = 4 * ((bands - 1 - band) * images + i);
          for (let part = 0; part < 3; part++) image.data[at + part] = TABLE[3 * value + part];
          image.data[at + 3] = 255;
        }
      }
      const canvas = new OffscreenCanvas(images, bands);
      canvas.getContext("2d").putImageData(image, 0, 0);
      this.drawn = {key, points: this.points, canvas};
    }
    context.drawImage(this.drawn.canvas, 0, 0, width, height);
  }

  drawFrequencies(context, height) {
    const bands = this.bandHz.length;
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (const hz of NAMED_HZ) {
      const above = this.bandHz.findIndex((center) => center >= hz);
      if (above < 1) continue;
      const band = above - (this.bandHz[above] - hz) / (this.bandHz[above] - this.bandHz[above - 1]);
      const y = height * (1 - (band + 0.5) / bands);
      context.shadowColor = "#000000";
      context.shadowBlur = 4;
      context.fillStyle = "#ffffff";
      context.fillRect(0, y, 5, 1);
      context.fillText(hz < 1000 ? `${hz} Hz` : `${hz / 1000} kHz`, 8, y + 0.5);
      context.shadowBlur = 0;
    }
  }

  drawTimes(context, width, top, paint) {
    const step = TIME_STEPS.find((seconds) => seconds / this.seconds * width >= 70) ?? TIME_STEPS[TIME_STEPS.length - 1];
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "top";
    for (let i = Math.ceil(this.start / step - 1e-6); i * step <= this.start + this.seconds; i++) {
      const x = this.x(i * step, width), label = clock(i * step, step < 1 ? 1 : 0);
      context.fillStyle = paint.line;
      context.fillRect(x, top, 1, 5);
      context.fillStyle = paint.faint;
      if (x + 4 + context.measureText(label).width < width) context.fillText(label, x + 4, top + 4);
    }
  }

  drawWords(context, width, top, paint) {
    context.font = "13px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (const word of this.words) {
      const left = this.x(word.start, width), right = this.x(word.end, width);
      if (right < 0 || left > width) continue;
      const now = this.position >= word.start && this.position < word.end;
      context.fillStyle = now ? paint.mark : paint.line;
      context.beginPath();
      context.roundRect(left, top + 2, Math.max(right - left - 1, 1), WORDS_HEIGHT - 4, 4);
      context.fill();
      context.save();
      context.beginPath();
      context.rect(left, top, Math.max(right - left - 1, 1), WORDS_HEIGHT);
      context.clip();
      const room = right - left - 1, shown = shortened(context, word.text, room);
      context.fillStyle = paint.ink;
      context.fillText(shown, left + (room - context.measureText(shown).width) / 2, top + WORDS_HEIGHT / 2);
      context.restore();
    }
  }

  drawPosition(context, width, height) {
    const x = Math.min(this.x(this.position, width), width - 1);
    context.fillStyle = "rgba(0, 0, 0, .55)";
    context.fillRect(x - 1.5, 0, 4, height);
    context.fillStyle = "#ffffff";
    context.fillRect(x - 0.5, 0, 2, height);
  }
}
