// A brush over the photo: the canvas shows what is the object, and gives it as a mask.

const PAINTED = "rgba(36, 86, 230, 0.45)";

export function makeBrush(canvas, sizeInput) {
  const mask = document.createElement("canvas");
  let photo = null, mode = null;

  function load(picture, cutOut) {
    photo = picture;
    for (const one of [canvas, mask]) [one.width, one.height] = [picture.naturalWidth, picture.naturalHeight];
    const context = mask.getContext("2d");
    context.globalCompositeOperation = "source-over";
    context.drawImage(cutOut, 0, 0, mask.width, mask.height);
    draw();
  }

  function draw() {
    const context = canvas.getContext("2d");
    const tint = document.createElement("canvas");
    [tint.width, tint.height] = [mask.width, mask.height];
    const over = tint.getContext("2d");
    over.drawImage(mask, 0, 0);
    over.globalCompositeOperation = "source-in";
    over.fillStyle = PAINTED;
    over.fillRect(0, 0, tint.width, tint.height);
    context.globalAlpha = 1;
    context.drawImage(photo, 0, 0, canvas.width, canvas.height);
    context.drawImage(tint, 0, 0);
  }

  function stroke(event) {
    const box = canvas.getBoundingClientRect();
    const scale = Math.max(canvas.width / box.width, canvas.height / box.height);  // object-fit: contain
    const x = (event.clientX - box.x - box.width / 2) * scale + canvas.width / 2;
    const y = (event.clientY - box.y - box.height / 2) * scale + canvas.height / 2;
    const context = mask.getContext("2d");
    context.globalCompositeOperation = mode === "erase" ? "destination-out" : "source-over";
    context.fillStyle = "#fff";
    context.beginPath();
    context.arc(x, y, (sizeInput.valueAsNumber / 100) * Math.max(mask.width, mask.height), 0, 2 * Math.PI);
    context.fill();
    draw();
  }

  canvas.addEventListener("pointerdown", (event) => { if (mode) { canvas.setPointerCapture(event.pointerId); stroke(event); } });
  canvas.addEventListener("pointermove", (event) => { if (mode && canvas.hasPointerCapture(event.pointerId)) stroke(event); });

  // The mask as a picture, white on the object.
  function blob() {
    const flat = document.createElement("canvas");
    [flat.width, flat.height] = [mask.width, mask.height];
    const context = flat.getContext("2d");
    const white = document.createElement("canvas");
    [white.width, white.height] = [mask.width, mask.height];
    const over = white.getContext("2d");
    over.drawImage(mask, 0, 0);
    over.globalCompositeOperation = "source-in";
    over.fillStyle = "#fff";
    over.fillRect(0, 0, white.width, white.height);
    context.fillStyle = "#000";
    context.fillRect(0, 0, flat.width, flat.height);
    context.drawImage(white, 0, 0);
    return new Promise((done) => flat.toBlob(done, "image/png"));
  }

  return { load, blob, setMode: (wanted) => { mode = wanted; } };
}
