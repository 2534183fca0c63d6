// One recording: its audio, and the picture of its features and posteriors with the position in it.

const SMALLEST_SCALE = 45;                      // CSS pixels of a second in the picture
const TIME_STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60];

// The data that are embedded for an utterance, or null.
function embedded(number) {
  const element = byId(`recording-${number}`);
  return element ? JSON.parse(element.textContent) : null;
}

// Where the audio of an utterance can be: in the page, or files next to it or elsewhere on this machine.
function audioSources(number, recording) {
  const {names, bases} = EVALUATION.audio, files = names[number] === null ? [] : bases.map((base) => base + names[number]);
  return recording?.audio ? [recording.audio, ...files] : files;
}

// The path of the audio file of an utterance as text.
function audioPath(number) {
  const {names, bases} = EVALUATION.audio;
  if (names[number] === null) return "–";
  const address = (bases[bases.length - 1] + names[number]).replace(/^file:\/\//, "");
  try {
    return decodeURIComponent(address);
  } catch {
    return address;                             // a name that is not UTF-8
  }
}

// [audio element or null, what to show]
function audioPlayer(number, recording, name) {
  const sources = audioSources(number, recording);
  if (!sources.length) return [null, make("p", {className: "note"}, "The audio of this utterance is not known.")];
  const audio = make("audio", {controls: true, preload: recording?.audio ? "auto" : "metadata", "aria-label": `Audio of ${name}`});
  const shown = make("div", {}, audio);
  let next = 0;
  audio.addEventListener("error", () => {
    if (next < sources.length) {
      audio.src = sources[next++];
      return;
    }
    audio.hidden = true;
    shown.append(make("p", {className: "note"}, recording?.audio ? "This browser cannot play the audio."
      : `The audio is not embedded in this page, and the browser cannot open ${audioPath(number)}. The file must exist on this ` +
        "machine, in a format that browsers play, and the page must be opened as a file."));
  });
  audio.src = sources[next++];
  return [audio, shown];
}

// The picture of an utterance: log-mel features, the words of the best path, posteriors; a click moves to a time.
function picture(recording, audio, name) {
  const {features, posteriors, words, duration} = recording;
  const percentOf = (time) => `${Math.min(100 * time / duration, 100)}%`;
  const sheet = make("div", {className: "sheet"});
  sheet.style.width = `max(100%, ${Math.round(duration * SMALLEST_SCALE)}px)`;
  const band = (title, ...children) => make("div", {className: "band"}, make("div", {className: "title"}, make("span", {}, title)),
                                            ...children);
  if (features) {
    sheet.append(band("features: " + features.title,
                      make("img", {src: features.png, alt: `Features of ${name}, ${features.title}`, className: "mel"})));
  }
  if (words) {
    sheet.append(make("div", {className: "spoken", "aria-label": "Words of the best path"}, ...words.map(([text, start, end]) => {
      const element = make("span", {title: `${text} ${start.toFixed(2)} s`}, make("bdi", {}, text));
      element.style.left = percentOf(start);
      element.style.width = percentOf(Math.max(end - start, 0.02));
      return element;
    })));
  }
  if (posteriors) {
    const labels = posteriors.labels, height = Math.max(11 * labels.length, 60);
    const image = make("img", {src: posteriors.png, alt: `Probabilities of the characters in ${name}: ${labels.join(" ")}`});
    image.style.height = `${height}px`;
    image.style.width = percentOf(posteriors.duration);
    const letters = make("div", {className: "letters", "aria-hidden": "true"}, ...labels.map((label, i) => {
      const row = make("span", {}, make("b", {}, label));
      row.style.top = `${(i + 0.5) * height / labels.length}px`;
      return row;
    }));
    const shown = make("div", {className: "band posteriors"}, image, letters);
    sheet.append(shown);
  }
  const width = Math.max(duration * SMALLEST_SCALE, 0.7 * Math.min(innerWidth, 1300));
  const step = TIME_STEPS.find((value) => value / duration * width >= 45) ?? duration;
  const times = make("div", {className: "times", "aria-hidden": "true"});
  for (let i = 0; i * step < duration; i++) {
    const mark = make("span", {}, `${+(i * step).toFixed(1)} s`);
    mark.style.left = percentOf(i * step);
    times.append(mark);
  }
  const cursor = make("div", {className: "cursor"});
  sheet.append(times, cursor);
  const scroller = make("div", {className: "picture", tabIndex: 0, role: "group", "aria-label": `Picture of ${name}. ` +
    "Arrow keys move the position in the audio, space plays."}, sheet);

  const follow = () => {
    cursor.style.left = percentOf(audio ? audio.currentTime : 0);
    const x = cursor.offsetLeft - scroller.scrollLeft;
    if (audio && !audio.paused && (x < 0 || x > scroller.clientWidth)) scroller.scrollLeft = cursor.offsetLeft - 40;
    if (audio && !audio.paused && sheet.isConnected) requestAnimationFrame(follow);
  };
  follow();
  if (audio) {
    for (const kind of ["play", "seeked", "timeupdate", "pause"]) audio.addEventListener(kind, follow);
    const seek = (time) => { audio.currentTime = Math.max(0, Math.min(time, duration)); };
    sheet.addEventListener("click", (event) => {
      const box = sheet.getBoundingClientRect();
      seek((event.clientX - box.left) / box.width * duration);
    });
    scroller.addEventListener("keydown", (event) => {
      const places = {ArrowLeft: audio.currentTime - 0.5, ArrowRight: audio.currentTime + 0.5, Home: 0, End: duration};
      if (event.key === " ") audio.paused ? audio.play() : audio.pause();
      else if (event.key in places) seek(places[event.key]);
      else return;
      event.preventDefault();
    });
  }
  return scroller;
}
