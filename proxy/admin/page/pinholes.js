// The pinholes that wait for their connection, those that close first before the others.

import { Rows, make, row, say, table, toggle } from "./dom.js";
import { count, counted, duration } from "./format.js";

const columns = ["Closes in#", "Who may dial", "Dials", "Leads to", "Mode", "Service", "Session#"];
const most = 50; // that are shown

export class Pinholes {
  constructor(parent) {
    this.table = table("Open pinholes", columns);
    const body = make("tbody", { role: "rowgroup" });
    this.table.append(body);
    this.rows = new Rows(body, (p) => `${p.session} ${p.at} ${p.from} ${p.opened}`, createPinhole);
    this.note = make("p", { class: "note" });
    parent.append(make("div", { class: "scroll" }, this.table), this.note);
    this.shown = [];
  }

  show(pinholes) {
    const open = pinholes.filter((p) => !p.used).sort((a, b) => a.remaining - b.remaining);
    const used = pinholes.length - open.length;
    this.shown = open.slice(0, most);
    this.seen = performance.now();
    toggle(this.table, open.length > 0);
    say(this.note, notes(open.length, used));
    this.note.className = open.length > 0 ? "note" : "empty";
    toggle(this.note, this.note.textContent !== "");
    this.tick();
  }

  // tick lets time pass for what is shown. While the daemon does not answer, nobody knows, and it stands.
  tick() {
    if (document.body.classList.contains("old")) return;
    const passed = (performance.now() - this.seen) / 1000;
    this.rows.show(this.shown.map((p) => ({ ...p, left: Math.max(0, p.remaining - passed) })));
  }
}

function notes(open, used) {
  const sentences = [];
  if (open === 0) sentences.push("No open pinholes. One opens when a transfer is agreed, and closes by itself.");
  if (open > most) sentences.push(`${count(open - most)} more are open for longer.`);
  if (used > 0) sentences.push(`${counted(used, "pinhole")} in use: the connection has come, so nobody else can.`);
  return sentences.join(" ");
}

function createPinhole(p) {
  const { element, cells } = row(columns);
  const [left, from, at, to, mode, service, session] = cells;
  from.append(make("span", { class: "address" }, p.from));
  at.append(make("span", { class: "address" }, p.at));
  to.append(make("span", {}, make("span", { class: "address" }, p.to), p.relayed ? make("span", { class: "more" }, " relayed") : ""));
  mode.append(p.mode);
  service.append(p.service);
  session.append(String(p.session));
  return {
    element,
    update(p) {
      say(left, duration(Math.ceil(p.left)));
    },
  };
}
