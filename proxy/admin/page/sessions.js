// The sessions, the busiest first, and what each is doing.

import { Rows, brief, disclosure, make, row, say, table, toggle } from "./dom.js";
import { bytes, command, count, duration, rate } from "./format.js";
import { fill } from "./explanation.js";

const columns = ["Session#", "Client", "User", "Service", "Doing", "Rate#", "To client#", "To server#", "Idle#", "Age#", "Done#", "Failed#"];
const most = 200; // that are shown

export class Sessions {
  constructor(parent) {
    this.input = make("input", { type: "search", id: "filter", autocomplete: "off", spellcheck: "false", placeholder: "client, user or service" });
    this.input.addEventListener("input", () => this.render());
    this.note = make("p", { class: "note", role: "status" });
    this.table = table("Sessions", columns);
    this.rows = new Rows(this.table, (s) => s.id, createSession, this.table.tHead);
    this.empty = make("p", { class: "empty" });
    this.tools = make("div", { class: "tools" }, make("label", { for: "filter" }, "Filter"), this.input, this.note);
    parent.append(this.tools, make("div", { class: "scroll" }, this.table), this.empty);
    this.all = [];
  }

  show(sessions, services, now) {
    this.now = now;
    this.all = sessions.map((s) => ({ ...s, rate: s.transfers.reduce((sum, t) => sum + t.rate, 0) }));
    this.all.sort((a, b) => activity(b) - activity(a) || a.id - b.id);
    const listens = services.flatMap((s) => s.listen.map((at) => `${at} (${s.name})`));
    this.nobody = listens.length > 0 ? `No sessions. Clients connect to ${listens.join(", ")}.` : "No sessions.";
    this.render();
  }

  render() {
    const terms = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.all.filter((s) => {
      const text = `${s.client} ${s.user} ${s.service}`.toLowerCase();
      return terms.every((t) => text.includes(t));
    });
    const shown = found.slice(0, most);
    this.rows.show(shown.map((s) => ({ ...s, age: (this.now - new Date(s.began)) / 1000 })));
    say(this.note, notes(this.all.length, found.length, shown.length));
    toggle(this.tools, this.all.length > 0);
    toggle(this.table, shown.length > 0);
    toggle(this.empty, shown.length === 0);
    say(this.empty, this.all.length === 0 ? this.nobody : "No session matches the filter.");
  }
}

// activity orders sessions: those with moving transfers first, then those whose transfers wait, then by idleness. It is
// coarse, so that rows do not change places all the time.
function activity(s) {
  if (s.rate > 0) return 100 + Math.round(Math.log2(s.rate) / 2);
  if (s.transfers.length > 0) return 90;
  return -Math.round(Math.log2(s.idle + 1));
}

function notes(all, found, shown) {
  const matching = found < all ? `${count(found)} of ${count(all)} match` : "";
  const hidden = found > shown ? `the ${count(shown)} most active are shown, ${count(found - shown)} are not: use the filter` : "";
  return [matching, hidden].filter(Boolean).join("; ");
}

function createSession(s) {
  const { element, cells } = row(columns);
  const [id, client, user, service, doing, ...numbers] = cells;
  id.append(String(s.id));
  const backend = make("span", { class: "more" });
  client.append(make("span", { class: "stack" }, make("span", { class: "address" }, s.client), backend));
  const name = make("bdi", { class: "peer clamp" });
  user.append(name);
  service.append(s.service);
  const words = make("bdi", { class: "peer clamp" });
  const transfers = make("span", { class: "stack" });
  doing.append(words, transfers);
  const below = make("td", { role: "cell", colspan: columns.length, "data-label": "Explanation" });
  const running = new Rows(transfers, (t) => t.id, (t) => createTransfer(t, below));
  return {
    element: make("tbody", { role: "rowgroup" }, element, make("tr", { role: "row", class: "below" }, below)),
    update(s) {
      say(backend, s.backend ? `to ${s.backend}${protection[s.protection] ?? ""}` : "no backend yet");
      say(name, brief(s.user || "\u2013"));
      toggle(words, s.transfers.length === 0);
      say(words, brief(s.doing));
      running.show(s.transfers);
      [s.rate > 0 ? rate(s.rate) : "\u2013", bytes(s.bytes_to_client), bytes(s.bytes_to_server), duration(s.idle), duration(s.age),
        count(s.transfers_done), count(s.transfers_failed)].forEach((v, i) => say(numbers[i], v));
    },
  };
}

const protection = { clear: ", clear", tls: ", TLS", pass: ", TLS through" };
const arrows = { download: "\u2193", upload: "\u2191", listing: "\u2261" };

// createTransfer makes a line of what a session does. What explains it goes where there is room, below.
function createTransfer(t, below) {
  const said = make("bdi", { class: "peer path clamp" });
  const progress = make("span", { class: "more" });
  const { button, region } = disclosure("small", "Explain", "Hide", (region) => fill(region, t.id, "h3"));
  below.append(region);
  return {
    remove: () => region.remove(),
    element: make("span", { class: "transfer" }, make("span", { class: "arrow", title: t.direction, "aria-label": t.direction, role: "img" },
      arrows[t.direction] ?? "\u00b7"), make("span", { class: "stack" }, said, make("span", {}, progress, " ", button))),
    update(t) {
      say(said, brief(command(t)));
      const how = [t.mode, t.relayed ? "relayed" : ""].filter(Boolean).join(", ");
      say(progress, `${t.connected ? bytes(t.bytes) : "waits for its data connection"}${how ? `, ${how}` : ""}`);
    },
  };
}
