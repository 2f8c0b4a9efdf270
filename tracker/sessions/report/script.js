// The page is complete without this. It adds the arrow keys on the timeline, and moves the focus along with links.
"use strict";
(() => {
  const numberOf = (bar) => Number(bar.id.slice("bar-".length));
  let bars = null; // looked up when first needed: there may be twenty thousand
  let reachable = document.querySelector('.bar[tabindex="0"]');

  const inOrder = () => (bars ??= [...document.querySelectorAll(".bar[id]")].sort((a, b) => numberOf(a) - numberOf(b)));

  function reach(bar) {
    if (reachable) reachable.tabIndex = -1;
    bar.tabIndex = 0;
    reachable = bar;
  }

  document.querySelector(".timeline")?.addEventListener("keydown", (event) => {
    const bar = event.target.closest(".bar[id]");
    if (!bar || event.ctrlKey || event.altKey || event.metaKey) return;
    const here = inOrder().indexOf(bar);
    const there = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: bars.length - 1 }[event.key];
    if (there === undefined) return;
    event.preventDefault();
    const next = bars[Math.min(bars.length - 1, Math.max(0, there))];
    reach(next);
    next.focus();
  });

  // A tooltip costs nothing until the pointer asks for it.
  document.addEventListener("pointerover", (event) => {
    const bar = event.target.closest?.(".bar[aria-label]:not([title])");
    if (bar) bar.title = bar.getAttribute("aria-label");
  });

  // What lies between has its true height only once it was laid out, so hold on for a moment, or until the reader acts.
  function settle(target) {
    const until = performance.now() + 800;
    let held = true;
    for (const act of ["wheel", "touchstart", "pointerdown", "keydown"]) {
      addEventListener(act, () => (held = false), { once: true, passive: true });
    }
    const hold = () => {
      if (!held) return;
      target.scrollIntoView({ block: "center" });
      if (performance.now() < until) requestAnimationFrame(hold);
    };
    hold();
  }

  function arrive() {
    const [, kind, number] = /^#(turn|bar)-(\d+)$/.exec(location.hash) ?? [];
    const target = kind && document.getElementById(`${kind}-${number}`);
    document.querySelector(".bar[aria-current]")?.removeAttribute("aria-current");
    if (!target) return;
    const bar = document.getElementById(`bar-${number}`);
    if (bar) {
      bar.setAttribute("aria-current", "true");
      reach(bar);
    }
    if (kind === "turn") target.tabIndex = -1;
    target.focus({ preventScroll: true });
    settle(target);
  }

  addEventListener("hashchange", arrive);
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => (one.open = true)));
  arrive();
})();
