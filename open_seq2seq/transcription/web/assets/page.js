// The page: uploads recordings, polls them until they are transcribed, and shows one of them.

import {Microphone, whyNoMicrophone} from "./microphone.js";
import {Live} from "./live.js";
import {RecordingList} from "./recording_list.js";
import {Result} from "./result.js";
import * as server from "./server.js";
import {clock, counted, size, span} from "./words.js";

const LATENCY = 0.5;                           // seconds of audio after a word before it is final
const POLL_MILLISECONDS = 300;
const REMEMBERED = "recordings";               // in this tab, so that a reload does not lose them

const element = (id) => document.getElementById(id);
const result = new Result(showError);
const list = new RecordingList(element("queue"), element("list"), show, remove);
let limits = null;
let shown = null;

function showError(sentence) {
  const line = document.createElement("p");
  line.className = "error";
  line.append(document.createElement("span"), document.createElement("button"));
  line.firstChild.textContent = sentence;
  line.lastChild.textContent = "×";
  line.lastChild.setAttribute("aria-label", "Dismiss");
  line.lastChild.addEventListener("click", () => line.remove());
  element("errors").replaceChildren(line);
}

function limitsText() {
  return `${span(limits.max_seconds)} and ${size(limits.max_bytes)}`;
}

function announce(sentence) {
  element("announcement").textContent = sentence;
}

function remember() {
  sessionStorage.setItem(REMEMBERED, JSON.stringify(list.recordings.filter((item) => item.id).map((item) => item.id)));
}

async function send(blob, name) {
  if (limits && blob.size > limits.max_bytes) {
    showError(`${name} has ${size(blob.size)}; this server takes up to ${size(limits.max_bytes)}. Cut it, or save it as FLAC.`);
    return;
  }
  const recording = list.add({name, state: "uploading", fraction: 0});
  const upload = server.upload(blob, name, (fraction) => list.update(recording, {fraction}));
  recording.stop = upload.stop;
  try {
    list.update(recording, await upload.finished);
  } catch (error) {
    if (list.recordings.includes(recording)) {
      list.update(recording, {state: "failed", error: error.message});
      announce(`${name} failed. ${error.message}`);
    }
    return;
  }
  remember();
  follow(recording);
}

async function follow(recording) {
  while (list.recordings.includes(recording)) {
    try {
      list.update(recording, await server.describe(recording.id));
    } catch (error) {
      list.update(recording, {state: "failed", error: error.message});
    }
    if (recording.spectrogram && (shown === null || shown === recording)) await show(recording);
    if (recording.state === "done" || recording.state === "failed") break;
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLISECONDS));
  }
  if (recording.state === "done") {
    announce(`${recording.name} is transcribed: ${counted(recording.words.length, "word")}.`);
    // the last one is shown when all are finished
    if (list.recordings.every((item) => item.state === "done" || item.state === "failed")) await show(recording);
  } else if (recording.state === "failed") {
    announce(`${recording.name} failed. ${recording.error}`);
    if (shown === recording) hide();
  }
}

async function show(recording) {
  shown = recording;
  list.select(recording);
  await result.show(recording);
}

function hide() {
  shown = null;
  list.select(null);
  result.hide();
}

function remove(recording) {
  recording.stop?.();
  list.remove(recording);
  remember();
  if (shown === recording) hide();
  // the server may have removed it already
  if (recording.id) server.forget(recording.id).catch((error) => error.status === 404 || showError(error.message));
}

function acceptFiles() {
  const file = element("file"), area = element("input");
  element("choose").addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    for (const chosen of file.files) send(chosen, chosen.name);
    file.value = "";
  });
  // on the whole page: a file dropped outside the area would otherwise replace the page
  for (const kind of ["dragenter", "dragover"]) {
    window.addEventListener(kind, (event) => {
      event.preventDefault();
      area.classList.add("over");
    });
  }
  window.addEventListener("dragleave", (event) => event.relatedTarget || area.classList.remove("over"));
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    area.classList.remove("over");
    for (const dropped of event.dataTransfer.files) send(dropped, dropped.name);
  });
}

function acceptRecordings() {
  const button = element("record");
  const reason = whyNoMicrophone();
  let microphone = null, count = 0;
  if (reason) {
    button.disabled = true;
    button.title = reason;
    return;
  }

  function heard(peak, seconds) {
    element("level").value = peak;
    element("recorded_time").textContent = clock(seconds);
    if (limits && seconds >= Math.min(limits.max_seconds, limits.max_bytes / (2 * microphone?.context.sampleRate)) - 1) {
      showError(`The recording was stopped: this server takes up to ${limitsText()}.`);
      toggle();
    }
  }

  function look(recording) {
    button.setAttribute("aria-pressed", String(recording));
    element("record_label").textContent = recording ? "Stop" : "Record";
    element("recording_state").hidden = !recording;
  }

  async function toggle() {
    if (button.disabled) return;
    button.disabled = true;
    try {
      if (microphone === null) {
        microphone = await Microphone.open(heard);
        look(true);
        announce("Recording.");
      } else {
        const finished = microphone;
        microphone = null;
        look(false);
        const blob = await finished.stop();
        if (finished.samples) send(blob, `Microphone ${++count}.wav`);
        else showError("The microphone recorded no audio.");
      }
    } catch (error) {
      showError(error.message);
    } finally {
      button.disabled = false;
    }
  }

  button.addEventListener("click", toggle);
}

function acceptSpeech() {
  const button = element("speak"), final = element("live_final"), partial = element("live_partial");
  const reason = whyNoMicrophone() ?? limits.live_problem;
  let live = null;
  if (reason) {
    button.disabled = true;
    button.title = reason;
    return;
  }

  function show(text) {
    if (text.final && text.text) final.textContent += (final.textContent && text.separator) + text.text;
    partial.textContent = text.final ? "" : text.text;
  }

  function look(speaking) {
    button.setAttribute("aria-pressed", String(speaking));
    element("speak_label").textContent = speaking ? "Stop" : "Words while I speak";
    element("recording_state").hidden = !speaking;
    element("recorded_time").hidden = speaking;
    element("record").disabled = speaking;
  }

  function ended(error) {
    partial.textContent = "";
    live = null;
    look(false);
    button.disabled = false;
    if (error) showError(error.message);
  }

  async function toggle() {
    if (live) {
      button.disabled = true;                  // until the last words have arrived
      await live.stop();
      return;
    }
    button.disabled = true;
    final.textContent = partial.textContent = "";
    const started = new Live(LATENCY, {onText: show, onLevel: (peak) => { element("level").value = peak; }, onEnd: ended});
    try {
      await started.start();
      live = started;
      element("live").hidden = false;
      look(true);
      announce("Listening.");
    } catch (error) {
      showError(error.message);
    } finally {
      button.disabled = false;
    }
  }

  button.addEventListener("click", toggle);
  element("live_copy").addEventListener("click", () => navigator.clipboard.writeText(final.textContent)
    .catch(() => showError("The browser did not allow copying; select the text instead.")));
}

async function begin() {
  // read before new recordings are added to it
  const earlier = JSON.parse(sessionStorage.getItem(REMEMBERED) ?? "[]");
  acceptFiles();
  acceptRecordings();
  try {
    limits = await server.limits();
    element("limits").textContent = `WAV, FLAC, OGG, MP3 or AIFF, up to ${limitsText()}.`;
    element("decoding").textContent = `${limits.decoding}.`;
    acceptSpeech();
  } catch (error) {
    showError(error.message);
    return;
  }
  for (const id of earlier) {
    try {
      follow(list.add(await server.describe(id)));
    } catch {
      // it was removed for newer ones, or the server was restarted
    }
  }
  remember();
}

begin();
