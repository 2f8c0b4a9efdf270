// The page: what the tracker tells, in its places, and what a person wishes.
//
// ?site=NAME, where there are several · ?view=overlay for a stream · ?speaker=NAME shows theirs alone
// ?theme=light or dark · #TOKEN, where the page is not for its own computer alone

import { Connection } from "./connection.js";
import { Conversation } from "./conversation.js";
import { Lanes } from "./lanes.js";
import { Microphone } from "./microphone.js";
import { Overlay } from "./overlay.js";
import { Panels } from "./panels.js";
import { linkTo, showTiles } from "./sites.js";
import { Transcript } from "./transcript.js";
import { byId, chip, counted, inWords, labels, learn, make, nameOf, say } from "./words.js";

const FEW = 20; // turns that are drawn at once
const LATER_MS = 150;
const MESSAGE_MS = 8000;
const MOST_HIDDEN_MS = 5000; // then a site that has said nothing is shown as it is

const query = new URLSearchParams(location.search);
const isOverlay = query.get("view") === "overlay";
const speaker = query.get("speaker");
const shows = (turn) => speaker === null || turn.speaker === speaker;
if (["light", "dark"].includes(query.get("theme"))) document.documentElement.dataset.theme = query.get("theme");
if (isOverlay) document.body.dataset.view = "overlay";
byId("overlay").hidden = !isOverlay;
byId("all-sites").href = linkTo(null);

const conversation = new Conversation();
const transcript = new Transcript(conversation, askToCorrect, shows);
const lanes = new Lanes(conversation, (turn) => transcript.show(turn), shows);
const panels = new Panels(conversation, askForName);
const overlay = new Overlay(conversation, shows);
const microphone = new Microphone();
let paused = false;
let isUpToDate = false;
let entered = null; // the welcome, until there is what to show: no button moves under a finger as the page fills
let message;

const connection = new Connection(query.get("site"), {
  state(state, why, forGood) {
    const isOpen = state === "open";
    document.body.classList.toggle("away", !isOpen);
    byId("buttons").inert = !isOpen;
    if (forGood) does("not let in", "alarm");
    else if (conversation.hasEnded) does("■ ended");
    else if (isOpen) does("connecting"); // until figures come
    else does("! reconnecting", "alarm");
    if (why) tell(`The connection ended: ${why}.`, forGood);
  },
  welcome(welcome) {
    entered = welcome;
    setTimeout(enter, MOST_HIDDEN_MS);
    isUpToDate = false;
    if (!welcome.goes_on) take([], true);
  },
  events({ events }) {
    take(events, false);
    if (conversation.hasEnded) microphone.sessionEnded();
    if (isUpToDate) requestAnimationFrame(() => setTimeout(measure, 0, events.at(-1)));
    isUpToDate = true; // what comes first was before
  },
  passing({ event }) {
    conversation.under.set(event.channel, event);
    moment();
  },
  figures(figures) {
    enter();
    if (learn(figures.labels)) {
      showLegend();
      take([], false, true);
    }
    paused = figures.paused;
    say(byId("pause-word"), paused ? "Resume" : "Pause");
    byId("pause").ariaPressed = String(paused);
    panels.show(figures);
    lanes.move(Math.max(figures.stream_s, conversation.latest?.end_s ?? 0));
    overlay.mood(figures.mood);
    moment();
    document.title = `${figures.site === "default" ? figures.source ?? "emotrack" : figures.site} · ${figures.doing}`;
  },
  sites(list) {
    learn(list.labels);
    byId("all-sites").hidden = connection.site === null;
    if (connection.site !== null) return;
    enter();
    does(counted(list.sites.length, "site"));
    say(byId("alarm"), list.notice ?? "");
    byId("alarm").hidden = !list.notice;
    showTiles(list);
  },
  lost: ({ events }) => tell(`${events} events were missed: this page read too slowly, or came too late for them.`),
  refused: ({ why }) => tell(`That was not done: ${why}.`),
});

// What is done, in the header.
function does(words, look = "") {
  say(byId("doing"), words);
  byId("doing").className = `state ${look}`;
}

// Show what there is for this viewer.
function enter() {
  if (entered === null) return;
  const { site, may, microphone: hasMicrophone } = entered;
  entered = null;
  byId("sites").hidden = site !== undefined || isOverlay;
  byId("one-site").hidden = site === undefined || isOverlay;
  for (const deed of ["mark", "pause", "stop"]) byId(deed).hidden = !may.includes(deed);
  transcript.mayCorrect = may.includes("correct");
  panels.mayRename = may.includes("rename");
  byId("microphone").hidden = !hasMicrophone;
}

// -- what comes -------------------------------------------------------------------------------------------------

let due = nothing(); // what is not drawn yet
let drawing;

function nothing() {
  return { cleared: false, added: [], changed: new Set() };
}

// Take in events, and draw them at once; where many come one after the other, only now and then.
function take(events, begins, anew = false) {
  if (begins) conversation.clear(null);
  if (begins || anew) due = { ...nothing(), cleared: true };
  for (const event of events) {
    const { cleared, added, changed } = conversation.apply(event);
    if (cleared) due = { ...nothing(), cleared: true };
    if (added) due.added.push(added);
    changed.forEach((turn) => due.changed.add(turn));
  }
  if (due.added.length <= FEW) draw();
  else drawing ??= setTimeout(draw, LATER_MS);
}

function draw() {
  clearTimeout(drawing);
  drawing = undefined;
  const change = { ...due, changed: [...due.changed] };
  due = nothing();
  if (!isOverlay) {
    transcript.update(change);
    lanes.update(change);
  }
  moment();
}

// What holds for a moment: the turn that goes on.
function moment() {
  const going = panels.now();
  if (isOverlay) overlay.show(panels.figures?.stream_s ?? 0, going);
  else lanes.goingOn(going);
}

// After the frame in which the event was drawn: how long it took to get here, where both clocks are one.
function measure(event) {
  const ms = performance.timeOrigin + performance.now() - Date.parse(event.time);
  if (ms < 0 || ms > 10_000) return;
  panels.toHere = ms;
  document.body.dataset.toHereMs = ms.toFixed(1);
}

function showLegend() {
  byId("legend").replaceChildren(...labels().map(({ name }) => make("li", {}, chip(name), ` ${name}`)));
}

function tell(words, stays = false) {
  clearTimeout(message);
  say(byId("message"), words);
  byId("message").hidden = false;
  if (!stays) message = setTimeout(() => (byId("message").hidden = true), MESSAGE_MS);
}

// -- what a person wishes ---------------------------------------------------------------------------------------

function wish(type, more) {
  byId("message").hidden = true; // of what was not done before
  connection.wish(type, more);
}

byId("mark").addEventListener("click", () => wish("mark"));
byId("pause").addEventListener("click", () => wish("pause", { paused: !paused }));
byId("stop").addEventListener("click", () => ask("sure", () => wish("stop")));

function askForName(name) {
  say(byId("old-name"), name);
  byId("new-name").value = "";
  ask("rename", () => wish("rename", { speaker: name, name: byId("new-name").value }));
}

function askToCorrect(turn) {
  say(byId("correct-words"), `${nameOf(turn)}: ${turn.text ?? "…"} (${inWords(turn)})`);
  byId("correct-labels").replaceChildren(
    ...labels().map(({ name }) => make("button", { type: "submit", value: name }, chip(name), ` ${name}`)),
  );
  ask("correct", (emotion) => wish("correct", { turn_id: turn.turn_id, emotion }));
}

function ask(id, then) {
  const dialog = byId(id);
  dialog.returnValue = "";
  dialog.addEventListener("close", () => dialog.returnValue && then(dialog.returnValue), { once: true });
  dialog.showModal();
}
