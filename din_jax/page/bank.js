// The style bank: a safetensors file of names, thumbnails and codes (din_jax/inference/bank.py).

const LARGEST_HEADER = 1 << 24;

/** float16 bits, as a Uint16Array, to a Float32Array. */
export function halves(bits) {
  const out = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const sign = bits[i] & 0x8000 ? -1 : 1;
    const exponent = (bits[i] >> 10) & 31;
    const fraction = bits[i] & 1023;
    if (exponent === 0) out[i] = sign * fraction * 2 ** -24;
    else if (exponent === 31) out[i] = fraction ? NaN : sign * Infinity;
    else out[i] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return out;
}

/** The bank in an ArrayBuffer: { names, thumbnail(i), code(i) }.
 *  A code is { "level1.kernel": Float32Array, "level1.bias": ... }. */
export function openBank(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  if (!(length <= LARGEST_HEADER && 8 + length <= buffer.byteLength)) throw new Error("The style bank is damaged.");
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const bytes = (name) => {
    const [start, end] = header[name].data_offsets;
    return buffer.slice(8 + length + start, 8 + length + end);
  };
  const names = new TextDecoder().decode(bytes("names")).split("\n");
  const thumbnails = new Uint8Array(bytes("thumbnails"));
  const side = header.thumbnails.shape[1];
  const arrays = {};
  for (const [name, entry] of Object.entries(header)) {
    if (!name.startsWith("code.")) continue;
    const raw = bytes(name);
    const values = entry.dtype === "F16" ? new Uint16Array(raw) : new Float32Array(raw);
    arrays[name.slice("code.".length)] = { half: entry.dtype === "F16", values, row: values.length / names.length };
  }
  return {
    names,
    thumbnail(i) {
      const image = new ImageData(side, side);
      for (let p = 0; p < side * side; p++) {
        for (let c = 0; c < 3; c++) image.data[4 * p + c] = thumbnails[3 * (i * side * side + p) + c];
        image.data[4 * p + 3] = 255;
      }
      return image;
    },
    code(i) {
      const code = {};
      for (const [name, { half, values, row }] of Object.entries(arrays)) {
        const part = values.subarray(i * row, (i + 1) * row);
        code[name] = half ? halves(part) : part.slice();
      }
      return code;
    },
  };
}
