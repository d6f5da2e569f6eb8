// From what is chosen to a painted picture: codes mixed, regions blended, colors kept.

import { mix, weaken } from "./codes.js";
import { keepChroma } from "./color.js";
import { blend } from "./region.js";

export class Painter {
  #own = new WeakMap(); // content to its own code

  constructor(engine) {
    this.engine = engine;
  }

  /** The style code of a picture by the style encoder. */
  async encode(image) {
    return (await this.engine.ask("encode", { image })).code;
  }

  async #code(content, choice, strength) {
    const codes = await Promise.all([...choice.weights.keys()].map((style) => style.code()));
    const code = mix(codes, [...choice.weights.values()]);
    if (strength === 1) return code;
    if (!this.#own.has(content)) this.#own.set(content, await this.encode(content));
    return weaken(code, this.#own.get(content), strength);
  }

  /** wish: { content: ImageData, whole, region: Choice, mask: null or Float32Array of 0 to 1,
   *  strength: 0 to 1, keepColors } -> { image, milliseconds }, the networks' time alone. */
  async paint({ content, whole, region, mask, strength, keepColors }) {
    let { image, milliseconds } = await this.#painted(content, whole, strength);
    if (mask && region.weights.size) {
      const other = await this.#painted(content, region, strength);
      image = blend(image, other.image, mask);
      milliseconds += other.milliseconds;
    }
    if (keepColors) image = keepChroma(content, image);
    return { image, milliseconds };
  }

  async #painted(content, choice, strength) {
    const code = await this.#code(content, choice, strength);
    return this.engine.ask("paint", { image: content, code });
  }
}
