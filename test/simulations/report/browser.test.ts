/** report.html in a real browser. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { writeReport } from "../../../simulations/report/html.ts";
import { picturePanels } from "../../../simulations/report/pictures.ts";
import { drawn, inBrowser, openPage, startBrowser } from "../../fakes/browser.ts";
import { examplePicture, exampleReport } from "../../fakes/report.ts";

inBrowser("report.html in Chromium", () => {
  let folder: string;
  let browser: Browser;
  let file: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "report-"));
    file = (await writeReport(folder, exampleReport(), [await picturePanels(examplePicture())])).html;
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function open(
    colorScheme: "light" | "dark",
    width: number,
  ): Promise<{ readonly page: Page; readonly complaints: string[] }> {
    const opened = await openPage(browser, file, colorScheme, width);
    await opened.page.waitForSelector(".chart canvas");
    return opened;
  }

  test.each([
    ["light", 1280],
    ["dark", 1280],
    ["light", 400],
  ] as const)("%s, %d pixels wide: all curves and pictures are there, without a complaint", async (scheme, width) => {
    const { page, complaints } = await open(scheme, width);
    const seen = await drawn(page);
    expect(seen.charts).toEqual(Array.from({ length: 7 }, () => true));
    expect(seen.pictures).toEqual(Array.from({ length: 6 }, () => true));
    expect(seen.tooWide).toBe(false);
    expect(seen.paper).toBe(scheme === "dark" ? "rgb(15, 20, 26)" : "rgb(246, 248, 250)");
    expect(complaints).toEqual([]);
    await page.close();
  });

  test("the legend shows the last round, and the one under the cursor", async () => {
    const { page } = await open("light", 1280);
    const legend = async () => (await page.locator("#chart-1 .u-legend").innerText()).replace(/\s+/g, "");
    expect(await legend()).toBe("round3mIoU60.0%Dice70.0%");
    await page.hover("#chart-1 .u-over", { position: { x: 2, y: 40 } });
    expect(await legend()).toBe("round0mIoU30.0%Dice40.0%");
    await page.close();
  });

  test("prints in ink on white, also for a reader in the dark", async () => {
    const { page } = await open("dark", 1280);
    await page.emulateMedia({ media: "print", colorScheme: "dark" });
    expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe("rgb(255, 255, 255)");
    const pdf = await page.pdf({ format: "A4" });
    expect(pdf.length).toBeGreaterThan(10_000);
    await page.close();
  });
});
