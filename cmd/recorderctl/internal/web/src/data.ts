// The data of a page: what recorder/timeline makes, and what this page makes of it. Everything
// that a container chose arrives as text, and leaves as text nodes only.

import { age } from "./format";

export interface Sign { kind: string; certainty: string; text: string; count?: number; evidence: Line[] }
export interface Line { time: string; pid?: number; tid: number; comm?: string; text: string; times?: number; why?: string }
export interface List<T> { items: T[]; more?: number }
export interface Output { time: string; pid?: number; comm?: string; stream: string; to?: string; text: string; cut?: boolean }
export interface Blocked { pid?: number; tid: number; comm?: string; main?: boolean; text: string; on?: string; forNs?: number; kind: string }
export interface Failure { call: string; error: string; count: number; everyday?: boolean; example: Line }
export interface FileRow { path: string; opened?: number; failed?: number; error?: string; write?: boolean }
export interface Peer { address: string; state?: string; connected?: number; accepted?: number; failed?: number; unanswered?: number; error?: string }
export interface Process {
  pid: number; ppid?: number; comm?: string; command?: string[]; started?: string; ended?: string;
  code?: number; signal?: string; oom?: boolean; coreDumped?: boolean; calls: number; failed: number; threads?: number
}
export interface Usage { [name: string]: number | boolean | undefined }
export interface Container {
  id?: string; name?: string; runtime?: string; image?: string; imageID?: string; cgroup: string; command?: string[]; restarts?: number
}
export interface Recording {
  id: string; state: string; node?: string; started: string; ended?: string;
  container: Container; pod?: { namespace?: string; name?: string };
  exit?: { code: number; signal?: string; oomKilled?: boolean; at: string; reason?: string; coreDumped?: boolean };
  verdict?: { text: string; outcome: string; certainty?: string; kind?: string; fingerprint?: string };
  coverage: { written: number; kept: number; overwritten: number };
}
export interface Report {
  verdict: string; outcome: string; recording: Recording; node?: string; kernel?: string; taken: string; main?: Process; usage?: Usage;
  signs: List<Sign>; chain: Line[]; output: List<Output>; blocked: List<Blocked>; failures: List<Failure>;
  files: List<FileRow>; peers: List<Peer>; processes: List<Process>; covers: string; lacks: string[];
}
export interface Thread {
  pid: number; tid: number; ppid?: number; comm?: string; started: number; ended: number;
  status?: string; bad?: boolean; blocked?: boolean; calls: number; failed: number
}
export interface Lane { label: string; threads: number[]; leader?: boolean; folded?: boolean }
export interface Name { name: string; class: string }
export interface Link { kind: "fork" | "kill" | "wake"; from: number; to: number; thread: number }
export interface Omitted { from: number; to: number; calls: number; failed: number }
export interface Summary { name: string; calls: number; failed: number; totalNs: number; maxNs: number }

interface Columns {
  age: number[]; took: number[]; thread: number[]; name: number[]; state: number[]; error: number[];
  weight: number[]; stream: number[]; guard: number[]; text: string[]
}
export interface Timeline {
  report: Report; end: string; live?: boolean; threads: Thread[]; lanes: Lane[]; names: Name[]; errors: string[];
  events: Columns; links: Link[]; omitted: Omitted[]; left: number; summary: Summary[];
  began: number; whole: number; lived: number; quiet?: number
}

// The states of events, as recorder/timeline numbers them.
export const State = {
  Returned: 0, Failed: 1, Blocked: 2, Killed: 3, Lost: 4, NoReturn: 5,
  Signalled: 6, Ended: 7, Sent: 8, OOM: 9, Renamed: 10, Unknown: 11,
} as const;

// Model is a timeline with its columns as arrays of numbers: ages are ns before the end.
export class Model {
  readonly count: number;
  readonly age: Float64Array;
  readonly took: Float64Array;
  readonly thread: Int32Array;
  readonly state: Uint8Array;
  readonly endMs: number;
  private lower: (string | undefined)[];

  constructor(readonly t: Timeline) {
    const e = t.events;
    for (const column of Object.keys(e) as (keyof Columns)[]) e[column] ??= [];
    t.threads ??= []; t.lanes ??= []; t.names ??= []; t.errors ??= []; t.links ??= []; t.omitted ??= []; t.summary ??= [];
    this.count = e.age.length;
    this.age = new Float64Array(this.count);
    for (let i = 0, at = 0; i < this.count; i++) {
      at = i === 0 ? e.age[0] : at - e.age[i];
      this.age[i] = at;
    }
    this.took = Float64Array.from(e.took);
    this.thread = Int32Array.from(e.thread);
    this.state = Uint8Array.from(e.state);
    this.endMs = Date.parse(t.end);
    this.lower = new Array(this.count);
  }

  // back is how far the axis counts back from: the last call of what hangs, else the end.
  get back(): number { const q = this.t.quiet ?? 0; return q > 1e9 ? q : 0; }
  // before says how long before that an event was.
  before(i: number): string {
    if (this.back === 0) return this.age[i] <= 0 && this.t.live ? "now" : age(this.age[i]);
    return this.age[i] < this.back ? "now" : this.age[i] === this.back ? "last call" : age(this.age[i] - this.back);
  }
  text(i: number): string { return this.t.events.text[i]; }
  lowerText(i: number): string { return this.lower[i] ??= this.text(i).toLowerCase(); }
  call(i: number): Name { return this.t.names[this.t.events.name[i]]; }
  error(i: number): string { const n = this.t.events.error[i]; return n > 0 ? this.t.errors[n - 1] : ""; }
  weight(i: number): number { return this.t.events.weight[i] / 100; }
  stream(i: number): number { return this.t.events.stream[i]; }
  guard(i: number): boolean { return this.t.events.guard[i] === 1; }
  // startAge is when a call began; of what is no call, when it happened.
  startAge(i: number): number { return this.age[i] + Math.max(0, this.took[i]); }
  isCall(i: number): boolean { return this.state[i] <= State.NoReturn; }
  failed(i: number): boolean { return this.state[i] === State.Failed; }
  // telling: it failed, and that is not how it waits.
  // quiet: the signal is everyday, and says nothing about the end.
  quiet(i: number): boolean { return everyday.has(this.call(i).name); }
  telling(i: number): boolean { return this.failed(i) && this.weight(i) > 0; }
  who(i: number): string {
    const th = this.t.threads[this.thread[i]];
    return th ? threadName(th) : "?";
  }
}

// same finds an event of one model in a later one of the same recording; -1: it is not there.
export function same(old: Model, i: number, m: Model): number {
  if (i < 0 || i >= old.count) return -1;
  const th = old.t.threads[old.thread[i]], text = old.text(i), state = old.state[i];
  const at = old.endMs - old.startAge(i) / 1e6, near = 5; // ms: of two clocks
  for (let k = m.count - 1; k >= 0; k--) {
    const other = m.t.threads[m.thread[k]];
    if (other?.tid === th?.tid && m.state[k] === state && m.text(k) === text && Math.abs(m.endMs - m.startAge(k) / 1e6 - at) < near) return k;
  }
  return -1;
}

const everyday = new Set(["SIGCHLD", "SIGURG", "SIGWINCH", "SIGCONT"]);

export function threadName(th: Thread): string {
  const id = th.pid && th.pid !== th.tid ? `${th.pid}/${th.tid}` : `${th.tid}`;
  return th.comm ? `${id} ${th.comm}` : id;
}

// unpack reads what stands in the page: gzip in base64.
export async function unpack(text: string): Promise<Timeline> {
  const raw = atob(text.trim());
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}
