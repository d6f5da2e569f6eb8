// The worker's jobs as functions that give promises.

export class Engine {
  #worker = null; // made when first asked, so that the service worker keeps what it loads
  #open = new Map();
  #last = 0;

  #start() {
    this.#worker = new Worker("worker.js", { type: "module" });
    this.#worker.onmessage = ({ data }) => {
      const { resolve, reject } = this.#open.get(data.id);
      this.#open.delete(data.id);
      if (data.error) reject(new Error(data.error));
      else resolve(data);
    };
    this.#worker.onerror = (event) => {
      const error = new Error(event.message || "The painting thread could not start.");
      for (const { reject } of this.#open.values()) reject(error);
      this.#open.clear();
    };
  }

  /** start({settings, prefer}), paint({image, code}) or encode({image}) of worker.js. */
  ask(job, message) {
    if (!this.#worker) this.#start();
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#open.set(id, { resolve, reject });
      this.#worker.postMessage({ id, job, ...message });
    });
  }
}
