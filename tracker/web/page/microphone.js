// This device's microphone as what emotrack listens to: samples as they are, without the browser's clean-up.

import { socketTo, token } from "./connection.js";
import { byId, say } from "./words.js";

const MOST_WAITING_S = 2; // of samples that the network has not taken; then some are left out
const RETRY_MS = 1000;

export class Microphone {
  constructor() {
    this.button = byId("microphone-button");
    this.button.addEventListener("click", () => (this.stream ? this.stop("The microphone is off.") : this.start()));
  }

  tell(words) {
    say(byId("microphone-state"), words);
    say(this.button, this.stream ? "Stop listening" : "Use this device's microphone");
    this.button.ariaPressed = String(Boolean(this.stream));
  }

  async start() {
    if (!navigator.mediaDevices) {
      this.tell("A browser gives its microphone to a page over https, or on localhost, only: start emotrack with --web-cert and --web-key.");
      return;
    }
    try {
      const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      this.stream = await navigator.mediaDevices.getUserMedia({ audio });
      this.context = new AudioContext({ latencyHint: "interactive" });
      await this.context.audioWorklet.addModule("samples.js");
      const worklet = new AudioWorkletNode(this.context, "samples", { numberOfOutputs: 0 });
      worklet.port.onmessage = ({ data }) => this.send(data);
      this.context.createMediaStreamSource(this.stream).connect(worklet);
      await this.context.resume();
      this.stream.getAudioTracks()[0].onended = () => this.stop("The microphone was taken away.");
      this.lock = await navigator.wakeLock?.request("screen").catch(() => null);
      this.open();
    } catch (error) {
      this.stop(error.name === "NotAllowedError" ? "The browser was not allowed to use the microphone." : `There is no microphone: ${error.message}`);
    }
  }

  open() {
    const socket = (this.socket = socketTo("audio"));
    this.isHeard = false;
    socket.onopen = () => socket.send(JSON.stringify({ type: "audio", token: token(), rate: this.context.sampleRate, channels: 1, format: "s16le" }));
    socket.onmessage = () => {
      this.isHeard = true;
      this.tell("This device listens. Its screen stays on while this page is open.");
    };
    socket.onclose = ({ code, reason }) => {
      if (socket !== this.socket || !this.stream) return;
      if (code === 4400 || code === 4401) this.stop(`Not listening: ${reason}.`);
      else {
        this.tell("The connection was lost; trying again.");
        this.timer = setTimeout(() => this.open(), RETRY_MS);
      }
    };
  }

  // Whoever lends a device lends it to one session.
  sessionEnded() {
    if (this.stream) this.stop("The session ended, and the microphone is off.");
  }

  send(samples) {
    const socket = this.socket;
    if (!this.isHeard || socket?.readyState !== WebSocket.OPEN) return; // some samples come after the end
    if (socket.bufferedAmount > MOST_WAITING_S * 2 * this.context.sampleRate) return;
    socket.send(samples);
  }

  stop(words) {
    clearTimeout(this.timer);
    this.stream?.getTracks().forEach((track) => track.stop());
    this.context?.close();
    this.lock?.release();
    this.socket?.close();
    this.stream = this.context = this.lock = this.socket = null;
    this.tell(words);
  }
}
