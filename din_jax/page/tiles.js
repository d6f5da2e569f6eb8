// Buttons with a picture and a name, of which one or several are pressed.

/** A tile in `parent`; image: a canvas or img. */
export function addTile(parent, name, image, onclick) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "tile";
  button.setAttribute("aria-pressed", "false");
  if (image instanceof HTMLImageElement) image.alt = "";
  const text = document.createElement("span");
  text.textContent = name.replaceAll("_", " ");
  button.append(image, text);
  button.addEventListener("click", onclick);
  parent.append(button);
  return button;
}

/** Exactly `chosen` is pressed; null: none. */
export function pressOnly(parent, chosen) {
  for (const tile of parent.children) tile.setAttribute("aria-pressed", String(tile === chosen));
}

/** A canvas that shows ImageData. */
export function canvasOf(image) {
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
