// The figures beside the conversation: who speaks now and how it sounds, the mood, the speakers, the session.

import { affect, byId, chip, clock, colour, counted, isolated, labels, make, nameOf, percent, say } from "./words.js";

const QUIETEST = -60; // dBFS at the left end of a meter
const MOST_BARS = 8;

export class Panels {
  // `rename` is called with the name of a speaker as events have it.
  constructor(conversation, rename) {
    this.conversation = conversation;
    this.rename = rename;
    this.mayRename = false;
    this.figures = null;
  }

  show(figures) {
    this.figures = figures;
    const doing = byId("doing");
    say(doing, figures.doing);
    doing.className = `state ${figures.is_alarm ? "alarm" : figures.speaking.some(Boolean) ? "speaking" : ""}`;
    say(byId("clock"), clock(figures.stream_s));
    say(byId("site"), figures.site === "default" ? figures.source ?? "" : figures.site);
    say(byId("told"), figures.told ? "was told" : "should know");
    say(byId("kept"), figures.kept);
    const unsure = figures.uncertain ? `, ${figures.uncertain} uncertain` : "";
    say(byId("totals"), figures.turns ? `${counted(figures.turns, "turn")}${unsure}` : "");
    this.alarm(figures);
    this.levels(figures);
    this.mood(figures);
    this.speakers(figures);
    this.facts(figures);
    this.now();
  }

  alarm({ source_lost, left_out, notice }) {
    const words = [];
    if (source_lost) words.push(`Source lost: ${source_lost}. Trying to reopen it.`);
    if (left_out !== "nothing") words.push(`The models cannot keep up: ${left_out.replaceAll("_", " ")} left out.`);
    if (notice) words.push(notice);
    say(byId("alarm"), words.join(" "));
    byId("alarm").hidden = !words.length;
  }

  levels({ levels_dbfs, speaking }) {
    const box = byId("levels");
    while (box.childElementCount > levels_dbfs.length) box.lastElementChild.remove();
    while (box.childElementCount < levels_dbfs.length) {
      box.append(make("p", { className: "level" }, make("span"), make("span", { className: "meter" }, make("i")), make("span", { className: "quiet" })));
    }
    levels_dbfs.forEach((level, at) => {
      const [name, meter, words] = box.children[at].children;
      say(name, levels_dbfs.length === 1 ? "Level" : `Channel ${at + 1}`);
      meter.firstElementChild.style.transform = `scaleX(${Math.min(1, Math.max(0, 1 - level / QUIETEST))})`;
      box.children[at].classList.toggle("speaking", speaking[at] ?? false);
      say(words, level <= -120 ? "silent" : `${level} dBFS${speaking[at] ? ", speech" : ""}`);
    });
  }

  // The turn that goes on, else the newest one.
  now() {
    const figures = this.figures;
    const going = figures && (figures.thinking || figures.speaking.some(Boolean));
    const looks = going ? [...this.conversation.under.values()] : [];
    const turn = looks.at(-1) ?? this.conversation.latest;
    const key = turn ? `${turn.type} ${turn.turn_id} ${turn.revision} ${turn.at_s} ${turn.speaker} ${turn.emotion} ${turn.corrected}` : "";
    if (key === this.shownNow) return looks;
    this.shownNow = key;
    if (!turn) {
      byId("now-turn").replaceChildren(make("p", { className: "quiet" }, "Nobody has spoken yet."));
      return looks;
    }
    const isGoing = turn.type === "provisional";
    const how = isGoing ? "so far" : turn.corrected ? "corrected by a person" : turn.uncertain ? "uncertain" : "";
    const who = make("p", { className: "who" }, make("b", {}, isolated(turn.speaker ?? (isGoing ? "somebody" : nameOf(turn)))), ` ${isGoing ? "is speaking" : `at ${clock(turn.start_s)}`}`);
    const what = make("p", { className: "what" }, chip(turn.emotion, turn), " ", make("b", {}, turn.emotion), ` ${percent(turn.confidence)} `, make("em", {}, how));
    const sounds = make("p", { className: "sounds quiet" }, affect(turn)); // as high where there is nothing to say
    const bars = make("ul", { className: "bars" });
    fillBars(bars, turn.probabilities);
    byId("now-turn").replaceChildren(who, what, sounds, bars);
    return looks;
  }

  mood({ mood }) {
    const key = JSON.stringify(mood);
    if (key === this.shownMood) return;
    this.shownMood = key;
    const shares = Object.entries(mood); // the largest first
    const parts = labels().filter(({ name }) => mood[name]).map(({ name, letter }) => {
      const part = make("i", {}, mood[name] > 0.07 ? letter : "");
      part.style.width = percent(mood[name]).replace("\u202f", "");
      colour(part, name);
      return part;
    });
    byId("mood-stack").replaceChildren(...parts);
    byId("mood-words").replaceChildren(...shares.slice(0, 4).map(([name, share]) => make("span", {}, chip(name), ` ${name} ${percent(share)}`)));
    if (!shares.length) byId("mood-words").append("Too little of the latest is certain for a mood.");
  }

  speakers({ speakers }) {
    const key = JSON.stringify([speakers, this.mayRename]);
    if (key === this.shownSpeakers) return;
    this.shownSpeakers = key;
    byId("speakers").replaceChildren(...speakers.map((speaker) => this.speaker(speaker)));
  }

  speaker({ name, speaker, turns, emotions }) {
    const stack = make("span", { className: "stack", ariaHidden: "true" });
    const parts = make("span", { className: "parts" });
    for (const [label, count] of Object.entries(emotions)) {
      const part = make("i");
      part.style.width = `${(100 * count) / turns}%`;
      colour(part, label);
      stack.append(part);
      if (parts.childElementCount < 6) parts.append(make("span", {}, chip(label), ` ${label} ${count}`));
    }
    const head = make("span", { className: "title" }, make("b", {}, isolated(name ?? "unknown speaker")), make("span", { className: "quiet" }, counted(turns, "turn")));
    if (this.mayRename && speaker) {
      const button = make("button", { type: "button", ariaLabel: `Name ${name}` }, "name");
      button.addEventListener("click", () => this.rename(speaker));
      head.append(button);
    }
    return make("li", {}, head, stack, parts);
  }

  facts(figures) {
    const dropped = [
      [figures.dropped_frames, "audio block"],
      [figures.dropped_turns, "turn"],
    ].filter(([count]) => count).map(([count, thing]) => counted(count, thing));
    if (figures.text_skipped) dropped.push(`the words of ${counted(figures.text_skipped, "turn")}`);
    const ms = (value) => `${Math.round(value)} ms`;
    const rows = [
      ["Latency", figures.p50_ms === undefined ? "no turn yet" : `p50 ${ms(figures.p50_ms)}, p95 ${ms(figures.p95_ms)}`],
      ["To here", this.toHere === undefined ? "not known" : `${ms(this.toHere)} more to this screen`],
      ["Dropped", dropped.join(", ") || "nothing"],
      ["In work", counted(figures.thinking, "turn")],
      ["Marked", counted(figures.marks, "moment")],
      ["Source", figures.source ?? "not open yet"],
      ["Words", figures.recogniser ?? "none, voice only"],
      ["Network", figures.bundle ?? "not loaded yet"],
    ];
    say(byId("brief"), [rows[0][1], `dropped ${rows[2][1]}`].join(" · "));
    const list = byId("facts");
    if (!list.childElementCount) list.append(...rows.map(([name]) => make("div", {}, make("dt", {}, name), make("dd"))));
    rows.forEach(([, value], at) => say(list.children[at].lastElementChild, value));
  }
}

// The shares of emotions in the order in which the bundle has them.
function fillBars(list, shares) {
  const names = labels().map(({ name }) => name).filter((name) => name in shares);
  const most = names.sort((a, b) => shares[b] - shares[a]).slice(0, MOST_BARS);
  const wanted = labels().map(({ name }) => name).filter((name) => most.includes(name));
  list.replaceChildren(
    ...wanted.map((name) => {
      const fill = make("i");
      colour(fill, name);
      fill.style.transform = `scaleX(${shares[name]})`;
      return make("li", {}, chip(name), make("span", {}, name), make("span", { className: "meter", ariaHidden: "true" }, fill), make("span", { className: "quiet" }, percent(shares[name])));
    }),
  );
}
