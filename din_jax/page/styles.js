// The styles: tiles of the bank and of own pictures; one alone, or several by sliders.

import { addTile, canvasOf } from "./tiles.js";

/** What is chosen for one place of the picture: style to weight, in order. */
export class Choice {
  weights = new Map();

  only(style) {
    this.weights = new Map([[style, 1]]);
  }

  toggle(style) {
    if (this.weights.has(style)) this.weights.delete(style);
    else this.weights.set(style, 1);
  }

  get name() {
    return [...this.weights.keys()].map((style) => style.name).join("-");
  }
}

/** Tiles and sliders of `choice`, which may be exchanged; changed() is called after each change. */
export class Styles {
  constructor({ tiles, sliders, several, changed }) {
    Object.assign(this, { tiles, sliders, several, changed });
    this.all = [];
    this.choice = new Choice();
    several.addEventListener("change", () => {
      const [first] = this.choice.weights.keys();
      if (!several.checked && first) this.choice.only(first);
      this.show();
      this.changed();
    });
  }

  /** image: ImageData or an img; code: a function that gives the style's code; file: its picture,
   *  of an own style, for a server. */
  add(name, image, code, front = false, file = null) {
    const style = { name, code, file };
    const shown = image instanceof ImageData ? canvasOf(image) : image;
    style.tile = addTile(this.tiles, name, shown, () => this.press(style));
    if (front) this.tiles.prepend(style.tile);
    this.all.push(style);
    return style;
  }

  press(style) {
    if (this.several.checked) this.choice.toggle(style);
    else this.choice.only(style);
    this.show();
    this.changed();
  }

  use(choice) {
    this.choice = choice;
    if (choice.weights.size > 1) this.several.checked = true;
    this.show();
  }

  show() {
    for (const style of this.all) {
      style.tile.setAttribute("aria-pressed", String(this.choice.weights.has(style)));
    }
    this.sliders.replaceChildren();
    this.sliders.hidden = !this.several.checked;
    for (const [style, weight] of this.choice.weights) this.sliders.append(this.slider(style, weight));
  }

  slider(style, weight) {
    const label = document.createElement("label");
    label.className = "row wide";
    const text = document.createElement("span");
    text.className = "name";
    text.textContent = style.name;
    const input = document.createElement("input");
    Object.assign(input, { type: "range", min: 0, max: 100, value: Math.round(100 * weight) });
    input.addEventListener("change", () => {
      this.choice.weights.set(style, Number(input.value) / 100);
      this.changed();
    });
    label.append(text, input);
    return label;
  }
}
