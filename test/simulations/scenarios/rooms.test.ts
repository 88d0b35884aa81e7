import { describe, expect, test } from "@jest/globals";
import { Rng } from "../../../shared/rng/rng.ts";
import { DETECTION, SCENES, type SceneClass, SEGMENTATION } from "../../../simulations/scenarios/labels.ts";
import { generateRooms, type RoomPicture, takePicture } from "../../../simulations/scenarios/rooms.ts";
import { SHELL } from "../../../simulations/scenarios/shade.ts";
import { siteStyle } from "../../../simulations/scenarios/site-style.ts";
import { march } from "../../reference/march.ts";

const style = siteStyle(Rng.of("style"), "site", 0.5);
const take = (seed: number, scene: SceneClass, side = 48): RoomPicture =>
  takePicture(Rng.of("picture", seed), style, scene, [side, side]);

describe("the renderer", () => {
  test.each(SCENES)("depth and things in a generated %s are those a slow walk along the rays finds", (scene) => {
    const rng = Rng.of("pixels", scene);
    let compared = 0;
    for (let seed = 0; seed < 5; seed++) {
      const { plan, render } = take(seed, scene, 64);
      for (let n = 0; n < 30; n++) {
        const [x, y] = [rng.below(64), rng.below(64)];
        const p = y * 64 + x;
        const slow = march(plan, x, y, 64, 64);
        const fast = render.depthMeters[p] as number;
        // A slit or edge thinner than a step may be stepped over.
        if (slow.depth - fast > 0.0041) continue;
        expect(Math.abs(slow.depth - fast)).toBeLessThan(0.0041);
        const thing = render.thing[p] === SHELL ? null : render.thing[p];
        if (thing === slow.thing) compared++;
      }
    }
    // Where two things touch, a step decides which one is named.
    expect(compared).toBeGreaterThan(140);
  });

  test("classes and things belong together", () => {
    const { plan, render } = take(3, "office");
    const floor = SEGMENTATION.indexOf("floor");
    render.thing.forEach((index, p) => {
      const expected = index === SHELL ? [0, floor] : [plan.things[index]?.segmentation];
      expect(expected).toContain(render.segmentation[p]);
    });
  });
});

describe("pictures", () => {
  test("a box is exactly around the visible pixels of its thing", () => {
    for (let seed = 0; seed < 8; seed++) {
      const { plan, render, boxes } = take(seed, SCENES[seed % 4] as SceneClass, 64);
      const around = plan.things.map((thing, index) => {
        const seen = [...render.thing.keys()].filter((p) => render.thing[p] === index);
        const xs = seen.map((p) => p % 64);
        const ys = seen.map((p) => Math.floor(p / 64));
        const [x, y] = [Math.min(...xs), Math.min(...ys)];
        return {
          pixels: seen.length,
          box: {
            classIndex: thing.detection,
            x,
            y,
            width: Math.max(...xs) - x + 1,
            height: Math.max(...ys) - y + 1,
            crowd: false,
          },
        };
      });
      const expected = around.filter(({ pixels, box }) => box.classIndex !== null && pixels >= 6);
      expect(boxes).toEqual(expected.map(({ box }) => box));
    }
  });

  test("captions count what is boxed, and never a room they are not in", () => {
    const rooms = {
      office: /office|workplace/,
      ward: /ward|hospital|patient/,
      corridor: /corridor|hallway|passage/,
      lobby: /lobby|hall\b/,
    };
    let counted = 0;
    for (let seed = 0; seed < 60; seed++) {
      const scene = SCENES[seed % 4] as SceneClass;
      const { captions, boxes } = take(seed, scene, 32);
      const people = boxes.filter((box) => DETECTION[box.classIndex] === "person").length;
      for (const caption of captions) {
        for (const [other, words] of Object.entries(rooms)) if (other !== scene) expect(caption).not.toMatch(words);
        if (people === 2) {
          expect(caption).toMatch(/two people/i);
          counted++;
        }
        if (people === 0) expect(caption).not.toMatch(/person|people/i);
      }
    }
    expect(counted).toBeGreaterThan(3);
  });

  test("depth readings scatter around the exact depth as the sensor model says, with holes", () => {
    let sum = 0;
    let count = 0;
    let holes = 0;
    let pixels = 0;
    for (let seed = 0; seed < 10; seed++) {
      const { render, rawDepth } = take(seed, "office");
      rawDepth.forEach((raw, p) => {
        pixels++;
        const z = render.depthMeters[p] as number;
        if (raw === 0) holes++;
        else {
          sum += ((raw / 1000 - z) / (style.depthNoise * (0.0012 + 0.0019 * (z - 0.4) ** 2))) ** 2;
          count++;
        }
      });
    }
    expect(Math.sqrt(sum / count)).toBeGreaterThan(0.95);
    expect(Math.sqrt(sum / count)).toBeLessThan(1.1);
    expect(holes / pixels).toBeGreaterThan(0.01);
    expect(holes / pixels).toBeLessThan(0.4);
  });

  test("dim rooms are dark in colour and as deep as ever", () => {
    const all = Array.from({ length: 60 }, (_, seed) => take(seed, "ward", 24));
    const mean = (one: RoomPicture) => one.rgb.reduce((a, b) => a + b, 0) / one.rgb.length;
    const readings = (one: RoomPicture) => one.rawDepth.filter((raw) => raw > 0).length / one.rawDepth.length;
    const dim = all.filter(({ plan }) => plan.dim);
    expect(dim.length).toBeGreaterThan(2);
    expect(Math.max(...dim.map(mean))).toBeLessThan(80);
    expect(Math.min(...dim.map(readings))).toBeGreaterThan(0.5);
  });
});

describe("generated datasets", () => {
  const options = { sites: 3, perSite: 6, size: [24, 32] as const, seed: 5 };

  test("the same seed gives the same samples in any order, another seed others", async () => {
    const [a, b] = [generateRooms(options), generateRooms(options)];
    const last = await a.all.load(17);
    for (let i = 0; i < 18; i++) expect(await b.all.load(i)).toEqual(await a.all.load(i));
    expect(await b.sites[2]?.load(5)).toEqual(last);
    expect((await generateRooms({ ...options, seed: 6 }).all.load(17)).rgb).not.toEqual(last.rgb);
  });

  test("more samples or sites do not change those there were", async () => {
    const more = generateRooms({ ...options, sites: 4, perSite: 9 });
    expect(await more.sites[1]?.load(3)).toEqual(await generateRooms(options).sites[1]?.load(3));
  });

  test("what is known before loading is what loading gives", async () => {
    const { all, sites } = generateRooms(options);
    expect(sites.map(({ size }) => size)).toEqual([6, 6, 6]);
    for (let i = 0; i < all.size; i++) {
      const { id, site, scene, width, height } = await all.load(i);
      expect({ id, site, scene }).toEqual(all.entries[i]);
      expect([width, height]).toEqual([32, 24]);
    }
  });

  test("depth and captions are missing now and then, as often as asked", async () => {
    const { all } = generateRooms({ ...options, perSite: 60, size: [16, 16], missing: { depth: 0.5, captions: 0 } });
    let [depth, captions] = [0, 0];
    for (let i = 0; i < all.size; i++) {
      const sample = await all.load(i);
      depth += Number(sample.depth === null);
      captions += Number(sample.captions === null);
    }
    expect(depth).toBeGreaterThan(60);
    expect(depth).toBeLessThan(120);
    expect(captions).toBe(0);
  });

  test("sites are unlike each other with skew, alike without", () => {
    const shares = (skew: number) => {
      const { sites } = generateRooms({ ...options, sites: 6, perSite: 200, skew });
      return sites.map((site) =>
        SCENES.map((_, c) => site.entries.filter(({ scene }) => scene === c).length / site.size),
      );
    };
    const spread = (all: number[][]) =>
      Math.max(
        ...SCENES.map(
          (_, c) => Math.max(...all.map((s) => s[c] as number)) - Math.min(...all.map((s) => s[c] as number)),
        ),
      );
    expect(spread(shares(1))).toBeGreaterThan(0.4);
    expect(spread(shares(0))).toBeLessThan(0.2);
  });

  test("at night the picture says next to nothing, and depth and labels are those of the day", async () => {
    const [day, night] = (["rooms", "night"] as const).map(
      (scenario) => generateRooms({ ...options, scenario, missing: { depth: 0, captions: 0 } }).all,
    );
    for (let i = 0; i < 18; i += 5) {
      const [lit, dark] = [await day?.load(i), await night?.load(i)];
      expect(dark?.segmentation).toEqual(lit?.segmentation);
      expect(dark?.boxes).toEqual(lit?.boxes);
      const rgb = dark?.rgb as Uint8Array;
      const middle = rgb.toSorted()[rgb.length >> 1] as number;
      expect(middle).toBeLessThan(8);
      const readings = dark?.depth?.valid.reduce((sum, value) => sum + value, 0) ?? 0;
      expect(readings / (24 * 32)).toBeGreaterThan(0.5);
    }
    const usual = generateRooms({ ...options, perSite: 60, scenario: "night" }).all;
    const depths = await Promise.all(Array.from({ length: 40 }, async (_, i) => (await usual.load(i)).depth));
    expect(depths.every((depth) => depth !== null)).toBe(true);
  });

  test("in makeshift rooms the caption names the scene, and the furniture is any room's", async () => {
    const { all } = generateRooms({ ...options, perSite: 40, scenario: "makeshift" });
    const words = [/office|workplace/i, /ward|hospital|patient/i, /corridor|hallway|passage/i, /lobby|hall/i];
    let beds = 0;
    for (let i = 0; i < all.size; i++) {
      const { scene, captions, boxes } = await all.load(i);
      for (const caption of captions as string[]) expect(caption).toMatch(words[scene as number] as RegExp);
      const hasBed = boxes?.some(({ classIndex }) => DETECTION[classIndex] === "bed");
      if (hasBed && SCENES[scene as number] !== "ward") beds++;
    }
    expect(beds).toBeGreaterThan(5);
  });

  test.each([
    [{ sites: 0 }, "sites"],
    [{ perSite: 1.5 }, "perSite"],
    [{ size: [8, 64] as const }, "size[0]"],
    [{ size: [64, 9999] as const }, "size[1]"],
  ])("options out of range are named: %j", (change, field) => {
    expect(() => generateRooms({ ...options, ...change })).toThrow(
      expect.objectContaining({ code: "USAGE", message: expect.stringContaining(field) }),
    );
  });
});
