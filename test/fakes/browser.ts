/** Pages in a real browser: Chromium, where this machine has one (or ALLULOOK_CHROMIUM names one). */
import { describe, expect } from "@jest/globals";
import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { chromium, type Browser, type Page } from "playwright-core";

const CANDIDATES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/snap/bin/chromium"];
const executablePath = [process.env["ALLULOOK_CHROMIUM"] ?? "", ...CANDIDATES].find(
  (path) => path !== "" && existsSync(path),
);

/** `describe` where there is a browser; else its tests are skipped, and stderr says so. */
export const inBrowser = executablePath === undefined ? describe.skip : describe;
if (executablePath === undefined) {
  process.stderr.write("pages were not opened in a browser: no Chromium here (set ALLULOOK_CHROMIUM to one)\n");
}

export async function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: executablePath as string, args: ["--no-sandbox"] });
}

interface Opened {
  readonly page: Page;
  /** What the page wrote to the console or asked the network for. */
  readonly complaints: string[];
}

/** A file, once loaded. */
export async function openPage(
  browser: Browser,
  file: string,
  colorScheme: "light" | "dark",
  width: number,
): Promise<Opened> {
  const url = pathToFileURL(file).href;
  const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
  const complaints: string[] = [];
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    if (request.url() !== url && !request.url().startsWith("data:")) complaints.push(request.url());
  });
  await page.goto(url);
  return { page, complaints };
}

/** What is drawn of a page, and whether it is wider than its window. */
export async function drawn(page: Page): Promise<{
  readonly charts: boolean[];
  readonly pictures: boolean[];
  readonly tooWide: boolean;
  readonly paper: string;
}> {
  return page.evaluate(() => ({
    charts: [...document.querySelectorAll<HTMLCanvasElement>(".chart canvas")].map((canvas) => {
      const pixels = canvas.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
      const colours = new Set<number>();
      for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] === 255) colours.add(pixels[i] as number);
      return colours.size > 1;
    }),
    pictures: [...document.images].map((image) => image.complete && image.naturalWidth > 0 && image.alt !== ""),
    tooWide: document.documentElement.scrollWidth > innerWidth,
    paper: getComputedStyle(document.body).backgroundColor,
  }));
}

/** A page draws all its charts and pictures on a wide and on a narrow screen without a complaint, where there is a browser. */
export async function expectToOpen(file: string, counts: { charts: number; pictures: number }): Promise<void> {
  if (executablePath === undefined) return;
  const browser = await startBrowser();
  try {
    for (const [colorScheme, width] of [
      ["light", 1280],
      ["dark", 400],
    ] as const) {
      const { page, complaints } = await openPage(browser, file, colorScheme, width);
      const { charts, pictures, tooWide } = await drawn(page);
      expect({ charts, pictures, tooWide, complaints }).toEqual({
        charts: Array.from({ length: counts.charts }, () => true),
        pictures: Array.from({ length: counts.pictures }, () => true),
        tooWide: false,
        complaints: [],
      });
    }
  } finally {
    await browser.close();
  }
}
