// The latest minutes as lanes, one a speaker, on a time axis that moves with the conversation.

import { byId, clock, colour, hidden, inWords, isolated, letter, make, nameOf } from "./words.js";

const MOST_LANES = 12;
const OTHERS = "others";
const STEPS_S = [5, 10, 15, 30, 60, 120];
const PER_S = () => (innerWidth < 700 ? 6 : innerWidth < 1700 ? 9 : 12); // pixels a second

export class Lanes {
  // `show` is called with the turn of a bar that is chosen, `shows` says which turns are wanted.
  constructor(conversation, show, shows) {
    this.conversation = conversation;
    this.show = show;
    this.shows = shows;
    this.box = byId("lanes");
    this.box.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.rebuild()).observe(this.box);
    this.rebuild();
  }

  rebuild() {
    this.now ??= 0; // stream time at the right end of the tracks
    this.perS = PER_S();
    this.base = null; // stream time at the left end of the tracks
    this.bars = []; // [{ turn, bar }] in order
    this.lanes = new Map();
    this.axis = make("div", { className: "track" });
    this.ticked = null;
    const row = make("div", { className: "lane-row" }, make("div"), make("div", { className: "axis" }, this.axis));
    this.box.replaceChildren(hidden(row));
    const { items } = this.conversation;
    const from = (this.conversation.latest?.end_s ?? 0) - this.span;
    for (const item of items.slice(-300)) if (item.turn_id && item.end_s > from) this.add(item);
    this.move(this.now);
    this.goingOn(this.looks ?? []);
  }

  get span() {
    return Math.max(20, (this.box.clientWidth - 110) / this.perS);
  }

  lane(name) {
    const key = this.lanes.has(name) || this.lanes.size < MOST_LANES ? name : OTHERS;
    if (!this.lanes.has(key)) {
      const track = make("div", { className: "track" });
      const row = make("div", { className: "lane-row" }, hidden(make("div", { className: "name" }, isolated(key))));
      row.append(make("div", { className: "lane" }, track));
      row.lastElementChild.setAttribute("role", "group");
      row.lastElementChild.setAttribute("aria-label", key);
      this.box.lastElementChild.before(row);
      this.lanes.set(key, { row, track });
    }
    return this.lanes.get(key).track;
  }

  left(at_s) {
    return `${(at_s - this.base) * this.perS}px`;
  }

  add(turn) {
    if (!this.shows(turn)) return;
    this.base ??= turn.start_s;
    const bar = make("button", { type: "button", tabIndex: -1 });
    bar.addEventListener("click", () => this.show(turn));
    this.bars.push({ turn, bar });
    this.fill(bar, turn);
    if (this.reachable) this.reachable.tabIndex = -1;
    bar.tabIndex = 0;
    this.reachable = bar;
  }

  fill(bar, turn) {
    const step = colour(bar, turn.emotion, turn.corrected ? 1 : turn.confidence);
    bar.className = `bar o${step}${turn.uncertain ? " u" : ""}${turn.corrected ? " k" : ""}`;
    bar.textContent = letter(turn.emotion);
    bar.ariaLabel = bar.title = `${nameOf(turn)} at ${clock(turn.start_s)}: ${inWords(turn)}`;
    bar.style.left = this.left(turn.start_s);
    bar.style.width = `${(turn.end_s - turn.start_s) * this.perS}px`;
    const lane = this.lane(nameOf(turn));
    if (bar.parentElement !== lane) lane.append(bar);
  }

  update({ cleared, added, changed }) {
    if (cleared || added.length > 100) {
      this.now = this.conversation.latest?.end_s ?? 0;
      this.rebuild();
      return;
    }
    this.move(Math.max(this.now, this.conversation.latest?.end_s ?? 0));
    for (const item of added) if (item.turn_id) this.add(item);
    const wanted = new Set(changed);
    if (wanted.size) {
      for (const { turn, bar } of this.bars) if (wanted.has(turn)) this.rename(bar.parentElement, nameOf(turn));
      for (const { turn, bar } of this.bars) {
        if (!wanted.has(turn)) continue;
        if (this.shows(turn)) this.fill(bar, turn);
        else bar.remove();
      }
    }
    for (const [name, { row, track }] of this.lanes) {
      if (changed.length && !track.querySelector(".bar:not(.going)")) this.forget(name, row);
    }
  }

  // A lane of which every turn has a new name has that name, where it is.
  rename(track, name) {
    if (this.lanes.has(name)) return;
    const [old, lane] = [...this.lanes].find(([, lane]) => lane.track === track) ?? [];
    if (!lane || old === OTHERS) return;
    if (this.bars.some(({ turn, bar }) => bar.parentElement === track && nameOf(turn) !== name)) return;
    this.lanes.delete(old);
    this.lanes.set(name, lane);
    lane.row.firstElementChild.replaceChildren(isolated(name));
    lane.row.lastElementChild.setAttribute("aria-label", name);
  }

  forget(name, row) {
    row.remove();
    this.lanes.delete(name);
  }

  // Turns that go on, as far as they are heard.
  goingOn(looks) {
    this.looks = looks;
    this.box.querySelectorAll(".going").forEach((ghost) => ghost.remove());
    for (const look of looks) {
      const lane = this.lanes.get(nameOf(look));
      if (!lane || this.base === null) continue;
      const ghost = hidden(make("i", { className: "bar going" }, letter(look.emotion)));
      colour(ghost, look.emotion);
      ghost.style.left = this.left(look.start_s);
      ghost.style.width = `${(look.at_s - look.start_s) * this.perS}px`;
      lane.track.append(ghost);
    }
  }

  // Let the tracks end at this stream time.
  move(now_s) {
    this.now = now_s;
    if (this.base === null) return;
    const from = Math.max(0, now_s - this.span);
    const shift = `translateX(${(this.base - from) * this.perS}px)`;
    for (const { track } of this.lanes.values()) track.style.transform = shift;
    this.axis.style.transform = shift;
    while (this.bars.length && this.bars[0].turn.end_s < from - 5) this.bars.shift().bar.remove();
    this.tick(from, now_s);
  }

  tick(from, to) {
    const step = STEPS_S.find((seconds) => seconds * this.perS >= 60) ?? STEPS_S.at(-1);
    const last = Math.floor(to / step);
    if (this.ticked === last) return;
    this.ticked = last;
    const ticks = [];
    for (let at = Math.ceil(Math.max(0, from) / step); at <= last; at++) {
      const tick = make("span", {}, clock(at * step));
      tick.style.left = this.left(at * step);
      ticks.push(tick);
    }
    this.axis.replaceChildren(...ticks);
  }

  key(event) {
    const at = this.bars.findIndex(({ bar }) => bar === event.target);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: this.bars.length - 1 }[event.key];
    if (at < 0 || to === undefined || !this.bars[to]) return;
    event.preventDefault();
    this.reachable.tabIndex = -1;
    this.reachable = this.bars[to].bar;
    this.reachable.tabIndex = 0;
    this.reachable.focus();
  }
}
