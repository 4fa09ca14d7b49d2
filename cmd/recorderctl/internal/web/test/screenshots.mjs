// Pictures of five stories, for the documentation.
import { launch, open } from "./browser.mjs";

const dir = process.argv[2];
const browser = await launch();
for (const [name, scheme, part] of [["forks", "light", true], ["traceback", "light", false], ["deadlock", "light", false], ["dns", "light", true], ["abort", "dark", false]]) {
  const { page, close } = await open(browser, name, { colorScheme: scheme, viewport: { width: 1200, height: 760 } });
  if (part) await page.locator("h1 .part").first().click().catch(() => {});
  await page.mouse.move(0, 0);
  await page.waitForTimeout(300);
  await page.screenshot({ path: `${dir}/report-${name}.png` });
  await close();
}
await browser.close();
