import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, openURL } from "./browser.mjs";

let browser;
before(async () => { browser = await launch(); });
after(async () => { await browser?.close(); });

const list = (page) => page.locator("table.recordings tbody tr");

test("the list, its filters, and groups", async () => {
  const { page, clean, close } = await openURL(browser, process.env.UI);
  await list(page).first().waitFor();
  assert.ok(!page.url().includes("token"), "the address bar has the token");
  const all = await list(page).count();
  assert.ok(all > 15);
  await page.getByRole("button", { name: "hanging" }).click();
  assert.equal(await list(page).count(), 1);
  await page.getByRole("button", { name: "crashed" }).click();
  const crashed = await list(page).count();
  assert.ok(crashed > 4 && crashed < all);
  await page.getByRole("button", { name: "hanging" }).click();
  await page.getByRole("button", { name: "one cause, one row" }).click();
  const groups = await list(page).count();
  assert.ok(groups < crashed, `${groups} groups of ${crashed}`);
  await page.locator(".recordings .link").first().click();
  assert.ok(await list(page).count() > groups);
  await page.getByLabel("filter of recordings").fill("no such thing");
  assert.match(await page.locator("main").textContent(), /No recording fits/);
  await page.getByLabel("filter of recordings").fill("sigabrt");
  assert.ok(await list(page).count() > 0);
  await page.waitForFunction(() => [...document.querySelectorAll(".spark")].some((c) => /[1-9]\d* call/.test(c.getAttribute("aria-label"))));
  assert.deepEqual(await clean(), []);
  await close();
});

test("a report, and back; two compared", async () => {
  const { page, clean, close } = await openURL(browser, process.env.UI);
  await list(page).first().waitFor();
  await page.locator(".recordings .verdict a", { hasText: "orders.db" }).first().click();
  await page.waitForFunction(() => performance.getEntriesByName("redraw").length > 0);
  assert.match(await page.locator("h1").textContent(), /orders\.db/);
  const saved = page.waitForEvent("download");
  await page.getByText("save as a file").click();
  assert.match((await saved).suggestedFilename(), /^report-[0-9a-f]+\.html$/);
  await page.getByText("all recordings").click();
  await list(page).first().waitFor();
  await page.getByRole("checkbox").nth(0).check();
  await page.getByRole("checkbox").nth(1).check();
  await page.getByText("compare these two").click();
  await page.getByText("Only A has").waitFor();
  assert.deepEqual(await clean(), []);
  await close();
});

test("without the token there is a page, and nothing in it", async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(process.env.UI.replace(/token=.*/, "token=x"));
  await page.getByText("recorderctl ui has printed").waitFor();
  assert.equal(await list(page).count(), 0);
  await context.close();
});
