import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { pan, zoom } from "./axis";
import { Lane, Model } from "./data";
import { axisOf, colours, draw, eventsByLane, hit, leftWidth, Scene } from "./draw";
import { count, duration, plural } from "./format";

interface Props {
  model: Model;
  mask: Uint8Array | null;
  selected: number;
  hovered: number;
  theme: string;
  onSelect: (i: number) => void;
  onHover: (i: number) => void;
}

const legend: [string, string][] = [["files", "files"], ["network", "network"], ["processes", "processes"], ["memory", "memory"],
  ["waiting", "waiting (thin)"], ["red", "failed"], ["hatched", "in the call at the end"]];

export function TimelineView(p: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [log, setLog] = useState(true);
  const [all, setAll] = useState(false);
  const [view, setView] = useState<[number, number]>([0, 1]);
  const [width, setWidth] = useState(0);
  const [dark, setDark] = useState(0);
  const [tip, setTip] = useState<{ x: number; y: number; i: number } | null>(null);
  const drag = useRef<{ x: number; view: [number, number]; pan: boolean; moved: boolean } | null>(null);
  const [brush, setBrush] = useState<[number, number] | null>(null);

  const folded = p.model.t.lanes.filter((l) => l.folded).length;
  const most = 400; // lanes: browsers draw no higher picture
  const lanes = useMemo<Lane[]>(() => p.model.t.lanes.filter((l) => all || !l.folded).slice(0, most), [p.model, all]);
  useEffect(() => setTip(null), [p.model]);
  const byLane = useMemo(() => eventsByLane(p.model, lanes), [p.model, lanes]);
  const palette = useMemo(() => colours(), [p.theme, dark]);
  const scene: Scene = {
    model: p.model, lanes, byLane, log, view, width, mask: p.mask, selected: p.selected, hovered: p.hovered, colours: palette,
  };

  useEffect(() => {
    const c = canvas.current!;
    const seen = new ResizeObserver(() => setWidth(c.clientWidth));
    seen.observe(c);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const changed = () => setDark((n) => n + 1);
    scheme.addEventListener("change", changed);
    return () => { seen.disconnect(); scheme.removeEventListener("change", changed); };
  }, []);

  useEffect(() => {
    if (!width || !canvas.current) return;
    const frame = requestAnimationFrame(() => draw(canvas.current!, scene));
    return () => cancelAnimationFrame(frame);
  });

  // What is selected elsewhere is brought into view.
  useEffect(() => {
    if (p.selected < 0 || !width) return;
    const axis = axisOf(scene), x = axis.x(p.model.age[p.selected]);
    if (x < axis.left || x > axis.right) {
      setView((v) => pan(v, ((x - axis.left) / (axis.right - axis.left)) - .5));
    }
    if (!all && !lanes.some((l) => l.threads.includes(p.model.thread[p.selected]))) setAll(true);
  }, [p.selected]);

  const at = (e: MouseEvent) => {
    const r = canvas.current!.getBoundingClientRect();
    return { x: e.clientX - r.left, y: e.clientY - r.top };
  };
  const part = (x: number) => { const a = axisOf(scene); return Math.min(1, Math.max(0, (x - a.left) / (a.right - a.left))); };

  useEffect(() => { // passive listeners could not keep the page from scrolling
    const c = canvas.current!;
    const wheel = (e: WheelEvent) => {
      if (e.ctrlKey || e.metaKey) {
        e.preventDefault();
        setView((v) => zoom(v, part(at(e).x), e.deltaY > 0 ? 1.25 : .8));
      } else if (e.shiftKey || Math.abs(e.deltaX) > Math.abs(e.deltaY)) {
        e.preventDefault();
        setView((v) => pan(v, (e.deltaX || e.deltaY) / 800));
      }
    };
    c.addEventListener("wheel", wheel, { passive: false });
    return () => c.removeEventListener("wheel", wheel);
  });

  const down = (e: PointerEvent) => {
    const { x } = at(e);
    if (x < leftWidth || e.button > 1) return;
    drag.current = { x, view, pan: e.shiftKey || e.button === 1, moved: false };
    canvas.current!.setPointerCapture(e.pointerId);
  };
  const move = (e: PointerEvent) => {
    const { x, y } = at(e);
    const d = drag.current;
    if (d) {
      d.moved ||= Math.abs(x - d.x) > 4;
      if (!d.moved) return;
      setTip(null);
      if (d.pan) setView(pan(d.view, (d.x - x) / (width - leftWidth)));
      else setBrush([Math.min(d.x, x), Math.max(d.x, x)]);
      return;
    }
    const i = hit(scene, x, y);
    p.onHover(i);
    setTip(i < 0 ? null : { x: e.clientX, y: e.clientY, i });
  };
  const up = (e: PointerEvent) => {
    const d = drag.current, { x, y } = at(e);
    drag.current = null;
    setBrush(null);
    if (!d) return;
    if (d.moved && !d.pan) {
      const a = part(Math.min(d.x, x)), b = part(Math.max(d.x, x)), wide = view[1] - view[0];
      if ((b - a) * wide > 1e-6) setView([view[0] + a * wide, view[0] + b * wide]);
    } else if (!d.moved) {
      const i = hit(scene, x, y);
      if (i >= 0) p.onSelect(i);
    }
  };
  const key = (e: KeyboardEvent) => {
    const moves: Record<string, () => void> = {
      ArrowLeft: () => setView((v) => pan(v, -.15)), ArrowRight: () => setView((v) => pan(v, .15)),
      "+": () => setView((v) => zoom(v, .5, .7)), "=": () => setView((v) => zoom(v, .5, .7)), "-": () => setView((v) => zoom(v, .5, 1.4)),
      Home: () => setView((v) => pan(v, -1e9)), End: () => setView((v) => pan(v, 1e9)), "0": () => setView([0, 1]),
    };
    if (e.ctrlKey || e.metaKey || e.altKey || !moves[e.key]) return;
    e.preventDefault();
    moves[e.key]();
  };
  const linear = (on: boolean) => { setLog(!on); setView([0, 1]); };
  const m = p.model;
  return (
    <section class="card timeline" aria-labelledby="timeline-title">
      <div class="bar">
        <h2 id="timeline-title">Timeline</h2>
        <span class="legend" aria-hidden="true">{legend.map(([c, text]) => <span key={c}><i class={`c-${c}`} />{text}</span>)}</span>
        <span class="space" />
        <span class="buttons" role="group" aria-label="zoom">
          <button onClick={() => setView((v) => zoom(v, .5, .6))} title="zoom in (+; Ctrl and wheel; or drag over a part)" aria-label="zoom in">+</button>
          <button onClick={() => setView((v) => zoom(v, .5, 1.6))} title="zoom out (−)" aria-label="zoom out">−</button>
          <button onClick={() => setView([0, 1])} title="all of it (0, or double click)">all</button>
        </span>
        <span class="buttons" role="group" aria-label="axis">
          <button aria-pressed={log} onClick={() => linear(false)} title="time counts back from the end, in powers of ten">towards the end</button>
          <button aria-pressed={!log} onClick={() => linear(true)}>linear</button>
        </span>
      </div>
      <div class="canvas">
        <canvas ref={canvas} tabIndex={0} role="application" aria-roledescription="timeline" onPointerDown={down} onPointerMove={move} onPointerUp={up} onKeyDown={key}
          onPointerLeave={() => { setTip(null); p.onHover(-1); }} onDblClick={() => setView([0, 1])}
          aria-label={`${plural(m.t.lanes.length, "lane")} of ${plural(m.t.threads.length, "thread")} and ${plural(m.count, "event")}, ` +
            `counted back from the end. The tables below have the same. Arrow keys move, plus and minus zoom, 0 shows all.`} />
        {brush && <i class="brush" style={{ left: brush[0], width: brush[1] - brush[0] }} />}
      </div>
      {all && p.model.t.lanes.length > most && <p class="note">{plural(p.model.t.lanes.length - most, "lane")} more are not drawn: the calls below have theirs.</p>}
      {folded > 0 && <button class="link" onClick={() => setAll(!all)}>{all ? "fewer lanes" : `and ${plural(folded, "lane")} more`}</button>}
      {m.t.left > 0 && <p class="note">{count(m.t.left)} of {count(m.t.left + m.count)} events are left out of this page, between the first and the last
        ones: of those what says most is here. The grey columns count all.</p>}
      {tip && tip.i < m.count && <Tip model={m} {...tip} />}
    </section>
  );
}

function Tip({ model, x, y, i }: { model: Model; x: number; y: number; i: number }) {
  const text = model.text(i);
  const flip = x > innerWidth * .6, above = y > innerHeight * .7;
  return (
    <div class="tip" role="tooltip" style={{
      left: flip ? undefined : x + 14, right: flip ? innerWidth - x + 14 : undefined,
      top: above ? undefined : y + 16, bottom: above ? innerHeight - y + 12 : undefined,
    }}>
      <b>{model.before(i)}</b> {model.who(i)}{model.took[i] >= 0 && <> · took {duration(model.took[i])}</>}
      <br />{text.length > 400 ? text.slice(0, 400) + "…" : text}
    </div>
  );
}
