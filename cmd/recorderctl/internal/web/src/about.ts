// What a recording is called, and how it ended, in few words.
import { Model, Recording, Report } from "./data";

export interface Badge { text: string; kind: "bad" | "good" | "live" | "unknown" }

export function badgeOf(outcome: string, signal?: string, code?: number, oom?: boolean, hanging?: boolean): Badge {
  if (outcome === "oom" || oom) return { text: "OOM", kind: "bad" };
  if (signal) return { text: signal, kind: "bad" };
  if (outcome === "running") return hanging ? { text: "hangs", kind: "bad" } : { text: "running", kind: "live" };
  if (outcome === "exited") return { text: `exit ${code ?? 0}`, kind: code ? "bad" : "good" };
  return { text: outcome || "ended", kind: "unknown" };
}

export function badge(r: Report): Badge {
  const hanging = r.recording.verdict?.text.startsWith("hanging") || r.signs.items?.some((s) => hangs.has(s.kind) && s.certainty !== "possible");
  return badgeOf(r.outcome, r.recording.exit?.signal, r.recording.exit?.code, r.recording.exit?.oomKilled, hanging);
}

const hangs = new Set(["deadlock", "lock", "mutex", "busy-loop", "waiting-for-peer"]);

export function nameOf(rec: Recording): string {
  const c = rec.container.name || rec.container.id || rec.container.cgroup;
  return rec.pod?.name ? `${rec.pod.namespace ? rec.pod.namespace + "/" : ""}${rec.pod.name}${c ? " · " + c : ""}` : c || rec.id;
}

export interface Part { text: string; event?: number }

// parts cuts a text where it names a call, a path, a peer or a signal, and finds the last event
// that has it.
export function parts(m: Model, text: string): Part[] {
  const most = 4000; // characters in which parts are looked for
  if (text.length > most) return [...parts(m, text.slice(0, most)), { text: text.slice(most) }];
  const pattern = /[a-z_][a-z0-9_]*\((?:"[^"]*"|[^()"])*\)|SIG[A-Z0-9]+|\/[\w.+@%:\-/]*[\w]|\[?[0-9a-f:.]*[0-9a-f]\]?:\d+|\b(?:\d{1,3}\.){3}\d{1,3}\b/g;
  const found: Part[] = [];
  let done = 0;
  for (const hit of text.matchAll(pattern)) {
    const event = eventOf(m, hit[0]);
    if (event < 0) continue;
    if (hit.index > done) found.push({ text: text.slice(done, hit.index) });
    found.push({ text: hit[0], event });
    done = hit.index + hit[0].length;
  }
  if (done < text.length) found.push({ text: text.slice(done) });
  return found;
}

// eventOf finds the last event that a part of a verdict is about: of calls those that failed,
// or that a thread was in, come first.
export function eventOf(m: Model, part: string): number {
  const call = /^([a-z_][a-z0-9_]*)\((.*)\)$/s.exec(part);
  const quoted = call && /"([^"]*)"/.exec(call[2]);
  const needle = call ? quoted?.[1] ?? call[2].replace(/^\d+<|>$/g, "") : part;
  let any = -1;
  for (let i = m.count - 1; i >= 0; i--) {
    if (call && m.call(i)?.name !== call[1]) continue;
    if (!call && !m.isCall(i) && part.startsWith("SIG") && m.call(i)?.name === part) return i;
    if (needle && !m.text(i).includes(needle)) continue;
    if (m.state[i] !== 0) return i;
    if (any < 0) any = i;
  }
  return any;
}
