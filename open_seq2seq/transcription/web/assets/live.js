// Words while somebody speaks: sends the microphone to the server's WebSocket and receives text.

import {Microphone} from "./microphone.js";

const SECONDS_SENT = 0.1;                      // of audio in a message
const MOST_BUFFERED_SECONDS = 30;              // that the network has not sent yet

export class Live {
  // onText({final, text, words, segment, ends_segment}), onLevel(peak 0..1), onEnd(error or null)
  constructor(latency, {onText, onLevel, onEnd}) {
    Object.assign(this, {latency, onText, onLevel, onEnd, waiting: [], samples: 0, error: null});
  }

  async start() {
    this.microphone = await Microphone.open((peak, seconds, samples) => this.hear(peak, samples), false);
    this.rate = this.microphone.context.sampleRate;
    const address = new URL(`/live?sample_rate=${this.rate}&latency=${this.latency}`, window.location.href);
    address.protocol = address.protocol.replace("http", "ws");
    this.socket = new WebSocket(address);
    this.socket.onmessage = ({data}) => this.receive(JSON.parse(data));
    this.socket.onclose = (event) => this.end(event);
  }

  hear(peak, samples) {
    this.onLevel(peak);
    this.waiting.push(samples);
    this.samples += samples.length;
    if (this.samples >= SECONDS_SENT * this.rate && this.socket?.readyState === WebSocket.OPEN) this.send();
  }

  send() {
    const message = new Int16Array(this.samples);
    let at = 0;
    for (const samples of this.waiting) {
      message.set(samples, at);
      at += samples.length;
    }
    this.waiting = [];
    this.samples = 0;
    this.socket.send(message);
    if (this.socket.bufferedAmount > 2 * MOST_BUFFERED_SECONDS * this.rate) {
      this.error = new Error("The server does not keep up with the microphone.");
      this.socket.close();
    }
  }

  receive(text) {
    if (text.error) this.error = new Error(text.error);
    else this.onText(text);
  }

  // what was said becomes final, then the server closes the connection
  async stop() {
    await this.microphone.stop();
    if (this.socket.readyState !== WebSocket.OPEN) return;
    if (this.samples) this.send();
    this.socket.send("end");
  }

  async end(event) {
    for (const track of this.microphone.stream.getTracks()) track.stop();
    if (this.microphone.context.state !== "closed") await this.microphone.context.close();
    if (!this.error && event.code !== 1000) {
      this.error = new Error("The connection to the server ended. It may have been stopped, or have too many streams.");
    }
    this.onEnd(this.error);
  }
}
