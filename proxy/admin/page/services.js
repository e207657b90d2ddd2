// The services, with their backends.

import { Rows, make, row, say, table, toggle } from "./dom.js";
import { bytes, count } from "./format.js";

const columns = ["Service", "Listens on", "Backends", "Sessions#", "Transfers#", "Pinholes#", "Done#", "Failed#", "To clients#", "To servers#"];

export class Services {
  constructor(parent) {
    this.table = table("Services", columns);
    const body = make("tbody", { role: "rowgroup" });
    this.table.append(body);
    this.rows = new Rows(body, (s) => s.name, createService);
    this.empty = make("p", { class: "empty" }, "No services: the configuration has none in force.");
    parent.append(make("div", { class: "scroll" }, this.table), this.empty);
  }

  show(services) {
    toggle(this.table, services.length > 0);
    toggle(this.empty, services.length === 0);
    this.rows.show(services);
  }
}

function createService() {
  const { element, cells } = row(columns);
  const [service, listen, backends, ...numbers] = cells;
  const name = make("strong");
  const kind = make("span", { class: "more" });
  service.append(make("span", { class: "stack" }, name, kind));
  const addresses = make("span", { class: "stack address" });
  listen.append(addresses);
  const list = make("span", { class: "stack address" });
  backends.append(list);
  const listenRows = new Rows(addresses, (a) => a, (a) => ({ element: make("span", {}, a), update() {} }));
  const backendRows = new Rows(list, (b) => b.address, createBackend);
  const any = make("span", { class: "more" }, "any that destinations allow");
  backends.append(any);
  return {
    element,
    update(s) {
      say(name, s.name);
      say(kind, `${s.mode}, TLS ${s.tls}`);
      listenRows.show(s.listen);
      backendRows.show(s.backends);
      toggle(list, s.backends.length > 0);
      toggle(any, s.backends.length === 0);
      const values = [s.sessions, s.transfers, s.pinholes, s.transfers_done, s.transfers_failed].map(count);
      values.push(bytes(s.bytes_to_clients), bytes(s.bytes_to_servers));
      values.forEach((v, i) => say(numbers[i], v));
    },
  };
}

function createBackend(b) {
  const mark = make("span", {});
  return {
    element: make("span", {}, mark, b.address),
    update(b) {
      mark.className = b.up ? "mark good" : "mark bad";
      say(mark, b.up ? "up" : "down");
    },
  };
}
