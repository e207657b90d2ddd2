// The transfers that failed: what happened and what to do, and on demand all that is known.

import { ask } from "./ask.js";
import { Rows, brief, disclosure, make, peer, say, toggle } from "./dom.js";
import { about, command, count, moment } from "./format.js";
import { fill } from "./explanation.js";

const step = 10; // how many are shown, and how many more each time
const pause = 10000; // ms between questions while nothing seems to have failed

export class Failures {
  constructor(parent) {
    this.all = [];
    this.cause = ""; // of those that are shown; "": any
    this.most = step;
    this.causes = make("div", { class: "choices", role: "group", "aria-label": "Show only one cause" });
    this.list = make("div", { class: "failures" });
    this.rows = new Rows(this.list, (f) => f.id + f.time, createFailure);
    this.choices = new Rows(this.causes, (c) => c.cause, (c) => this.createChoice(c));
    this.more = make("button", { type: "button" });
    this.more.addEventListener("click", () => { this.most += 5 * step; this.show(this.now); });
    this.empty = make("p", { class: "empty" }, "No failed transfers are known.");
    parent.append(this.causes, this.list, this.more, this.empty);
  }

  // refresh asks again if the numbers say that something has failed, and now and then.
  async refresh(status) {
    const failed = status.failures + status.services.reduce((sum, s) => sum + s.transfers_failed, 0);
    if (failed === this.failed && performance.now() - this.asked < pause) return;
    this.all = await ask("failures");
    this.failed = failed;
    this.asked = performance.now();
  }

  show(now) {
    this.now = now;
    const counts = new Map();
    for (const f of this.all) counts.set(f.cause, (counts.get(f.cause) ?? 0) + 1);
    if (!counts.has(this.cause)) this.cause = "";
    const choices = [...counts].map(([cause, n]) => ({ cause, n })).sort((a, b) => b.n - a.n || (a.cause < b.cause ? -1 : 1));
    this.choices.show([{ cause: "", n: this.all.length }, ...choices]);
    toggle(this.causes, counts.size > 1);
    const chosen = this.all.filter((f) => this.cause === "" || f.cause === this.cause);
    this.rows.show(chosen.slice(0, this.most).map((f) => ({ ...f, now })));
    toggle(this.more, chosen.length > this.most);
    say(this.more, `Show more of ${count(chosen.length)}`);
    toggle(this.empty, this.all.length === 0);
  }

  createChoice({ cause }) {
    const n = make("span", { class: "count" });
    const element = make("button", { type: "button" }, cause || "all", n);
    element.addEventListener("click", () => { this.cause = cause; this.most = step; this.show(this.now); });
    return {
      element,
      update: (c) => {
        say(n, count(c.n));
        element.setAttribute("aria-pressed", String(this.cause === cause));
      },
    };
  }
}

function createFailure(f) {
  const { button, region } = disclosure("", "Details", "Hide details", (region) => fill(region, f.id, "h4"));
  const time = make("time", { datetime: f.time });
  const facts = make("p", { class: "facts" }, peer(brief(command(f)), "path clamp"),
    make("span", { class: "who" }, peer(brief(f.user || "nobody logged in")), " from ", make("span", { class: "address" }, f.client), ` by ${f.service}`));
  const element = make("article", {},
    make("h3", {}, make("span", { class: "cause" }, f.cause), " ", peer(f.sentence)),
    make("p", { class: "when" }, time), facts, make("p", { class: "advice" }, peer(f.advice)), button, region);
  return {
    element,
    update(f) {
      const at = new Date(f.time);
      say(time, `${moment(at, f.now)}, ${about((f.now - at) / 1000)} ago`);
    },
  };
}
