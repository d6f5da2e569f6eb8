// The networks, in a thread of their own, so that the page answers while one runs.
// Messages: { id, job, ... } -> { id, ... } or { id, error }.

import { fromPlanes, toPlanes } from "./pictures.js";
import { prepareStyle } from "./resize.js";
import { chooseRuntime } from "./runtime.js";

let runtime;
let model;
const sessions = new Map(); // by runtime and name: of one that failed none is used

async function bytes(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path} could not be loaded (${answer.status}).`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** The session of "content" or "style", made when first asked for. */
function session(name) {
  const key = `${runtime.name} ${name}`;
  if (!sessions.has(key)) {
    const made = bytes(`model/${name}.onnx`).then((file) => runtime.session(file));
    made.catch(() => sessions.delete(key)); // may be tried again
    sessions.set(key, made);
  }
  return sessions.get(key);
}

/** A style code that says nothing. */
function zeros() {
  const code = {};
  for (const [level, shapes] of Object.entries(model.levels)) {
    for (const [part, shape] of Object.entries(shapes)) {
      code[`${level}.${part}`] = new Float32Array(shape.reduce((a, b) => a * b, 1));
    }
  }
  return code;
}

const jobs = {
  async start({ settings, prefer }) {
    model = settings;
    runtime = await chooseRuntime(prefer, async (candidate) => {
      runtime = candidate;
      await jobs.paint({ image: new ImageData(model.smallest_side, model.smallest_side), code: zeros() });
    });
    await session("content");
    return { runtime: runtime.name, note: runtime.note };
  },

  /** image: ImageData, code: of codes.js -> { image, milliseconds } */
  async paint({ image, code }) {
    const network = await session("content");
    const planes = toPlanes(image, model.smallest_side);
    const { Tensor } = runtime.ort;
    const feeds = { content: new Tensor("float32", planes.data, [1, 3, planes.height, planes.width]) };
    for (const [level, shapes] of Object.entries(model.levels)) {
      for (const [part, shape] of Object.entries(shapes)) {
        feeds[`${level}.${part}`] = new Tensor("float32", code[`${level}.${part}`], [1, ...shape]);
      }
    }
    const before = performance.now();
    const { painted } = await network.run(feeds);
    const values = await painted.getData();
    const milliseconds = performance.now() - before;
    const result = fromPlanes(values, planes.height, planes.width, image.height, image.width);
    painted.dispose();
    return { image: result, milliseconds };
  },

  /** image: ImageData of a style or content -> { code }, its style code */
  async encode({ image }) {
    const network = await session("style");
    const planes = toPlanes(prepareStyle(image, model), model.smallest_side);
    const { Tensor } = runtime.ort;
    const outputs = await network.run({
      style: new Tensor("float32", planes.data, [1, 3, planes.height, planes.width]),
    });
    const code = {};
    for (const [name, tensor] of Object.entries(outputs)) {
      code[name] = Float32Array.from(await tensor.getData());
      tensor.dispose();
    }
    return { code };
  },
};

let queue = Promise.resolve();
self.onmessage = ({ data }) => {
  queue = queue.then(async () => {
    try {
      self.postMessage({ id: data.id, ...(await jobs[data.job](data)) });
    } catch (error) {
      self.postMessage({ id: data.id, error: String(error?.message ?? error) });
    }
  });
};
