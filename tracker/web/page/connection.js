// The WebSocket, which comes back by itself: it goes on where it was, or begins anew where that cannot be.

const RETRY_MS = [300, 600, 1200, 2400, 5000];
const FOR_GOOD = new Set([4400, 4401]); // what trying again does not mend

export const token = () => location.hash.slice(1) || undefined;

export function socketTo(path) {
  return new WebSocket(new URL(path, location.href).href.replace(/^http/, "ws"));
}

export class Connection {
  // `on` has a function for the type of every message, and `state` for "open", "closed" and why.
  constructor(site, on) {
    this.site = site;
    this.on = on;
    this.lastEvent = undefined;
    this.failures = 0;
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => document.hidden || this.retry());
    this.open();
  }

  open() {
    clearTimeout(this.timer);
    const socket = (this.socket = socketTo("events"));
    socket.onopen = () => {
      const enter = { type: "enter", token: token(), site: this.site ?? undefined, last_event: this.lastEvent };
      socket.send(JSON.stringify(enter));
    };
    socket.onmessage = (message) => this.take(JSON.parse(message.data));
    socket.onclose = (closed) => this.closed(socket, closed);
  }

  take(message) {
    if (message.type === "welcome") {
      this.failures = 0;
      this.on.state("open");
    }
    if (message.type === "events") this.lastEvent = message.last_event;
    this.on[message.type]?.(message);
  }

  closed(socket, { code, reason }) {
    if (socket !== this.socket) return;
    this.on.state("closed", reason, FOR_GOOD.has(code));
    if (FOR_GOOD.has(code)) return;
    const pause = RETRY_MS[Math.min(this.failures++, RETRY_MS.length - 1)];
    this.timer = setTimeout(() => this.open(), pause * (0.75 + Math.random() / 2));
  }

  retry() {
    if (this.socket.readyState === WebSocket.CLOSED) this.open();
  }

  wish(type, wish = {}) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ type, ...wish }));
  }
}
