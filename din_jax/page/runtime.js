// Which form of ONNX Runtime Web: WebGPU where a graphics processor offers it, else WebAssembly with
// as many threads as the page may have.

const MOST_THREADS = 8;
const PATIENCE = 30; // seconds, for the smallest picture by WebGPU

/** prefer: "", "wasm" or "webgpu"; probe(runtime): paints something, and throws where that fails
 *  -> { ort, name, note, session(bytes) } */
export async function chooseRuntime(prefer, probe) {
  let why = "asked for";
  if (prefer !== "wasm") {
    const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
    const asked = prefer === "webgpu";
    if (!adapter) {
      why = "this browser offers no WebGPU here";
    } else if (adapter.info?.isFallbackAdapter && !asked) {
      why = "WebGPU would compute on the processor here, which is slower"; // a hundred times
    } else {
      try {
        const gpu = await webgpu();
        // An adapter is no promise that it computes, or that it ends.
        await (asked ? probe(gpu) : withinTime(probe(gpu)));
        return gpu;
      } catch (error) {
        why = `WebGPU failed: ${error.message}`;
      }
    }
  }
  return wasm(why);
}

function withinTime(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no picture within ${PATIENCE} s`)), PATIENCE * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function load(bundle, binary) {
  const ort = await import(`./ort/${bundle}`);
  ort.env.logLevel = "error";
  ort.env.wasm.wasmPaths = { wasm: new URL(`./ort/${binary}`, import.meta.url).href };
  return ort;
}

async function webgpu() {
  const ort = await load("ort.webgpu.bundle.min.mjs", "ort-wasm-simd-threaded.asyncify.wasm");
  ort.env.wasm.numThreads = 1;
  return {
    ort,
    name: "WebGPU",
    note: "",
    session: (file) => ort.InferenceSession.create(file, { executionProviders: ["webgpu"] }),
  };
}

async function wasm(why) {
  const ort = await load("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm");
  const threads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS) : 1;
  ort.env.wasm.numThreads = threads;
  const single = self.crossOriginIsolated ? "" : "; the page is not isolated, hence one thread";
  return {
    ort,
    name: `WebAssembly, ${threads} thread${threads > 1 ? "s" : ""}`,
    note: `${why}${single}`,
    session: (file) => ort.InferenceSession.create(file, { executionProviders: ["wasm"] }),
  };
}
