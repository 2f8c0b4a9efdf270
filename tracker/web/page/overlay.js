// For a stream: the latest turns on nothing, to be laid over a picture.

import { byId, chip, colour, isolated, make, nameOf, percent } from "./words.js";

const LATEST = 2;
const GONE_S = 30; // of stream time after which a turn is not shown any more

export class Overlay {
  constructor(conversation, shows) {
    this.conversation = conversation;
    this.shows = shows;
  }

  show(now_s, going) {
    const turns = this.conversation.items.slice(-40).filter((item) => item.turn_id && this.shows(item));
    const seen = [...turns, ...going.filter(this.shows)].filter((turn) => now_s - (turn.end_s ?? turn.at_s) < GONE_S).slice(-LATEST);
    const key = seen.map((turn) => `${turn.turn_id} ${turn.at_s} ${turn.emotion} ${turn.speaker}`).join();
    if (key === this.shown) return;
    this.shown = key;
    byId("captions").replaceChildren(...seen.map(caption));
  }

  mood(mood) {
    const [label, share] = Object.entries(mood)[0] ?? [];
    byId("overlay-mood").replaceChildren(...(label ? ["Mood ", chip(label), ` ${label} ${percent(share)}`] : []));
  }
}

function caption(turn) {
  const isGoing = turn.type === "provisional";
  const head = make("p", { className: "head" }, chip(turn.emotion, turn), " ", make("b", {}, isolated(isGoing ? turn.speaker ?? "…" : nameOf(turn))));
  head.append(` ${turn.emotion} ${percent(turn.confidence)}${turn.uncertain ? "?" : ""}${isGoing ? " so far" : ""}`);
  const made = make("li", { className: isGoing ? "going" : "" }, head);
  if (turn.text) made.append(make("p", { className: "text", dir: "auto" }, turn.text));
  colour(made, turn.emotion);
  return made;
}
