// The page: what is chosen, when and by whom it is painted, what is shown.

import { openBank } from "./bank.js";
import { Camera } from "./camera.js";
import { setUpDivider } from "./divider.js";
import { Engine } from "./engine.js";
import { stem, takeFiles } from "./files_in.js";
import { keepForLater, keepOffline } from "./offline.js";
import { Painter } from "./painter.js";
import { decode, pixels } from "./pictures.js";
import { Region } from "./region.js";
import { Remote, serverOf } from "./remote.js";
import { Choice, Styles } from "./styles.js";
import { addTile, canvasOf, pressOnly } from "./tiles.js";

const LONGEST_STYLE = 2048; // px; a style larger than this is made smaller when it is read
const THUMBNAIL = 96;
const LARGER = [2048, 3072, 4096, 6144, 8192]; // px, sizes that a server may paint
const $ = (id) => document.getElementById(id);
const engine = new Engine();
const local = new Painter(engine);
const server = serverOf();
const remote = server && new Remote(server.root, follow);
const camera = new Camera();
const choices = { whole: new Choice(), region: new Choice() };
const picture = { blob: null, name: "picture", content: null };
const ALONE = $("where").textContent;
const SMALLER = $("size").options.length; // sizes that are for this browser, too
let painter = local; // or remote
let settings = null; // of the networks for this browser
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
    blob: content === picture.content ? picture.blob : null,
    name: picture.name,
    size: $("size").value,
    ...choices,
    mask: region.values(),
    strength: Number($("strength").value) / 100,
    keepColors: $("colors").checked,
  };
}

/** Paints what is chosen; what is wished meanwhile is painted after it, the last alone. */
const paint = () => run(async () => {
  wishes++;
  if (!ready || !picture.content || camera.on) return;
  if (document.body.dataset.state === "busy") return remote?.drop();
  say("Painting ...", "busy");
  let done;
  try {
    do {
      wishes = 0;
      done = await painter.paint(wish(picture.content));
    } while (wishes && !camera.on);
  } finally {
    $("progress").hidden = true;
  }
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
    code ??= local.encode(image);
    code.catch(() => (code = null)); // may be tried again
    return code;
  };
  const style = styles.add(stem(file.name), small, encoded, true, file);
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

/** What the server says of the job that is waited for. */
function follow({ state, place, progress }) {
  if (camera.on) return;
  const text = state === "queued" ? `Waiting on the server, place ${place} ...` : "The server paints ...";
  if ($("status").textContent !== text) say(text); // who hears the page is told of changes alone
  Object.assign($("progress"), { hidden: state === "queued", value: progress });
}

/** Offers the server's styles, and the choice of who paints. */
async function offerServer() {
  const known = new Set(styles.all.map((style) => style.name));
  const [info, found] = await Promise.all([remote.info(), remote.styles()]);
  remote.about = info;
  for (const { name, thumbnail } of found) {
    if (known.has(name)) continue;
    const image = new Image(THUMBNAIL, THUMBNAIL);
    Object.assign(image, { loading: "lazy", src: thumbnail });
    styles.add(name, image, () => Promise.reject(new Error("This style is the server's: let it paint.")));
  }
  for (const radio of $("painters").elements) {
    radio.checked = (radio.value === "server") === server.only;
    radio.addEventListener("change", () => run(() => paintWith(radio.value)));
  }
  $("painters").hidden = server.only;
}

/** Has the browser or the server paint from now on. */
async function paintWith(who) {
  painter = who === "server" ? remote : local;
  const far = painter === remote;
  $("where").textContent = far ? `run by the server ${location.host}: pictures are sent there` : ALONE;
  $("own").hidden = !(far ? remote.about.pictures_as_styles : settings.style);
  $("strength").disabled = !far && !settings.style;
  const before = $("size").value;
  offerSizes(far ? remote.about.limits.pixels : 0);
  if ($("size").value === before) await paint();
  else $("size").dispatchEvent(new Event("change"));
}

/** Sizes beyond this browser's, of which a picture three by two has at most so many pixels. */
function offerSizes(pixels) {
  const chosen = $("size").value;
  while ($("size").options.length > SMALLER) $("size").remove(SMALLER);
  for (const side of LARGER) if ((side * side * 2) / 3 <= pixels) $("size").add(new Option(side));
  $("size").value = chosen;
  if (!$("size").value) $("size").selectedIndex = SMALLER - 1;
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
  const kept = !server?.only && (await keepOffline((replace) => {
    $("newer").hidden = false;
    $("replace").addEventListener("click", replace);
  }));
  if (!server?.only) settings = await get("model/model.json", "json");
  if (settings?.bank) {
    const bank = openBank(await get("model/styles.safetensors", "arrayBuffer"));
    bank.names.forEach((name, i) => styles.add(name, bank.thumbnail(i), () => bank.code(i)));
  }
  if (server) await offerServer();
  if (styles.all.length) {
    styles.press(styles.all[0]);
    choices.region.only(styles.all[Math.min(3, styles.all.length - 1)]);
  }
  choices.whole = styles.choice;
  for (const name of await get("contents/contents.json", "json")) {
    const image = new Image(72, 72);
    image.src = `contents/${name}.png`;
    const tile = addTile($("contents"), name, image, () => run(async () => useContent(await get(image.src, "blob"), name, tile)));
  }
  const [first] = $("contents").children;
  await useContent(await get(first.querySelector("img").src, "blob"), first.textContent, first);
  if (settings) await startHere();
  ready = true;
  $("camera").disabled = false;
  document.body.dataset.state = "ready";
  await paintWith(server?.only ? "server" : "browser");
  const all = kept && (!settings.style || (await keepForLater("model/style.onnx")));
  document.body.dataset.offline = String(all);
  if (all) $("runtime").textContent += " Works without a network from now on.";
});

/** Loads the networks into this browser. */
async function startHere() {
  const prefer = new URLSearchParams(location.search).get("runtime") ?? "";
  const { runtime, note } = await engine.ask("start", { settings, prefer });
  $("runtime").textContent = `Runs on ${runtime}${note ? ` (${note})` : ""}.`;
}
