// The camera's frames, one after the other, for as long as it is on.

import { pixels } from "./pictures.js";

export class Camera {
  #stream = null;
  #video = document.createElement("video");

  get on() {
    return this.#stream !== null;
  }

  /** Asks for the camera, and calls `frame(ImageData)` until `stop`; waits for each. Frames are no
   *  longer than `longest()` pixels a side. Ends when the camera is off. */
  async run(longest, frame) {
    if (!navigator.mediaDevices) throw new Error("The camera needs https or localhost.");
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } }, audio: false });
    } catch (error) {
      throw new Error(`There is no camera to use (${error.message}).`);
    }
    try {
      Object.assign(this.#video, { srcObject: this.#stream, muted: true, playsInline: true });
      await this.#video.play();
      while (this.on && this.#stream.active) {
        const { videoWidth: width, videoHeight: height } = this.#video;
        const scale = Math.min(1, longest() / Math.max(width, height));
        await frame(pixels(this.#video, Math.round(width * scale), Math.round(height * scale)));
        // So that the page is drawn and answers between frames.
        await new Promise((resolve) => requestAnimationFrame(resolve));
      }
    } finally {
      this.stop();
    }
  }

  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    this.#video.srcObject = null;
  }
}
