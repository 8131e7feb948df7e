// Datasets, evaluations and training runs. The address holds what is shown: #KIND/NAME?filters, #dataset/NAME/UID.
// All text comes into the page as text, never as HTML.

import { call, enter } from "/page/api.js";
import { drawCurve } from "/page/curves.js";

const $ = (id) => document.getElementById(id);
const state = { entries: [], shown: 0 };
const SHOW = { dataset: showDataset, evaluation: showEvaluation, run: showRun };

function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick" || key === "onchange") made[key] = value;
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function say(error) {
  $("problem").textContent = error ? error.message.replace(/^./, (letter) => letter.toUpperCase()) : "";
  $("problem").hidden = !error;
}

// --- the address

function address() {
  const [path, query] = location.hash.slice(1).split("?");
  const [kind, name, uid] = path.split("/").map(decodeURIComponent);
  return { kind, name, uid, filters: new URLSearchParams(query) };
}

function link(kind, name, uid = "", filters = null) {
  const path = [kind, name, ...(uid ? [uid] : [])].map(encodeURIComponent).join("/");
  return `#${path}${filters?.size ? `?${filters}` : ""}`;
}

async function show() {
  const mine = ++state.shown, asked = address();
  const entry = state.entries.find((one) => one.kind === asked.kind && one.name === asked.name) ?? state.entries[0];
  for (const tab of $("shelf").children) tab.toggleAttribute("aria-current", tab.dataset.name === entry?.name);
  say(null);
  try {
    if (!entry) throw new Error("Nothing to look at: start the server with --browse FOLDER.");
    const content = entry.kind === "dataset" && asked.uid ? await showObject(entry, asked.uid) : await SHOW[entry.kind](entry, asked.filters);
    if (mine !== state.shown) return;
    $("content").replaceChildren(make("div", { class: "shown" }, ...content));
    document.title = `${entry.name} – Zero-1-to-3`;
  } catch (error) {
    if (mine !== state.shown) return;
    $("content").replaceChildren();
    say(error);
  }
}

// --- parts

function figures(values) {
  const items = Object.entries(values).map(([label, value]) => make("div", {}, make("dt", {}, label), make("dd", {}, String(value))));
  return make("dl", { class: "figures" }, ...items);
}

function facts(values) {
  const items = Object.entries(values).filter(([, value]) => value !== "");
  return make("dl", { class: "facts" }, ...items.flatMap(([label, value]) => [make("dt", {}, label), make("dd", {}, value)]));
}

function table(head, rows, css = "") {
  const body = make("tbody", {}, ...rows.map(cells));
  const top = make("thead", {}, make("tr", {}, ...head.map((words) => make("th", { scope: "col" }, words))));
  return make("div", { class: "scroll" }, make("table", { class: css }, top, body));
}

function cells(row) {
  return make("tr", {}, ...row.map((words, index) => (index ? make("td", {}, words) : make("th", { scope: "row" }, words))));
}

function picture(url, alt) {
  return make("img", { src: url, alt, loading: "lazy", decoding: "async" });
}

// A button that fetches the next page by `next`, a function to whether there is more.
function more(next) {
  const button = make("button", { type: "button" }, "More");
  button.onclick = async () => {
    button.disabled = true;
    try { button.hidden = !(await next()); } catch (error) { say(error); }
    button.disabled = false;
  };
  return make("div", { class: "buttons" }, button);
}

// --- a dataset and its objects

async function showDataset(entry, filters) {
  const about = await call("GET", entry.url);
  const list = make("ul", { class: "objects" }), count = make("p", { class: "note", role: "status" });
  const turn = (key, value) => {
    const changed = new URLSearchParams(address().filters);  // what is shown may be older
    if (value === null || changed.get(key) === value) changed.delete(key);
    else changed.set(key, value);
    location.hash = link("dataset", entry.name, "", changed);
  };
  let after = "";
  const next = async () => {
    const page = await call("GET", `${entry.url}/objects?${new URLSearchParams([...filters, ["after", after]])}`);
    if (page.total !== null) count.textContent = `${page.total.toLocaleString("en")} objects`;
    list.append(...page.objects.map((one) => make("li", {}, card(entry, one))));
    after = page.next;
    return after !== "";
  };
  const hasMore = await next();
  const button = more(next);
  button.hidden = !hasMore;
  const find = make("input", { class: "find", type: "search", placeholder: "Find in titles and uids", "aria-label": "Find in titles and uids", value: filters.get("find") ?? "" });
  find.onchange = () => turn("find", find.value || null);
  const chips = (title, key, counts) => make("section", {}, make("h3", {}, title), make("div", { class: "chips", role: "group", "aria-label": title },
    ...Object.entries(counts).map(([value, n]) => make("button", { type: "button", "aria-pressed": String(filters.get(key) === value), onclick: () => turn(key, value) },
      words(value) || "not stated", make("b", {}, n.toLocaleString("en"))))));
  return [
    make("section", {}, make("h2", {}, about.name), figures({
      version: about.version || "none", "views an object": about.views, pixels: `${about.hw[1]} × ${about.hw[0]}`,
      ...Object.fromEntries(Object.entries(about.splits).map(([split, n]) => [`objects in ${split}`, n.toLocaleString("en")])),
    })),
    make("div", { class: "filters" }, chips("Outcomes", "outcome", about.outcomes), chips("Licences", "licence", about.licences)), find, count, list, button,
  ];
}

function cameraWords({ elevation_deg, azimuth_deg, radius }) {
  return `${Math.round(elevation_deg)}° up, ${Math.round(azimuth_deg)}° around, ${radius.toFixed(2)} away`.replace("-", "−");
}

function words(value) { return value.replaceAll("_", " "); }

function card(entry, one) {
  const thumb = make("span", { class: "thumb" }, one.picture ? picture(`${one.picture}?px=256`, "") : words(one.outcome));
  const note = [one.licence || "licence not stated", one.outcome === "ok" ? one.split : words(one.outcome)].join(" · ");
  return make("a", { href: link("dataset", entry.name, one.uid) }, thumb, make("span", { class: "title" }, one.title || one.uid), make("span", { class: "note" }, note));
}

async function showObject(entry, uid) {
  const one = await call("GET", `${entry.url}/objects/${encodeURIComponent(uid)}`);
  const views = one.cameras.map((camera, index) => make("figure", {},
    make("div", { class: "thumb" }, picture(`${camera.url}?px=512`, `View ${index} of ${one.title || one.uid}`)),
    make("figcaption", {}, cameraWords(camera))));
  const page = one.page ? { page: make("a", { href: one.page, rel: "noopener noreferrer", target: "_blank" }, one.page) } : {};
  const attempts = one.attempts.map((tried) => [new Date(tried.at * 1000).toISOString().slice(0, 16).replace("T", " "), words(tried.outcome), `${tried.seconds} s`, String(tried.views), tried.outcome === "ok" ? "" : [tried.phase, tried.reason].filter(Boolean).join(": "), tried.device]);
  return [
    make("section", {}, make("p", { class: "note" }, make("a", { href: link("dataset", entry.name) }, `← ${entry.name}`)), make("h2", {}, one.title || one.uid),
      facts({ uid: one.uid, outcome: words(one.outcome), reason: one.reason, licence: one.licence || "not stated", author: one.author, category: one.category, source: one.source, split: one.split, ...page, ...one.facts })),
    views.length ? make("section", {}, make("h3", {}, "Views"), make("div", { class: "views" }, ...views)) : null,
    attempts.length ? make("section", {}, make("h3", {}, "Attempts"), table(["when (UTC)", "outcome", "seconds", "views", "reason", "device"], attempts, "words")) : null,
  ].filter(Boolean);
}

// --- an evaluation

async function showEvaluation(entry) {
  const about = await call("GET", entry.url);
  const first = await call("GET", `${entry.url}/rows`);
  let start = first.next;
  const rows = table(first.head, first.rows), body = rows.querySelector("tbody");
  const button = more(async () => {
    const page = await call("GET", `${entry.url}/rows?start=${start}`);
    body.append(...page.rows.map(cells));
    start = page.next;
    return start > 0;
  });
  button.hidden = !start;
  return [
    make("section", {}, make("h2", {}, about.name), make("p", { class: "note" }, about.title)),
    ...about.tables.map((one) => make("section", {}, make("h3", {}, one.title), table(one.head, one.rows), make("p", { class: "note" }, one.note))),
    make("section", {}, ...about.notes.map((note) => make("p", {}, note))),
    about.pairs.length ? make("section", {}, make("h3", {}, "Some pairs"), make("div", { class: "pairs" }, ...about.pairs.map((pair) => make("div", {},
      make("p", { class: "note" }, pair.title),
      make("div", { class: "pair" }, ...pair.pictures.map((one) => make("figure", {}, picture(`${one.url}?px=512`, `${pair.title}: ${one.label}`), make("figcaption", {}, one.label)))),
    )))) : null,
    make("section", {}, make("h3", {}, `All ${about.rows.toLocaleString("en")} rows`), rows, button),
  ].filter(Boolean);
}

// --- a training run

async function showRun(entry) {
  const run = await call("GET", entry.url);
  const curves = run.curves.map((curve) => make("figure", { class: "curve" }, make("h3", {}, curve.title), drawCurve(curve)));
  return [
    make("section", {}, make("h2", {}, run.name), Object.keys(run.figures).length ? figures(run.figures) : make("p", {}, "Nothing is logged yet.")),
    make("section", { class: "curves" }, ...curves),
    run.checkpoints.length ? make("section", {}, make("h3", {}, "Checkpoints"), make("p", {}, run.checkpoints.map((images) => `${images.toLocaleString("en")} images`).join(", "))) : null,
    run.grids.length ? make("section", { class: "grids" }, make("h3", {}, "Held-out views: input, truth, sample"),
      ...run.grids.map((grid) => make("figure", {}, picture(grid.url, `Input, truth and sample of held-out objects ${grid.label}`), make("figcaption", {}, grid.label)))) : null,
  ].filter(Boolean);
}

// --- all together

async function begin() {
  try {
    await enter();
    state.entries = (await call("GET", "/api/browse")).entries;
  } catch (error) {
    return say(error);
  }
  $("shelf").append(...state.entries.map((one) => make("a", { href: link(one.kind, one.name), "data-name": one.name }, one.name, make("small", {}, one.kind === "run" ? "training run" : one.kind))));
  addEventListener("hashchange", show);
  await show();
}

begin();
