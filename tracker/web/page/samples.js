// In the browser's audio thread: samples of 16 bits, some 40 ms at a time.

const SAMPLES = 2048;

registerProcessor(
  "samples",
  class extends AudioWorkletProcessor {
    constructor() {
      super();
      this.start();
    }

    start() {
      this.samples = new Int16Array(SAMPLES);
      this.count = 0;
    }

    process([[channel]]) {
      for (const sample of channel ?? []) {
        this.samples[this.count++] = Math.max(-1, Math.min(1, sample)) * 32767;
        if (this.count === SAMPLES) {
          this.port.postMessage(this.samples.buffer, [this.samples.buffer]);
          this.start();
        }
      }
      return true;
    }
  },
);
