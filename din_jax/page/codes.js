// Style codes: plain numbers in which every control is linear.

/** sum_s w_s code_s / sum_s w_s, array by array; codes: [{ name: Float32Array }]. */
export function mix(codes, weights) {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (!(total > 0)) throw new Error(codes.length ? "All sliders are at zero: move one up." : "No style is chosen: choose one, or give your own.");
  const mixed = {};
  for (const [name, first] of Object.entries(codes[0])) {
    const out = new Float32Array(first.length);
    codes.forEach((code, s) => {
      const part = weights[s] / total;
      for (let i = 0; i < out.length; i++) out[i] += part * code[name][i];
    });
    mixed[name] = out;
  }
  return mixed;
}

/** strength * code + (1 - strength) * own; own is the content's own code. */
export function weaken(code, own, strength) {
  const out = {};
  for (const [name, values] of Object.entries(code)) {
    out[name] = values.map((value, i) => strength * value + (1 - strength) * own[name][i]);
  }
  return out;
}
