/** Dataset folders for tests: pictures written with sharp, annotations as given, removed at the end. */
import { afterAll } from "@jest/globals";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import sharp from "sharp";
import type { Labels } from "../../shared/config/federation.ts";

const made: string[] = [];

afterAll(() => {
  for (const dir of made) rmSync(dir, { recursive: true, force: true });
});

/** A new folder with these files; a value that is neither bytes nor text is written as JSON. */
export function folderWith(files: Readonly<Record<string, unknown>>): string {
  const dir = mkdtempSync(join(tmpdir(), "allulook-data-"));
  made.push(dir);
  for (const [name, content] of Object.entries(files)) {
    const path = join(dir, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(
      path,
      content instanceof Uint8Array || typeof content === "string" ? content : JSON.stringify(content),
    );
  }
  return dir;
}

/** An RGB picture whose pixels count upwards. */
export async function picture(width: number, height: number, kind: "png" | "jpeg" = "png"): Promise<Buffer> {
  const rgb = Uint8Array.from({ length: width * height * 3 }, (_, i) => i % 251);
  const image = sharp(rgb, { raw: { width, height, channels: 3 } });
  return kind === "png" ? image.png().toBuffer() : image.jpeg().toBuffer();
}

/** A gray PNG: 8 bits for a Uint8Array, 16 bits for a Uint16Array. */
export async function gray(values: Uint8Array | Uint16Array, width: number, height: number): Promise<Buffer> {
  const space = values instanceof Uint16Array ? "grey16" : "b-w";
  return sharp(values, { raw: { width, height, channels: 1 } })
    .toColourspace(space)
    .png()
    .toBuffer();
}

export const LABELS: Labels = {
  detection: ["cat", "dog"],
  segmentation: ["background", "cat", "dog"],
  scene: ["indoors", "outdoors"],
  depth: { kind: "metric" },
};
