import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { parseAnnotations } from "../../../client/data/annotations.ts";
import { openDataset } from "../../../client/data/open-dataset.ts";
import { CodedError, isCoded } from "../../../shared/errors.ts";
import { folderWith, LABELS } from "../../fakes/dataset-folder.ts";

const parse = (value: unknown) => parseAnnotations(JSON.stringify(value), "annotations.json");
const image = { id: 1, file_name: "a.png" };

/** A file with one of everything. */
const FULL = {
  info: { description: "x" },
  images: [
    {
      ...image,
      width: 4,
      height: 4,
      depth_file_name: "d.png",
      segmentation_file_name: "m.png",
      captions: ["c"],
      scene: "indoors",
      site: "s",
    },
    { id: 2, file_name: "b.png" },
  ],
  categories: [{ id: 1, name: "cat", supercategory: "animal" }],
  annotations: [
    { id: 1, image_id: 1, category_id: 1, bbox: [0, 0, 2, 2], iscrowd: 0, segmentation: [[0, 0, 1, 0, 1, 1]] },
  ],
  depth: { kind: "metric", unit_m: 0.001, invalid: [0] },
  semantic: { classes: [{ id: 0, name: "background" }], ignore: [255] },
  scenes: ["indoors"],
};

describe("annotations.json", () => {
  test("keys of other tools are left alone", () => {
    expect(
      parse({ ...FULL, licenses: [], made_by: "x", images: [{ ...image, flickr_url: "http://…" }] }).images,
    ).toEqual([image]);
  });

  test.each<[string, object, string]>([
    ["no images", { images: undefined }, "images: Invalid input: expected array, received undefined, got nothing"],
    [
      "a number as name",
      { images: [{ file_name: 3 }] },
      "images[0].file_name: Invalid input: expected string, received number, got 3",
    ],
    ["no width", { images: [{ ...image, width: 0 }] }, "images[0].width"],
    ["a huge height", { images: [{ ...image, height: 1e9 }] }, "images[0].height"],
    ["a half pixel", { images: [{ ...image, width: 3.5 }] }, "images[0].width"],
    ["captions as text", { images: [{ ...image, captions: "c" }] }, "images[0].captions"],
    [
      "a box of three numbers",
      { annotations: [{ image_id: 1, category_id: 1, bbox: [1, 2, 3] }] },
      "annotations[0].bbox",
    ],
    [
      "a box of negative width",
      { annotations: [{ image_id: 1, category_id: 1, bbox: [1, 2, -3, 4] }] },
      "annotations[0].bbox[2]",
    ],
    [
      "null in a box",
      { annotations: [{ image_id: 1, category_id: 1, bbox: [null, 2, 3, 4] }] },
      "annotations[0].bbox[0]",
    ],
    ["another depth kind", { depth: { kind: "absolute" } }, "depth.kind"],
    ["a negative unit", { depth: { unit_m: -1 } }, "depth.unit_m"],
    ["metric without unit", { depth: { kind: "metric" } }, "depth.unit_m: metric depth needs metres per unit"],
    ["an invalid reading beyond 16 bits", { depth: { unit_m: 1, invalid: [70_000] } }, "depth.invalid[0]"],
    ["a class id beyond 8 bits", { semantic: { classes: [{ id: 256, name: "x" }] } }, "semantic.classes[0].id"],
    ["scenes of numbers", { scenes: [1] }, "scenes[0]"],
  ])("%s is named", (_, change, message) => {
    expect(() => parse({ ...FULL, ...change })).toThrow(
      expect.objectContaining({
        code: "DATA_INVALID",
        message: expect.stringContaining(`annotations.json: ${message}`),
      }),
    );
  });

  test("infinity by way of a large number is refused", () => {
    expect(() => parseAnnotations('{"images":[],"depth":{"unit_m":1e999}}', "annotations.json")).toThrow(
      /depth\.unit_m/,
    );
  });

  test("NaN, as Python writes it, is explained", () => {
    expect(() => parseAnnotations('{"images":[],"depth":{"unit_m":NaN}}', "annotations.json")).toThrow(
      expect.objectContaining({
        code: "DATA_INVALID",
        message: expect.stringContaining("NaN and Infinity are not JSON"),
      }),
    );
  });

  test.each<[string, object, string, string]>([
    ["two pictures of one name", { images: [image, { ...image, id: 2 }] }, "DATA_INVALID", "images[1].file_name"],
    ["two pictures of one id", { images: [image, { id: 1, file_name: "b.png" }] }, "DATA_INVALID", "images[1].id"],
    [
      "two categories of one id",
      { categories: [1, 1].map((id) => ({ id, name: "cat" })) },
      "DATA_INVALID",
      "categories[1].id",
    ],
    [
      "two classes of one id",
      { semantic: { classes: [0, 0].map((id) => ({ id, name: "cat" })) } },
      "DATA_INVALID",
      "semantic.classes[1].id",
    ],
    [
      "a box on no picture",
      { annotations: [{ image_id: 9, category_id: 1, bbox: [0, 0, 1, 1] }] },
      "DATA_INVALID",
      "annotations[0].image_id",
    ],
    [
      "a box of no category",
      { annotations: [{ image_id: 1, category_id: 9, bbox: [0, 0, 1, 1] }] },
      "DATA_INVALID",
      "annotations[0].category_id",
    ],
    [
      "a category without box",
      { annotations: [{ image_id: 1, category_id: 1 }] },
      "DATA_INVALID",
      "annotations[0].bbox",
    ],
    ["an empty annotation", { annotations: [{ image_id: 1 }] }, "DATA_INVALID", "annotations[0]"],
    ["a scene not in scenes", { images: [{ ...image, scene: "moon" }] }, "DATA_UNKNOWN_CLASS", "images[0].scene"],
  ])("%s is named", async (_, change, code, field) => {
    const dir = folderWith({ "annotations.json": { ...FULL, ...change } });
    await expect(openDataset(dir, { labels: LABELS })).rejects.toMatchObject({ code, details: { field } });
  });

  test("a flipped bit anywhere gives a coded error or a dataset, never anything else", async () => {
    const text = Buffer.from(JSON.stringify(FULL));
    let refused = 0;
    for (let bit = 0; bit < text.length * 8; bit += 3) {
      const flipped = Buffer.from(text);
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      const dir = folderWith({ "annotations.json": new Uint8Array(flipped) });
      const error = await openDataset(dir, { labels: LABELS }).catch((reason: unknown) => reason);
      if (error instanceof Error) expect(error).toBeInstanceOf(CodedError);
      if (isCoded(error)) refused++;
    }
    expect(refused).toBeGreaterThan(text.length);
  });

  test("any JSON at all gives a coded error or a parsed file", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(...Object.keys(FULL)), (value, key) => {
        for (const json of [value, { ...FULL, [key]: value }])
          try {
            expect(parse(json)).toHaveProperty("images");
          } catch (error) {
            expect(isCoded(error)).toBe(true);
          }
      }),
    );
  });
});
