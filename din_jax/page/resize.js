// A style at the size that its encoder was trained on, resized as Pillow's BICUBIC does.

/** Keys's cubic with a = -0.5. */
function cubic(x) {
  const t = Math.abs(x);
  if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
  if (t < 2) return ((-0.5 * t + 2.5) * t - 4) * t + 2;
  return 0;
}

/** Per output position: the first input and the weights, support scaled where it shrinks. */
function taps(from, to) {
  const scale = from / to;
  const filter = Math.max(scale, 1);
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - 2 * filter + 0.5));
    const end = Math.min(from, Math.trunc(center + 2 * filter + 0.5));
    const weights = Array.from({ length: end - first }, (_, k) => cubic((first + k - center + 0.5) / filter));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** One pass over RGBA bytes [lines, from] to [lines, to]; strides tell which axis. */
function pass(source, lines, from, to, stride, lineStride, outStride, outLineStride) {
  const out = new Uint8ClampedArray(4 * lines * to);
  taps(from, to).forEach(({ first, weights }, i) => {
    for (let line = 0; line < lines; line++) {
      const place = 4 * (line * outLineStride + i * outStride);
      for (let c = 0; c < 4; c++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) {
          sum += weights[k] * source[4 * (line * lineStride + (first + k) * stride) + c];
        }
        out[place + c] = Math.floor(sum + 0.5); // between the passes too, as Pillow does
      }
    }
  });
  return out;
}

/** ImageData at another size. */
export function resize(image, width, height) {
  let data = image.data;
  if (width !== image.width) data = pass(data, image.height, image.width, width, 1, image.width, 1, width);
  if (height !== image.height) data = pass(data, width, image.height, height, width, 1, width, 1);
  return new ImageData(new Uint8ClampedArray(data), width, height);
}

/** Half to even, as Python's round. */
function round(x) {
  const floor = Math.floor(x);
  if (x - floor === 0.5) return floor % 2 ? floor + 1 : floor;
  return Math.round(x);
}

/** A style as the encoder wants it (din_jax.inference: prepare_style); the network's side below
 *  `smallest` is extended later. size 0: the picture's own. */
export function prepareStyle(image, { style_size: size, longest_style: longest, largest_style: largest, smallest_side: smallest }) {
  const short = size || Math.min(image.height, image.width);
  const most = size ? longest * size ** 2 : largest;
  const scale = Math.min(
    short / Math.min(image.height, image.width),
    Math.sqrt(most / (image.height * image.width)),
    most / smallest / Math.max(image.height, image.width),
  );
  const [width, height] = [image.width, image.height].map((side) => Math.max(round(side * scale), 1));
  return resize(image, width, height);
}
