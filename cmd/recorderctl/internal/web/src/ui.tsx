// The pages of recorderctl ui: a list, a report that follows what lives, a comparison.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { badgeOf, nameOf } from "./about";
import { Line, List, Model, Recording, Timeline } from "./data";
import { clock, count, duration, plural, utc } from "./format";
import { Report } from "./report";

interface Item extends Recording {
  crashed?: boolean; hanging?: boolean; last: string;
  verdict?: { text: string; words?: string; spoken?: string; how: string; cause: string; fingerprint?: string; outcome: string };
}
interface Answer { recordings: Item[]; warning?: string; now: string }

// The token is behind the # of the address that was printed. It stays with this origin and tab.
const given = /^#token=([\w-]+)$/.exec(location.hash);
if (given) {
  sessionStorage.setItem("token", given[1]);
  history.replaceState(null, "", "#/");
}

async function ask(path: string, signal?: AbortSignal): Promise<Response> {
  const r = await fetch(path, { signal, headers: { Authorization: `Bearer ${sessionStorage.getItem("token") ?? ""}` } });
  if (!r.ok) throw new Error((await r.json().catch(() => null))?.error ?? `${r.status} ${r.statusText}`);
  return r;
}

async function get<T>(path: string, signal?: AbortSignal): Promise<T> { return (await ask(path, signal)).json(); }

function useHash(): string {
  const [hash, set] = useState(location.hash);
  useEffect(() => {
    const changed = () => { set(location.hash); scrollTo(0, 0); };
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return hash;
}

export function UI() {
  const hash = useHash();
  const report = /^#\/r\/([0-9a-f-]+)$/.exec(hash), diff = /^#\/diff\/([0-9a-f-]+)\/([0-9a-f-]+)$/.exec(hash);
  if (report) return <ReportPage key={report[1]} id={report[1]} />;
  if (diff) return <DiffPage key={hash} a={diff[1]} b={diff[2]} />;
  return <ListPage />;
}

// usePoll asks again every few seconds while the page is seen.
function usePoll<T>(path: string, every: number, on = true): [T | null, string] {
  const [value, setValue] = useState<T | null>(null), [error, setError] = useState("");
  const has = useRef(""); // the path of which there is an answer
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const again = async () => {
      if (!document.hidden || has.current !== path) {
        try {
          const v = await get<T>(path, abort.signal);
          if (abort.signal.aborted) return;
          has.current = path;
          setValue(v);
          setError("");
        } catch (e) {
          if (abort.signal.aborted) return;
          setError((e as Error).message);
        }
      }
      if (on) timer = setTimeout(again, every);
    };
    if (on || has.current !== path) again();
    return () => { abort.abort(); clearTimeout(timer); };
  }, [path, every, on]);
  return [value, error];
}

interface Choice { crashed: boolean; hanging: boolean; live: boolean; namespace: string; text: string; group: boolean }
let kept: Choice = { crashed: false, hanging: false, live: false, namespace: "", text: "", group: false };

function fits(r: Item, c: Choice): boolean {
  if ((c.crashed || c.hanging || c.live) && !(c.crashed && r.crashed || c.hanging && r.hanging || c.live && r.state === "live")) return false;
  if (c.namespace && r.pod?.namespace !== c.namespace) return false;
  if (!c.text) return true;
  const all = `${nameOf(r)} ${r.id} ${r.node ?? ""} ${r.container.image ?? ""} ${sentence(r)}`.toLowerCase();
  return c.text.toLowerCase().split(/\s+/).every((w) => all.includes(w));
}

function sentence(r: Item): string {
  const v = r.verdict;
  if (!v) return "";
  return v.words ? `${v.text}; ${v.spoken}: "${v.words}"` : v.text;
}

function ListPage() {
  const [answer, error] = usePoll<Answer>("/api/recordings", 2000);
  const [choice, setChoice] = useState(kept);
  const [picked, setPicked] = useState<string[]>([]);
  useEffect(() => { kept = choice; }, [choice]);
  useEffect(() => { document.title = "recordings"; }, []);
  const set = (c: Partial<Choice>) => setChoice({ ...choice, ...c });
  const all = answer?.recordings ?? [];
  const spaces = useMemo(() => [...new Set(all.map((r) => r.pod?.namespace).filter(Boolean) as string[])].sort(), [answer]);
  const rows = useMemo(() => all.filter((r) => fits(r, choice)).sort((a, b) => Date.parse(b.last) - Date.parse(a.last)), [answer, choice]);
  const groups = useMemo(() => grouped(rows, choice.group), [rows, choice.group]);
  const now = answer ? Date.parse(answer.now) : Date.now();
  const pick = (id: string) => setPicked(picked.includes(id) ? picked.filter((p) => p !== id) : [...picked, id].slice(-2));
  const toggle = (k: "crashed" | "hanging" | "live" | "group", text: string) =>
    <button aria-pressed={choice[k]} onClick={() => set({ [k]: !choice[k] })}>{text}</button>;
  const n = (f: (r: Item) => boolean | undefined) => all.filter(f).length;
  return (
    <main>
      <header class="top">
        <b class="name">Recordings</b>
        <span class="meta" role="status">{answer ? `${plural(all.length, "recording")}, ${n((r) => r.crashed)} crashed, ${n((r) => r.hanging)} hanging` : "asking…"}</span>
        <span class="space" />
        {picked.length === 2 ? <a class="button" href={`#/diff/${picked[0]}/${picked[1]}`}>compare these two</a>
          : <span class="meta">{picked.length === 1 ? "pick another one to compare with" : "pick two to compare them"}</span>}
      </header>
      {(error || answer?.warning) && <p class="warning" role="alert">{error || answer?.warning}</p>}
      <div class="bar filters">
        <span class="buttons" role="group" aria-label="show only">{toggle("crashed", "crashed")}{toggle("hanging", "hanging")}{toggle("live", "live")}</span>
        {spaces.length > 0 && <select aria-label="namespace" value={choice.namespace} onChange={(e) => set({ namespace: e.currentTarget.value })}>
          <option value="">all namespaces</option>{spaces.map((s) => <option key={s} value={s}>{s}</option>)}</select>}
        <input type="search" aria-label="filter of recordings" placeholder="name, image, node, words of the verdict" value={choice.text}
          onInput={(e) => set({ text: e.currentTarget.value })} />
        {toggle("group", "one cause, one row")}
        <span class="space" /><span class="count">{count(rows.length)} of {count(all.length)}</span>
      </div>
      <table class="recordings">
        <thead><tr><th /><th>ended as</th><th>container</th><th>verdict</th><th>calls, <span class="bad">failed</span></th><th class="n">age</th></tr></thead>
        <tbody>{groups.map((g) => <Group key={choice.group && g[0].verdict?.fingerprint || g[0].id} items={g} now={now} picked={picked} onPick={pick} />)}</tbody>
      </table>
      {answer && rows.length === 0 && <p class="note">{all.length ? "No recording fits." : "Nothing has been recorded yet."}</p>}
    </main>
  );
}

// grouped puts crashes of one cause together, by the newest.
function grouped(rows: Item[], on: boolean): Item[][] {
  if (!on) return rows.map((r) => [r]);
  const groups = new Map<string, Item[]>();
  for (const r of rows) {
    const key = r.crashed && r.verdict?.fingerprint ? r.verdict.fingerprint : r.id;
    const g = groups.get(key);
    if (g) g.push(r); else groups.set(key, [r]);
  }
  return [...groups.values()];
}

function Group({ items, now, picked, onPick }: { items: Item[]; now: number; picked: string[]; onPick: (id: string) => void }) {
  const [open, setOpen] = useState(false);
  const row = (r: Item, first: boolean) => <Row key={r.id} r={r} now={now} picked={picked.includes(r.id)} onPick={onPick}
    more={first && items.length > 1 ? <button class="link" aria-expanded={open} onClick={() => setOpen(!open)}>×{items.length}</button> : null} inner={!first} />;
  return <>{row(items[0], true)}{open && items.slice(1).map((r) => row(r, false))}</>;
}

function Row({ r, now, picked, onPick, more, inner }: {
  r: Item; now: number; picked: boolean; onPick: (id: string) => void; more: preact.ComponentChild; inner: boolean
}) {
  const how = r.verdict?.how ?? (r.state === "live" ? "running" : r.exit ? "exited" : "");
  const b = badgeOf(how, r.exit?.signal, r.exit?.code, r.exit?.oomKilled, r.hanging);
  return (
    <tr class={inner ? "inner" : ""}>
      <td><input type="checkbox" checked={picked} onChange={() => onPick(r.id)} aria-label={`compare ${nameOf(r)}`} /></td>
      <td><span class={`badge is-${r.crashed || b.kind !== "bad" ? b.kind : r.hanging ? "bad" : "unknown"}`}>{b.text}</span> {more}</td>
      <td><a href={`#/r/${r.id}`}>{nameOf(r)}</a><div class="note">{[r.node, r.container.image].filter(Boolean).join(" · ")}</div></td>
      <td class="verdict"><a href={`#/r/${r.id}`}>{sentence(r) || (r.state === "live" ? "running" : "no verdict yet")}</a></td>
      <td><Spark id={r.id} written={r.coverage.written} live={r.state === "live"} /></td>
      <td class="n" title={utc(r.last)}>{duration(Math.max(0, now - Date.parse(r.last)) * 1e6)}</td>
    </tr>
  );
}

interface SparkData { calls: number[]; failed: number[]; from: string; to: string }

// Spark is drawn when its row is seen: a dump is read for it, once, of what lives again after half
// a minute.
function Spark({ id, written, live }: { id: string; written: number; live: boolean }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [data, setData] = useState<SparkData | null>(null);
  const asked = useRef({ at: 0, written: -1 }), gone = useRef(new AbortController());
  useEffect(() => () => gone.current.abort(), []); // what is left waits for no picture
  useEffect(() => {
    if (asked.current.written === written || live && Date.now() - asked.current.at < 30_000) return;
    const seen = new IntersectionObserver((e) => {
      if (!e.some((x) => x.isIntersecting)) return;
      seen.disconnect();
      asked.current = { at: Date.now(), written };
      get<SparkData>(`/api/recordings/${id}/spark`, gone.current.signal).then(setData, () => { asked.current = { at: Date.now(), written: -1 }; });
    });
    seen.observe(canvas.current!);
    return () => seen.disconnect();
  }, [id, written]);
  useEffect(() => {
    const c = canvas.current!, ratio = devicePixelRatio || 1, w = 140, h = 26;
    c.width = w * ratio; c.height = h * ratio;
    const ctx = c.getContext("2d")!;
    ctx.scale(ratio, ratio);
    if (!data?.calls.length) return;
    const style = getComputedStyle(c), most = Math.log1p(Math.max(...data.calls)), step = w / data.calls.length;
    data.calls.forEach((n, i) => {
      if (!n) return;
      const tall = Math.max(2, Math.log1p(n) / most * h);
      ctx.fillStyle = style.getPropertyValue("--other");
      ctx.fillRect(i * step, h - tall, Math.max(1, step - .5), tall);
      if (data.failed[i]) {
        const bad = Math.max(2, Math.log1p(data.failed[i]) / most * h);
        ctx.fillStyle = style.getPropertyValue("--red");
        ctx.fillRect(i * step, h - bad, Math.max(1, step - .5), bad);
      }
    });
  }, [data]);
  const sum = (a?: number[]) => (a ?? []).reduce((x, y) => x + y, 0);
  return <canvas ref={canvas} class="spark" role="img" aria-label={data ? `${plural(sum(data.calls), "call")}, ${count(sum(data.failed))} failed` : "calls over time"}
    title={data?.calls.length ? `${plural(sum(data.calls), "call")} kept, ${count(sum(data.failed))} failed tellingly, from ${utc(data.from)} on` : ""} />;
}

// save fetches the report as a file of its own.
async function save(id: string): Promise<void> {
  const url = URL.createObjectURL(await (await ask(`/api/recordings/${id}/page`)).blob());
  const a = document.createElement("a");
  a.href = url;
  a.download = `report-${id}.html`;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

function ReportPage({ id }: { id: string }) {
  const [follow, setFollow] = useState(true);
  const [live, setLive] = useState(true);
  const [data, error] = usePoll<Timeline>(`/api/recordings/${id}/timeline`, 3000, live && follow);
  const model = useMemo(() => data && new Model(data), [data]);
  useEffect(() => { if (data) setLive(!!data.live); }, [data]);
  const nav = (
    <nav class="bar">
      <a href="#/">← all recordings</a><span class="space" />
      {live && model && <button aria-pressed={follow} onClick={() => setFollow(!follow)}>follow</button>}
      <button onClick={() => save(id).catch((e) => alert(e.message))}>save as a file</button>
    </nav>
  );
  return <>
    {error && <p class="warning" role="alert">{error}</p>}
    {model ? <Report model={model} nav={nav} /> : <main>{nav}<p class="note">{error ? "" : "reading the recording…"}</p></main>}
  </>;
}

interface Side { recording: Recording; verdict: string; covers: string }
interface Thing { kind: string; text: string; count: number; weight: number; first: Line }
interface Difference {
  a: Side; b: Side; onlyA: List<Thing>; onlyB: List<Thing>; lacks: string[];
  part?: { steps: number; before: Line[]; a?: Line; b?: Line };
}

function DiffPage({ a, b }: { a: string; b: string }) {
  const [d, error] = usePoll<Difference>(`/api/diff/${a}/${b}`, 0, false);
  useEffect(() => { document.title = "two recordings compared"; }, []);
  const line = (l?: Line) => l ? <code>{clock(l.time)} {l.tid} {l.comm ?? ""} {l.text}</code> : <i class="note">nothing more</i>;
  const only = (list: List<Thing>) => list.items?.length ? (
    <table><thead><tr><th>what</th><th class="n">times</th></tr></thead><tbody>
      {list.items.map((t, i) => <tr key={i}><td><span class="note">{t.kind}</span> {t.text}</td><td class="n">{count(t.count)}</td></tr>)}</tbody></table>
  ) : <p class="note">nothing</p>;
  return (
    <main>
      <nav class="bar"><a href="#/">← all recordings</a></nav>
      {error && <p class="warning" role="alert">{error}</p>}
      {!d && !error && <p class="note">reading both…</p>}
      {d && <>
        <div class="grid even">
          {([["A", a, d.a], ["B", b, d.b]] as [string, string, Side][]).map(([name, id, side]) => (
            <section key={name} class="card"><h2>{name}</h2> <a href={`#/r/${id}`}>{nameOf(side.recording)}</a>
              <p><b>{side.verdict}</b></p><p class="note">{side.covers}</p></section>))}
        </div>
        {d.part && <section class="card"><h2>Where they part</h2>
          <p class="note">after {plural(d.part.steps, "step")} of the first thread that are the same</p>
          {d.part.before.map((l, i) => <div key={i} class="old">{line(l)}</div>)}
          <div class="grid even"><div>A {line(d.part.a)}</div><div>B {line(d.part.b)}</div></div></section>}
        <div class="grid even">
          <section class="card"><h2>Only A has</h2>{only(d.onlyA)}</section>
          <section class="card"><h2>Only B has</h2>{only(d.onlyB)}</section>
        </div>
        {d.lacks.length > 0 && <ul class="lacks">{d.lacks.map((l, i) => <li key={i}>{l}</li>)}</ul>}
      </>}
    </main>
  );
}
