import { describe, expect, test } from "@jest/globals";
import sharp from "sharp";
import { classColour, viridis, type Colour } from "../../../simulations/report/colours.ts";
import { picturePanels, type Panel } from "../../../simulations/report/pictures.ts";
import { drawTag, PANEL_WIDTH, type Raster } from "../../../simulations/report/raster.ts";
import { examplePicture } from "../../fakes/report.ts";

const input = examplePicture();
const { panels, scene, captions } = await picturePanels(input);
const panel = (name: string) => panels.find((one) => one.name === name) as Panel;

/** The colour at a place of the original picture. */
async function colourAt({ png, width, height }: Panel, x: number, y: number): Promise<Colour> {
  const { data, info } = await sharp(png).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  expect([info.width, info.height]).toEqual([width, height]);
  const scale = width / input.sample.width;
  const at = (Math.floor(y * scale) * width + Math.floor(x * scale)) * 3;
  return [data[at] as number, data[at + 1] as number, data[at + 2] as number];
}

function expectNear(got: Colour, expected: Colour, within = 12): void {
  for (const k of [0, 1, 2] as const) expect(Math.abs(got[k] - expected[k])).toBeLessThanOrEqual(within);
}

const tinted = classColour(1).map((value) => Math.round(200 * 0.4 + value * 0.6)) as unknown as Colour;

describe("the panels of a sample", () => {
  test("show inputs, labels and predictions, at panel width", () => {
    expect(panels.map(({ name }) => name)).toEqual([
      "rgb",
      "segmentation-truth",
      "segmentation",
      "boxes",
      "depth-input",
      "depth",
    ]);
    expect(panels.every(({ width, height }) => width === PANEL_WIDTH && height === (PANEL_WIDTH * 6) / 8)).toBe(true);
    expect(captions).toEqual(input.sample.captions);
    expect(scene).toEqual({ predicted: "ward", probability: 0.75, truth: "ward" });
  });

  test("classes are painted where they are, background is left alone", async () => {
    expectNear(await colourAt(panel("segmentation-truth"), 1.5, 3), [200, 200, 200]);
    expectNear(await colourAt(panel("segmentation-truth"), 6.5, 3), tinted);
    expectNear(await colourAt(panel("segmentation"), 1.5, 3), tinted);
    expectNear(await colourAt(panel("segmentation"), 6.5, 3), [200, 200, 200]);
    expect(panel("segmentation-truth").legend).toEqual([{ colour: "#56b4e9", text: "thing 50 %" }]);
  });

  test("boxes stand where they were found; those of low score are left out", async () => {
    const boxes = panel("boxes");
    expectNear(await colourAt(boxes, 6.99, 3), classColour(0));
    expectNear(await colourAt(boxes, 5.5, 3), [200, 200, 200]);
    expectNear(await colourAt(boxes, 0.5, 0.5), [200, 200, 200]);
    expect(boxes.legend).toEqual([{ colour: "#e69f00", text: "1 thing 90 %" }]);
    expect(boxes.note).toBe("1 of score 30 % or more; 1 labelled, dashed white");
  });

  test("near is bright, no reading is grey, and relative predictions are aligned before they are shown", async () => {
    const measured = panel("depth-input");
    expectNear(await colourAt(measured, 7.5, 3), viridis(0));
    expectNear(await colourAt(measured, 0.5, 3), viridis(1));
    expectNear(await colourAt(measured, 0.5, 0.5), [52, 52, 52]);
    for (const x of [0.5, 3.5, 7.5]) {
      expectNear(await colourAt(panel("depth"), x, 3), await colourAt(measured, x, 3));
    }
    expect(panel("depth").note).toBe(
      "absRel 0.000, 100 % within 1.25 of the truth; aligned with positive scale and shift",
    );
  });

  test("every panel says in words what it shows", () => {
    expect(panels.every(({ alt }) => alt.length > 10)).toBe(true);
    expect(panel("segmentation").alt).toBe("Segmentation, predicted: thing 50 %");
  });

  test("what the sample or the model lacks is left out", async () => {
    const { sample, labels, prediction } = input;
    const bare = await picturePanels({
      sample: { ...sample, rgb: null, depth: null, segmentation: null, boxes: null, captions: null, scene: null },
      labels: { ...labels, depth: { kind: "none" } },
      prediction: { ...prediction, detections: null, scene: null },
      withoutDepth: null,
    });
    expect(bare.panels.map(({ name }) => name)).toEqual(["segmentation"]);
    expect([bare.scene, bare.captions]).toEqual([null, []]);
  });
});

test("numbers are legible: every digit has its own shape", () => {
  const shapes = Array.from({ length: 10 }, (_, digit) => {
    const raster: Raster = { width: 10, height: 14, rgb: new Uint8Array(420) };
    drawTag(raster, 0, 0, digit, [0, 0, 255]);
    return raster.rgb.join();
  });
  expect(new Set(shapes).size).toBe(10);
});
