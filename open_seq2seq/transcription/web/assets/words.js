// Times, sizes and counts as text.

export function clock(seconds, digits = 0) {
  const factor = 10 ** digits;
  const total = Math.floor(seconds * factor + 1e-6) / factor;
  const minutes = Math.floor(total / 60);
  return `${minutes}:${(total - 60 * minutes).toFixed(digits).padStart(digits ? digits + 3 : 2, "0")}`;
}

export function size(bytes) {
  return bytes < 2 ** 20 ? `${Math.ceil(bytes / 1024)} kB` : `${+(bytes / 2 ** 20).toFixed(1)} MB`;
}

export function span(seconds) {
  return seconds < 100 ? `${+seconds.toFixed(1)} seconds` : `${Math.floor(seconds / 60)} minutes`;
}

export function counted(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
