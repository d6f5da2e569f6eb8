// The server's engine in the place of this browser's: what the painter does, by din-jax serve's API.

import { shares } from "./codes.js";
import { decode, pixels } from "./pictures.js";

const SHORTEST = 150; // ms between two questions how far a job is
const LONGEST = 1500;

/** Where the server's API is, as the server writes it into the page: { root, only }, only: there are
 *  no networks for this browser. null where the page lies on a server of files. */
export function serverOf() {
  const meta = document.querySelector('meta[name="din-server"]');
  return meta?.content ? { root: meta.content, only: "only" in meta.dataset } : null;
}

/** RGBA bytes [height, width] as a PNG file. */
async function fileOf(image) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}

/** 0 to 1 per pixel as a gray picture. */
function gray(values, width, height) {
  const image = new ImageData(width, height);
  values.forEach((value, p) => {
    image.data.fill(Math.round(255 * value), 4 * p, 4 * p + 3);
    image.data[4 * p + 3] = 255;
  });
  return image;
}

/** The styles of a choice with their shares, their sum 1. */
function partsOf(choice, inside) {
  const weights = shares([...choice.weights.values()]);
  return [...choice.weights.keys()]
    .map((style, i) => ({ style, share: weights[i], inside }))
    .filter(({ share }) => share > 0);
}

export class Remote {
  #job = null; // that is waited for
  #dropped = false;

  /** root: of the API; tell({state, place, progress}): called while a job is waited for. */
  constructor(root, tell) {
    Object.assign(this, { root, tell });
  }

  async #ask(path, options) {
    let answer;
    try {
      answer = await fetch(this.root + path, options);
    } catch {
      throw new Error("The server does not answer: start it again, or choose this browser.");
    }
    if (answer.ok) return answer;
    const { error } = await answer.json().catch(() => ({}));
    throw new Error(`The server: ${error ?? `it answered ${answer.status}.`}`);
  }

  async #json(path) {
    return (await this.#ask(path)).json();
  }

  info() {
    return this.#json("info");
  }

  /** All styles: { name, thumbnail }, a place to load from. */
  async styles() {
    const found = [];
    for (let total = 1; found.length < total; ) {
      const part = await this.#json(`styles?most=1000&start=${found.length}`);
      if (!part.styles.length) break;
      found.push(...part.styles);
      total = part.total;
    }
    return found.map(({ name }) => ({ name, thumbnail: `${this.root}styles/${encodeURIComponent(name)}/thumbnail` }));
  }

  /** A wish of painter.js, and { blob, name, size }: the content's file, and the longest side
   *  -> { image, milliseconds }, or null if it was dropped. */
  async paint(wish) {
    const began = performance.now();
    this.#dropped = false;
    const body = await this.#form(wish);
    if (this.#dropped) return null;
    const job = await (await this.#ask("stylize", { method: "POST", body })).json();
    this.#job = job.id;
    try {
      await this.#wait(job);
      if (this.#dropped) return null;
      const milliseconds = performance.now() - began;
      const file = await (await this.#ask(`jobs/${job.id}/pictures/0`)).blob();
      return { image: pixels(await decode(file, Infinity)), milliseconds };
    } finally {
      this.#job = null;
      this.#forget(job.id);
    }
  }

  /** Nobody waits any more for what is being painted. */
  drop() {
    this.#dropped = true;
    if (this.#job) this.#forget(this.#job);
  }

  #forget(id) {
    this.#ask(`jobs/${id}`, { method: "DELETE" }).catch(() => {}); // it is forgotten in time
  }

  async #wait(job) {
    for (let pause = SHORTEST; ; pause = Math.min(1.3 * pause, LONGEST)) {
      if (this.#dropped || job.state === "done") return;
      if (job.error) throw new Error(`The server: ${job.error}`);
      if (job.state === "cancelled") throw new Error("The server has cancelled this: try again.");
      this.tell(job);
      await new Promise((resolve) => setTimeout(resolve, pause));
      if (!this.#dropped) job = await this.#json(`jobs/${job.id}`);
    }
  }

  async #form({ content, blob, name, size, whole, region, mask, strength, keepColors }) {
    const form = new FormData();
    form.append("content", blob ?? (await fileOf(content)), name);
    form.append("size", size);
    const inRegion = mask && region.weights.size > 0;
    const parts = [...(inRegion ? partsOf(region, true) : []), ...partsOf(whole, false)];
    for (const { style } of parts) form.append("style", style.file ?? style.name);
    if (inRegion) {
      // Each style by its share of its place; the last takes what is left, so that nothing is.
      for (const { share, inside } of parts.slice(0, -1)) {
        const there = mask.map((m) => share * (inside ? m : 1 - m));
        form.append("mask", await fileOf(gray(there, content.width, content.height)), "mask.png");
      }
    } else {
      for (const { share } of parts) form.append("weights", share);
    }
    form.append("strength", strength);
    form.append("color", keepColors ? "luminance" : "style");
    return form;
  }
}
