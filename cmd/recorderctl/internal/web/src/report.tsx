import { ComponentChildren } from "preact";
import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import { badge, eventOf, nameOf, Part, parts } from "./about";
import { Calls } from "./calls";
import { Line, Model, Process, Report as Data, same } from "./data";
import { parse } from "./filter";
import { bytes, clock, count, duration, plural, utc } from "./format";
import { markdown } from "./markdown";
import { TimelineView } from "./timeline";

export function Report({ model, nav }: { model: Model; nav?: ComponentChildren }) {
  const [query, setQuery] = useState("");
  const [selection, setSelection] = useState({ model, i: -1 });
  const [pointed, setPointed] = useState({ model, i: -1 });
  // What lives is another model every few seconds: what was selected is found again in it.
  const selected = useMemo(() => selection.model === model ? selection.i : same(selection.model, selection.i, model), [selection, model]);
  const hovered = pointed.model === model ? pointed.i : -1;
  useEffect(() => { if (selection.model !== model) setSelection({ model, i: selected }); }, [model, selected]);
  const setHovered = useCallback((i: number) => setPointed({ model, i }), [model]);
  const [theme, setTheme] = useTheme();
  const filter = useMemo(() => parse(query), [query]);
  const [mask, rows] = useMemo(() => apply(model, filter), [model, filter]);
  const select = useCallback((i: number) => {
    setSelection({ model, i });
    setQuery((q) => { // what is selected is never hidden
      const f = parse(q);
      return i >= 0 && !f.empty && !f.error && !f.test(model, i) ? "" : q;
    });
  }, [model]);
  const r = model.t.report, rec = r.recording;
  const headline = useMemo(() => parts(model, r.verdict), [model]);
  const b = badge(r);
  useEffect(() => { document.title = `${b.text}: ${nameOf(rec)}`; }, [b.text]);
  const find = useCallback((text: string) => {
    const i = eventOf(model, text);
    if (i >= 0) select(i); else setQuery(JSON.stringify(text));
  }, [model, select]);
  // These depend on the recording alone, and not on where the pointer is.
  const signs = useMemo(() => <Signs model={model} onSelect={select} />, [model, select]);
  const below = useMemo(() => <><Failures r={r} onFind={find} /><Summary model={model} onQuery={setQuery} /></>, [model, find]);
  const aside = useMemo(() => <>
    <LastWords model={model} onFind={find} />
    <Chain model={model} onSelect={select} />
    <Waiting r={r} onFind={find} />
    <Files r={r} onFind={find} />
    <Peers r={r} onFind={find} />
    <Processes r={r} onQuery={setQuery} />
    <Limits r={r} />
    <Covers model={model} />
  </>, [model, find, select]);
  return (
    <main>
      {nav}
      <header class="top">
        <span class={`badge is-${b.kind}`}>{b.text}</span>
        <b class="name">{nameOf(rec)}</b>
        <span class="meta">{[rec.container.image, r.node && `on ${r.node}`,
          model.t.live ? `taken ${utc(r.taken)}` : `ended ${utc(rec.exit?.at ?? rec.ended ?? model.t.end)}`,
          model.t.lived >= 0 && (model.t.live ? `running for ${duration(model.t.lived)}` : `lived ${duration(model.t.lived)}`),
          rec.container.restarts ? plural(rec.container.restarts, "restart") : ""].filter(Boolean).join(" · ")}</span>
        <span class="space" />
        <Copy text={() => markdown(r)} />
        <button onClick={() => setTheme(theme === "dark" ? "light" : "dark")} aria-label="light or dark" title="light or dark">◐</button>
      </header>
      <h1><Parts parts={headline} onSelect={select} /></h1>
      {signs}
      <TimelineView model={model} mask={filter.empty || filter.error ? null : mask} selected={selected} hovered={hovered} theme={theme}
        onSelect={select} onHover={setHovered} />
      <div class="grid">
        <div class="column">
          <Calls model={model} rows={rows} query={query} error={filter.error} selected={selected} hovered={hovered}
            onQuery={setQuery} onSelect={select} onHover={setHovered} />
          {below}
        </div>
        <div class="column">{aside}</div>
      </div>
      <footer>recording {rec.id}{r.kernel && ` · Linux ${r.kernel}`} · this page is one file and asks no network.
        What containers chose is shown as text, blanked as recorderctl dump blanks it.</footer>
    </main>
  );
}

function useTheme(): [string, (t: string) => void] {
  const [theme, setTheme] = useState(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const set = (t: string) => { document.documentElement.dataset.theme = t; setTheme(t); };
  return [theme, set];
}

function apply(m: Model, f: ReturnType<typeof parse>): [Uint8Array, Int32Array] {
  const mask = new Uint8Array(m.count), rows: number[] = [];
  const all = f.empty || !!f.error;
  for (let i = m.count - 1; i >= 0; i--) {
    if (all || f.test(m, i)) { mask[i] = 1; rows.push(i); }
  }
  return [mask, Int32Array.from(rows)];
}

export function Parts({ parts, onSelect }: { parts: Part[]; onSelect: (i: number) => void }) {
  return <>{parts.map((p, i) => p.event === undefined ? p.text
    : <button key={i} class="part" onClick={() => onSelect(p.event!)} title="show it in the timeline">{p.text}</button>)}</>;
}

function Copy({ text }: { text: () => string }) {
  const [done, setDone] = useState("");
  const copy = async () => {
    const t = text();
    try {
      await navigator.clipboard.writeText(t);
    } catch { // a file of its own may not
      const area = document.createElement("textarea");
      area.value = t;
      document.body.append(area);
      area.select();
      const ok = document.execCommand("copy");
      area.remove();
      if (!ok) { setDone("it cannot be copied"); return; }
    }
    setDone("copied");
    setTimeout(() => setDone(""), 2000);
  };
  return <button onClick={copy} aria-live="polite">{done || "copy as Markdown"}</button>;
}

function Card({ title, more, children, open = true }: { title: string; more?: number; children: ComponentChildren; open?: boolean }) {
  return (
    <details class="card" open={open}>
      <summary><h2>{title}</h2></summary>
      {children}
      {!!more && <p class="note">and {count(more)} more</p>}
    </details>
  );
}

function Signs({ model, onSelect }: { model: Model; onSelect: (i: number) => void }) {
  const r = model.t.report;
  if (!r.signs.items?.length) return null;
  return (
    <ul class="signs" aria-label="what stands out">
      {r.signs.items.map((s, k) => (
        <li key={k} class={s.certainty}>
          <i>{s.certainty}</i><Parts parts={parts(model, s.text)} onSelect={onSelect} />{s.count && s.count > 1 ? ` (${count(s.count)} times)` : ""}
          {s.evidence?.length > 0 && <details><summary>evidence</summary><ol>
            {s.evidence.slice(0, 12).map((e, n) => <li key={n}><Evidence e={e} model={model} onSelect={onSelect} /></li>)}</ol></details>}
        </li>
      ))}
    </ul>
  );
}

function Chain({ model, onSelect }: { model: Model; onSelect: (i: number) => void }) {
  const { chain } = model.t.report;
  if (!chain?.length) return null;
  return (
    <Card title="What led to the end">
      <ol class="chain">{chain.map((e, k) => <li key={k}><Evidence e={e} model={model} onSelect={onSelect} />
        {e.times && e.times > 1 ? <span class="note"> {count(e.times)} times</span> : ""}{e.why && <span class="note"> {e.why}</span>}</li>)}</ol>
    </Card>
  );
}

function Evidence({ e, model, onSelect }: { e: Line; model: Model; onSelect: (i: number) => void }) {
  const text = <code>{clock(e.time)} {e.tid} {e.comm ?? ""} {e.text}</code>;
  const i = useMemo(() => nearest(model, e), [model, e]);
  return i < 0 ? text : <button class="part" onClick={() => onSelect(i)}>{text}</button>;
}

// nearest is the event that a line of the report shows.
function nearest(m: Model, e: Line): number {
  let best = -1, distance = 2e6; // ns: dates of browsers have milliseconds
  const at = (m.endMs - Date.parse(e.time)) * 1e6;
  for (let i = 0; i < m.count; i++) {
    const d = Math.abs(m.age[i] - at);
    if (d < distance && m.t.threads[m.thread[i]]?.tid === e.tid && m.text(i).slice(0, 40) === e.text.slice(0, 40)) { best = i; distance = d; }
  }
  return best;
}

const Find = ({ text, onFind }: { text: string; onFind: (t: string) => void }) =>
  <button class="part" onClick={() => onFind(text)}>{text}</button>;

function LastWords(p: { model: Model; onFind: (t: string) => void }) {
  return p.model.t.report.output.items?.length ? <Words {...p} /> : null;
}

function Words({ model, onFind }: { model: Model; onFind: (t: string) => void }) {
  const { output } = model.t.report;
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => { box.current!.scrollTop = box.current!.scrollHeight; }, []); // the last ones
  const split = useMemo(() => splitter(model.t.report.files.items?.filter((f) => f.failed).map((f) => f.path) ?? []), [model]);
  return (
    <Card title="Last words">
      <div class="scroll words" tabIndex={0} ref={box}>
        {output.items.map((l, i) => (
          <div key={i} class={l.stream}>
            <time title={l.time}>{clock(l.time)}</time>{" "}
            <span class="stream">{l.stream === "stderr" ? "err" : "out"}</span>{" "}
            {split(l.text).map((p, k) => k % 2 ? <Find key={k} text={p} onFind={onFind} /> : p)}{l.cut && "…"}
            {l.to && <span class="note"> to {l.to}</span>}
          </div>
        ))}
      </div>
    </Card>
  );
}

// splitter cuts texts at whole paths: every second piece is one.
function splitter(paths: string[]): (text: string) => string[] {
  const words = [...new Set(paths.filter((p) => p.length > 3 && p.length < 300))].sort((a, b) => b.length - a.length).slice(0, 200);
  if (words.length === 0) return (text) => [text];
  const whole = new RegExp(`(?<![\\w./-])(${words.map((w) => w.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})(?![\\w/-])`);
  return (text) => text.split(whole);
}

function Waiting({ r, onFind }: { r: Data; onFind: (t: string) => void }) {
  if (!r.blocked.items?.length) return null;
  return (
    <Card title="In a call at the end" more={r.blocked.more}>
      <table><thead><tr><th>thread</th><th>call</th><th class="n">for</th></tr></thead><tbody>
        {r.blocked.items.slice(0, 40).map((b, i) => <tr key={i}><td>{b.tid} {b.comm}</td><td><Find text={b.text} onFind={onFind} /></td>
          <td class="n">{b.forNs ? duration(b.forNs) : ""}</td></tr>)}</tbody></table>
    </Card>
  );
}

function Failures({ r, onFind }: { r: Data; onFind: (t: string) => void }) {
  if (!r.failures.items?.length) return null;
  return (
    <Card title="Calls that failed" more={r.failures.more}>
      <table><thead><tr><th class="n">times</th><th>call</th><th>error</th><th>example</th></tr></thead><tbody>
        {r.failures.items.map((f, i) => <tr key={i} class={f.everyday ? "old" : ""}><td class="n">{count(f.count)}</td><td>{f.call}</td>
          <td class={f.everyday ? "" : "bad"}>{f.error}</td><td><Find text={f.example.text} onFind={onFind} /></td></tr>)}</tbody></table>
    </Card>
  );
}

function Files({ r, onFind }: { r: Data; onFind: (t: string) => void }) {
  if (!r.files.items?.length) return null;
  const files = [...r.files.items].sort((a, b) => Number(!!b.failed) - Number(!!a.failed));
  return (
    <Card title="Files" more={r.files.more}>
      <div class="scroll"><table><thead><tr><th>path</th><th class="n">opened</th><th class="n">failed</th></tr></thead><tbody>
        {files.map((f, i) => <tr key={i}><td><Find text={f.path} onFind={onFind} />{f.write ? <span class="note"> written</span> : ""}</td>
          <td class="n">{f.opened ? count(f.opened) : ""}</td>
          <td class={f.failed ? "n bad" : "n"}>{f.failed ? `${count(f.failed)} ${f.error ?? ""}` : ""}</td></tr>)}</tbody></table></div>
    </Card>
  );
}

function Peers({ r, onFind }: { r: Data; onFind: (t: string) => void }) {
  if (!r.peers.items?.length) return null;
  return (
    <Card title="Peers" more={r.peers.more}>
      <div class="scroll"><table><thead><tr><th>address</th><th>state</th><th class="n">connected</th><th class="n">failed</th></tr></thead><tbody>
        {r.peers.items.map((p, i) => <tr key={i}><td><Find text={p.address} onFind={onFind} /></td>
          <td class={p.failed || p.unanswered ? "bad" : ""}>{p.state ?? ""}{p.error ? ` ${p.error}` : ""}</td>
          <td class="n">{(p.connected ?? 0) + (p.accepted ?? 0) || ""}</td><td class="n">{p.failed || ""}</td></tr>)}</tbody></table></div>
    </Card>
  );
}

function Processes({ r, onQuery }: { r: Data; onQuery: (q: string) => void }) {
  const all = r.processes.items ?? [];
  if (!all.length) return null;
  const known = new Set(all.map((p) => p.pid)), rows: [Process, number][] = [], seen = new Set<Process>();
  const walk = (p: Process, depth: number) => {
    if (seen.has(p) || depth > 30) return;
    seen.add(p);
    rows.push([p, depth]);
    for (const c of all) if (c.ppid === p.pid && c !== p) walk(c, depth + 1);
  };
  for (const p of all) if (!p.ppid || !known.has(p.ppid)) walk(p, 0);
  for (const p of all) walk(p, 0);
  return (
    <Card title="Processes" more={r.processes.more}>
      <div class="scroll"><table><thead><tr><th>process</th><th>ended</th><th class="n">calls</th><th class="n">failed</th></tr></thead><tbody>
        {rows.map(([p, depth]) => <tr key={p.pid + ":" + depth + (p.started ?? "")}>
          <td style={{ paddingLeft: `${depth * 14}px` }}><button class="part" onClick={() => onQuery(`pid:${p.pid}`)} title={(p.command ?? []).join(" ")}>
            {p.pid} {p.comm}</button>{p.threads && p.threads > 1 ? <span class="note"> {p.threads} threads</span> : ""}</td>
          <td class={p.signal || p.code ? "bad" : ""}>{p.oom ? "OOM" : p.signal ?? (p.code !== undefined ? `exit ${p.code}` : "")}</td>
          <td class="n">{count(p.calls)}</td><td class="n">{p.failed || ""}</td></tr>)}</tbody></table></div>
    </Card>
  );
}

function Summary({ model, onQuery }: { model: Model; onQuery: (q: string) => void }) {
  const rows = model.t.summary;
  if (!rows.length) return null;
  return (
    <Card title="By call" open={false}>
      <div class="scroll"><table><thead><tr><th>call</th><th class="n">calls</th><th class="n">failed</th><th class="n">in all</th><th class="n">longest</th></tr></thead><tbody>
        {rows.map((s) => <tr key={s.name}><td><button class="part" onClick={() => onQuery(`/^${s.name}\\(/`)}>{s.name}</button></td>
          <td class="n">{count(s.calls)}</td><td class={s.failed ? "n bad" : "n"}>{s.failed || ""}</td>
          <td class="n">{duration(s.totalNs)}</td><td class="n">{duration(s.maxNs)}</td></tr>)}</tbody></table></div>
    </Card>
  );
}

function Limits({ r }: { r: Data }) {
  const u = r.usage;
  if (!u) return null;
  const n = (k: string) => typeof u[k] === "number" ? u[k] as number : 0;
  const rows: [string, number, number, (n: number) => string][] = [
    ["memory", n("memory"), n("memoryMax"), bytes], ["processes and threads", n("pids"), n("pidsMax"), count],
  ];
  const shown = rows.filter(([, used, max]) => used > 0 && max > 0);
  if (!shown.length) return null;
  return (
    <Card title="Limits">
      {shown.map(([name, used, max, text]) => (
        <div key={name} class="limit"><span>{name}: {text(used)} of {text(max)}</span>
          <meter min={0} max={max} high={max * .9} optimum={0} value={used} aria-label={name} /></div>
      ))}
    </Card>
  );
}

function Covers({ model }: { model: Model }) {
  const { report: r, began, whole, lived } = model.t;
  const all = Math.max(lived, began, 1), from = (ns: number) => `${100 * (1 - Math.min(1, ns / all))}%`;
  return (
    <Card title="What the recording has">
      {began >= 0 && <div class="cover" role="img" aria-label={r.covers}>
        <i class="some" style={{ left: from(began) }} />{whole >= 0 && <i class="whole" style={{ left: from(whole) }} />}</div>}
      <p>{r.covers}</p>
      {r.lacks?.length > 0 && <ul class="lacks">{r.lacks.map((l, i) => <li key={i}>{l}</li>)}</ul>}
      <p class="note">Of {count(r.recording.coverage.written)} records {count(r.recording.coverage.kept)} are kept.</p>
    </Card>
  );
}
