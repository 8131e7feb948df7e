// The page: a photo, its cut-out, a camera, the new view, and longer jobs. Its state is in the address, behind the #.

import { call, enter, follow, Problem } from "/page/api.js";
import { makeBrush } from "/page/brush.js";
import { showJob, words } from "/page/jobs.js";
import { makeSphere } from "/page/sphere.js";

const $ = (id) => document.getElementById(id);
const SLIDERS = { right: "°", up: "°", away: "", elevation: "°" };
const PAUSE_MS = 180;
const state = { about: null, photo: null, example: "", asking: null, timer: 0 };

const drawSphere = makeSphere($("sphere"), ({ elevation, azimuth }) => {
  set("right", Math.round(azimuth / 5) * 5);
  set("up", Math.round((elevation - value("elevation")) / 5) * 5);
  changed();
});
const brush = makeBrush($("brush"), $("brush-size"));

function value(name) { return $(name).valueAsNumber; }
function set(name, number) { $(name).value = number; }

function say(error) {
  if (error?.name === "AbortError") return;
  $("problem").textContent = error ? error.message.replace(/^./, (letter) => letter.toUpperCase()) : "";
  $("problem").hidden = !error;
}

async function attempt(action) {
  say(null);
  try { return await action(); } catch (error) { if (!(error instanceof Problem) && error.name !== "AbortError") console.error(error); say(error); }
}

// --- the photo

async function bring(blob, example = "") {
  $("drop").classList.add("busy");
  await attempt(async () => {
    if (blob.size > state.about.most_megabytes * 2 ** 20) throw new Problem(413, `Expected a picture of at most ${state.about.most_megabytes} MiB, got ${(blob.size / 2 ** 20).toFixed(0)} MiB.`);
    const photo = await call("POST", "/api/photos", blob);
    $("jobs").replaceChildren();
    state.example = example;
    showPhoto(photo);
  });
  $("drop").classList.remove("busy");
}

function showPhoto(photo) {
  state.photo = photo;
  for (const id of ["work", "more"]) $(id).hidden = false;
  $("start").classList.add("small");
  $("start").hidden = true;
  $("cut-out").src = photo.cut_out;
  $("doubt").textContent = photo.doubt && `${photo.doubt} Correct it below, or use it as it is.`;
  $("doubt").hidden = !photo.doubt;
  $("about-cut").textContent = [`${photo.width} × ${photo.height}, cut out: ${photo.method}.`, ...photo.warnings].join(" ");
  $("zip").href = `/api/photos/${photo.photo}/results.zip`;
  if (photo.doubt && $("correction").hidden) toggleCorrection();
  stopBrush();
  if (photo.has_object) changed();
}

async function useExample(name) {
  const example = state.about.examples.find((one) => one.name === name);
  if (example) await bring(await (await fetch(example.url)).blob(), name);
}

function startOver() {
  state.asking?.abort();
  for (const id of ["work", "more"]) $(id).hidden = true;
  $("start").hidden = false;
  state.photo = null;
  $("jobs").replaceChildren();
  history.replaceState(null, "", " ");
  $("file").focus();
}

// --- its cut-out

function toggleCorrection() {
  const wanted = $("correction").hidden;
  $("correction").hidden = !wanted;
  $("correct").setAttribute("aria-expanded", wanted);
  if (!wanted) stopBrush();
}

function stopBrush() {
  brush.setMode(null);
  $("brush").hidden = true;
  $("cut-out").hidden = false;
  for (const id of ["paint", "erase"]) $(id).setAttribute("aria-pressed", false);
  $("apply").disabled = true;
}

async function startBrush(mode) {
  if ($("brush").hidden) {
    const pictures = await Promise.all([state.photo.picture, state.photo.cut_out].map(loaded));
    brush.load(...pictures);
  }
  brush.setMode(mode);
  $("brush").hidden = false;
  $("cut-out").hidden = true;
  for (const id of ["paint", "erase"]) $(id).setAttribute("aria-pressed", id === mode);
  $("apply").disabled = false;
}

function loaded(url) {
  const image = new Image();
  image.src = url;
  return image.decode().then(() => image);
}

function correct(method, path, body) {
  return attempt(async () => showPhoto(await call(method, `/api/photos/${state.photo.photo}/${path}`, body)));
}

// --- the camera and the new view

function camera() {
  return { up_deg: value("up"), right_deg: value("right"), away: value("away") };
}

function request(more) {
  return { seed: value("seed") || 0, elevation_deg: value("elevation"), model: $("model").value || null, ...more };
}

function changed() {
  for (const [name, unit] of Object.entries(SLIDERS)) {
    const number = value(name);
    $(`${name}-value`).textContent = `${number > 0 && name !== "elevation" ? "+" : ""}${number}${unit}`.replace("-", "−");
  }
  drawSphere({ elevation: value("elevation"), up: value("up"), right: value("right"), away: value("away") });
  if (!state.photo) return;
  remember();
  clearTimeout(state.timer);
  state.timer = setTimeout(ask, PAUSE_MS);
}

// A quick view at once, then a good one. A newer question ends the older.
async function ask() {
  state.asking?.abort();
  const asking = (state.asking = new AbortController());
  $("view").parentElement.classList.add("busy");
  await attempt(async () => {
    for (const quality of ["quick", "good"]) await showView(quality, asking.signal);
  });
  if (state.asking === asking) $("view").parentElement.classList.remove("busy");
}

async function showView(quality, signal) {
  const body = request({ moves: [camera()], quality });
  const post = () => call("POST", `/api/photos/${state.photo.photo}/views`, body, { signal });
  const first = await post();
  signal.addEventListener("abort", () => call("DELETE", first.url).catch(() => {}));
  const job = await follow(first, (now) => { $("quality").textContent = words(now); }, { signal, again: post });
  if (signal.aborted) return;
  if (job.state !== "done") throw new Problem(422, job.message);
  const image = await loaded(job.files[0].url);
  if (signal.aborted) return;
  $("view").src = image.src;
  $("view").alt = `The object seen from ${body.moves[0].right_deg}° to the right and ${body.moves[0].up_deg}° up`;
  $("view").className = quality;
  $("view").hidden = false;
  $("no-view").hidden = true;
  $("quality").textContent = quality === "quick" ? "A first, quick view; a better one follows." : `Seed ${body.seed}.`;
  $("quality").dataset.quality = quality;
}

// --- the address

function remember() {
  const facts = { right: value("right"), up: value("up"), away: value("away"), height: value("elevation"), seed: value("seed") };
  if ($("model").value && !$("model-field").hidden) facts.model = $("model").value;
  const source = state.example ? { example: state.example } : { photo: state.photo.photo };
  history.replaceState(null, "", `#${new URLSearchParams({ ...source, ...facts })}`);
}

async function resume() {
  const words = new URLSearchParams(location.hash.slice(1));
  for (const [name, id] of Object.entries({ right: "right", up: "up", away: "away", height: "elevation", seed: "seed", model: "model" }))
    if (words.has(name)) $(id).value = words.get(name);
  if (words.has("example")) return useExample(words.get("example"));
  if (!words.has("photo")) return;
  try {
    showPhoto(await call("GET", `/api/photos/${encodeURIComponent(words.get("photo"))}`));
  } catch (error) {
    say(error.status === 404 ? new Problem(404, "The photo of this link has expired: drop it again, the camera is as it was.") : error);
  }
}

// --- all together

async function begin() {
  await enter();
  state.about = await call("GET", "/api/about");
  if (!location.hash) set("elevation", state.about.elevation_deg);
  for (const example of state.about.examples) {
    const button = document.createElement("button");
    const image = document.createElement("img");
    [image.src, image.alt] = [example.url, `Example: ${example.alt}`];
    button.type = "button";
    button.append(image);
    button.addEventListener("click", () => useExample(example.name));
    $("examples").append(button);
  }
  for (const model of state.about.models) $("model").add(new Option(model.name, model.name));
  $("elsewhere").hidden = !state.about.browses;
  $("model-field").hidden = state.about.models.length < 2;
  $("foot").textContent = `zero123 ${state.about.version}. Photos and results are removed when they have not been used for a while.`;
  listen();
  changed();
  await resume();
}

function listen() {
  $("file").addEventListener("change", (event) => { if (event.target.files[0]) bring(event.target.files[0]); event.target.value = ""; });
  addEventListener("paste", (event) => { const file = event.clipboardData?.files[0]; if (file) bring(file); });
  for (const kind of ["dragover", "dragleave", "drop"]) addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) bring(event.dataTransfer.files[0]);
  });
  for (const name of [...Object.keys(SLIDERS), "seed", "model"]) $(name).addEventListener("input", changed);
  $("correct").addEventListener("click", toggleCorrection);
  $("another").addEventListener("click", startOver);
  $("threshold").addEventListener("input", () => { $("threshold-value").textContent = value("threshold"); });
  $("threshold").addEventListener("change", () => correct("PUT", "threshold", { threshold: value("threshold") }));
  $("brush-size").addEventListener("input", () => { $("brush-value").textContent = `${value("brush-size")} %`; });
  for (const mode of ["paint", "erase"]) $(mode).addEventListener("click", () => attempt(() => startBrush(mode)));
  $("apply").addEventListener("click", async () => correct("PUT", "mask", await brush.blob()));
  $("mask").addEventListener("change", (event) => { if (event.target.files[0]) correct("PUT", "mask", event.target.files[0]); event.target.value = ""; });
  $("automatic").addEventListener("click", () => correct("DELETE", "correction"));
  $("dice").addEventListener("click", () => { set("seed", value("seed") + 1); changed(); });
  $("link").addEventListener("click", async () => {
    await navigator.clipboard?.writeText(location.href).catch(() => {});
    $("link").textContent = "Copied";
    setTimeout(() => { $("link").textContent = "Copy link"; }, 1500);
  });
  const longer = (title, path, body) => showJob(title, () => call("POST", `/api/photos/${state.photo.photo}/${path}`, body), say);
  $("orbit").addEventListener("click", () => longer("Orbit", "views", request({ orbit: 12 })));
  $("guesses").addEventListener("click", () => longer("Four guesses", "views", request({ moves: [camera()], guesses: 4 })));
  $("mesh").addEventListener("click", () => longer("Mesh", "mesh", request({})));
}

attempt(begin);
