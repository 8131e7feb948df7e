"use strict";
// Turns every .mesh-view of the page into a viewer: z up, orbit by drag, arrows or buttons; nothing is fetched.
(() => {
  const FOV = 0.6;
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  const MESH_VERTEX = `
    attribute vec3 position, normal, colour;
    uniform mat4 clipFromMesh;
    varying vec3 vNormal, vColour, vPosition;
    void main() {
      vNormal = normal; vColour = colour; vPosition = position;
      gl_Position = clipFromMesh * vec4(position, 1.0);
    }`;
  // Colours already hold the light they were seen in, so the light here only models the shape.
  const MESH_FRAGMENT = `
    precision highp float;
    uniform vec3 eye, key;
    varying vec3 vNormal, vColour, vPosition;
    void main() {
      vec3 view = normalize(eye - vPosition);
      vec3 normal = normalize(vNormal);
      if (dot(normal, view) < 0.0) normal = -normal;
      vec3 albedo = pow(vColour, vec3(2.2));
      float sky = 0.5 + 0.5 * normal.z;
      float lit = max(dot(normal, key), 0.0);
      float rim = pow(1.0 - max(dot(normal, view), 0.0), 3.0);
      vec3 light = albedo * (0.40 + 0.22 * sky + 0.42 * lit) + 0.05 * rim;
      gl_FragColor = vec4(pow(min(light, 1.0), vec3(1.0 / 2.2)), 1.0);
    }`;
  const FLOOR_VERTEX = `
    attribute vec2 corner;
    uniform mat4 clipFromMesh;
    uniform vec4 floorAt;
    varying vec2 vCorner;
    void main() {
      vCorner = corner;
      gl_Position = clipFromMesh * vec4(corner * floorAt.xy, floorAt.z, 1.0);
    }`;
  const FLOOR_FRAGMENT = `
    precision highp float;
    uniform vec4 floorAt;
    varying vec2 vCorner;
    void main() {
      float away = max(1.0 - length(vCorner), 0.0);
      gl_FragColor = vec4(0.0, 0.0, 0.0, floorAt.w * away * away);
    }`;

  function program(gl, vertex, fragment) {
    const made = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(made, shader);
    }
    gl.linkProgram(made);
    if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made) || "no program");
    return made;
  }

  function buffer(gl, data, target = gl.ARRAY_BUFFER) {
    const made = gl.createBuffer();
    gl.bindBuffer(target, made);
    gl.bufferData(target, data, gl.STATIC_DRAW);
    return made;
  }

  function attribute(gl, made, name, data, size, type, normalized) {
    const place = gl.getAttribLocation(made, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, data);
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, size, type, normalized, 0, 0);
  }

  // Positions come out centred, the longest edge of the bounding box 1.
  function unpack(view) {
    const bytes = Uint8Array.from(atob(view.querySelector("script").textContent), (c) => c.charCodeAt(0));
    const vertices = Number(view.dataset.vertices), triangles = Number(view.dataset.faces);
    const steps = new Uint16Array(bytes.buffer, 0, 3 * vertices);
    const faces = new Uint16Array(bytes.buffer, 6 * vertices, 3 * triangles);
    const colours = new Uint8Array(bytes.buffer, 6 * (vertices + triangles), 3 * vertices);
    const high = [0, 0, 0];
    for (let i = 0; i < steps.length; i++) high[i % 3] = Math.max(high[i % 3], steps[i]);
    const positions = new Float32Array(steps.length);
    for (let i = 0; i < steps.length; i++) positions[i] = (steps[i] - high[i % 3] / 2) / 65535;
    return { positions, faces, colours, half: high.map((h) => h / 65535 / 2), normals: normals(positions, faces) };
  }

  // Each vertex takes the sum of its faces' normals, as long as their areas.
  function normals(p, faces) {
    const sum = new Float32Array(p.length);
    for (let f = 0; f < faces.length; f += 3) {
      const [a, b, c] = [3 * faces[f], 3 * faces[f + 1], 3 * faces[f + 2]];
      const u = [p[b] - p[a], p[b + 1] - p[a + 1], p[b + 2] - p[a + 2]];
      const v = [p[c] - p[a], p[c + 1] - p[a + 1], p[c + 2] - p[a + 2]];
      const n = cross(u, v);
      for (const at of [a, b, c]) for (let k = 0; k < 3; k++) sum[at + k] += n[k];
    }
    for (let i = 0; i < sum.length; i += 3) {
      const length = Math.hypot(sum[i], sum[i + 1], sum[i + 2]) || 1;
      for (let k = 0; k < 3; k++) sum[i + k] /= length;
    }
    return sum;
  }

  const cross = (u, v) => [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
  const dot = (u, v) => u[0] * v[0] + u[1] * v[1] + u[2] * v[2];
  const unit = (u) => u.map((x) => x / (Math.hypot(...u) || 1));

  // OpenGL camera: x right, y up, looks along −z.
  function camera(polar, azimuth, distance, aspect) {
    const back = [Math.sin(polar) * Math.cos(azimuth), Math.sin(polar) * Math.sin(azimuth), Math.cos(polar)];
    const right = [-Math.sin(azimuth), Math.cos(azimuth), 0];
    const up = cross(back, right);
    const eye = back.map((x) => x * distance);
    const f = 1 / Math.tan(FOV / 2), near = distance * 0.05, far = distance * 4;
    const fx = aspect > 1 ? f / aspect : f, fy = aspect > 1 ? f : f * aspect;
    const a = (far + near) / (near - far), b = (2 * far * near) / (near - far);
    const rows = [right.map((x) => x * fx), up.map((x) => x * fy), back.map((x) => x * a), back.map((x) => -x)];
    const last = [0, 0, -a * distance + b, distance];
    const matrix = [0, 1, 2].flatMap((k) => rows.map((row) => row[k])).concat(last);
    const key = unit([0, 1, 2].map((k) => back[k] * 0.6 + up[k] * 0.6 - right[k] * 0.5));
    return { matrix: new Float32Array(matrix), eye, key };
  }

  function renderer(canvas, mesh) {
    const gl = canvas.getContext("webgl", { antialias: true, alpha: true, premultipliedAlpha: true });
    if (!gl) throw new Error("no WebGL");
    const solid = program(gl, MESH_VERTEX, MESH_FRAGMENT), floor = program(gl, FLOOR_VERTEX, FLOOR_FRAGMENT);
    const data = [buffer(gl, mesh.positions), buffer(gl, mesh.normals), buffer(gl, mesh.colours)];
    const faces = buffer(gl, mesh.faces, gl.ELEMENT_ARRAY_BUFFER);
    const corners = buffer(gl, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]));
    gl.enable(gl.DEPTH_TEST);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    return (polar, azimuth, distance) => {
      const at = camera(polar, azimuth, distance, canvas.width / canvas.height);
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      const shade = 0.34 * Math.max(Math.cos(polar) + 0.12, 0);
      const spread = 1.35 * Math.max(mesh.half[0], mesh.half[1]) + 0.12;
      gl.useProgram(floor);
      attribute(gl, floor, "corner", corners, 2, gl.FLOAT, false);
      gl.uniformMatrix4fv(gl.getUniformLocation(floor, "clipFromMesh"), false, at.matrix);
      gl.uniform4f(gl.getUniformLocation(floor, "floorAt"), spread, spread, -mesh.half[2] - 0.01, Math.min(shade, 0.3));
      gl.enable(gl.BLEND);
      gl.depthMask(false);
      gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
      gl.depthMask(true);
      gl.disable(gl.BLEND);
      gl.useProgram(solid);
      attribute(gl, solid, "position", data[0], 3, gl.FLOAT, false);
      attribute(gl, solid, "normal", data[1], 3, gl.FLOAT, false);
      attribute(gl, solid, "colour", data[2], 3, gl.UNSIGNED_BYTE, true);
      gl.uniformMatrix4fv(gl.getUniformLocation(solid, "clipFromMesh"), false, at.matrix);
      gl.uniform3fv(gl.getUniformLocation(solid, "eye"), at.eye);
      gl.uniform3fv(gl.getUniformLocation(solid, "key"), at.key);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, faces);
      gl.drawElements(gl.TRIANGLES, mesh.faces.length, gl.UNSIGNED_SHORT, 0);
    };
  }

  function start(view) {
    const canvas = view.querySelector("canvas"), controls = view.querySelector(".controls");
    const mesh = unpack(view);
    const draw = renderer(canvas, mesh);
    const far = (1.12 * Math.hypot(...mesh.half)) / Math.sin(FOV / 2);
    const home = { polar: Number(view.dataset.polar), azimuth: Number(view.dataset.azimuth), distance: far };
    const state = { ...home, turning: !still.matches, seen: true, last: 0, queued: false };
    const play = controls.querySelector("[data-do=play]");

    function frame(now) {
      state.queued = false;
      const scale = Math.min(devicePixelRatio || 1, 2);
      const wh = [Math.round(canvas.clientWidth * scale), Math.round(canvas.clientHeight * scale)];
      if (!wh[0] || !wh[1]) return;
      if (canvas.width !== wh[0] || canvas.height !== wh[1]) [canvas.width, canvas.height] = wh;
      if (state.turning) state.azimuth += Math.min(now - state.last, 100) * 0.0005;
      state.last = now;
      draw(state.polar, state.azimuth, state.distance);
      view.dataset.state = "drawn";
      if (state.turning && state.seen) redraw();
    }
    function redraw() {
      if (!state.queued) requestAnimationFrame(frame);
      state.queued = true;
    }
    function turn(on) {
      state.turning = on;
      state.last = performance.now();
      play.setAttribute("aria-pressed", String(on));
      redraw();
    }
    function orbit(across, down) {
      state.azimuth -= across;
      state.polar = Math.min(Math.max(state.polar - down, 0.02), Math.PI - 0.02);
      turn(false);
    }
    function zoom(factor) {
      state.distance = Math.min(Math.max(state.distance * factor, far * 0.3), far * 2.5);
      redraw();
    }
    const go = { play: () => turn(!state.turning), home: () => { Object.assign(state, home); turn(false); },
      in: () => zoom(0.87), out: () => zoom(1.15) };

    const touches = new Map();
    canvas.addEventListener("pointerdown", (event) => {
      touches.set(event.pointerId, event);
      canvas.setPointerCapture(event.pointerId);
      turn(false);
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = touches.get(event.pointerId);
      if (!before) return;
      if (touches.size === 1) {
        orbit((event.clientX - before.clientX) * 0.008, (event.clientY - before.clientY) * 0.008);
      } else {
        const other = [...touches.values()].find((touch) => touch.pointerId !== event.pointerId);
        const apart = (touch) => Math.hypot(touch.clientX - other.clientX, touch.clientY - other.clientY) || 1;
        zoom(apart(before) / apart(event));
      }
      touches.set(event.pointerId, event);
    });
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, (event) => touches.delete(event.pointerId));
    }
    // The page scrolls as ever until the viewer has been chosen.
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas) return;
      event.preventDefault();
      zoom(Math.exp(Math.sign(event.deltaY) * 0.08));
    }, { passive: false });
    const keys = { ArrowLeft: () => orbit(0.12, 0), ArrowRight: () => orbit(-0.12, 0), ArrowUp: () => orbit(0, 0.1),
      ArrowDown: () => orbit(0, -0.1), "+": go.in, "=": go.in, "-": go.out, " ": go.play, Home: go.home, 0: go.home };
    canvas.addEventListener("keydown", (event) => {
      const act = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
      if (act) event.preventDefault(), act();
    });
    controls.addEventListener("click", (event) => go[event.target.dataset.do]?.());
    still.addEventListener("change", () => { if (still.matches) turn(false); });
    canvas.addEventListener("webglcontextlost", () => fall(view, "lost"));
    new ResizeObserver(redraw).observe(canvas);
    new IntersectionObserver(([entry]) => {
      state.seen = entry.isIntersecting;
      if (state.seen) turn(state.turning);
    }).observe(canvas);

    canvas.hidden = controls.hidden = false;
    view.querySelector(".fallback").hidden = true;
    turn(state.turning);
  }

  function fall(view, why) {
    view.dataset.state = why;
    view.querySelector("canvas").hidden = view.querySelector(".controls").hidden = true;
    view.querySelector(".fallback").hidden = false;
  }

  for (const view of document.querySelectorAll(".mesh-view")) {
    try {
      start(view);
    } catch (error) {
      fall(view, "unavailable");
      console.warn("The mesh cannot be shown:", error.message);
    }
  }
})();
