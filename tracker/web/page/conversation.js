// What is known of the conversation: its turns and what happened between them, as the events have it. Bounded.

const MOST = 25_000; // turns and notes; of more the oldest go
const GO = 1_000;

export class Conversation {
  constructor() {
    this.clear(null);
  }

  clear(session) {
    this.session = session;
    this.hasEnded = false;
    this.items = []; // in the order in which they came
    this.gone = 0; // items that were dropped, so that an item's number stays
    this.turns = new Map(); // by turn_id
    this.corrections = new Map();
    // What goes on, by channel: it may come before the session that it is of.
    this.under = new Map([...(this.under ?? [])].filter(([, look]) => look.session === session));
  }

  // Take in an event; returns what it changed: { cleared, added, changed: [turns] }.
  apply(event) {
    const change = { cleared: false, added: null, changed: [] };
    if (event.session !== this.session) {
      this.clear(event.session);
      change.cleared = true;
    }
    switch (event.type) {
      case "turn":
        this.turn(event, change);
        break;
      case "correction":
        this.corrections.set(event.turn_id, event.emotion);
        this.revise(event.turn_id, {}, change);
        break;
      case "speaker_renamed":
        this.rename(event.speaker, event.name, "is called", change);
        break;
      case "speakers_merged":
        this.rename(event.speaker, event.into, "proved to be", change);
        break;
      case "mark":
        this.note(event.at_s, "★", "mark", "A person marked this moment", change);
        break;
      case "source_lost":
        this.note(event.at_s, "\u00d7", "lost", `The audio broke off: ${event.reason}`, change);
        break;
      case "source_restored":
        this.note(event.at_s, "+", "back", `The audio came back; ${event.seconds_lost.toFixed(1)} s were lost`, change);
        break;
      case "overload": {
        const out = event.left_out.replaceAll("_", " ");
        const words = out === "nothing" ? "The models keep up again" : `The models cannot keep up: ${out} left out`;
        this.note(event.at_s, "!", "lost", words, change);
        break;
      }
      case "session_ended":
        this.hasEnded = true;
        this.note(event.seconds, "■", "end", `The session ended: ${event.reason.replaceAll("_", " ")}`, change);
        break;
    }
    return change;
  }

  get latest() {
    for (let at = this.items.length - 1; at >= 0; at--) if (this.items[at].turn_id) return this.items[at];
    return null;
  }

  turn(event, change) {
    const known = this.turns.get(event.turn_id);
    if (known) {
      if (event.revision >= known.revision) this.revise(event.turn_id, event, change);
      return;
    }
    const turn = this.corrected({ ...event, estimate: event.emotion });
    this.turns.set(turn.turn_id, turn);
    this.add(turn, change);
    for (const [channel, look] of this.under) {
      if (look.at_s <= turn.end_s) this.under.delete(channel);
    }
  }

  revise(turnId, changes, change) {
    const turn = this.turns.get(turnId);
    if (!turn) return;
    Object.assign(turn, changes, changes.emotion ? { estimate: changes.emotion } : {});
    change.changed.push(this.corrected(turn));
  }

  corrected(turn) {
    const said = this.corrections.get(turn.turn_id);
    return said ? Object.assign(turn, { emotion: said, corrected: true, uncertain: false }) : turn;
  }

  rename(from, to, how, change) {
    for (const turn of this.turns.values()) {
      if (turn.speaker === from) {
        turn.speaker = to;
        change.changed.push(turn);
      }
    }
    for (const look of this.under.values()) if (look.speaker === from) look.speaker = to;
    this.note(this.latest?.end_s ?? 0, "→", "name", `${from} ${how} ${to}`, change);
  }

  note(at_s, sign, kind, words, change) {
    this.add({ at_s, sign, kind, words }, change);
  }

  add(item, change) {
    item.number = this.gone + this.items.length;
    this.items.push(item);
    change.added = item;
    if (this.items.length > MOST) {
      for (const old of this.items.splice(0, GO)) this.turns.delete(old.turn_id);
      this.gone += GO;
    }
  }
}
