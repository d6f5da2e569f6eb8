// The page without a network: its own files, kept by version, with the headers that give threads.

importScripts("files.js"); // self.page: {version, files}; another version is another worker

const NAME = `din-jax-page ${self.registration.scope} `;
const CACHE = NAME + self.page.version;
const FILES = new Set(self.page.files.concat("files.js").map((name) => new URL(name, self.registration.scope).href));
const LATER = /\/ort\/|\/style\.onnx$/; // large, and perhaps never asked for
const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
  // Of the threads, too: whatever is loaded comes from here.
  "Content-Security-Policy":
    "default-src 'self' blob: data:; script-src 'self' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:",
};

self.addEventListener("install", (event) => {
  const now = [...FILES].filter((url) => !LATER.test(url));
  event.waitUntil((async () => {
    const cache = await caches.open(CACHE);
    // Not what the browser remembers of an earlier version.
    await cache.addAll(now.map((url) => new Request(url, { cache: "reload" })));
  })());
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) {
      if (name.startsWith(NAME) && name !== CACHE) await caches.delete(name);
    }
    await self.clients.claim();
  })());
});

// A newer version waits until the page asks for it, so that no page mixes two.
self.addEventListener("message", (event) => {
  if (event.data === "replace") self.skipWaiting();
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== self.location.origin) return;
  url.search = url.hash = "";
  if (url.href === self.registration.scope) url.pathname += "index.html";
  if (FILES.has(url.href)) event.respondWith(answer(url.href));
});

async function answer(url) {
  const cache = await caches.open(CACHE);
  let found = await cache.match(url);
  if (!found) {
    found = await fetch(url, { cache: "no-cache" });
    if (found.ok) await cache.put(url, found.clone());
  }
  const headers = new Headers(found.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  return new Response(found.body, { status: found.status, statusText: found.statusText, headers });
}
