// The list of recordings with their states.

import {clock, counted} from "./words.js";

function stateText(recording) {
  switch (recording.state) {
    case "uploading": return `uploading ${Math.floor(100 * recording.fraction)} %`;
    case "waiting": return recording.ahead ? `waiting, ${recording.ahead} ahead` : "waiting";
    case "working": return recording.duration ? `transcribing ${Math.floor(100 * recording.fraction)} %` : "reading";
    case "done": return `${clock(recording.duration)}, ${counted(recording.words.length, "word")}`;
    default: return recording.error;
  }
}

export class RecordingList {
  constructor(section, list, onShow, onRemove) {
    Object.assign(this, {section, list, onShow, onRemove, recordings: []});
  }

  add(recording) {
    const line = document.createElement("li");
    const name = document.createElement("button"), state = document.createElement("span");
    const removal = document.createElement("button"), progress = document.createElement("progress");
    name.type = removal.type = "button";
    name.className = "name";
    state.className = "state";
    removal.className = "remove";
    removal.textContent = "×";
    name.addEventListener("click", () => this.onShow(recording));
    removal.addEventListener("click", () => this.onRemove(recording));
    line.append(name, state, removal, progress);
    recording.parts = {line, name, state, removal, progress};
    this.list.prepend(line);
    this.recordings.push(recording);
    this.section.hidden = false;
    return this.update(recording, {});
  }

  update(recording, changes) {
    Object.assign(recording, changes);
    const {line, name, state, removal, progress} = recording.parts;
    name.textContent = recording.name;
    name.disabled = !recording.spectrogram || recording.state === "failed";
    state.textContent = stateText(recording);
    removal.setAttribute("aria-label", `Remove ${recording.name}`);
    line.className = recording.state;
    progress.hidden = recording.state === "done" || recording.state === "failed";
    progress.setAttribute("aria-label", `Progress of ${recording.name}`);
    const unknown = recording.state === "waiting" || (recording.state === "working" && !recording.duration);
    if (unknown) progress.removeAttribute("value");
    else progress.value = recording.fraction;
    return recording;
  }

  select(recording) {
    for (const item of this.recordings) item.parts.line.setAttribute("aria-current", String(item === recording));
  }

  remove(recording) {
    this.recordings = this.recordings.filter((item) => item !== recording);
    recording.parts.line.remove();
    this.section.hidden = !this.recordings.length;
  }
}
