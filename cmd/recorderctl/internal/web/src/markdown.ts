// The report as Markdown, for a ticket. What a container wrote stands in code, whose fence is
// longer than any in it.
import { Report } from "./data";
import { clock, utc } from "./format";
import { badge, nameOf } from "./about";

const ends = /[\r\n\u2028\u2029]+/g; // what Markdown takes for the end of a line, or may

function fenced(text: string): string {
  const longest = Math.max(2, ...(text.match(/`+/g) ?? []).map((s) => s.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}\n${text.replace(/[\r\u2028\u2029]+/g, " ")}\n${fence}\n`;
}

function code(text: string): string {
  const longest = Math.max(0, ...(text.match(/`+/g) ?? []).map((s) => s.length));
  const fence = "`".repeat(longest + 1), pad = /^`|`$/.test(text) ? " " : "";
  return `${fence}${pad}${text.replace(ends, " ")}${pad}${fence}`;
}

export function markdown(r: Report): string {
  const rec = r.recording;
  let s = `### ${code(badge(r).text)}: ${code(nameOf(rec))}\n\n${code(r.verdict)}\n\n`;
  const rows: [string, string | undefined][] = [
    ["image", rec.container.image], ["node", r.node], ["started", utc(rec.started)],
    ["ended", utc(rec.exit?.at ?? rec.ended)], ["recording", rec.id],
  ];
  for (const [name, value] of rows) if (value) s += `- ${name}: ${code(value)}\n`;
  if (r.signs.items?.length) {
    s += "\n**What stands out**\n\n";
    for (const sign of r.signs.items) s += `- ${sign.certainty}: ${code(sign.text)}\n`;
  }
  const failed = r.failures.items?.filter((f) => !f.everyday).slice(0, 8) ?? [];
  if (failed.length) s += `\n**Failed calls**\n\n${fenced(failed.map((f) => `${f.count}× ${f.example.text}`).join("\n"))}`;
  const out = r.output.items?.slice(-15) ?? [];
  if (out.length) s += `\n**Last output**\n\n${fenced(out.map((l) => `${clock(l.time)} ${l.text}`).join("\n"))}`;
  const blocked = r.blocked.items ?? [];
  if (blocked.length) s += `\n**In a call at the end**\n\n${fenced(blocked.slice(0, 10).map((b) => `${b.tid} ${b.comm ?? ""} ${b.text}`).join("\n"))}`;
  s += `\n${r.covers}${r.lacks?.length ? ` Missing: ${r.lacks.map(code).join("; ")}.` : ""}\n`;
  return s;
}

