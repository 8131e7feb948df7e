// The HTTP API, as functions. Errors carry the server's sentence.

export class Problem extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

export async function call(method, path, body, { type, signal } = {}) {
  const isData = body instanceof Blob;
  const headers = body === undefined ? {} : { "Content-Type": type ?? (isData ? body.type || "application/octet-stream" : "application/json") };
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: isData || body === undefined ? body : JSON.stringify(body), signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The server does not answer. It may have been stopped; try again when it is back.");
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  const problem = await answer.json().catch(() => ({}));
  throw new Problem(answer.status, problem.error ?? `The server answered ${answer.status}.`);
}

// Exchange the token behind the # for a cookie, and take it out of the address bar.
export async function enter() {
  const words = new URLSearchParams(location.hash.slice(1));
  const token = words.get("token");
  if (!token) return;
  await fetch("/api/token", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
  words.delete("token");
  history.replaceState(null, "", `#${words}`);
}

// Follow a job until it has ended; `show` is called with each change. A restarted server is asked again by `again`.
export async function follow(job, show, { signal, again } = {}) {
  let known = job;
  show(known);
  while (known.state === "waiting" || known.state === "running") {
    try {
      known = await call("GET", `${known.url}?version=${known.version}&wait_s=20`, undefined, { signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (error.status === 404 && again) known = await again();
      else if (error.status === 0 || error.status === 503) await new Promise((wake) => setTimeout(wake, 1500));
      else throw error;
    }
    show(known);
  }
  return known;
}
