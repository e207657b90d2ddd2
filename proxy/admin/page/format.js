// Numbers for people.

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

// scale returns the unit that a number of bytes is said in, as its place among the units.
export function scale(n) {
  let place = 0;
  while (n >= 999.5 && place < units.length - 1) {
    n /= 1024;
    place++;
  }
  return place;
}

export const unit = (place) => units[place];

export function bytes(n) {
  const place = scale(n);
  const value = n / 1024 ** place;
  return `${place > 0 && value < 99.95 ? value.toFixed(1) : value.toFixed(0)} ${units[place]}`;
}

export const rate = (n) => bytes(n) + "/s";

export const count = (n) => n.toLocaleString("en").replaceAll(",", "\u202f");

// counted is a number with its noun: "1 session", "2 sessions".
export const counted = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;

const two = (n) => String(n).padStart(2, "0");

export function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

// about is a duration where its seconds do not matter.
export function about(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  return duration(s);
}

// moment is a time of day, with its day unless that is today.
export function moment(time, now) {
  const clock = `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
  if (time.toDateString() === now.toDateString()) return clock;
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${clock}`;
}

export const minute = (time) => `${two(time.getHours())}:${two(time.getMinutes())}`;

// command is what a client said. A path may end in what looks like nothing.
export const command = (t) => (t.path === "" ? t.verb : `${t.verb} ${t.path}`);
