/** report.html in a real browser: Chromium, where this machine has one (or ALLULOOK_CHROMIUM names one). */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium, type Browser, type Page } from "playwright-core";
import { writeReport } from "../../../simulations/report/html.ts";
import { picturePanels } from "../../../simulations/report/pictures.ts";
import { examplePicture, exampleReport } from "../../fakes/report.ts";

const CANDIDATES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/snap/bin/chromium"];
const executablePath = [process.env["ALLULOOK_CHROMIUM"] ?? "", ...CANDIDATES].find(
  (path) => path !== "" && existsSync(path),
);
const inBrowser = executablePath === undefined ? describe.skip : describe;
if (executablePath === undefined) {
  process.stderr.write("report.html was not opened in a browser: no Chromium here (set ALLULOOK_CHROMIUM to one)\n");
}

inBrowser("report.html in Chromium", () => {
  let folder: string;
  let browser: Browser;
  let url: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "report-"));
    const written = await writeReport(folder, exampleReport(), [await picturePanels(examplePicture())]);
    url = pathToFileURL(written.html).href;
    browser = await chromium.launch({ executablePath: executablePath as string, args: ["--no-sandbox"] });
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** The page, once drawn; `complaints` are what it wrote to the console or asked the network for. */
  async function open(colorScheme: "light" | "dark", width: number): Promise<{ page: Page; complaints: string[] }> {
    const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
    const complaints: string[] = [];
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("request", (request) => {
      if (request.url() !== url && !request.url().startsWith("data:")) complaints.push(request.url());
    });
    await page.goto(url);
    await page.waitForSelector(".chart canvas");
    return { page, complaints };
  }

  test.each([
    ["light", 1280],
    ["dark", 1280],
    ["light", 400],
  ] as const)("%s, %d pixels wide: all curves and pictures are there, without a complaint", async (scheme, width) => {
    const { page, complaints } = await open(scheme, width);
    const seen = await page.evaluate(() => {
      const painted = [...document.querySelectorAll<HTMLCanvasElement>(".chart canvas")].map((canvas) => {
        const pixels = canvas.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
        const colours = new Set<number>();
        for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] === 255) colours.add(pixels[i] as number);
        return colours.size > 1;
      });
      return {
        painted,
        pictures: [...document.images].map((image) => image.complete && image.naturalWidth === 360 && image.alt !== ""),
        tooWide: document.documentElement.scrollWidth > innerWidth,
        paper: getComputedStyle(document.body).backgroundColor,
      };
    });
    expect(seen.painted).toEqual(Array.from({ length: 7 }, () => true));
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
