// What goes through data connections, over the last minutes: one line for each direction, from zero.

import { change, draw, make, say } from "./dom.js";
import { counted, minute, moment, rate, scale, unit } from "./format.js";

const height = 200;
const margin = { top: 10, right: 12, bottom: 24, left: 74 };
const least = 5 * 60 * 1000; // ms that the axis spans at least

const series = [
  { name: "to clients", field: "to_clients", style: "to-clients" },
  { name: "to servers", field: "to_servers", style: "to-servers" },
];

export class Chart {
  constructor(parent) {
    this.samples = [];
    this.cursor = null; // the time that is read, in ms; null: the latest
    this.svg = draw("svg", { height, tabindex: 0, role: "slider", "aria-label": "Throughput at a moment", "aria-orientation": "horizontal" });
    this.axes = draw("g", { class: "axes" });
    this.lines = draw("g", {});
    this.reading = draw("g", { class: "reading" });
    this.svg.append(this.axes, this.lines, this.reading);
    this.when = make("span", { class: "when" });
    this.values = series.map((s) => make("span", { class: "value" }));
    this.others = make("span", { class: "more" });
    this.legend = make("p", { class: "legend" },
      ...series.map((s, i) => make("span", { class: s.style }, make("span", { class: "key" }), ` ${s.name} `, this.values[i])), this.others, this.when);
    this.empty = make("p", { class: "empty" }, "No samples yet.");
    parent.append(this.legend, this.svg, this.empty);
    this.listen();
    new ResizeObserver(() => this.render()).observe(parent);
  }

  listen() {
    this.svg.addEventListener("pointermove", (e) => this.point(e.clientX));
    this.svg.addEventListener("pointerdown", (e) => this.point(e.clientX));
    this.svg.addEventListener("pointerleave", () => this.read(null));
    this.svg.addEventListener("blur", () => this.read(null));
    this.svg.addEventListener("keydown", (e) => {
      const last = this.samples.length - 1;
      const to = { ArrowLeft: this.at() - 1, ArrowRight: this.at() + 1, ArrowDown: this.at() - 1, ArrowUp: this.at() + 1,
        PageDown: this.at() - 10, PageUp: this.at() + 10, Home: 0, End: last }[e.key];
      if (to === undefined && e.key !== "Escape") return;
      e.preventDefault();
      this.read(to === undefined ? null : this.samples[Math.max(0, Math.min(last, to))]?.time);
    });
  }

  show(samples, now) {
    this.now = now;
    this.samples = samples.map((s) => ({ ...s, time: new Date(s.time).getTime() }));
    this.render();
  }

  render() {
    const box = this.svg.parentElement.clientWidth;
    const some = this.samples.length > 0;
    this.svg.style.display = some ? "block" : "none";
    this.legend.hidden = !some;
    this.empty.hidden = some;
    if (!some || box === 0) return;
    const end = this.samples.at(-1).time;
    const begin = Math.min(this.samples[0].time, end - least);
    const top = ceiling(Math.max(...this.samples.flatMap((s) => [s.to_clients, s.to_servers])));
    change(this.svg, { width: box, viewBox: `0 0 ${box} ${height}` });
    this.width = box;
    this.x = (t) => margin.left + (box - margin.left - margin.right) * (t - begin) / (end - begin);
    this.y = (v) => height - margin.bottom - (height - margin.top - margin.bottom) * v / top.value;
    this.renderAxes(begin, end, top);
    this.lines.replaceChildren(...series.flatMap((s) => this.plot(s)));
    this.renderReading();
  }

  renderAxes(begin, end, top) {
    const marks = [];
    for (let v = 0; v <= top.value * 1.0001; v += top.step) {
      const y = Math.round(this.y(v)) + 0.5;
      marks.push(draw("line", { x1: margin.left, x2: this.width - margin.right, y1: y, y2: y, class: v === 0 ? "zero" : "" }));
      const label = v === 0 ? "0" : `${v / 1024 ** top.place} ${unit(top.place)}/s`;
      marks.push(draw("text", { x: margin.left - 8, y: y + 4, "text-anchor": "end" }, label));
    }
    const room = (this.width - margin.left - margin.right) / 52; // labels
    const each = [1, 2, 5, 10, 15, 30, 60].find((m) => (end - begin) / 60000 / m <= room) * 60000;
    for (let t = Math.ceil(begin / each) * each; t <= end; t += each) {
      const x = Math.round(this.x(t)) + 0.5;
      marks.push(draw("line", { x1: x, x2: x, y1: height - margin.bottom, y2: height - margin.bottom + 4, class: "zero" }));
      const edge = x > this.width - 24 ? "end" : "middle";
      marks.push(draw("text", { x, y: height - 6, "text-anchor": edge }, minute(new Date(t))));
    }
    this.axes.replaceChildren(...marks);
  }

  // plot draws one direction: a line and the area below it, in pieces where samples are missing.
  plot({ field, style }) {
    const parts = [];
    for (const piece of pieces(this.samples)) {
      const points = piece.map((s) => `${this.x(s.time).toFixed(1)},${this.y(s[field]).toFixed(1)}`);
      const first = this.x(piece[0].time).toFixed(1);
      const last = this.x(piece.at(-1).time).toFixed(1);
      parts.push(draw("path", { class: `area ${style}`, d: `M${first},${this.y(0)}L${points.join("L")}L${last},${this.y(0)}Z` }));
      parts.push(draw("polyline", { class: `line ${style}`, points: points.join(" ") }));
    }
    return parts;
  }

  point(clientX) {
    const x = clientX - this.svg.getBoundingClientRect().left;
    let best = null;
    for (const s of this.samples) {
      if (best === null || Math.abs(this.x(s.time) - x) < Math.abs(this.x(best) - x)) best = s.time;
    }
    this.read(best);
  }

  read(time) {
    this.cursor = time ?? null;
    this.renderReading();
  }

  // at is the place of the sample that is read: the first that is not before the cursor.
  at() {
    const i = this.cursor === null ? -1 : this.samples.findIndex((s) => s.time >= this.cursor);
    return i < 0 ? this.samples.length - 1 : i;
  }

  renderReading() {
    const sample = this.samples[this.at()];
    if (!sample || !this.x) return;
    const x = this.x(sample.time).toFixed(1);
    const dots = series.map((s) => draw("circle", { class: s.style, cx: x, cy: this.y(sample[s.field]).toFixed(1), r: 3.5 }));
    const line = draw("line", { x1: x, x2: x, y1: margin.top, y2: height - margin.bottom });
    this.reading.replaceChildren(...(this.cursor === null ? dots : [line, ...dots]));
    const at = moment(new Date(sample.time), this.now);
    const when = this.cursor === null ? `now, ${at}` : `at ${at}`;
    say(this.when, when);
    series.forEach((s, i) => say(this.values[i], rate(sample[s.field])));
    say(this.others, `${counted(sample.sessions, "session")}, ${counted(sample.transfers, "transfer")}`);
    change(this.svg, {
      "aria-valuemin": 0, "aria-valuemax": this.samples.length - 1, "aria-valuenow": this.at(),
      "aria-valuetext": `${when}: ${series.map((s) => `${rate(sample[s.field])} ${s.name}`).join(", ")}`,
    });
  }
}

// pieces cuts samples where some are missing.
function pieces(samples) {
  const gaps = samples.slice(1).map((s, i) => s.time - samples[i].time).sort((a, b) => a - b);
  const usual = gaps[Math.floor(gaps.length / 2)] ?? 0;
  const list = [[]];
  samples.forEach((s, i) => {
    if (i > 0 && s.time - samples[i - 1].time > 3 * usual) list.push([]);
    list.at(-1).push(s);
  });
  return list;
}

// ceiling returns where an axis ends that has room for a rate, and its steps.
function ceiling(max) {
  const place = Math.max(1, scale(max));
  const most = Math.max(max / 1024 ** place, 1);
  const step = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 256].find((s) => most / s <= 4) ?? 256;
  const value = Math.ceil(most / step) * step;
  return { value: value * 1024 ** place, step: step * 1024 ** place, place };
}
