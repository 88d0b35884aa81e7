import { describe, expect, test } from "@jest/globals";
import { IGNORE_CLASS } from "../../../models/preprocess/sample.ts";
import { CLASSES, OBJECTS } from "../../../simulations/pretraining/labels.ts";
import { pretrainingScenes } from "../../../simulations/pretraining/scenes.ts";

const PICTURES = 24;
const SIDE = 32;
const scenes = (seed: number) => pretrainingScenes({ pictures: PICTURES, size: [SIDE, SIDE], seed });

describe("pictures to pre-train on", () => {
  test("are a function of seed and number", async () => {
    expect(await scenes(1).load(5)).toEqual(await scenes(1).load(5));
    expect((await scenes(1).load(5)).rgb).not.toEqual((await scenes(2).load(5)).rgb);
    expect((await scenes(1).load(5)).rgb).not.toEqual((await scenes(1).load(6)).rgb);
  });

  test("have labels for every head that fit the picture", async () => {
    const dataset = scenes(3);
    const classes = new Set<number>();
    const places = new Set<number | null>();
    for (let i = 0; i < PICTURES; i++) {
      const { width, height, rgb, depth, segmentation, boxes, scene, site } = await dataset.load(i);
      expect([width, height, rgb?.length, segmentation?.length]).toEqual([SIDE, SIDE, 3 * SIDE ** 2, SIDE ** 2]);
      for (const one of segmentation ?? []) classes.add(one);
      places.add(scene);
      for (const box of boxes ?? []) {
        expect(box.classIndex).toBeLessThan(OBJECTS.length);
        expect(box.classIndex).toBeGreaterThanOrEqual(0);
        expect(box.x).toBeGreaterThanOrEqual(0);
        expect(box.x + box.width).toBeLessThanOrEqual(SIDE);
        expect(box.y + box.height).toBeLessThanOrEqual(SIDE);
      }
      const read = [...(depth?.values ?? [])].filter((_, p) => depth?.valid[p] === 1);
      expect(read.length).toBeGreaterThan(0.1 * SIDE ** 2);
      expect(read.every((metres) => metres > 0 && metres < (site === "street" ? 85 : 15))).toBe(true);
    }
    expect(Math.max(...classes)).toBeLessThan(CLASSES.length);
    expect(classes.has(IGNORE_CLASS)).toBe(false);
    expect(classes.size).toBeGreaterThan(10);
    expect(places.has(-1)).toBe(false);
    expect(places.size).toBeGreaterThan(5);
  });

  test("show an object's mask within its box, also when mirrored", async () => {
    const dataset = scenes(4);
    const car = CLASSES.indexOf("car");
    let seen = 0;
    for (let i = 0; i < PICTURES; i++) {
      const { boxes, segmentation, width } = await dataset.load(i);
      const cars = (boxes ?? []).filter(({ classIndex }) => OBJECTS[classIndex] === "car");
      const outside = [...(segmentation ?? [])].filter((one, p) => {
        if (one !== car) return false;
        const [x, y] = [p % width, Math.floor(p / width)];
        return !cars.some((box) => x >= box.x && x < box.x + box.width && y >= box.y && y < box.y + box.height);
      });
      seen += cars.length;
      // Cars too small for a box of their own.
      expect(outside.length).toBeLessThan(60);
    }
    expect(seen).toBeGreaterThan(10);
  });
});
