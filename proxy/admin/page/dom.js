// Building and changing what is shown. Text is put in as text, always: peers of the gateway choose user names, paths and
// replies, and the browser refuses HTML from this page anyway (trusted types, in the policy that it is served with).

// make builds an element. Children are elements, or text.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// draw is make for SVG.
export function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  change(element, attributes);
  element.append(...children);
  return element;
}

export function change(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
}

// say sets an element's text, unless it has it: what is selected or being read stays so.
export function say(element, text) {
  text = String(text);
  if (element.textContent !== text) element.textContent = text;
}

export function toggle(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
}

// Characters that cannot be seen, but change how others are: order of writing, joining, breaking.
const unseen = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

// visible shows what a name has in it that could not be seen, or would make it look like another.
export function visible(text) {
  return text.replace(unseen, (c) => "‹U+" + c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0") + "›");
}

// peer is an element for text that a peer has sent. The order of writing in it stays in it.
export function peer(text, style = "") {
  const element = make("bdi", { class: ("peer " + style).trim() });
  element.textContent = visible(text);
  return element;
}

// brief is the beginning of a text from a peer, for lists: their cells show two lines, and laying out much more takes time.
export function brief(text) {
  const most = 300;
  return visible(text.length > most ? text.slice(0, most).replace(/[\ud800-\udbff]$/, "") + "\u2026" : text);
}

// Rows keeps one element for each item of a list, so that what has focus, is open or is selected stays. create takes an
// item and returns its {element, update, remove}; update is then called with it, and again whenever there is news, and
// remove, if there is one, when it is gone. What the parent has before, up to head, stays.
export class Rows {
  constructor(parent, key, create, head = null) {
    Object.assign(this, { parent, key, create, head, rows: new Map() });
  }

  show(items) {
    const gone = new Set(this.rows.keys());
    let next = this.head ? this.head.nextElementSibling : this.parent.firstElementChild;
    for (const item of items) {
      const key = this.key(item);
      gone.delete(key);
      let row = this.rows.get(key);
      if (!row) {
        row = this.create(item);
        this.rows.set(key, row);
      }
      row.update(item);
      if (row.element === next) next = next.nextElementSibling;
      else this.parent.insertBefore(row.element, next);
    }
    for (const key of gone) {
      const row = this.rows.get(key);
      row.element.remove();
      row.remove?.();
      this.rows.delete(key);
    }
  }
}

// table makes a table that becomes a list of cards where there is no room. The roles say again what its elements are, as
// browsers forget that when style makes blocks of them. Columns that end in "#" have numbers.
export function table(label, columns) {
  const head = make("tr", { role: "row" });
  for (const c of columns) {
    head.append(make("th", { scope: "col", role: "columnheader", class: c.endsWith("#") ? "number" : "" }, c.replace("#", "")));
  }
  const element = make("table", { role: "table", "aria-label": label }, make("thead", { role: "rowgroup" }, head));
  return element;
}

// row makes a row for a table with these columns, and returns its cells too.
export function row(columns) {
  const cells = columns.map((c) =>
    make("td", { role: "cell", "data-label": c.replace("#", ""), class: c.endsWith("#") ? "number" : "" }));
  return { element: make("tr", { role: "row" }, ...cells), cells };
}

let regions = 0; // that were made, for their ids

// disclosure is a button and the region that it opens. fill puts something into the region whenever it is opened.
export function disclosure(style, shut, open, fill) {
  const region = make("div", { class: "explanation", id: `region-${++regions}` });
  region.hidden = true;
  const button = make("button", { type: "button", class: style, "aria-expanded": "false", "aria-controls": region.id }, shut);
  button.addEventListener("click", () => {
    toggle(region, region.hidden);
    button.setAttribute("aria-expanded", String(!region.hidden));
    say(button, region.hidden ? shut : open);
    if (!region.hidden) fill(region);
  });
  return { button, region };
}
