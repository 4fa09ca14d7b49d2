import { elementScroll, observeElementOffset, observeElementRect, Virtualizer } from "@tanstack/virtual-core";
import { useEffect, useRef, useState } from "preact/hooks";
import { Model, State } from "./data";
import { count, duration } from "./format";

interface Props {
  model: Model;
  rows: Int32Array; // events that fit the filter, newest first
  query: string;
  error?: string;
  selected: number;
  hovered: number;
  onQuery: (q: string) => void;
  onSelect: (i: number) => void;
  onHover: (i: number) => void;
}

const tall = 21;
const quick: [string, string][] = [["all", ""], ["failed", "failed"], ["slow", ">1ms"], ["network", "%network"], ["output", "output"]];

function classOf(m: Model, i: number): string {
  switch (m.state[i]) {
    case State.Failed: return m.telling(i) ? m.weight(i) < .1 ? "everyday" : "bad" : "";
    case State.Blocked: case State.Killed: return "blocked";
    case State.Signalled: return m.quiet(i) ? "" : "bad strong";
    case State.OOM: return "bad strong";
    case State.Sent: return "blocked";
    case State.Ended: case State.NoReturn: return m.t.threads[m.thread[i]]?.bad ? "bad strong" : "strong";
  }
  return m.guard(i) ? "old" : "";
}

const marks: Partial<Record<number, string>> = {
  [State.Failed]: "✗", [State.Blocked]: "…", [State.Killed]: "…", [State.Signalled]: "⚑", [State.Sent]: "⚐", [State.Ended]: "■", [State.OOM]: "⚑",
};

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most)}… (${count(text.length - most)} characters more)`;
}

export function Calls(p: Props) {
  const box = useRef<HTMLDivElement>(null);
  const [, redraw] = useState(0);
  const list = useRef<Virtualizer<HTMLDivElement, Element>>();
  const options = {
    count: p.rows.length, scrollMargin: 0, scrollPaddingStart: tall, getScrollElement: () => box.current, estimateSize: () => tall, overscan: 12,
    scrollToFn: elementScroll, observeElementRect, observeElementOffset, onChange: () => redraw((n) => n + 1),
  };
  list.current ??= new Virtualizer<HTMLDivElement, Element>(options);
  list.current.setOptions(options);
  useEffect(() => list.current!._didMount(), []);
  useEffect(() => list.current!._willUpdate());
  const position = (i: number) => { // rows are in falling order
    let a = 0, b = p.rows.length;
    while (a < b) { const k = (a + b) >> 1; if (p.rows[k] > i) a = k + 1; else b = k; }
    return a < p.rows.length && p.rows[a] === i ? a : -1;
  };
  useEffect(() => {
    const k = p.selected >= 0 ? position(p.selected) : -1;
    if (k >= 0) list.current!.scrollToIndex(k, { align: "auto" });
  }, [p.selected, p.rows]);
  const key = (e: KeyboardEvent) => {
    const by: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 20, PageUp: -20, Home: -1e9, End: 1e9 };
    if (!(e.key in by) || p.rows.length === 0) return;
    e.preventDefault();
    const k = Math.min(p.rows.length - 1, Math.max(0, position(p.selected) + by[e.key]));
    p.onSelect(p.rows[k]);
  };
  const m = p.model, items = list.current.getVirtualItems();
  return (
    <section class="card calls" aria-labelledby="calls-title">
      <div class="bar">
        <h2 id="calls-title">Calls</h2>
        <input type="search" value={p.query} aria-label="filter of calls and timeline" aria-invalid={!!p.error} spellcheck={false}
          placeholder="text, /regex/, failed, >1ms, pid:7, %network" onInput={(e) => p.onQuery(e.currentTarget.value)}
          title={"All words have to fit; ! in front of one: it must not.\nfailed, blocked, output, >1ms, <10us, pid:7, tid:7, %file %network %process %memory %signal %waiting, /regex/, \"some text\""} />
        <span class="buttons">{quick.map(([text, q]) => <button key={q} aria-pressed={p.query === q} onClick={() => p.onQuery(q)}>{text}</button>)}</span>
        <span class="space" />
        <span class="count" role="status">{p.error ? <b class="bad">{p.error}</b> : <>{count(p.rows.length)} of {count(m.count)}</>}</span>
      </div>
      <div class="scroll" ref={box} tabIndex={0} role="grid" aria-label="calls, newest first" aria-rowcount={p.rows.length + 1} onKeyDown={key}
        aria-activedescendant={p.selected >= 0 ? `call-${p.selected}` : undefined} onPointerLeave={() => p.onHover(-1)}>
        <div class="rows head" role="row" aria-rowindex={1}><span role="columnheader">{m.back ? "before last" : "before end"}</span>
          <span role="columnheader">thread</span><span role="columnheader">call</span><span role="columnheader">took</span></div>
        <div role="rowgroup" style={{ height: list.current.getTotalSize(), position: "relative" }}>
          {items.map((row) => {
            const i = p.rows[row.index];
            return (
              <div key={i} id={`call-${i}`} role="row" aria-rowindex={row.index + 2} aria-selected={i === p.selected}
                class={`rows ${classOf(m, i)}${i === p.selected ? " selected" : ""}${i === p.hovered ? " hovered" : ""}`}
                style={{ transform: `translateY(${row.start}px)` }} onClick={() => p.onSelect(i)} onPointerEnter={() => p.onHover(i)}>
                <span role="gridcell">{m.before(i)}</span>
                <span role="gridcell" title={m.who(i)}>{m.who(i)}</span>
                <span role="gridcell" class="text" title={cut(m.text(i), 2000)}><i aria-hidden="true">{m.failed(i) && !m.telling(i) ? "" : marks[m.state[i]] ?? ""}</i>{cut(m.text(i), 600)}</span>
                <span role="gridcell">{m.took[i] >= 0 ? duration(m.took[i]) : ""}</span>
              </div>
            );
          })}
        </div>
        {p.rows.length === 0 && <p class="note">Nothing fits the filter.</p>}
      </div>
      {p.selected >= 0 && <pre class="detail" aria-live="polite">{cut(m.text(p.selected), 20_000)}</pre>}
    </section>
  );
}
