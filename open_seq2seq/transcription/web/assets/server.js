// What the page asks of the server. Every failure becomes an Error whose message is a sentence for the reader.

const UNREACHABLE = "The server does not answer. It may have been stopped; start it again and reload this page.";

async function refusal(response) {
  try {
    return new Error((await response.json()).error);
  } catch {
    return new Error(`The server answered ${response.status}.`);
  }
}

async function get(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw Object.assign(new Error(UNREACHABLE), {unreachable: true});
  }
  if (!response.ok) throw Object.assign(await refusal(response), {status: response.status});
  return response;
}

export const limits = async () => (await get("/health")).json();
export const describe = async (id) => (await get(`/recordings/${id}`)).json();
export const points = async (id) => new Uint8Array(await (await get(`/recordings/${id}/spectrogram`)).arrayBuffer());
export const forget = (id) => get(`/recordings/${id}`, {method: "DELETE"});
export const audioAddress = (id) => `/recordings/${id}/audio.wav`;
export const transcriptAddress = (id, extension) => `/recordings/${id}/transcript.${extension}`;

// XMLHttpRequest, because fetch does not tell how much of an upload is done
export function upload(blob, name, onProgress) {
  const request = new XMLHttpRequest();
  const finished = new Promise((resolve, reject) => {
    request.open("POST", `/recordings?name=${encodeURIComponent(name)}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onerror = () => reject(new Error(UNREACHABLE));
    request.onabort = () => reject(new Error("The upload was stopped."));
    request.onload = () => request.status === 202
      ? resolve(request.response)
      : reject(new Error(request.response?.error ?? `The server answered ${request.status}.`));
    request.send(blob);
  });
  return {finished, stop: () => request.abort()};
}
