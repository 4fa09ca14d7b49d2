// Where a time stands in the picture: counted back from the end, in powers of ten or linear.
import { scaleLinear, scaleLog } from "d3-scale";
import { age as showAge, duration } from "./format";

export const floor = 1000; // ns: what is later stands at the end of the logarithmic axis

export interface Tick { x: number; label: string }

// Axis maps ages to pixels. view is the part of it that is seen, of 0 (the oldest) to 1.
export class Axis {
  private unit: (age: number) => number;
  private inverse: (u: number) => number;

  // quiet is the age of the last event: of a container that hangs the logarithmic axis counts back
  // from there, and what lies behind it has the rest.
  constructor(readonly log: boolean, readonly oldest: number, readonly quiet: number, readonly left: number, readonly right: number, readonly view: [number, number]) {
    const max = Math.max(oldest - (log ? quiet : 0), floor * 10);
    if (log && quiet > 0) {
      const s = scaleLog().domain([max, floor]).range([0, .85]).clamp(true);
      this.unit = (a) => a <= quiet ? .88 + .12 * (1 - a / quiet) : a - quiet < floor ? .85 + .03 * (1 - (a - quiet) / floor) : s(a - quiet);
      this.inverse = (u) => u > .88 ? quiet * (1 - (u - .88) / .12) : u > .85 ? quiet + floor * (1 - (u - .85) / .03) : quiet + s.invert(u);
    } else if (log) {
      const s = scaleLog().domain([max, floor]).range([0, .965]).clamp(true);
      this.unit = (a) => a < floor ? .965 + .035 * (1 - a / floor) : s(a);
      this.inverse = (u) => u > .965 ? Math.max(0, floor * (1 - (u - .965) / .035)) : s.invert(u);
    } else {
      const s = scaleLinear().domain([max, 0]).range([0, 1]);
      this.unit = s;
      this.inverse = (u) => s.invert(u);
    }
  }

  x(age: number): number {
    const [a, b] = this.view;
    return this.left + (this.unit(age) - a) / (b - a) * (this.right - this.left);
  }

  age(x: number): number {
    const [a, b] = this.view;
    return this.inverse(a + (x - this.left) / (this.right - this.left) * (b - a));
  }

  ticks(): Tick[] {
    const q = this.log ? this.quiet : 0;
    const from = this.age(this.left) - q, to = Math.max(0, this.age(this.right) - q);
    const ticks: Tick[] = [];
    if (this.log && from / Math.max(to, floor) >= 20) {
      for (let e = Math.floor(Math.log10(from)); e >= 4; e--) {
        const a = 10 ** e;
        if (a <= from && a >= to) ticks.push({ x: this.x(a + q), label: showAge(a) });
      }
    } else {
      for (const a of scaleLinear().domain([to, from]).ticks(8)) {
        if (a > 0 && a <= from && a >= to) ticks.push({ x: this.x(a + q), label: showAge(a) });
      }
    }
    if (q > 0) ticks.push({ x: this.x(q), label: `last call, ${duration(q)} ago` });
    let last = Infinity;
    return ticks.sort((p, q) => q.x - p.x).filter((t) => {
      if (t.x < this.left || t.x > this.right || last - t.x < (q > 0 && last !== Infinity && last === this.x(q) ? 110 : 64)) return false;
      last = t.x;
      return true;
    });
  }
}

// zoom makes a view narrower or wider around a point of it.
export function zoom(view: [number, number], at: number, factor: number): [number, number] {
  const wide = Math.min(1, Math.max(1e-6, (view[1] - view[0]) * factor));
  const u = view[0] + at * (view[1] - view[0]);
  return pan([u - at * wide, u - at * wide + wide], 0);
}

// pan moves a view by a part of its width, not beyond the ends.
export function pan(view: [number, number], by: number): [number, number] {
  const wide = view[1] - view[0];
  const from = Math.min(1 - wide, Math.max(0, view[0] + by * wide));
  return [from, from + wide];
}
