// One filter for the table and the picture.
import { Model, State } from "./data";

export interface Filter { test: (m: Model, i: number) => boolean; error?: string; empty: boolean }

const unitNs: Record<string, number> = { ns: 1, us: 1e3, "µs": 1e3, ms: 1e6, s: 1e9, m: 60e9, min: 60e9 };

type Test = Filter["test"];

function word(w: string): Test | string {
  if (w.startsWith("!") && w.length > 1) {
    const not = word(w.slice(1));
    return typeof not === "string" ? not : (m, i) => !not(m, i);
  }
  const time = /^([<>])([\d.]+)(ns|us|µs|ms|s|m|min)$/.exec(w);
  if (time) {
    const ns = parseFloat(time[2]) * unitNs[time[3]];
    return time[1] === ">" ? (m, i) => m.took[i] > ns : (m, i) => m.took[i] >= 0 && m.took[i] < ns;
  }
  if (/^[<>]\d/.test(w)) return `${w}: a time has a unit: >1ms, <10us`;
  const id = /^(pid|tid):(\d+)$/.exec(w);
  if (id) {
    const n = +id[2], key = id[1] as "pid" | "tid";
    return (m, i) => m.t.threads[m.thread[i]]?.[key] === n;
  }
  if (/^(pid|tid):/.test(w)) return `${w}: a number is expected: pid:7`;
  if (w.startsWith("%")) {
    const classes: Record<string, string> = {
      "%network": "network", "%net": "network", "%file": "files", "%files": "files", "%process": "processes",
      "%processes": "processes", "%memory": "memory", "%waiting": "waiting", "%signal": "signals", "%signals": "signals", "%other": "other",
    };
    const c = classes[w.toLowerCase()];
    if (!c) return `${w}: there are %file, %network, %process, %memory, %signal, %waiting and %other`;
    return (m, i) => m.call(i)?.class === c;
  }
  switch (w.toLowerCase()) {
    case "failed": return (m, i) => m.telling(i);
    case "blocked": return (m, i) => m.state[i] === State.Blocked || m.state[i] === State.Killed;
    case "output": return (m, i) => m.stream(i) > 0;
  }
  const text = w.toLowerCase();
  return (m, i) => m.lowerText(i).includes(text) || m.who(i).toLowerCase().includes(text);
}

// parse reads words, /regex/ and "quoted text", all of which have to fit.
export function parse(query: string): Filter {
  const tests: Test[] = [];
  let rest = query.trim();
  while (rest !== "") {
    let m = /^\/((?:[^/\\]|\\.)+)\/(i?)(?=\s|$)/.exec(rest);
    if (m) {
      try {
        const re = new RegExp(m[1], m[2]);
        tests.push((model, i) => re.test(model.text(i)));
      } catch (e) {
        return { test: () => true, error: String((e as Error).message), empty: false };
      }
    } else if ((m = /^"(?:[^"\\]|\\.)+"/.exec(rest))) { // with JSON's escapes
      let text: string;
      try { text = JSON.parse(m[0]).toLowerCase(); } catch { return { test: () => true, error: `${m[0]}: an escape is not JSON's`, empty: false }; }
      tests.push((model, i) => model.lowerText(i).includes(text));
    } else {
      m = /^\S+/.exec(rest)!;
      const t = word(m[0]);
      if (typeof t === "string") return { test: () => true, error: t, empty: false };
      tests.push(t);
    }
    rest = rest.slice(m[0].length).trimStart();
  }
  return { test: (m, i) => tests.every((t) => t(m, i)), empty: tests.length === 0 };
}
