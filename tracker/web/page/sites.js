// Several sites: a tile for each, which leads to it.

import { byId, chip, counted, isolated, make, percent } from "./words.js";

export function linkTo(site) {
  const query = new URLSearchParams(location.search);
  if (site === null) query.delete("site");
  else query.set("site", site);
  return `?${query}${location.hash}`;
}

export function showTiles({ sites, notice }) {
  byId("tiles").replaceChildren(...sites.map(tile));
  if (!sites.length) byId("tiles").append(make("li", { className: "quiet" }, notice ?? "No site has said anything yet."));
}

function tile(site) {
  const link = make("a", { href: linkTo(site.site) }, isolated(site.site));
  const state = make("span", { className: `state${site.is_alarm ? " alarm" : ""}` }, site.doing);
  const made = make("li", { className: "card tile" }, make("h2", {}, link), state);
  if (site.emotion) {
    const what = make("p", { className: "what" }, chip(site.emotion, site), " ", make("b", {}, site.emotion));
    if (site.confidence !== undefined) what.append(` ${percent(site.confidence)}`);
    if (site.uncertain) what.append(" ", make("em", {}, "uncertain"));
    made.append(what);
  } else made.append(make("p", { className: "what quiet" }, "no turn yet"));
  const more = make("p", { className: "quiet" });
  if (site.mood) more.append("Mood ", chip(site.mood), ` ${site.mood}, `);
  more.append(counted(site.turns, "turn"));
  made.append(more);
  return made;
}
