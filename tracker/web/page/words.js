// Numbers, emotions and outside words as every page of emotrack writes them.

export const NOBODY = "unknown speaker";
const STRENGTHS = [0.4, 0.55, 0.7, 0.85]; // confidence is drawn in five steps
const REASONS = [["speech", "voice"], ["text", "words"], ["context", "context"]];
const DOUBTS = {
  short: "very short",
  unclear: "hardly speech",
  no_words: "no words heard",
};
const REJECTED = {
  empty: "no words were recognised",
  no_speech: "the recogniser heard no speech",
  low_confidence: "the recogniser was not sure of the words",
  stock_phrase: "the words looked invented by the recogniser",
  repetition: "the recogniser repeated itself",
  too_fast: "too many words for the time",
  recogniser_failed: "the recogniser failed",
  skipped_to_catch_up: "recognition was skipped, to catch up",
};

export const byId = (id) => document.getElementById(id);
export const percent = (share) => `${Math.round(100 * share)}\u202f%`;
export const counted = (count, thing) => `${count.toLocaleString("en")} ${thing}${count === 1 ? "" : "s"}`;

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

// An element with properties; words in it are text, whatever they hold.
export function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export const hidden = (made) => (made.setAttribute("aria-hidden", "true"), made);
export const isolated = (words) => make("bdi", {}, words);

export function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

// -- emotions ---------------------------------------------------------------------------------------------------

const looks = new Map();
export const labels = () => [...looks.values()];

// Returns whether something is new.
export function learn(known) {
  const news = known.filter((look) => !looks.has(look.name));
  for (const look of news) looks.set(look.name, look);
  return news.length > 0;
}

const lookOf = (label) => looks.get(label) ?? { letter: "•", colour: "#a3a3a3", dark_letters: [] };

export function colour(element, label, confidence = 1) {
  const look = lookOf(label);
  const step = STRENGTHS.filter((least) => confidence >= least).length;
  element.style.setProperty("--c", look.colour);
  element.style.setProperty("--dark-letter", look.dark_letters[step] ?? "#fff");
  return step + 1;
}

export function chip(label, { uncertain = false, corrected = false } = {}) {
  const made = hidden(make("span", { className: `chip${uncertain ? " u" : ""}${corrected ? " k" : ""}` }, lookOf(label).letter));
  colour(made, label);
  return made;
}

export const letter = (label) => lookOf(label).letter;

// -- turns ------------------------------------------------------------------------------------------------------

export const nameOf = (turn) => turn.speaker ?? NOBODY;

// How pleasant and how aroused a turn sounds, what is in the middle left out; not where a person has corrected it.
export function affect({ valence, arousal, corrected }) {
  if (corrected) return "";
  const axes = [[valence ?? 0, "unpleasant", "pleasant"], [arousal ?? 0, "calm", "aroused"]];
  const told = axes.filter(([value]) => Math.abs(value) >= 0.1);
  return told.map(([value, less, more]) => `${value > 0 ? more : less} ${Math.abs(value).toFixed(1)}`).join(", ");
}

export function inWords(turn) {
  if (turn.corrected) return `${turn.emotion}, corrected by a person`;
  return [`${turn.emotion} ${percent(turn.confidence)}`, affect(turn), turn.uncertain && "uncertain"].filter(Boolean).join(", ");
}

export function silence(turn) {
  if (turn.modalities.includes("text")) return "Voice and words; the words are not shown.";
  const why = turn.text_rejected;
  return why ? `Voice only: ${REJECTED[why] ?? why.replaceAll("_", " ")}.` : "Voice only.";
}

export function remarks(turn) {
  const found = [];
  if (turn.truncated) found.push("cut short, or part of its audio was lost");
  if ((turn.overlap ?? 0) >= 0.2) found.push(`others speak in ${percent(turn.overlap)} of it`);
  if (!turn.corrected && DOUBTS[turn.doubt]) found.push(DOUBTS[turn.doubt]);
  return found.join("; ");
}

// How far each thing moved the probability of the emotion, as bars; null where nobody asked.
export function why(turn) {
  if (!turn.why) return null;
  const list = make("ul", { className: "why", ariaLabel: "Why" });
  for (const [key, name] of REASONS) {
    if (turn.why[key] === undefined) continue;
    const points = Math.round(100 * turn.why[key]);
    const sign = points > 0 ? "+" : points < 0 ? "\u2212" : "±";
    const line = make("li", { className: points < 0 ? "against" : "for" }, `${name} `, make("b", {}, `${sign}${Math.abs(points)}`));
    line.style.setProperty("--w", `${Math.min(50, Math.abs(50 * turn.why[key]))}%`);
    list.append(line);
  }
  return list;
}
