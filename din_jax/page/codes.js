// Style codes: plain numbers in which every control is linear.

/** Weights divided by their sum. */
export function shares(weights) {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (!(total > 0)) throw new Error(weights.length ? "All sliders are at zero: move one up." : "No style is chosen: choose one, or give your own.");
  return weights.map((weight) => weight / total);
}

/** sum_s w_s code_s / sum_s w_s, array by array; codes: [{ name: Float32Array }]. */
export function mix(codes, weights) {
  const parts = shares(weights);
  const mixed = {};
  for (const [name, first] of Object.entries(codes[0])) {
    const out = new Float32Array(first.length);
    codes.forEach((code, s) => {
      for (let i = 0; i < out.length; i++) out[i] += parts[s] * code[name][i];
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
