// The page: what is chosen, when it is painted, what is shown.

import { openBank } from "./bank.js";
import { Camera } from "./camera.js";
import { setUpDivider } from "./divider.js";
import { Engine } from "./engine.js";
import { stem, takeFiles } from "./files_in.js";
import { keepForLater, keepOffline } from "./offline.js";
import { Painter } from "./painter.js";
import { decode, pixels } from "./pictures.js";
import { Region } from "./region.js";
import { Choice, Styles } from "./styles.js";
import { addTile, canvasOf, pressOnly } from "./tiles.js";

const LONGEST_STYLE = 2048; // px; a style larger than this is made smaller when it is read
const THUMBNAIL = 96;
const $ = (id) => document.getElementById(id);
const engine = new Engine();
const painter = new Painter(engine);
const camera = new Camera();
const choices = { whole: new Choice(), region: new Choice() };
const picture = { blob: null, name: "picture", content: null };
let ready = false;
let wishes = 0; // told since painting began
let picks = 0; // of a picture or the camera; what an earlier one has not finished is dropped

function say(text, state) {
  $("status").textContent = text;
  if (state) document.body.dataset.state = state;
}

/** Runs what a control asks for; an error is a sentence on the page. */
async function run(task) {
  try {
    await task();
  } catch (error) {
    say(error.message, "error");
  }
}

async function get(path, kind) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path} could not be loaded (${answer.status}).`);
  return answer[kind]();
}

function show(canvas, image) {
  if (canvas.width !== image.width || canvas.height !== image.height) {
    Object.assign(canvas, { width: image.width, height: image.height });
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

function wish(content) {
  return {
    content,
    ...choices,
    mask: region.values(),
    strength: Number($("strength").value) / 100,
    keepColors: $("colors").checked,
  };
}

/** Paints what is chosen; what is wished meanwhile is painted after it, the last alone. */
const paint = () => run(async () => {
  wishes++;
  if (!ready || !picture.content || camera.on || document.body.dataset.state === "busy") return;
  say("Painting ...", "busy");
  let done;
  do {
    wishes = 0;
    done = await painter.paint(wish(picture.content));
  } while (wishes && !camera.on);
  if (camera.on) return;
  display(done);
  say(`Painted ${done.image.width} x ${done.image.height} px in ${Math.round(done.milliseconds)} ms.`, "ready");
});

function display({ image }) {
  show($("painted"), image);
  divider();
  $("download").disabled = false;
}

async function useContent(blob, name, tile) {
  const pick = ++picks;
  camera.stop();
  const content = pixels(await decode(blob, Number($("size").value)));
  if (pick !== picks) return;
  Object.assign(picture, { blob, name, content });
  pressOnly($("contents"), tile);
  show($("before"), content);
  region.resize(content.width, content.height);
  if (!ready) show($("painted"), content);
  divider();
  await paint();
}

async function useStyle(file) {
  const image = pixels(await decode(file, LONGEST_STYLE));
  const scale = Math.min(1, THUMBNAIL / Math.min(image.width, image.height));
  const small = pixels(canvasOf(image), Math.round(image.width * scale) || 1, Math.round(image.height * scale) || 1);
  let code;
  const encoded = () => {
    code ??= painter.encode(image);
    code.catch(() => (code = null)); // may be tried again
    return code;
  };
  const style = styles.add(stem(file.name), small, encoded, true);
  styles.press(style);
}

async function live() {
  if (camera.on) return camera.stop();
  const pick = ++picks;
  $("camera").setAttribute("aria-pressed", "true");
  $("status").setAttribute("aria-live", "off"); // who hears the page is not told every frame
  say("Waiting for the camera ...", "camera");
  try {
    await camera.run(() => Number($("size").value), async (frame) => {
      if (frame.width !== region.canvas.width || frame.height !== region.canvas.height) region.resize(frame.width, frame.height);
      wishes = 0;
      const done = await painter.paint(wish(frame));
      if (pick !== picks) return;
      Object.assign(picture, { blob: null, name: "camera", content: frame });
      pressOnly($("contents"), null);
      show($("before"), frame);
      display(done);
      say(`Camera: ${frame.width} x ${frame.height} px, ${Math.round(done.milliseconds)} ms a frame.`);
    });
    if (pick !== picks) return;
    document.body.dataset.state = "ready";
    if (wishes) paint(); // told while the last frame was painted
  } finally {
    if (!camera.on) {
      $("camera").setAttribute("aria-pressed", "false");
      $("status").removeAttribute("aria-live");
    }
  }
}

function download() {
  $("painted").toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${picture.name}--${choices.whole.name}.png`.replace(/[^\p{L}\p{N}.-]+/gu, "_");
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }, "image/png");
}

function place(where) {
  region.active = where === "region";
  $("brushes").hidden = !region.active;
  $("cursor").hidden = true;
  styles.use(choices[where]);
}

const divider = setUpDivider($("divider"), $("view"), $("before"), $("line"));
const region = new Region({ canvas: $("mask"), brush: $("brush"), cursor: $("cursor"), changed: paint });
const styles = new Styles({ tiles: $("styles"), sliders: $("sliders"), several: $("several"), changed: paint });

$("download").addEventListener("click", download);
$("camera").addEventListener("click", () => run(live));
$("clear").addEventListener("click", () => region.clear());
$("colors").addEventListener("change", paint);
$("strength").addEventListener("change", paint);
$("strength").addEventListener("input", () => ($("percent").value = `${$("strength").value} %`));
$("size").addEventListener("change", () => run(async () => {
  const pressed = $("contents").querySelector('[aria-pressed="true"]');
  if (picture.blob && !camera.on) await useContent(picture.blob, picture.name, pressed);
}));
for (const radio of $("places").elements) radio.addEventListener("change", () => place(radio.value));
takeFiles($("file"), $("view"), (file) => run(() => useContent(file, stem(file.name), null)));
takeFiles($("stylefile"), $("styles").parentElement, (file) => run(() => useStyle(file)));

await run(async () => {
  const kept = await keepOffline((replace) => {
    $("newer").hidden = false;
    $("replace").addEventListener("click", replace);
  });
  const settings = await get("model/model.json", "json");
  if (settings.bank) {
    const bank = openBank(await get("model/styles.safetensors", "arrayBuffer"));
    bank.names.forEach((name, i) => styles.add(name, bank.thumbnail(i), () => bank.code(i)));
    styles.press(styles.all[0]);
    choices.region.only(styles.all[Math.min(3, styles.all.length - 1)]);
  }
  choices.whole = styles.choice;
  $("own").hidden = $("strength").disabled = !settings.style;
  for (const name of await get("contents/contents.json", "json")) {
    const image = new Image(72, 72);
    image.src = `contents/${name}.png`;
    const tile = addTile($("contents"), name, image, () => run(async () => useContent(await get(image.src, "blob"), name, tile)));
  }
  const [first] = $("contents").children;
  await useContent(await get(first.querySelector("img").src, "blob"), first.textContent, first);
  const prefer = new URLSearchParams(location.search).get("runtime") ?? "";
  const { runtime, note } = await engine.ask("start", { settings, prefer });
  $("runtime").textContent = `Runs on ${runtime}${note ? ` (${note})` : ""}.`;
  ready = true;
  $("camera").disabled = false;
  document.body.dataset.state = "ready";
  await paint();
  const all = kept && (!settings.style || (await keepForLater("model/style.onnx")));
  document.body.dataset.offline = String(all);
  if (all) $("runtime").textContent += " Works without a network from now on.";
});
