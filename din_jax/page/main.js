// The page: what is chosen, when it is painted, what is shown.

import { openBank } from "./bank.js";
import { setUpDivider } from "./divider.js";
import { Engine } from "./engine.js";
import { decode, pixels } from "./pictures.js";
import { addTile, canvasOf, pressOnly } from "./tiles.js";

const $ = (id) => document.getElementById(id);
const engine = new Engine();
const chosen = { blob: null, name: "picture", content: null, style: null, styleName: "" };
let bank;
let busy = false;

function say(text, state) {
  $("status").textContent = text;
  if (state) document.body.dataset.state = state;
}

async function get(path, kind = "arrayBuffer") {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path} could not be loaded (${answer.status}).`);
  return answer[kind]();
}

function show(canvas, image) {
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

async function useContent(blob, name) {
  const image = pixels(await decode(blob, Number($("size").value)));
  Object.assign(chosen, { blob, name, content: image });
  show($("before"), image);
  show($("painted"), image);
  divider();
  $("download").disabled = true;
  await paint();
}

/** Paints what is chosen; a wish while one is painted is painted after it. */
async function paint() {
  if (!chosen.content || !chosen.style || document.body.dataset.state === "loading") return;
  if (busy) {
    busy = "again";
    return;
  }
  busy = true;
  say("Painting ...", "busy");
  try {
    do {
      busy = true;
      const { image, milliseconds } = await engine.ask("paint", { image: chosen.content, code: chosen.style });
      show($("painted"), image);
      divider();
      $("download").disabled = false;
      say(`Painted ${image.width} x ${image.height} px in ${Math.round(milliseconds)} ms.`);
    } while (busy === "again");
    document.body.dataset.state = "ready";
  } catch (error) {
    say(error.message, "error");
  }
  busy = false;
}

function download() {
  $("painted").toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${chosen.name}--${chosen.styleName}.png`.replace(/[^\w.-]+/g, "_");
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }, "image/png");
}

async function addContents() {
  for (const name of JSON.parse(await get("contents/contents.json", "text"))) {
    const image = new Image(72, 72);
    image.src = `contents/${name}.png`;
    const tile = addTile($("contents"), name, image, () => run(async () => {
      pressOnly($("contents"), tile);
      await useContent(await get(image.src, "blob"), name);
    }));
  }
}

function addStyles() {
  bank.names.forEach((name, i) => {
    const tile = addTile($("styles"), name, canvasOf(bank.thumbnail(i)), () => run(async () => {
      pressOnly($("styles"), tile);
      Object.assign(chosen, { style: bank.code(i), styleName: name });
      await paint();
    }));
  });
}

/** Runs what a control asks for; an error is a sentence on the page. */
async function run(task) {
  try {
    await task();
  } catch (error) {
    say(error.message, "error");
  }
}

const divider = setUpDivider($("divider"), $("view"), $("before"), $("line"));
$("paint").addEventListener("click", () => run(paint));
$("download").addEventListener("click", download);
$("size").addEventListener("change", () => run(async () => chosen.blob && useContent(chosen.blob, chosen.name)));
$("file").addEventListener("change", () => run(async () => {
  const [file] = $("file").files;
  if (!file) return;
  pressOnly($("contents"), null);
  await useContent(file, file.name.replace(/\.\w+$/, ""));
}));

await run(async () => {
  const settings = JSON.parse(await get("model/model.json", "text"));
  bank = openBank(await get("model/styles.safetensors"));
  addStyles();
  await addContents();
  $("styles").children[0].click();
  $("contents").children[0].click();
  const prefer = new URLSearchParams(location.search).get("runtime") ?? "";
  const { runtime, note } = await engine.ask("start", { settings, prefer });
  $("runtime").textContent = note ? `Runs on ${runtime} (${note}).` : `Runs on ${runtime}.`;
  document.body.dataset.state = "ready";
  $("paint").disabled = false;
  await paint();
});
