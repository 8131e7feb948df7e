// Renders each model of /job.json by three.js from the given cameras and posts the pictures: RGBA, float32, linear,
// premultiplied, lowest row first. Every surface is lit by a white world alone.
import * as THREE from 'three';
import { DRACOLoader } from 'three/addons/loaders/DRACOLoader.js';
import { GLTFLoader } from 'three/addons/loaders/GLTFLoader.js';
import { MeshoptDecoder } from 'three/addons/libs/meshopt_decoder.module.js';

const FROM_GLTF = new THREE.Matrix4().set(1, 0, 0, 0, 0, 0, -1, 0, 0, 1, 0, 0, 0, 0, 0, 1); // y up to z up

const post = (path, body) => fetch(path, { method: 'POST', body });

// What three.js makes of white surroundings, of one texel: it would take half a minute to filter a larger picture.
function whiteWorld(renderer) {
  const target = new THREE.WebGLCubeRenderTarget(1, { type: THREE.HalfFloatType, depthBuffer: false });
  target.texture.mipmaps.push({ width: 1, height: 1 });
  target.texture.isPMREMTexture = true;
  renderer.setClearColor(0xffffff, 1);
  for (let face = 0; face < 6; face += 1) {
    renderer.setRenderTarget(target, face);
    renderer.clear();
  }
  return target.texture;
}

function loader() {
  const draco = new DRACOLoader().setDecoderPath('/three/examples/jsm/libs/draco/gltf/');
  return new GLTFLoader().setDRACOLoader(draco).setMeshoptDecoder(MeshoptDecoder);
}

function camera(job, cameraFromWorld) {
  const made = new THREE.PerspectiveCamera(job.fov_deg, 1, 0.01, 1000);
  made.matrixAutoUpdate = false;
  made.matrix.set(...cameraFromWorld.flat(), 0, 0, 0, 1).invert();
  made.matrixWorldNeedsUpdate = true;
  return made;
}

// The unit box around the origin, from the model's bounds in glTF's axes.
function normalised(model, { low, high }) {
  const centre = low.map((value, axis) => (value + high[axis]) / 2);
  const scale = 1 / Math.max(...high.map((value, axis) => value - low[axis]));
  const root = new THREE.Group();
  root.matrixAutoUpdate = false;
  root.matrix.copy(FROM_GLTF)
    .multiply(new THREE.Matrix4().makeScale(scale, scale, scale))
    .multiply(new THREE.Matrix4().makeTranslation(...centre.map((value) => -value)));
  root.matrixWorldNeedsUpdate = true;
  root.add(model);
  return { root, scale };
}

async function posed({ url, rest }, loading) {
  const gltf = await loading.loadAsync(url);
  if (rest) {
    gltf.scene.updateMatrixWorld(true);
    gltf.scene.traverse((thing) => thing.isSkinnedMesh && thing.skeleton.pose());
  } else if (gltf.animations.length) {
    const mixer = new THREE.AnimationMixer(gltf.scene);
    mixer.clipAction(gltf.animations[0]).play();
    mixer.setTime(0);
  }
  const lights = [];
  gltf.scene.traverse((thing) => thing.isLight && lights.push(thing));
  lights.forEach((light) => light.removeFromParent());
  return gltf.scene;
}

// GLTFLoader gives points a fixed size in pixels. With attenuation, three.js divides the size by the distance and
// multiplies it by half the canvas's height, whatever the lens: hence the tangent in `render`.
function sizePoints(root, size) {
  root.traverse((thing) => thing.isPoints && Object.assign(thing.material, { size, sizeAttenuation: true }));
}

async function render(job, model, tools) {
  const { root, scale } = normalised(await posed(model, tools.loading), model);
  sizePoints(root, (model.point_size * scale) / Math.tan((job.fov_deg * Math.PI) / 360));
  const scene = new THREE.Scene();
  scene.environment = tools.world;
  scene.add(root);
  for (const [view, extrinsics] of job.extrinsics.entries()) {
    tools.renderer.render(scene, camera(job, extrinsics));
    const pixels = new Float32Array(job.size * job.size * 4);
    tools.renderer.readRenderTargetPixels(tools.target, 0, 0, job.size, job.size, pixels);
    await post(`/picture/${model.name}/${view}`, pixels);
  }
}

async function main() {
  const job = await (await fetch('/job.json')).json();
  const renderer = new THREE.WebGLRenderer({ antialias: false, alpha: true });
  renderer.setSize(job.size, job.size, false); // the height by which points are scaled
  const target = new THREE.WebGLRenderTarget(job.size, job.size, { type: THREE.FloatType });
  const tools = { renderer, target, world: whiteWorld(renderer), loading: loader() };
  renderer.setRenderTarget(target);
  renderer.setClearColor(0x000000, 0);
  for (const model of job.models) {
    try {
      await render(job, model, tools);
    } catch (error) {
      await post(`/failure/${model.name}`, String(error?.stack ?? error));
    }
  }
}

main().catch((error) => post('/failure/page', String(error?.stack ?? error))).finally(() => post('/end', ''));
