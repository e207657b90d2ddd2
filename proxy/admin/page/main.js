// The page asks the daemon for what there is, every two seconds, and shows it.

import { ask } from "./ask.js";
import { make, say } from "./dom.js";
import { about, count, moment, rate } from "./format.js";
import { Banner } from "./banner.js";
import { Chart } from "./chart.js";
import { Services } from "./services.js";
import { Failures } from "./failures.js";
import { Pinholes } from "./pinholes.js";
import { Sessions } from "./sessions.js";

const interval = 2000; // ms between questions
const content = (id) => document.querySelector(`#${id} .content`);

const banner = new Banner(document.getElementById("state"), document.getElementById("banner"));
const chart = new Chart(document.getElementById("chart"));
const services = new Services(content("services"));
const failures = new Failures(content("failures"));
const pinholes = new Pinholes(content("pinholes"));
const sessions = new Sessions(content("sessions"));

let timer; // of the next question
let asking = false;

async function poll() {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  const began = performance.now();
  try {
    await refresh();
  } catch (err) {
    banner.noAnswer(err);
    document.body.classList.add("old");
  }
  asking = false;
  // A daemon or a browser that needs long for all its sessions is asked less often.
  if (!document.hidden) timer = setTimeout(poll, Math.max(interval, 4 * (performance.now() - began)));
}

async function refresh() {
  const [status, all, holes, samples] = await Promise.all(["status", "sessions", "pinholes", "throughput"].map(ask));
  await failures.refresh(status);
  const now = new Date(status.now); // the daemon's clock, which its times are by
  banner.answer(status);
  document.body.classList.remove("old");
  summarize(status, samples.at(-1));
  describe(status, now);
  chart.show(samples, now);
  services.show(status.services);
  failures.show(now);
  pinholes.show(holes);
  sessions.show(all, status.services, now);
}

// tiles are the numbers at the top. Each leads to the part that has more.
const tiles = new Map();

function tile(name, href, value, detail = "") {
  let t = tiles.get(name);
  if (!t) {
    t = { value: make("span", { class: "value" }), detail: make("span", { class: "detail" }) };
    document.getElementById("now").append(make("a", { href }, make("span", { class: "name" }, name), t.value, t.detail));
    tiles.set(name, t);
  }
  say(t.value, value);
  say(t.detail, detail);
}

function summarize(status, latest) {
  tile("Sessions", "#sessions", count(status.sessions), `of ${count(status.sessions_limit)}`);
  tile("Transfers", "#sessions", count(status.transfers), status.relays ? `${count(status.relays)} relayed` : "running");
  tile("Pinholes", "#pinholes", count(status.pinholes), "open");
  tile("Failed", "#failures", count(status.failures), "kept");
  tile("To clients", "#throughput", rate(latest?.to_clients ?? 0));
  tile("To servers", "#throughput", rate(latest?.to_servers ?? 0));
}

function describe(status, now) {
  say(document.getElementById("about"), `${status.version}, up for ${about((now - new Date(status.started)) / 1000)}`);
  say(document.getElementById("footer"), `Configuration ${status.config}, loaded ${moment(new Date(status.config_loaded), now)}. ` +
    `Table inet ${status.table}${status.table_owned ? ", owned: nobody else can flush it" : ", not owned: others can flush it"}. ` +
    "Times of day are in this browser's time zone.");
}

setInterval(() => pinholes.tick(), 1000);
document.addEventListener("visibilitychange", () => document.hidden || poll());
poll();
