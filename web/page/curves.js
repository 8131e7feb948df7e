// A curve as an SVG picture; the values are numbers or null.

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [460, 220, 54, 26, 12, 14];
const SVG = "http://www.w3.org/2000/svg";

export function drawCurve({ title, images, values, is_log }) {
  const usable = values.map((value) => (value === null || (is_log && value <= 0) ? null : is_log ? Math.log10(value) : value));
  const known = usable.filter((value) => value !== null);
  const [low, high] = widen(Math.min(...known), Math.max(...known));
  const first = images[0], last = Math.max(images.at(-1), first + 1);
  const x = (image) => LEFT + ((image - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": describe(title, images, values) });
  for (const at of [low, (low + high) / 2, high]) {
    svg.append(make("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(at), y2: y(at) }));
    svg.append(text(short(is_log ? 10 ** at : at), LEFT - 8, y(at) + 4, "end"));
  }
  if (images.length > 1) svg.append(text(count(last), WIDTH - RIGHT, HEIGHT - 6, "end"));
  svg.append(text(`${count(first)} images`, LEFT, HEIGHT - 6, "start"));
  for (const part of parts(usable)) {
    if (part.length === 1) svg.append(make("circle", { cx: x(images[part[0]]), cy: y(usable[part[0]]), r: 3 }));
    else svg.append(make("polyline", { points: part.map((index) => `${x(images[index]).toFixed(1)},${y(usable[index]).toFixed(1)}`).join(" ") }));
  }
  return svg;
}

// Runs of neighbouring values that are known.
function parts(values) {
  const found = [];
  values.forEach((value, index) => {
    if (value === null) return;
    if (index && values[index - 1] !== null) found.at(-1).push(index);
    else found.push([index]);
  });
  return found;
}

function widen(low, high) {
  const margin = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  return [low - margin, high + margin];
}

function describe(title, images, values) {
  const known = values.filter((value) => value !== null);
  return `${title}: from ${short(known[0])} to ${short(known.at(-1))} over ${images.length} points`;
}

function short(value) { return Number(value.toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3 }); }
function count(value) { return Intl.NumberFormat("en", { notation: "compact" }).format(value); }

function make(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function text(words, x, y, anchor) {
  const made = make("text", { x, y, "text-anchor": anchor });
  made.textContent = words;
  return made;
}
