// Both cameras on a sphere around the object, drawn as SVG; dragging moves the new camera.

const SVG = "http://www.w3.org/2000/svg";
const AZIMUTH = (32 * Math.PI) / 180, ELEVATION = (22 * Math.PI) / 180;
const HALF = 120, RADIUS = 92, REFERENCE = 1.85;
const RAD = Math.PI / 180;

// A direction in the axes right, up, towards the viewer.
function turned([x, y, z]) {
  const [sa, ca, se, ce] = [Math.sin(AZIMUTH), Math.cos(AZIMUTH), Math.sin(ELEVATION), Math.cos(ELEVATION)];
  return [-sa * x + ca * y, -se * ca * x - se * sa * y + ce * z, ce * ca * x + ce * sa * y + se * z];
}

function turnedBack([r, u, t]) {
  const [sa, ca, se, ce] = [Math.sin(AZIMUTH), Math.cos(AZIMUTH), Math.sin(ELEVATION), Math.cos(ELEVATION)];
  return [-sa * r - se * ca * u + ce * ca * t, ca * r - se * sa * u + ce * sa * t, ce * u + se * t];
}

function direction(elevationDeg, azimuthDeg) {
  const [e, a] = [elevationDeg * RAD, azimuthDeg * RAD];
  return [Math.cos(e) * Math.cos(a), Math.cos(e) * Math.sin(a), Math.sin(e)];
}

function element(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
}

function line(points, className, parent) {
  const text = points.map(([r, u]) => `${(HALF + r * RADIUS).toFixed(1)},${(HALF - u * RADIUS).toFixed(1)}`).join(" ");
  element("polyline", { points: text, class: className }, parent);
}

function wires(parent) {
  const turn = Array.from({ length: 73 }, (_, i) => i * 5);
  const rings = [-60, -30, 0, 30, 60].map((e) => turn.map((a) => direction(e, a)));
  for (const a of [0, 45, 90, 135]) rings.push(turn.map((e) => direction(e, a)));
  for (const front of [false, true])
    for (const ring of rings) {
      let run = [];
      for (const point of ring.map(turned)) {
        if (point[2] >= 0 === front) run.push(point);
        else if (run.length) { line(run, front ? "wire front" : "wire", parent); run = []; }
      }
      if (run.length > 1) line(run, front ? "wire front" : "wire", parent);
    }
  element("circle", { cx: HALF, cy: HALF, r: RADIUS, class: "wire front" }, parent);
}

function cube(parent) {
  const corners = [];
  for (const x of [-0.27, 0.27]) for (const y of [-0.27, 0.27]) for (const z of [-0.27, 0.27]) corners.push([x, y, z]);
  corners.forEach((a, i) => corners.slice(0, i).forEach((b) => {
    if (a.filter((value, axis) => value !== b[axis]).length === 1) line([turned(a), turned(b)], "cube", parent);
  }));
}

// The shortest way between two directions, with the distance changing evenly.
function way(from, to) {
  const dot = Math.min(1, Math.max(-1, from.dir.reduce((sum, value, axis) => sum + value * to.dir[axis], 0)));
  const angle = Math.acos(dot);
  return Array.from({ length: 49 }, (_, i) => {
    const t = i / 48, radius = from.radius + (to.radius - from.radius) * t;
    const [p, q] = Math.sin(angle) < 1e-6 ? [1 - t, t] : [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)];
    return turned(from.dir.map((value, axis) => (value * p + to.dir[axis] * q) * radius));
  });
}

export function makeSphere(container, onMove) {
  const svg = element("svg", { viewBox: `0 0 ${2 * HALF} ${2 * HALF}` }, container);
  const behind = element("g", {}, svg);
  wires(element("g", {}, svg));
  cube(element("g", {}, svg));
  const before = element("g", {}, svg);

  function draw({ elevation, up, right, away }) {
    behind.replaceChildren();
    before.replaceChildren();
    const from = { dir: direction(elevation, 0), radius: 1 };
    const to = { dir: direction(Math.max(-90, Math.min(90, elevation + up)), right), radius: (REFERENCE + away) / REFERENCE };
    line(way(from, to), "path", before);
    for (const [camera, className, label] of [[from, "dot", "photo"], [to, "dot target", "new"]]) {
      const [r, u, t] = turned(camera.dir).map((value) => value * camera.radius);
      const [x, y] = [HALF + r * RADIUS, HALF - u * RADIUS];
      const group = t < 0 ? behind : before;
      element("circle", { cx: x, cy: y, r: className === "dot" ? 7 : 9, class: t < 0 ? `${className} back` : className }, group);
      element("text", { x, y: y - 13, class: "dot-label" }, group).textContent = label;
    }
  }

  // The point of the sphere's front under the pointer; outside of it, of its rim.
  function pick(event) {
    const box = svg.getBoundingClientRect();
    const scale = (2 * HALF) / Math.min(box.width, box.height);
    let r = ((event.clientX - box.x - box.width / 2) * scale) / RADIUS, u = (-(event.clientY - box.y - box.height / 2) * scale) / RADIUS;
    const size = Math.hypot(r, u);
    if (size > 1) [r, u] = [r / size, u / size];
    const [x, y, z] = turnedBack([r, u, Math.sqrt(Math.max(0, 1 - r * r - u * u))]);
    onMove({ elevation: Math.asin(Math.max(-1, Math.min(1, z))) / RAD, azimuth: Math.atan2(y, x) / RAD });
  }

  svg.addEventListener("pointerdown", (event) => { svg.setPointerCapture(event.pointerId); pick(event); });
  svg.addEventListener("pointermove", (event) => { if (svg.hasPointerCapture(event.pointerId)) pick(event); });
  return draw;
}
