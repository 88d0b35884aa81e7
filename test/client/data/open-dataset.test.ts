import { describe, expect, test } from "@jest/globals";
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { inferLabels } from "../../../client/data/labels.ts";
import { type DataProblem, openDataset } from "../../../client/data/open-dataset.ts";
import { IGNORE_CLASS, type Sample } from "../../../models/preprocess/sample.ts";
import { folderWith, gray, LABELS, picture } from "../../fakes/dataset-folder.ts";

/** Opens and decodes everything. */
async function samples(dir: string, map?: Record<string, string>): Promise<Sample[]> {
  const dataset = await openDataset(dir, { labels: LABELS, ...(map !== undefined && { map }) });
  const found: Sample[] = [];
  for (let i = 0; i < dataset.size; i++) found.push(await dataset.load(i));
  return found;
}

async function one(annotations: object, files: Record<string, unknown> = {}): Promise<Sample> {
  const dir = folderWith({ "a.png": await picture(4, 3), "annotations.json": annotations, ...files });
  return (await samples(dir))[0] as Sample;
}

const image = { id: 1, file_name: "a.png" };

describe("what a folder can hold", () => {
  test("a full sample: depth, mask, boxes, captions, scene, site", async () => {
    const dir = folderWith({
      "a.png": await picture(4, 2),
      "d.png": await gray(Uint16Array.of(0, 1000, 1500, 65_535), 2, 2),
      "m.png": await gray(Uint8Array.of(0, 10, 20, 30, 10, 10, 0, 0), 4, 2),
      "annotations.json": {
        images: [
          {
            ...image,
            width: 4,
            height: 2,
            depth_file_name: "d.png",
            segmentation_file_name: "m.png",
            captions: ["a cat"],
            scene: "outdoors",
            site: 7,
          },
        ],
        categories: [{ id: 5, name: "dog" }],
        annotations: [{ image_id: 1, category_id: 5, bbox: [1, 0, 2, 1], iscrowd: 0 }],
        depth: { kind: "metric", unit_m: 0.001, invalid: [0, 65_535] },
        semantic: {
          classes: [
            { id: 0, name: "background" },
            { id: 10, name: "dog" },
            { id: 20, name: "cat" },
          ],
          ignore: [30],
        },
        scenes: ["indoors", "outdoors"],
      },
    });
    const dataset = await openDataset(dir, { labels: LABELS });
    expect(dataset.entries).toEqual([{ id: "a.png", site: "7", scene: 1 }]);
    const sample = await dataset.load(0);
    expect(sample).toMatchObject({ id: "a.png", site: "7", width: 4, height: 2, captions: ["a cat"], scene: 1 });
    expect([...(sample.rgb ?? [])]).toEqual(Array.from({ length: 24 }, (_, i) => i));
    expect([...(sample.depth?.values ?? [])]).toEqual([0, 0, 1, 1, 1.5, 1.5, 0, 0]);
    expect([...(sample.depth?.valid ?? [])]).toEqual([0, 0, 1, 1, 1, 1, 0, 0]);
    expect([...(sample.segmentation ?? [])]).toEqual([0, 2, 1, IGNORE_CLASS, 2, 2, 0, 0]);
    expect(sample.boxes).toEqual([{ classIndex: 1, x: 1, y: 0, width: 2, height: 1, crowd: false }]);
  });

  test("everything but the picture may be missing, and is null", async () => {
    expect(await one({ images: [{ file_name: "a.png" }] })).toMatchObject({
      site: null,
      depth: null,
      captions: null,
      boxes: null,
      segmentation: null,
      scene: null,
    });
  });

  test("categories without a box on this picture: labelled as holding nothing", async () => {
    const { boxes } = await one({ images: [image], categories: [{ id: 1, name: "cat" }], annotations: [] });
    expect(boxes).toEqual([]);
  });

  test("plain pictures, in the order of names, without links", async () => {
    const dir = folderWith({
      "b/2.jpeg": await picture(8, 8, "jpeg"),
      "a.PNG": await picture(2, 2),
      "notes.txt": "x",
      ".hidden.png": await picture(2, 2),
    });
    symlinkSync("/etc/hostname", join(dir, "c.png"));
    const found = await samples(dir);
    expect(found.map(({ id, site, width }) => [id, site, width])).toEqual([
      ["a.PNG", null, 2],
      ["b/2.jpeg", null, 8],
    ]);
    expect(await inferLabels(dir)).toEqual({ detection: [], segmentation: [], scene: [], depth: { kind: "none" } });
  });

  test("gray, 16-bit, transparent and palette pictures become three bytes a pixel", async () => {
    const one8 = Uint8Array.of(0, 100, 200, 255);
    const rgba = Uint8Array.of(10, 20, 30, 0, 40, 50, 60, 255);
    const dir = folderWith({
      "1.png": await gray(one8, 2, 2),
      "2.png": await gray(
        Uint16Array.from(one8, (v) => v * 257),
        2,
        2,
      ),
      "3.png": await sharp(rgba, { raw: { width: 2, height: 1, channels: 4 } })
        .png()
        .toBuffer(),
      "4.png": await sharp(rgba, { raw: { width: 2, height: 1, channels: 4 } })
        .removeAlpha()
        .png({ palette: true })
        .toBuffer(),
      "5.jpg": await sharp(one8, { raw: { width: 2, height: 2, channels: 1 } })
        .toColourspace("b-w")
        .jpeg({ quality: 100 })
        .toBuffer(),
    });
    const rgb = (await samples(dir)).map((sample) => [...(sample.rgb ?? [])]);
    const repeated = [...one8].flatMap((v) => [v, v, v]);
    expect(rgb.slice(0, 4)).toEqual([repeated, repeated, [10, 20, 30, 40, 50, 60], [10, 20, 30, 40, 50, 60]]);
    expect(rgb[4]?.every((v, i) => Math.abs(v - (repeated[i] as number)) <= 3)).toBe(true);
  });

  test("pixels stay as stored, whatever EXIF says about turning", async () => {
    const turned = await sharp(await picture(6, 2))
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toBuffer();
    expect((await samples(folderWith({ "a.jpg": turned })))[0]).toMatchObject({ width: 6, height: 2 });
  });

  test("COCO's files beside each other; captions of other pictures are left out", async () => {
    const dir = folderWith({
      "train2017/a.png": await picture(4, 4),
      "annotations/instances_train2017.json": {
        images: [image],
        categories: [
          { id: 3, name: "dog" },
          { id: 1, name: "cat" },
        ],
        annotations: [
          { image_id: 1, category_id: 1, bbox: [0, 0, 4, 2], segmentation: [[0, 0, 4, 0, 4, 2, 0, 2]] },
          { image_id: 1, category_id: 3, bbox: [1, 1, 1, 1], segmentation: [[1, 1, 2, 1, 2, 2, 1, 2]] },
        ],
      },
      "annotations/captions_train2017.json": {
        images: [image],
        annotations: [
          { image_id: 1, caption: "both" },
          { image_id: 2, caption: "elsewhere" },
        ],
      },
    });
    const labels = await inferLabels(dir);
    expect(labels).toMatchObject({ detection: ["cat", "dog"], segmentation: ["background", "cat", "dog"] });
    const [sample] = await samples(dir);
    expect(sample).toMatchObject({ id: "train2017/a.png", captions: ["both"] });
    expect([...(sample?.segmentation ?? [])]).toEqual([1, 1, 1, 1, 1, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  });

  test("boxes are cut to the picture; those outside or without area vanish", async () => {
    const bbox = [
      [-1, -1, 3, 3],
      [3, 2, 9, 9],
      [9, 9, 2, 2],
      [1, 1, 0, 2],
    ];
    const { boxes } = await one({
      images: [image],
      categories: [{ id: 1, name: "cat" }],
      annotations: bbox.map((b) => ({ image_id: 1, category_id: 1, bbox: b })),
    });
    expect(boxes?.map(({ x, y, width, height }) => [x, y, width, height])).toEqual([
      [0, 0, 2, 2],
      [3, 2, 1, 1],
    ]);
  });
});

describe("class names", () => {
  const named = {
    images: [{ ...image, scene: "yard" }],
    categories: [{ id: 1, name: "hound" }],
    annotations: [{ image_id: 1, category_id: 1, bbox: [0, 0, 1, 1] }],
    scenes: ["yard"],
  };

  test("an unknown one is an error that names class and file", async () => {
    await expect(one(named)).rejects.toMatchObject({
      code: "DATA_UNKNOWN_CLASS",
      message: 'a.png: detection class "hound" is not one of the federation\'s: cat, dog',
      details: { file: "a.png", class: "hound", head: "detection" },
    });
  });

  test("a category that no box uses is no error", async () => {
    expect((await one({ ...named, annotations: [], images: [image] })).boxes).toEqual([]);
  });

  test("the site's map is applied, and may leave a class out", async () => {
    const dir = folderWith({ "a.png": await picture(2, 2), "annotations.json": named });
    const [mapped] = await samples(dir, { hound: "dog", yard: "outdoors" });
    expect([mapped?.boxes?.[0]?.classIndex, mapped?.scene]).toEqual([1, 1]);
    const [left] = await samples(dir, { hound: "ignore", yard: "ignore" });
    expect([left?.boxes, left?.scene]).toEqual([[], null]);
    await expect(samples(dir, { hound: "wolf", yard: "outdoors" })).rejects.toMatchObject({
      code: "DATA_UNKNOWN_CLASS",
      message: expect.stringContaining('"hound" (mapped onto "wolf")'),
    });
  });

  test("a map key like a property of all objects maps nothing", async () => {
    const odd = { ...named, categories: [{ id: 1, name: "constructor" }] };
    await expect(one(odd)).rejects.toMatchObject({ details: { class: "constructor" } });
  });

  test("with onProblem everything is reported once and the label left out", async () => {
    const problems: DataProblem[] = [];
    const dir = folderWith({
      "a.png": await picture(2, 2),
      "b.png": await picture(2, 2),
      "annotations.json": { ...named, images: [...named.images, { id: 2, file_name: "b.png", scene: "yard" }] },
    });
    const dataset = await openDataset(dir, { labels: LABELS, onProblem: (problem) => problems.push(problem) });
    expect(problems.map(({ severity, code, details }) => [severity, code, details["class"]])).toEqual([
      ["error", "DATA_UNKNOWN_CLASS", "hound"],
      ["error", "DATA_UNKNOWN_CLASS", "yard"],
    ]);
    expect(await dataset.load(1)).toMatchObject({ boxes: [], scene: null });
  });

  test("a head the federation does not have needs no names", async () => {
    const dir = folderWith({ "a.png": await picture(2, 2), "annotations.json": named });
    const none = { detection: [], segmentation: [], scene: [], depth: { kind: "none" as const } };
    const dataset = await openDataset(dir, { labels: none });
    expect(await dataset.load(0)).toMatchObject({ boxes: null, scene: null });
  });

  test("labels from the data alone stand in the order of their ids", async () => {
    const dir = folderWith({
      "a.png": await picture(2, 2),
      "annotations.json": {
        images: [{ ...image, segmentation_file_name: "m.png", depth_file_name: "d.png" }],
        categories: [
          { id: 9, name: "late" },
          { id: 2, name: "early" },
        ],
        semantic: {
          classes: [
            { id: 4, name: "four" },
            { id: 1, name: "one" },
            { id: 3, name: "void" },
          ],
          ignore: [3],
        },
        scenes: ["z", "a"],
        depth: { kind: "inverse", unit_m: 0.5 },
      },
    });
    expect(await inferLabels(dir)).toEqual({
      detection: ["early", "late"],
      segmentation: ["one", "four"],
      scene: ["z", "a"],
      depth: { kind: "inverse" },
    });
  });
});

describe("bad input, named", () => {
  test("an empty folder, and one whose annotations list no picture", async () => {
    await expect(openDataset(folderWith({}), { labels: LABELS })).rejects.toMatchObject({ code: "DATA_EMPTY" });
    const listed = folderWith({ "annotations.json": { images: [] }, "a.png": await picture(2, 2) });
    await expect(openDataset(listed, { labels: LABELS })).rejects.toMatchObject({ code: "DATA_EMPTY" });
  });

  test("no such folder, or a file instead", async () => {
    const dir = folderWith({ "a.png": "x" });
    for (const path of [join(dir, "none"), join(dir, "a.png")])
      await expect(openDataset(path, { labels: LABELS })).rejects.toMatchObject({ code: "DATA_MISSING_FILE" });
  });

  test.each(["png", "jpeg"] as const)("a %s cut short anywhere", async (kind) => {
    const bytes = await picture(24, 16, kind);
    for (const keep of [0, 1, 3, 20, bytes.length >> 1, bytes.length - 13, bytes.length - 1]) {
      const dir = folderWith({
        "a.img": bytes.subarray(0, keep),
        "annotations.json": { images: [{ file_name: "a.img" }] },
      });
      await expect(samples(dir)).rejects.toMatchObject({ code: "DATA_PICTURE", details: { file: "a.img" } });
    }
  });

  test("a picture that is something else: text, SVG, GIF", async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="2" height="2"><image href="/etc/hostname"/></svg>';
    const gif = await sharp(await picture(2, 2))
      .gif()
      .toBuffer();
    for (const content of ["hello, this is no picture", svg, gif])
      await expect(one({ images: [{ file_name: "x.png" }] }, { "x.png": content })).rejects.toMatchObject({
        code: "DATA_PICTURE",
        message: "x.png: not a PNG, JPEG, WebP or TIFF picture",
      });
  });

  test("a JPEG that claims 65,500 x 65,500 pixels", async () => {
    const bytes = await picture(16, 16, "jpeg");
    const frame = bytes.indexOf(Buffer.from([0xff, 0xc0]));
    bytes.writeUInt16BE(65_500, frame + 5);
    bytes.writeUInt16BE(65_500, frame + 7);
    await expect(one({ images: [{ file_name: "x.jpg" }] }, { "x.jpg": bytes })).rejects.toMatchObject({
      code: "DATA_PICTURE",
      message: expect.stringContaining("pixel limit"),
    });
  });

  test("a picture of another size than declared", async () => {
    await expect(one({ images: [{ ...image, width: 4, height: 4 }] })).rejects.toMatchObject({
      code: "DATA_PICTURE",
      message: "a.png: 4 x 4 by annotations.json, 4 x 3 in truth",
    });
  });

  test("a mask of another size, of 16 bits, in colour, with an undeclared id", async () => {
    const semantic = { classes: [{ id: 0, name: "background" }] };
    const masks: [Buffer, RegExp][] = [
      [await gray(new Uint8Array(6), 3, 2), /m\.png: 3 x 2, its picture is 4 x 3/],
      [await gray(new Uint16Array(12), 4, 3), /m\.png: 16 bits a pixel/],
      [await picture(4, 3), /m\.png: expected a PNG of one channel/],
      [await gray(new Uint8Array(12).fill(9), 4, 3), /m\.png: class id 9 is neither/],
      [(await gray(new Uint8Array(12), 4, 3)).subarray(0, 50), /m\.png: truncated PNG/],
    ];
    for (const [mask, message] of masks)
      await expect(
        one({ images: [{ ...image, segmentation_file_name: "m.png" }], semantic }, { "m.png": mask }),
      ).rejects.toMatchObject({ code: "DATA_SEGMENTATION", message: expect.stringMatching(message) });
  });

  test("a file that is not there", async () => {
    await expect(
      one({ images: [{ ...image, depth_file_name: "gone.png" }], depth: { unit_m: 1 } }),
    ).rejects.toMatchObject({
      code: "DATA_MISSING_FILE",
      details: { file: "gone.png" },
    });
  });

  test.each(["../a.png", "/etc/passwd", "x/../../a.png", "C:\\a.png", "a\\b.png", "a\u0000.png", "..", "."])(
    "a path that leads out: %j",
    async (name) => {
      for (const key of ["file_name", "depth_file_name", "segmentation_file_name"])
        await expect(one({ images: [{ ...image, [key]: name }] })).rejects.toMatchObject({
          code: "DATA_PATH",
          message: expect.stringContaining(`images[0].${key}`),
        });
    },
  );

  test("a link that leads out of the folder, and one that stays", async () => {
    const outside = folderWith({ "secret.png": await picture(2, 2) });
    const dir = folderWith({ "a.png": await picture(2, 2), "annotations.json": { images: [{ file_name: "l.png" }] } });
    symlinkSync(join(outside, "secret.png"), join(dir, "l.png"));
    await expect(samples(dir)).rejects.toMatchObject({ code: "DATA_PATH", details: { file: "l.png" } });
    const inner = folderWith({
      "a.png": await picture(2, 2),
      "annotations.json": { images: [{ file_name: "l.png" }] },
    });
    symlinkSync("a.png", join(inner, "l.png"));
    expect(await samples(inner)).toHaveLength(1);
  });

  test("metric wanted, relative given: depth is left out and said so", async () => {
    const problems: DataProblem[] = [];
    const dir = folderWith({
      "a.png": await picture(2, 2),
      "d.png": await gray(new Uint16Array(4).fill(9), 2, 2),
      "annotations.json": { images: [{ ...image, depth_file_name: "d.png" }], depth: { unit_m: null } },
    });
    const dataset = await openDataset(dir, { labels: LABELS, onProblem: (problem) => problems.push(problem) });
    expect(problems.map(({ severity, code }) => [severity, code])).toEqual([["warning", "DATA_DEPTH"]]);
    expect((await dataset.load(0)).depth).toBeNull();
  });

  test("a folder of datasets is not one of plain pictures", async () => {
    const dir = folderWith({ "one/annotations.json": { images: [] }, "one/a.png": await picture(2, 2) });
    await expect(openDataset(dir, { labels: LABELS })).rejects.toMatchObject({
      code: "DATA_INVALID",
      message: expect.stringContaining("holds a dataset in one"),
    });
  });

  test("several COCO splits in one folder", async () => {
    const dir = folderWith({ "annotations/instances_a.json": {}, "annotations/instances_b.json": {} });
    await expect(openDataset(dir, { labels: LABELS })).rejects.toMatchObject({ code: "DATA_INVALID" });
  });

  test("nothing is decoded before it is asked for", async () => {
    const dir = folderWith({ "a.png": "no picture", "annotations.json": { images: [{ file_name: "a.png" }] } });
    const dataset = await openDataset(dir, { labels: LABELS });
    writeFileSync(join(dir, "a.png"), await picture(2, 2));
    expect((await dataset.load(0)).width).toBe(2);
  });
});
