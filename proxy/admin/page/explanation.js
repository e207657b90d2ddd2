// All that is known of one transfer: evidence, pinholes and what was said.

import { make, peer } from "./dom.js";
import { bytes, command, moment } from "./format.js";
import { ask } from "./ask.js";

// fill gets an explanation and puts it into an element, with headings of a level. The daemon may have forgotten it.
export async function fill(element, id, level) {
  try {
    const e = await ask("explain/" + encodeURIComponent(id));
    element.replaceChildren(...explanation(e, level));
  } catch (err) {
    element.replaceChildren(make("p", {}, `No explanation: ${err.message}.`));
  }
}

function explanation(e, level) {
  const parts = [];
  const part = (title, ...children) => make("div", { class: "part" }, make(level, {}, title), ...children);
  if (e.pending) {
    parts.push(part("If it failed now", make("p", {}, e.sentence ? `${e.cause}: ${e.sentence}` : "Nothing speaks against it yet."),
      e.advice ? make("p", {}, e.advice) : ""));
  }
  parts.push(part("Transfer", facts(e)));
  if (e.evidence.length > 0) parts.push(part("What was seen", make("ul", {}, ...e.evidence.map((s) => make("li", {}, peer(s))))));
  if (e.pinholes.length > 0) parts.push(part("Pinholes of the session", make("ul", {}, ...e.pinholes.map(fate))));
  if (e.lines.length > 0) parts.push(part("What was said", dialogue(e)));
  return parts;
}

function facts(e) {
  const list = make("dl", {});
  for (const [name, value, style] of [
    ["Command", command(e), "wide"], ["Last reply", e.reply, "wide"], ["User", e.user, "wide"], ["Id", e.id], ["Client", e.client],
    ["Backend", e.backend], ["Mode", e.mode], ["Direction", e.direction], ["Bytes", bytes(e.bytes)],
  ]) {
    if (value !== "") list.append(make("div", { class: style }, make("dt", {}, name), make("dd", {}, peer(value))));
  }
  return list;
}

function fate(p) {
  return make("li", {}, make("strong", {}, p.fate), ` ${p.mode} for ${p.from} to dial ${p.at}, to ${p.to}`);
}

// dialogue shows lines with the time that each came before or after the failure, and what the gateway made of them.
function dialogue(e) {
  const end = new Date(e.time);
  const who = { client: "client", server: "server", gateway: "gateway" };
  const lines = e.lines.map((l) => {
    const at = new Date(l.time);
    const offset = ((at - end) / 1000).toFixed(3).replace("-", "\u2212");
    const item = make("li", { class: who[l.from] ?? "" },
      make("time", { datetime: l.time, title: moment(at, end) }, `${offset} s`), make("span", { class: "who" }, l.from), peer(l.text));
    if (l.sent !== "") item.append(make("span", { class: "sent" }, "\u2192 passed on as"), peer(l.sent, "passed"));
    return item;
  });
  return make("ol", { class: "dialogue" }, ...lines);
}
