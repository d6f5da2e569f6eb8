// The camera's frames, one after the other, for as long as it is on.

import { pixels } from "./pictures.js";

async function open() {
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } }, audio: false });
  } catch (error) {
    throw new Error(`There is no camera to use (${error.message}).`);
  }
}

function end(stream) {
  for (const track of stream.getTracks()) track.stop();
}

export class Camera {
  #turn = null; // of the run that goes on; another, or none, ends it
  #stream = null;
  #video = document.createElement("video");

  get on() {
    return this.#turn !== null;
  }

  /** Asks for the camera, and calls `frame(ImageData)` until `stop`; waits for each. Frames are no
   *  longer than `longest()` pixels a side. Ends when the camera is off. */
  async run(longest, frame) {
    if (!navigator.mediaDevices) throw new Error("The camera needs https or localhost.");
    const turn = (this.#turn = {});
    const goesOn = () => this.#turn === turn;
    try {
      const stream = await open();
      if (!goesOn()) return end(stream); // stopped while the user was asked
      this.#stream = stream;
      Object.assign(this.#video, { srcObject: stream, muted: true, playsInline: true });
      await this.#video.play();
      while (goesOn() && stream.active) {
        const { videoWidth: width, videoHeight: height } = this.#video;
        const scale = Math.min(1, longest() / Math.max(width, height));
        await frame(pixels(this.#video, Math.round(width * scale), Math.round(height * scale)));
        // So that the page is drawn and answers between frames.
        await new Promise((resolve) => requestAnimationFrame(resolve));
      }
    } catch (error) {
      if (goesOn()) throw error; // else what was stopped may fail
    } finally {
      if (goesOn()) this.stop();
    }
  }

  stop() {
    if (this.#stream) end(this.#stream);
    this.#turn = this.#stream = null;
    this.#video.srcObject = null;
  }
}
