// The requests to the server. Every failure is an Error whose message is a sentence for the user.

const UNREACHABLE = "The server does not respond. It may have been stopped; start it again and reload this page.";

async function httpError(response) {
  try {
    return new Error((await response.json()).error);
  } catch {
    return new Error(`The server responded with status ${response.status}.`);
  }
}

async function get(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw Object.assign(new Error(UNREACHABLE), {unreachable: true});
  }
  if (!response.ok) throw Object.assign(await httpError(response), {status: response.status});
  return response;
}

export const limits = async () => (await get("/health")).json();
export const describe = async (id) => (await get(`/recordings/${id}`)).json();
export const points = async (id) => new Uint8Array(await (await get(`/recordings/${id}/spectrogram`)).arrayBuffer());
export const forget = (id) => get(`/recordings/${id}`, {method: "DELETE"});
export const audioAddress = (id) => `/recordings/${id}/audio.wav`;
export const transcriptAddress = (id, extension) => `/recordings/${id}/transcript.${extension}`;

// XMLHttpRequest, because fetch does not report the progress of an upload
export function upload(blob, name, onProgress) {
  const request = new XMLHttpRequest();
  const finished = new Promise((resolve, reject) => {
    request.open("POST", `/recordings?name=${encodeURIComponent(name)}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onerror = () => reject(new Error(UNREACHABLE));
    request.onabort = () => reject(new Error("The upload was cancelled."));
    request.onload = () => request.status === 202
      ? resolve(request.response)
      : reject(new Error(request.response?.error ?? `The server responded with status ${request.status}.`));
    request.send(blob);
  });
  return {finished, stop: () => request.abort()};
}
