// Files that a user chooses or drops.

/** take(file) for each file that is chosen by `input` or dropped on `area`. */
export function takeFiles(input, area, take) {
  input.addEventListener("change", () => {
    for (const file of [...input.files]) take(file);
    input.value = ""; // the same file again is a choice again
  });
  area.addEventListener("dragover", (event) => {
    event.preventDefault();
    area.classList.add("over");
  });
  area.addEventListener("dragleave", () => area.classList.remove("over"));
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    area.classList.remove("over");
    for (const file of [...event.dataTransfer.files]) take(file);
  });
}

/** The name without folder and suffix. */
export function stem(name) {
  return name.replace(/^.*[\\/]/, "").replace(/\.\w+$/, "") || "picture";
}
