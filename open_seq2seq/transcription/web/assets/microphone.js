// The microphone as 16-bit samples, recorded as WAV or sent block by block: MediaRecorder's codecs are lossy, and libsndfile cannot read WebM.

const REASONS = {
  NotAllowedError: "The microphone was blocked. Allow it next to the page's address and try again.",
  NotFoundError: "No microphone was found. Connect one, or choose a file.",
  NotReadableError: "The microphone is used by another program.",
};

export function whyNoMicrophone() {
  if (!window.isSecureContext) return "Browsers record only on pages opened as localhost or over https.";
  if (!navigator.mediaDevices?.getUserMedia || !window.AudioWorkletNode) return "This browser cannot record.";
  return null;
}

export class Microphone {
  // onBlock(peak 0..1, seconds recorded, samples of the block) is called for every block; without keep nothing is recorded
  static async open(onBlock, keep = true) {
    let stream;
    try {
      // these filters are for telephone calls; the network was trained without them
      stream = await navigator.mediaDevices.getUserMedia(
        {audio: {echoCancellation: false, noiseSuppression: false, autoGainControl: false}});
    } catch (error) {
      throw new Error(REASONS[error.name] ?? `The microphone cannot be used (${error.message}).`);
    }
    const microphone = new Microphone(stream, onBlock, keep);
    await microphone.start();
    return microphone;
  }

  constructor(stream, onBlock, keep) {
    this.stream = stream;
    this.onBlock = onBlock;
    this.keep = keep;
    this.context = new AudioContext();
    this.blocks = [];
    this.samples = 0;
  }

  async start() {
    await this.context.audioWorklet.addModule("/assets/microphone_worklet.js");
    const node = new AudioWorkletNode(this.context, "microphone", {numberOfOutputs: 0});
    node.port.onmessage = ({data}) => this.add(data);
    this.context.createMediaStreamSource(this.stream).connect(node);
    await this.context.resume();
  }

  add(samples) {
    let peak = 0;
    const integers = new Int16Array(samples.length);
    for (let i = 0; i < samples.length; i++) {
      const sample = Math.max(-1, Math.min(1, samples[i]));
      peak = Math.max(peak, Math.abs(sample));
      integers[i] = Math.round(sample * 32767);
    }
    if (this.keep) this.blocks.push(integers);
    this.samples += integers.length;
    this.onBlock(peak, this.samples / this.context.sampleRate, integers);
  }

  async stop() {
    for (const track of this.stream.getTracks()) track.stop();
    await this.context.close();
    return wav(this.blocks, this.context.sampleRate);
  }
}

export function wav(blocks, sampleRate) {
  const bytes = 2 * blocks.reduce((sum, block) => sum + block.length, 0);
  const header = new DataView(new ArrayBuffer(44));
  const text = (at, word) => [...word].forEach((letter, i) => header.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF");
  header.setUint32(4, 36 + bytes, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);            // bytes of the format
  header.setUint16(20, 1, true);             // PCM
  header.setUint16(22, 1, true);             // channels
  header.setUint32(24, sampleRate, true);
  header.setUint32(28, 2 * sampleRate, true);
  header.setUint16(32, 2, true);             // bytes of a sample
  header.setUint16(34, 16, true);            // bits of a sample
  text(36, "data");
  header.setUint32(40, bytes, true);
  return new Blob([header, ...blocks], {type: "audio/wav"});
}
