// The conversation as a list: however long it is, only some hundred turns around what is read are on the page.

import { affect, byId, chip, clock, colour, hidden, isolated, make, nameOf, percent, remarks, silence, why } from "./words.js";

const PAGE = 30;
const MOST = 120;
const ACTING_MS = 1000;
const NEAR = 400; // pixels from an end of the list at which more of it comes

export class Transcript {
  // `correct` is called with a turn that a person wants to correct, `shows` says which turns are wanted.
  constructor(conversation, correct, shows) {
    this.conversation = conversation;
    this.correct = correct;
    this.shows = shows;
    this.mayCorrect = false;
    this.box = byId("transcript");
    this.list = byId("turns");
    this.newest = byId("newest");
    this.from = this.to = 0; // numbers of items
    this.acted = -Infinity; // when a person last moved the list
    this.follows = true;
    this.nodes = new Map(); // those on the page, by the number of their item
    this.box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    for (const act of ["wheel", "touchmove", "keydown", "pointerdown"]) {
      this.box.addEventListener(act, () => (this.acted = performance.now()), { passive: true });
    }
    this.newest.addEventListener("click", () => this.end());
    new ResizeObserver(() => this.follows && this.toBottom()).observe(this.box);
  }

  get until() {
    return this.conversation.gone + this.conversation.items.length;
  }

  item(number) {
    return this.conversation.items[number - this.conversation.gone];
  }

  // Show what was added and changed by events.
  update({ cleared, added, changed }) {
    if (cleared || added.length > PAGE || this.from < this.conversation.gone) this.rebuild();
    else if (this.follows) added.forEach((item) => this.append(item));
    for (const turn of changed) {
      const node = this.nodes.get(turn.number);
      if (node) this.fill(node, turn);
    }
    byId("empty").hidden = this.until > 0;
    if (this.follows) {
      this.trimTop();
      this.toBottom();
    } else if (added.length) this.newest.hidden = false;
  }

  rebuild() {
    this.follows = true;
    this.empty();
    this.from = this.to = Math.max(this.conversation.gone, this.until - MOST);
    while (this.to < this.until) this.append(this.item(this.to));
  }

  empty() {
    this.nodes.clear();
    this.list.replaceChildren();
  }

  append(item) {
    this.list.append(this.node(item));
    this.to = item.number + 1;
  }

  node(item) {
    const node = make("li", { number: item.number });
    this.fill(node, item);
    this.nodes.set(item.number, node);
    return node;
  }

  fill(node, item) {
    if (!item.turn_id) {
      node.className = `note ${item.kind}`;
      node.replaceChildren(
        make("span", { className: "at" }, clock(item.at_s)),
        make("span", {}, hidden(make("span", { className: "sign" }, `${item.sign} `)), isolated(item.words)),
      );
      return;
    }
    node.className = `turn${item.uncertain ? " u" : ""}`;
    node.id = `turn-${item.turn_id}`;
    node.hidden = !this.shows(item);
    colour(node, item.emotion);
    const head = make("p", { className: "head" }, make("b", {}, isolated(nameOf(item))), " ", chip(item.emotion, item), " ");
    if (item.corrected) {
      head.append(item.emotion, " ", make("em", {}, "✓ corrected by a person"), " ");
      head.append(make("span", { className: "quiet" }, `(estimated ${item.estimate} ${percent(item.confidence)})`));
    } else {
      const howMuch = [percent(item.confidence), affect(item)].filter(Boolean).join(", ");
      head.append(item.emotion, " ", make("span", { className: "quiet" }, howMuch));
    }
    const more = [item.uncertain && !item.corrected && "uncertain", remarks(item)].filter(Boolean).join(", ");
    if (more) head.append(" ", make("em", {}, more));
    const said = make("div", { className: "said" }, head);
    said.append(
      item.text === null
        ? make("p", { className: "silent" }, silence(item))
        : make("p", { className: "text", dir: "auto" }, item.text),
    );
    node.replaceChildren(make("span", { className: "at" }, clock(item.start_s)), said);
    const reasons = why(item);
    if (reasons) node.append(reasons);
    if (this.mayCorrect) {
      const button = make("button", { type: "button", className: "correct", ariaLabel: `Correct turn ${item.turn_id}` }, "✎");
      button.addEventListener("click", () => this.correct(item));
      head.append(" ", button);
    }
  }

  // Show a turn, wherever it is.
  show(turn) {
    if (!this.nodes.has(turn.number)) {
      this.empty();
      this.from = this.to = Math.max(this.conversation.gone, turn.number - PAGE);
      for (let left = 2 * PAGE; left && this.to < this.until; left--) this.append(this.item(this.to));
    }
    this.follows = false;
    this.newest.hidden = false;
    const node = this.nodes.get(turn.number);
    node.scrollIntoView({ block: "center" });
    node.tabIndex = -1;
    node.focus({ preventScroll: true });
  }

  end() {
    this.rebuild();
    this.toBottom();
    this.newest.hidden = true;
  }

  toBottom() {
    this.box.scrollTop = this.box.scrollHeight;
  }

  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.box;
    const below = scrollHeight - scrollTop - clientHeight;
    if (below < 40 && this.to === this.until) this.follows = true;
    else if (performance.now() - this.acted < ACTING_MS) {
      this.follows = false;
      this.acted = performance.now(); // a touch goes on by itself
    } else if (this.follows) this.toBottom(); // the list has changed, and nobody went up
    this.newest.hidden = this.follows;
    this.box.ariaLive = this.follows ? "polite" : "off";
    if (scrollTop < NEAR && this.from > this.conversation.gone) this.earlier();
    else if (below < NEAR && this.to < this.until) this.later();
  }

  earlier() {
    this.keeping(this.list.firstElementChild, () => {
      const nodes = [];
      for (let left = PAGE; left && this.from > this.conversation.gone; left--) nodes.unshift(this.node(this.item(--this.from)));
      this.list.prepend(...nodes);
      while (this.list.childElementCount > MOST) {
        this.drop(this.list.lastElementChild);
        this.to--;
      }
    });
  }

  later() {
    for (let left = PAGE; left && this.to < this.until; left--) this.append(this.item(this.to));
    this.trimTop();
  }

  trimTop() {
    const extra = this.list.childElementCount - MOST;
    if (extra <= 0) return;
    this.keeping(this.list.children[extra], () => {
      for (let left = extra; left; left--) this.drop(this.list.firstElementChild);
      this.from += extra;
    });
  }

  // What is read stays where it is while the list above it changes.
  keeping(anchor, change) {
    const before = anchor.offsetTop;
    change();
    this.box.scrollTop += anchor.offsetTop - before;
  }

  drop(node) {
    this.nodes.delete(node.number);
    node.remove();
  }
}
