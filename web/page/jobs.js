// The list of longer jobs: an orbit, guesses, a mesh.

import { call, follow } from "/page/api.js";

const template = document.getElementById("job-template");
const list = document.getElementById("jobs");

export function words(job) {
  if (job.state === "waiting") return job.place ? `${job.place} before it${left(job)}` : `starts now${left(job)}`;
  if (job.state === "running") {
    const count = job.total ? `${job.done} of ${job.total} ${job.unit}` : "starting";
    return `${count}${left(job)}`;
  }
  return job.state === "done" ? "" : job.message || job.state;
}

function left(job) {
  if (job.seconds_left === null) return "";
  const seconds = Math.max(1, Math.round(job.seconds_left));
  return seconds < 90 ? `, about ${seconds} s left` : `, about ${Math.round(seconds / 60)} min left`;
}

function figure(file) {
  const made = document.createElement("figure");
  const image = document.createElement("img");
  [image.src, image.alt, image.loading] = [file.url, `The object: ${file.label}`, "lazy"];
  const caption = document.createElement("figcaption");
  caption.textContent = file.label;
  made.className = file.kind;
  made.append(image, caption);
  return made;
}

async function viewer(file) {
  await import("/page/vendor/model-viewer.min.js");
  const made = document.createElement("model-viewer");
  for (const [name, value] of Object.entries({
    src: file.url, alt: "The mesh of the object; drag to turn it", "camera-controls": "", "touch-action": "pan-y",
    "shadow-intensity": "0.6", "interaction-prompt": "none", "camera-orbit": "25deg 75deg auto", loading: "eager",
  })) made.setAttribute(name, value);
  return made;
}

// Start a job by `post`, a function to its first answer, and show it until it has ended.
export async function showJob(title, post, onProblem) {
  const card = template.content.firstElementChild.cloneNode(true);
  const [heading, status, button, bar, body] = ["h3", "p", "button", "progress", ".job-body"].map((one) => card.querySelector(one));
  heading.textContent = title;
  let url = "";
  button.addEventListener("click", () => url && call("DELETE", url).catch(() => {}));
  try {
    const first = await post();
    list.prepend(card);
    const ended = await follow(first, (job) => {
      url = job.url;
      card.dataset.state = job.state;
      status.textContent = words(job);
      if (job.total) bar.value = job.done / job.total;
      else bar.removeAttribute("value");
    }, { again: post });
    bar.hidden = button.hidden = true;
    const files = ended.files.toSorted((a, b) => (b.kind === "film") - (a.kind === "film"));
    for (const file of files) body.append(file.kind === "mesh" ? await viewer(file) : figure(file));
    if (ended.kind === "mesh" && files.length) status.textContent = files[0].label;
  } catch (error) {
    bar.hidden = button.hidden = true;
    if (card.isConnected) status.textContent = error.message;
    else onProblem(error);
  }
}
