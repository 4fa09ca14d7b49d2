import { render } from "preact";
import { Model, unpack } from "./data";
import { Report } from "./report";
import { UI } from "./ui";

async function main(): Promise<void> {
  const root = document.getElementById("app")!;
  const data = document.getElementById("data");
  if (data) {
    render(<Report model={new Model(await unpack(data.textContent ?? ""))} />, root);
    performance.mark("shown");
  } else {
    render(<UI />, root);
  }
}

main().catch((e) => {
  const root = document.getElementById("app")!;
  root.textContent = `The report could not be shown: ${e instanceof Error ? e.message : e}`;
  root.className = "failed";
});
