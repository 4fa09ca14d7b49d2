// A Chromium that reports what a page must not do.
import { chromium } from "playwright-core";

export const pages = process.env.PAGES;

export async function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--font-render-hinting=none"],
  });
}

// open opens a page of a file.
export async function open(browser, name, options = {}) {
  const opened = await openURL(browser, `file://${pages}/${name}.html`, options);
  await opened.page.waitForFunction(() => performance.getEntriesByName("redraw").length > 0);
  return opened;
}

// openURL opens a page, and collects errors, breaches of its policy, and requests elsewhere.
export async function openURL(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  const faults = [], requests = [];
  page.on("pageerror", (e) => faults.push(`error: ${e.message}`));
  page.on("console", (m) => { if (m.type() === "error" || m.type() === "warning") faults.push(`${m.type()}: ${m.text()}`); });
  page.on("request", (r) => requests.push(r.url()));
  await page.addInitScript(() => {
    globalThis.breaches = [];
    document.addEventListener("securitypolicyviolation", (e) => globalThis.breaches.push(`${e.violatedDirective} ${e.blockedURI}`));
    globalThis.copied = undefined;
    Object.defineProperty(navigator, "clipboard", { value: { writeText: async (t) => { globalThis.copied = t; } } });
  });
  await page.goto(url);
  await page.waitForSelector("main");
  const clean = async () => {
    faults.push(...await page.evaluate(() => globalThis.breaches.map((b) => `policy: ${b}`)));
    const strange = requests.filter((r) => r !== url && !(url.startsWith("http") && new URL(r).origin === new URL(url).origin) && !r.startsWith("blob:null") && !r.startsWith("data:"));
    return [...faults, ...strange.map((r) => `request: ${r}`)];
  };
  return { page, clean, close: () => context.close() };
}
