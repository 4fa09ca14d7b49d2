// Numbers for people.

const units: [number, string][] = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];

// duration shows ns with two or three digits: 1.2 ms, 45 s, 3 min 12 s.
export function duration(ns: number): string {
  if (ns < 0) return "";
  if (ns >= 48 * 3600e9) return `${Math.floor(ns / 86400e9)} d ${Math.floor(ns / 3600e9) % 24} h`;
  if (ns >= 3600e9) return `${Math.floor(ns / 3600e9)} h ${Math.floor(ns / 60e9) % 60} min`;
  if (ns >= 60e9) return `${Math.floor(ns / 60e9)} min ${Math.floor(ns / 1e9) % 60} s`;
  for (const [size, unit] of units) {
    if (ns >= size || size === 1) {
      const n = ns / size;
      return `${n >= 10 || size === 1 ? Math.round(n) : n.toFixed(1).replace(".0", "")} ${unit}`;
    }
  }
  return "0 ns";
}

// age shows how long before the end something was.
export function age(ns: number): string { return ns <= 0 ? "end" : `−${duration(ns)}`; }

export function count(n: number): string { return n.toLocaleString("en-US"); }

export function plural(n: number, word: string): string { return `${count(n)} ${word}${n === 1 ? "" : "s"}`; }

const sizes = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(n: number): string {
  let i = 0;
  while (n >= 1024 && i < sizes.length - 1) { n /= 1024; i++; }
  return `${i > 0 && n < 10 ? n.toFixed(1) : Math.round(n)} ${sizes[i]}`;
}

// utc shows a time as the terminal's show does, in UTC.
export function utc(text: string | undefined): string {
  if (!text) return "";
  const d = new Date(text);
  return isNaN(d.getTime()) ? "" : d.toISOString().replace("T", " ").replace(/\.\d+Z$/, " UTC");
}

export function clock(text: string): string { return new Date(text).toISOString().slice(11, 23); }
