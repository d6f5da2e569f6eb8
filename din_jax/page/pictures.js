// Pictures: decoded, made smaller, to the networks' values and back.

/** A file or blob as a bitmap, upright, no longer than `longest` pixels a side. */
export async function decode(blob, longest) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" });
  } catch {
    throw new Error("This file is no picture that this browser can read; choose a PNG, JPEG or WebP.");
  }
  const scale = Math.min(1, longest / Math.max(bitmap.width, bitmap.height));
  if (scale === 1) return bitmap;
  const size = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  return createImageBitmap(bitmap, { resizeWidth: size[0], resizeHeight: size[1], resizeQuality: "high" });
}

/** The pixels of a bitmap, video or canvas on white, as ImageData. */
export function pixels(source, width = source.width, height = source.height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(source, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/** Position i outside 0..n-1 mirrored at the first and last pixel. */
function mirrored(i, n) {
  if (n === 1) return 0;
  const period = 2 * (n - 1);
  const place = i % period;
  return place < n ? place : period - place;
}

/** RGBA bytes to { data, height, width }: float32 [3, height, width] in [0, 1].
 *  A side below `smallest` is extended by reflection, right and below. */
export function toPlanes(image, smallest) {
  const width = Math.max(image.width, smallest);
  const height = Math.max(image.height, smallest);
  const data = new Float32Array(3 * height * width);
  for (let y = 0; y < height; y++) {
    const row = mirrored(y, image.height) * image.width;
    for (let x = 0; x < width; x++) {
      const from = 4 * (row + mirrored(x, image.width));
      for (let c = 0; c < 3; c++) data[(c * height + y) * width + x] = image.data[from + c] / 255;
    }
  }
  return { data, height, width };
}

/** Rounded to an integer, half to even, as numpy does. */
export function roundEven(x) {
  const floor = Math.floor(x);
  const over = x - floor;
  if (over !== 0.5) return Math.round(x);
  return floor % 2 ? floor + 1 : floor;
}

/** The first `height` rows and `width` columns of float32 planes [3, h, w] as ImageData. */
export function fromPlanes(planes, h, w, height, width) {
  const image = new ImageData(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const to = 4 * (y * width + x);
      for (let c = 0; c < 3; c++) image.data[to + c] = roundEven(255 * planes[(c * h + y) * w + x]);
      image.data[to + 3] = 255;
    }
  }
  return image;
}
