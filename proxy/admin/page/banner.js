// Whether the daemon is well, and what is wrong: one word in the header, reasons below it.

import { make, say } from "./dom.js";
import { counted, moment } from "./format.js";
import { Refused } from "./ask.js";

export class Banner {
  constructor(word, box) {
    this.word = word;
    this.box = box;
    this.text = "";
    this.last = null; // when the daemon last answered, by the browser's clock
  }

  answer(status) {
    this.last = new Date();
    const down = status.services.flatMap((s) => s.backends.filter((b) => !b.up).map((b) => `${b.address} of ${s.name}`));
    if (status.draining) {
      this.set("warn", "Draining", `${counted(status.sessions, "session")} left.`, status.not_ready);
    } else if (!status.ready) {
      this.set("bad", "Not ready", "Clients may not get through.", status.not_ready);
    } else if (down.length > 0) {
      this.set("warn", "Ready", `The last connection to ${down.length === 1 ? "a backend" : "backends"} failed:`, down);
    } else {
      this.set("good", "Ready", "", []);
    }
  }

  noAnswer(err) {
    const why = err instanceof Refused ? `The daemon refuses: ${err.message}.` : "The daemon does not answer.";
    const since = this.last ? `What is below is from ${moment(this.last, new Date())}.` : "It has not answered yet.";
    this.set("bad", "No answer", `${why} ${since} This page goes on asking.`, []);
  }

  // set changes the banner only if it says something new: it is read aloud then.
  set(kind, word, sentence, reasons) {
    document.title = `ftpgate: ${word.toLowerCase()}`;
    say(this.word, word);
    this.word.className = kind;
    const text = [kind, sentence, ...reasons].join("\n");
    if (text === this.text) return;
    this.text = text;
    this.box.className = kind;
    this.box.replaceChildren();
    if (sentence) this.box.append(make("p", {}, sentence));
    if (reasons.length > 0) this.box.append(make("ul", {}, ...reasons.map((r) => make("li", {}, r))));
  }
}
