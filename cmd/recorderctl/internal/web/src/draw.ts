// The picture: threads in lanes, time from left to right.
import { Axis } from "./axis";
import { Lane, Model, State } from "./data";
import { duration } from "./format";

export const rowHeight = 24;
export const headHeight = 64; // ticks, density of calls, output
export const leftWidth = 196;
const rightWidth = 28;

export interface Colours { [name: string]: string }

const names = ["bg", "fg", "dim", "line", "card", "red", "amber", "green", "accent", "files", "network", "processes",
  "memory", "waiting", "signals", "other", "hatch"];

// colours reads the page's variables, which depend on light and dark.
export function colours(): Colours {
  const style = getComputedStyle(document.documentElement);
  const c: Colours = {};
  for (const n of names) c[n] = style.getPropertyValue(`--${n}`).trim();
  return c;
}

export interface Scene {
  model: Model;
  lanes: Lane[];
  byLane: Int32Array[]; // events of each lane, in the order of time
  log: boolean;
  view: [number, number];
  width: number;
  mask: Uint8Array | null; // 1: it fits the filter
  selected: number; // event; -1: none
  hovered: number;
  colours: Colours;
}

export function axisOf(s: Scene): Axis {
  const oldest = Math.max(s.model.t.began, 1000);
  return new Axis(s.log, oldest, s.model.back, leftWidth, s.width - rightWidth, s.view);
}

export function heightOf(s: Scene): number { return headHeight + s.lanes.length * rowHeight + 4; }

// eventsByLane sorts events to the lanes that show their threads.
export function eventsByLane(m: Model, lanes: Lane[]): Int32Array[] {
  const laneOf = new Map<number, number>();
  lanes.forEach((l, i) => l.threads.forEach((t) => laneOf.set(t, i)));
  const found: number[][] = lanes.map(() => []);
  for (let i = 0; i < m.count; i++) {
    const lane = laneOf.get(m.thread[i]);
    if (lane !== undefined) found[lane].push(i);
  }
  return found.map((f) => Int32Array.from(f));
}

let pattern: { key: string; pattern: CanvasPattern | null } | undefined;

function hatch(ctx: CanvasRenderingContext2D, colour: string): CanvasPattern | string {
  if (pattern?.key !== colour) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 6;
    const t = tile.getContext("2d")!;
    t.strokeStyle = colour;
    t.lineWidth = 1.2;
    t.beginPath();
    t.moveTo(-1, 7); t.lineTo(7, -1); t.moveTo(-1, 1); t.lineTo(1, -1); t.moveTo(5, 7); t.lineTo(7, 5);
    t.stroke();
    pattern = { key: colour, pattern: ctx.createPattern(tile, "repeat") };
  }
  return pattern.pattern ?? colour;
}

// draw draws a scene. How long that took is a measure of the browser's, "redraw".
export function draw(canvas: HTMLCanvasElement, s: Scene): void {
  const from = performance.now();
  const ratio = window.devicePixelRatio || 1;
  const height = heightOf(s);
  if (canvas.width !== Math.round(s.width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(s.width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
  }
  const ctx = canvas.getContext("2d")!;
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  const c = s.colours, axis = axisOf(s);
  ctx.clearRect(0, 0, s.width, height);
  ctx.font = "11px ui-monospace, 'DejaVu Sans Mono', monospace";
  ctx.textBaseline = "middle";
  frame(ctx, s, axis, height);
  density(ctx, s, axis);
  output(ctx, s, axis);
  ctx.save();
  ctx.beginPath();
  ctx.rect(axis.left - 1, 0, axis.right - axis.left + rightWidth, height);
  ctx.clip();
  s.lanes.forEach((_, i) => lane(ctx, s, axis, i));
  links(ctx, s, axis);
  for (const [i, colour] of [[s.hovered, c.fg], [s.selected, c.accent]] as [number, string][]) {
    if (i >= 0) marker(ctx, s, axis, i, colour);
  }
  ctx.restore();
  if (performance.getEntriesByName("redraw").length > 500) performance.clearMeasures("redraw");
  performance.measure("redraw", { start: from, end: performance.now() });
}

function frame(ctx: CanvasRenderingContext2D, s: Scene, axis: Axis, height: number): void {
  const c = s.colours;
  for (const t of axis.ticks()) {
    ctx.fillStyle = c.line;
    ctx.fillRect(Math.round(t.x), 18, 1, height - 18);
    ctx.fillStyle = c.dim;
    ctx.textAlign = "center";
    ctx.fillText(t.label, t.x, 9);
  }
  const end = axis.x(0);
  if (end <= axis.right + 1) {
    ctx.fillStyle = s.model.t.live ? c.accent : c.red;
    ctx.fillRect(Math.round(end), 18, 1, height - 18);
    ctx.textAlign = "center";
    ctx.fillText(s.model.t.live ? "now" : "end", Math.min(end, s.width - 12), 9);
  }
  ctx.textAlign = "left";
  ctx.fillStyle = c.dim;
  ctx.fillText("calls", 8, 32);
  ctx.fillText("output", 8, 53);
  let group = false;
  s.lanes.forEach((l, i) => {
    const y = headHeight + i * rowHeight;
    if (l.leader) group = !group;
    ctx.fillStyle = c.line;
    ctx.fillRect(0, y, s.width, 1);
    const th = s.model.t.threads[l.threads[0]];
    ctx.fillStyle = l.leader ? c.fg : c.dim;
    ctx.font = `${l.leader ? "600 " : ""}11px ui-monospace, 'DejaVu Sans Mono', monospace`;
    ctx.fillText(fit(ctx, l.label || "?", leftWidth - (l.leader ? 8 : 20) - 58), l.leader ? 8 : 20, y + rowHeight / 2);
    ctx.font = "11px ui-monospace, 'DejaVu Sans Mono', monospace";
    ctx.fillStyle = c.dim;
    ctx.textAlign = "right";
    if (l.threads.length === 1 && th) ctx.fillText(String(th.tid), leftWidth - 8, y + rowHeight / 2);
    ctx.textAlign = "left";
  });
}

let wide = 0; // of a character: the font is monospaced

function fit(ctx: CanvasRenderingContext2D, text: string, width: number): string {
  wide ||= ctx.measureText("0").width;
  const most = Math.floor(width / wide);
  return text.length <= most ? text : text.slice(0, Math.max(0, most - 1)) + "…";
}

// density shows how many calls there were, of each pixel.
function density(ctx: CanvasRenderingContext2D, s: Scene, axis: Axis): void {
  const wide = Math.max(1, Math.floor((axis.right - axis.left) / 3));
  const calls = new Float64Array(wide), failed = new Float64Array(wide);
  const add = (x: number, n: number, bad: number) => {
    const k = Math.floor((x - axis.left) / 3);
    if (k >= 0 && k < wide) { calls[k] += n; failed[k] += bad; }
  };
  const m = s.model;
  for (let i = 0; i < m.count; i++) {
    if (m.isCall(i) && (!s.mask || s.mask[i])) add(axis.x(m.age[i]), 1, m.telling(i) ? 1 : 0);
  }
  if (!s.mask) {
    for (const o of m.t.omitted) {
      const a = Math.floor((axis.x(o.from) - axis.left) / 3), b = Math.floor((axis.x(o.to) - axis.left) / 3);
      const n = b - a + 1;
      for (let k = Math.max(a, 0); k <= Math.min(b, wide - 1); k++) add(axis.left + k * 3, o.calls / n, o.failed / n);
    }
  }
  let most = 1;
  for (const n of calls) most = Math.max(most, n);
  const c = s.colours, top = 20, tall = 22;
  for (let k = 0; k < wide; k++) {
    if (calls[k] === 0) continue;
    const h = Math.max(2, Math.log1p(calls[k]) / Math.log1p(most) * tall);
    const x = axis.left + k * 3;
    ctx.fillStyle = c.other;
    ctx.fillRect(x, top + tall - h, 2, h);
    if (failed[k] > 0) {
      const r = Math.max(2, Math.log1p(failed[k]) / Math.log1p(most) * tall);
      ctx.fillStyle = c.red;
      ctx.fillRect(x, top + tall - Math.min(r, h), 2, Math.min(r, h));
    }
  }
}

function output(ctx: CanvasRenderingContext2D, s: Scene, axis: Axis): void {
  const m = s.model, c = s.colours;
  for (const stream of [1, 2]) {
    ctx.fillStyle = stream === 1 ? c.dim : c.amber;
    let last = -9;
    for (let i = 0; i < m.count; i++) {
      if (m.stream(i) !== stream) continue;
      const x = Math.round(axis.x(m.age[i]));
      if (x < axis.left || x > axis.right || x === last) continue;
      last = x;
      ctx.fillRect(x, stream === 1 ? 49 : 54, 2, 6);
    }
  }
}

const strengths = [.35, .7, 1]; // of everyday failures, of others, of grave ones

function lane(ctx: CanvasRenderingContext2D, s: Scene, axis: Axis, index: number): void {
  const m = s.model, c = s.colours, y = headHeight + index * rowHeight, mid = y + rowHeight / 2;
  const events = s.byLane[index], left = axis.left, right = axis.right + rightWidth;
  for (const t of s.lanes[index].threads) { // a thin line for as long as it lived
    const th = m.t.threads[t];
    const a = Math.max(left, axis.x(th.started >= 0 ? th.started : m.t.began)), b = Math.min(right, axis.x(Math.max(0, th.ended)));
    if (b > a) { ctx.fillStyle = c.line; ctx.fillRect(a, mid - .5, b - a, 1); }
  }
  // First what is wide, then what is narrow, one for each pixel, the gravest.
  const thin = new Map<number, number>();
  const labels: [number, number, string][] = [];
  for (const i of events) {
    if (!m.isCall(i)) continue;
    const from = axis.x(m.startAge(i)), to = axis.x(m.age[i]);
    if (to < left || from > right) continue;
    const x = Math.max(from, left - 2), w = Math.min(to, right) - x;
    if (w < 1.5) {
      const pixel = Math.round(to), other = thin.get(pixel);
      if (other === undefined || graver(s, i, other)) thin.set(pixel, i);
      continue;
    }
    bar(ctx, s, i, x, w, mid);
    if (w > 44 && (!s.mask || s.mask[i])) labels.push([x, w, label(m, i)]);
  }
  for (const [x, i] of thin) bar(ctx, s, i, x - .5, 1.5, mid);
  ctx.globalAlpha = 1;
  for (const [x, w, text] of labels) {
    const shown = fit(ctx, text, w - 6);
    if (shown.length < 4 && shown !== text) continue;
    ctx.fillStyle = c.card;
    ctx.fillRect(x + 3, mid - 6, shown.length * wide + 4, 12);
    ctx.fillStyle = c.fg;
    ctx.fillText(shown, x + 5, mid + .5);
  }
  for (const i of events) {
    const st = m.state[i];
    if (st < State.Signalled || st > State.OOM) continue;
    const x = axis.x(m.age[i]);
    if (x < left - 4 || x > right) continue;
    ctx.globalAlpha = s.mask && !s.mask[i] ? .2 : 1;
    if (st === State.Ended) cap(ctx, c, x, mid, m.t.threads[m.thread[i]]?.bad ?? false);
    else flag(ctx, x, y, m.quiet(i) ? c.dim : st === State.Sent ? c.amber : c.red);
  }
  ctx.globalAlpha = 1;
}

function label(m: Model, i: number): string {
  const name = m.call(i).name, took = m.took[i] >= 0 ? ` ${duration(m.took[i])}` : "";
  return m.failed(i) && m.telling(i) ? `${name} ${m.error(i)}${took}` : name + took;
}

function rank(m: Model, i: number): number {
  if (m.telling(i)) return 3 + m.weight(i);
  if (m.state[i] !== State.Returned) return 2;
  return m.call(i).class === "waiting" ? 0 : 1;
}

function graver(s: Scene, i: number, other: number): boolean {
  if (s.mask && s.mask[i] !== s.mask[other]) return s.mask[i] === 1;
  return rank(s.model, i) >= rank(s.model, other);
}

function bar(ctx: CanvasRenderingContext2D, s: Scene, i: number, x: number, w: number, mid: number): void {
  const m = s.model, c = s.colours;
  const dim = s.mask && !s.mask[i] ? .12 : 1;
  ctx.globalAlpha = dim;
  const st = m.state[i];
  if (st === State.Blocked || st === State.Killed) {
    ctx.fillStyle = hatch(ctx, c.amber);
    ctx.fillRect(x, mid - 6, Math.max(w, 2), 12);
    ctx.strokeStyle = c.amber;
    ctx.lineWidth = 1;
    ctx.strokeRect(x + .5, mid - 6 + .5, Math.max(w, 2) - 1, 11);
    return;
  }
  if (m.telling(i)) {
    const weight = m.weight(i);
    ctx.globalAlpha = dim * strengths[weight < .1 ? 0 : weight < .5 ? 1 : 2];
    ctx.fillStyle = c.red;
    ctx.fillRect(x, mid - 7, w, 14);
    return;
  }
  const cls = m.call(i).class;
  ctx.fillStyle = c[cls] ?? c.other;
  if (cls === "waiting") ctx.fillRect(x, mid - 2, w, 4);
  else ctx.fillRect(x, mid - 6, w, 12);
}

// cap is the end of a thread: a disc if it ended well, a square if it did not.
function cap(ctx: CanvasRenderingContext2D, c: Colours, x: number, mid: number, bad: boolean): void {
  ctx.fillStyle = bad ? c.red : c.green;
  ctx.beginPath();
  if (bad) ctx.rect(x - 4, mid - 4, 8, 8);
  else ctx.arc(x, mid, 4, 0, 7);
  ctx.fill();
}

function flag(ctx: CanvasRenderingContext2D, x: number, y: number, colour: string): void {
  ctx.fillStyle = colour;
  ctx.fillRect(x - .5, y + 2, 1.5, rowHeight - 4);
  ctx.beginPath();
  ctx.moveTo(x, y + 2); ctx.lineTo(x + 7, y + 5); ctx.lineTo(x, y + 8);
  ctx.fill();
}

// links draws forks and kills, and the wakes of the event that is looked at.
function links(ctx: CanvasRenderingContext2D, s: Scene, axis: Axis): void {
  const m = s.model, c = s.colours, laneOf = new Map<number, number>();
  s.lanes.forEach((l, i) => l.threads.forEach((t) => laneOf.set(t, i)));
  const many = m.t.links.length > 150;
  for (const l of m.t.links) {
    const near = [l.from, l.to].some((e) => e >= 0 && (e === s.hovered || e === s.selected));
    if (!near && (l.kind === "wake" || many && l.kind === "fork")) continue;
    const a = laneOf.get(m.thread[l.from]), b = laneOf.get(l.thread);
    if (a === undefined || b === undefined || a === b) continue;
    const x = axis.x(m.age[l.from]), at = l.to >= 0 ? m.age[l.to] : Math.max(0, m.t.threads[l.thread].started);
    const to = axis.x(at), ya = headHeight + (a + .5) * rowHeight, yb = headHeight + (b + .5) * rowHeight;
    if (Math.max(x, to) < axis.left || Math.min(x, to) > axis.right + rightWidth) continue;
    ctx.globalAlpha = near ? 1 : .45;
    ctx.strokeStyle = ctx.fillStyle = l.kind === "kill" ? c.red : l.kind === "wake" ? c.accent : c.processes;
    ctx.lineWidth = near ? 1.8 : 1;
    ctx.beginPath();
    ctx.moveTo(x, ya);
    ctx.bezierCurveTo(x + 8, ya, to - 8, yb, to, yb);
    ctx.stroke();
    ctx.beginPath();
    const up = yb < ya ? 1 : -1;
    ctx.moveTo(to, yb); ctx.lineTo(to - 3, yb + up * 6); ctx.lineTo(to + 3, yb + up * 6);
    ctx.fill();
  }
  ctx.globalAlpha = 1;
}

function marker(ctx: CanvasRenderingContext2D, s: Scene, axis: Axis, i: number, colour: string): void {
  const lane = s.lanes.findIndex((l) => l.threads.includes(s.model.thread[i]));
  const x = axis.x(s.model.age[i]), from = axis.x(s.model.startAge(i));
  ctx.fillStyle = colour;
  ctx.globalAlpha = .6;
  ctx.fillRect(x - .5, 18, 1, headHeight + s.lanes.length * rowHeight);
  ctx.globalAlpha = 1;
  if (lane < 0) return;
  ctx.strokeStyle = colour;
  ctx.lineWidth = 2;
  ctx.strokeRect(Math.min(from, x - 3) - 2, headHeight + lane * rowHeight + 2, Math.max(x - from, 6) + 4, rowHeight - 4);
}

// hit returns the event at a point, the nearest within some pixels; -1: there is none.
export function hit(s: Scene, x: number, y: number): number {
  const i = Math.floor((y - headHeight) / rowHeight);
  const m = s.model, axis = axisOf(s);
  let events: Iterable<number>;
  if (y >= 44 && y < headHeight) {
    events = Array.from({ length: m.count }, (_, k) => k).filter((k) => m.stream(k) > 0);
  } else if (i < 0 || i >= s.lanes.length) {
    return -1;
  } else {
    events = s.byLane[i];
  }
  let best = -1, distance = 8;
  for (const e of events) {
    const from = axis.x(m.startAge(e)), to = axis.x(m.age[e]);
    const d = x < from ? from - x : x > to ? x - to : (to - from > 12 ? 3 : 0);
    if (d < distance || d === distance && best >= 0 && graver(s, e, best)) { best = e; distance = d; }
  }
  return best;
}
