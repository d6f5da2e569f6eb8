// A region of its own style: a mask painted with a soft brush, by pointer or by keys.

import { roundEven } from "./pictures.js";

/** (1 - mask) * image + mask * other, pixel by pixel. */
export function blend(image, other, mask) {
  const out = new ImageData(image.width, image.height);
  for (let p = 0; p < mask.length; p++) {
    for (let c = 0; c < 3; c++) {
      const i = 4 * p + c;
      out.data[i] = roundEven((1 - mask[p]) * image.data[i] + mask[p] * other.data[i]);
    }
    out.data[4 * p + 3] = 255;
  }
  return out;
}

/** The mask on a canvas over the picture; what is painted is its opacity. */
export class Region {
  #cursor = { x: 0.5, y: 0.5 }; // parts of the picture
  #empty = true;

  /** canvas: over the picture; brush: a range input, percent of the long side; cursor: a ring that
   *  shows where keys paint; changed(): after a stroke. */
  constructor({ canvas, brush, cursor, changed }) {
    Object.assign(this, { canvas, brush, cursor, changed });
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    canvas.addEventListener("pointerdown", (event) => this.#start(event));
    canvas.addEventListener("blur", () => (cursor.hidden = true));
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  get active() {
    return !this.canvas.hidden;
  }

  set active(on) {
    this.canvas.hidden = !on;
  }

  /** The size of a new picture; what was painted is gone, and keys paint from the middle again. */
  resize(width, height) {
    Object.assign(this.canvas, { width, height });
    this.#cursor = { x: 0.5, y: 0.5 };
    this.cursor.hidden = true;
    this.#empty = true;
  }

  clear() {
    this.resize(this.canvas.width, this.canvas.height);
    this.changed();
  }

  /** Opacity per pixel, 0 to 1, or null where nothing is painted. */
  values() {
    if (this.#empty) return null;
    const { data } = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    return Float32Array.from({ length: data.length / 4 }, (_, p) => data[4 * p + 3] / 255);
  }

  /** A dab at a place given in parts of the picture: full in its half, then falling to nothing. */
  dab({ x, y }) {
    const { width, height } = this.canvas;
    const radius = Math.max(2, (Number(this.brush.value) / 200) * Math.max(width, height));
    const shade = this.context.createRadialGradient(x * width, y * height, radius / 2, x * width, y * height, radius);
    shade.addColorStop(0, "rgba(255, 96, 0, 1)");
    shade.addColorStop(1, "rgba(255, 96, 0, 0)");
    this.context.fillStyle = shade;
    this.context.fillRect(x * width - radius, y * height - radius, 2 * radius, 2 * radius);
    this.#empty = false;
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  }

  #start(event) {
    event.preventDefault();
    this.canvas.focus();
    this.canvas.setPointerCapture(event.pointerId);
    let last = this.#place(event);
    this.dab(last);
    const move = (next) => {
      const to = this.#place(next);
      const step = Number(this.brush.value) / 800; // dabs a quarter of a radius apart
      const count = Math.ceil(Math.hypot(to.x - last.x, to.y - last.y) / step);
      for (let i = 1; i <= count; i++) {
        this.dab({ x: last.x + ((to.x - last.x) * i) / count, y: last.y + ((to.y - last.y) * i) / count });
      }
      last = to;
    };
    const end = () => {
      this.canvas.removeEventListener("pointermove", move);
      this.#cursor = last;
      this.changed();
    };
    this.canvas.addEventListener("pointermove", move);
    this.canvas.addEventListener("lostpointercapture", end, { once: true });
  }

  #key(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = event.shiftKey ? 0.01 : 0.05;
    if (moves[event.key]) {
      this.#cursor.x = Math.min(1, Math.max(0, this.#cursor.x + step * moves[event.key][0]));
      this.#cursor.y = Math.min(1, Math.max(0, this.#cursor.y + step * moves[event.key][1]));
    } else if (event.key === " " || event.key === "Enter") {
      this.dab(this.#cursor);
      this.changed();
    } else return;
    event.preventDefault();
    this.#ring();
  }

  #ring() {
    const { offsetLeft, offsetTop, offsetWidth, offsetHeight } = this.canvas;
    const side = (Number(this.brush.value) / 100) * Math.max(offsetWidth, offsetHeight);
    Object.assign(this.cursor.style, {
      left: `${offsetLeft + this.#cursor.x * offsetWidth}px`,
      top: `${offsetTop + this.#cursor.y * offsetHeight}px`,
      width: `${side}px`,
      height: `${side}px`,
    });
    this.cursor.hidden = false;
  }
}
