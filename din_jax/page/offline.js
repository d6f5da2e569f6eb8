// The service worker: keeps the page for use without a network, and isolates it for threads.

const MOST_MILLISECONDS = 20000; // after which the page goes on without it

function controlled() {
  if (navigator.serviceWorker.controller) return Promise.resolve(true);
  return new Promise((resolve) => {
    navigator.serviceWorker.addEventListener("controllerchange", () => resolve(true), { once: true });
    setTimeout(() => resolve(false), MOST_MILLISECONDS);
  });
}

/** Waits until the service worker answers for the page. Loads the page once more where that gives
 *  it threads. newer(replace): called when another version has been loaded. */
export async function keepOffline(newer) {
  if (!("serviceWorker" in navigator)) return false;
  let registration;
  try {
    registration = await navigator.serviceWorker.register("sw.js", { updateViaCache: "none" });
  } catch {
    return false; // in a private window, say
  }
  offerNewer(registration, newer);
  if (!(await controlled())) return false;
  if (!self.crossOriginIsolated && !sessionStorage.getItem("isolated")) {
    sessionStorage.setItem("isolated", "tried");
    location.reload();
    await new Promise(() => {}); // this page is over
  }
  return true;
}

function offerNewer(registration, newer) {
  const offer = () => {
    const waiting = registration.waiting;
    if (!waiting || !navigator.serviceWorker.controller) return;
    newer(() => {
      navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
      waiting.postMessage("replace");
    });
  };
  offer();
  registration.addEventListener("updatefound", () => {
    registration.installing?.addEventListener("statechange", offer);
  });
}

/** Has the service worker keep a file that may be needed later. */
export async function keepForLater(path) {
  try {
    const answer = await fetch(path);
    await answer.arrayBuffer();
    return answer.ok;
  } catch {
    return false;
  }
}
