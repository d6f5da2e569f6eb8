// The painted luminance in the content's colors, as din_jax/inference/color.py: keep_chroma.

import { roundEven } from "./pictures.js";

const LUMA = [0.299, 0.587, 0.114];

/** content, painted: ImageData of one size -> ImageData. */
export function keepChroma(content, painted) {
  const out = new ImageData(painted.width, painted.height);
  const chroma = [0, 0, 0];
  for (let p = 0; p < out.data.length; p += 4) {
    let y = 0;
    let own = 0;
    for (let c = 0; c < 3; c++) {
      y += (LUMA[c] * painted.data[p + c]) / 255;
      own += (LUMA[c] * content.data[p + c]) / 255;
    }
    // Shrunk by one factor until the color lies in [0, 1], so that Y stays.
    let factor = 1;
    for (let c = 0; c < 3; c++) {
      chroma[c] = content.data[p + c] / 255 - own;
      if (chroma[c] > 0) factor = Math.min(factor, (1 - y) / chroma[c]);
      else if (chroma[c] < 0) factor = Math.min(factor, y / -chroma[c]);
    }
    for (let c = 0; c < 3; c++) {
      out.data[p + c] = roundEven(255 * Math.min(1, Math.max(0, y + factor * chroma[c])));
    }
    out.data[p + 3] = 255;
  }
  return out;
}
