import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { layoutOf, tensorValues } from "../../../shared/params/layout.ts";
import { channelsOf, dtypesOf, type Dtype } from "../../../shared/quantize/dtype.ts";
import { decodeFp16, encodeFp16, FP16_MAX, fromFp16, toFp16 } from "../../../shared/quantize/fp16.ts";
import { decodeKeyframe, encodeKeyframe } from "../../../shared/quantize/keyframe.ts";
import { decodeModel, deriveModel, encodeModel } from "../../../shared/quantize/model.ts";
import { encodeTensors, decodeTensors } from "../../../shared/quantize/tensors.ts";
import { applyUpdate, encodeUpdate } from "../../../shared/quantize/update.ts";
import { Rng } from "../../../shared/rng/rng.ts";
import { nearestHalf, reconstructed } from "../../reference/quantize.ts";

const layout = layoutOf([
  { name: "embedding", shape: [40, 6] },
  { name: "conv", shape: [3, 3, 2, 4] },
  { name: "depthwise", shape: [3, 3, 4, 1] },
  { name: "bias", shape: [5] },
  { name: "scalar", shape: [] },
]);

function random(rng: Rng, scale = 1): Float32Array {
  return Float32Array.from({ length: layout.length }, () => rng.normal() * scale);
}

const float = fc.float({ noNaN: true, noDefaultInfinity: true, min: Math.fround(-1e30), max: Math.fround(1e30) });
const vector = fc.array(float, { minLength: layout.length, maxLength: layout.length }).map((v) => Float32Array.from(v));

describe("fp16", () => {
  test("agrees with the slow twin, ties and small numbers included", () => {
    const exact = fc
      .integer({ min: 0, max: 0xffff })
      .map((bits) => fromFp16(bits))
      .filter(Number.isFinite);
    const between = fc.tuple(exact, exact).map(([a, b]) => Math.fround((a + b) / 2));
    const tiny = fc.float({ min: Math.fround(-1e-4), max: Math.fround(1e-4), noNaN: true });
    const whole = fc.float({ min: -FP16_MAX, max: FP16_MAX, noNaN: true });
    fc.assert(
      fc.property(fc.oneof(exact, between, tiny, whole), (x) => {
        expect(fromFp16(toFp16(x)) + 0).toBe(nearestHalf(x) + 0);
      }),
      { numRuns: 2000 },
    );
  });

  test("keeps each of its own values", () => {
    const all = Array.from({ length: 0x10000 }, (_, bits) => bits).filter((bits) => Number.isFinite(fromFp16(bits)));
    expect(all.length).toBe(2 * 31 * 1024);
    expect(all.filter((bits) => toFp16(fromFp16(bits)) !== bits)).toEqual([]);
  });
});

describe("fp16 of whole vectors", () => {
  test("agrees value by value with the conversion of one, over several pieces, in every range", () => {
    const rng = Rng.of("halves");
    const range = () => 2 ** (40 * rng.uniform() - 30);
    const target = Float32Array.from({ length: 10_001 }, () => Math.min(1, Math.max(-1, rng.normal())) * range());
    const base = target.map((value, i) => (i % 3 === 0 ? value : i % 3 === 1 ? 0 : 0.001));
    const halves = new Uint16Array(target.length);
    const out = new Float32Array(target.length);
    encodeFp16(target, base, halves, out);
    for (const [i, value] of target.entries()) {
      const from = base[i] as number;
      const half = toFp16(Math.fround(value - from));
      expect(halves[i]).toBe(half);
      expect(out[i]).toBe(fromFp16(half) === 0 ? from : Math.fround(from + fromFp16(half)));
    }
    const back = new Float32Array(target.length);
    expect(decodeFp16(halves, base, back)).toBe(true);
    expect(back).toEqual(out);
    expect(decodeFp16(halves.with(7, 0x7c00), base, back)).toBe(false);
  });
});

describe("tensors", () => {
  test.each(["int8", "fp16", "fp32"] as const)("%s reconstructs what the slow twin says, on both sides", (dtype) => {
    fc.assert(
      fc.property(vector, vector, (target, base) => {
        const encoded = encodeTensors("update", layout, target, base, dtypesOf(layout, dtype));
        layout.tensors.forEach((slot, i) => {
          const expected = reconstructed(
            slot,
            encoded.dtypes[i] as Dtype,
            tensorValues(target, slot),
            tensorValues(base, slot),
          );
          expect(Array.from(tensorValues(encoded.params, slot), (v) => v + 0)).toEqual(expected.map((v) => v + 0));
        });
        const decoded = decodeTensors("update", layout, encoded.bytes, base);
        expect(Buffer.from(decoded.buffer).equals(Buffer.from(encoded.params.buffer))).toBe(true);
        expect(decodeTensors("update", layout, encoded.bytes, base, base)).toEqual(encoded.params);
      }),
      { numRuns: 60 },
    );
  });

  test("scales run along the last axis longer than one, thin tensors stay in fp16", () => {
    expect([[40, 6], [3, 3, 4, 1], [5], [], [1, 1]].map(channelsOf)).toEqual([6, 4, 5, 1, 1]);
    expect(dtypesOf(layout, "int8")).toEqual(["int8", "int8", "fp16", "fp16", "fp16"]);
  });

  test("every value of an int8 tensor is within half a step of its channel", () => {
    const values = random(Rng.of("half"));
    const { params } = encodeModel(layout, values, "int8", []);
    const slot = layout.tensors[0] as (typeof layout.tensors)[0];
    for (let channel = 0; channel < 6; channel++) {
      const own = Array.from({ length: 40 }, (_, row) => slot.offset + row * 6 + channel);
      const step = Math.max(...own.map((i) => Math.abs(values[i] as number))) / 127;
      for (const i of own) expect(Math.abs((params[i] as number) - (values[i] as number))).toBeLessThan(step * 0.50001);
    }
  });

  test("a value too large for fp16 keeps its tensor in fp32", () => {
    const values = random(Rng.of("large"));
    values[layout.tensors[3]?.offset as number] = 70_000;
    const { dtypes, params } = encodeModel(layout, values, "int8", []);
    expect(dtypes[3]).toBe("fp32");
    expect(params[layout.tensors[3]?.offset as number]).toBe(70_000);
  });

  test.each([Number.NaN, Infinity, -Infinity])("%s is refused, and its tensor named", (bad) => {
    for (const slot of layout.tensors) {
      const values = random(Rng.of("bad"));
      values[slot.offset] = bad;
      expect(() => encodeUpdate(layout, values, random(Rng.of("base")), "int8")).toThrow(
        expect.objectContaining({ code: "UPDATE_NOT_FINITE", details: { tensor: slot.name } }),
      );
    }
  });

  test("fallbacks store the named tensors more exactly and change no other", () => {
    const values = random(Rng.of("fallback"));
    const plain = deriveModel(values, layout, "int8", []);
    const better = deriveModel(values, layout, "int8", [{ tensor: "conv", dtype: "fp32" }]);
    for (const slot of layout.tensors) {
      expect(tensorValues(better, slot)).toEqual(tensorValues(slot.name === "conv" ? values : plain, slot));
    }
    expect(() => deriveModel(values, layout, "int8", [{ tensor: "none", dtype: "fp16" }])).toThrow(
      expect.objectContaining({ code: "PARAMS_SHAPE" }),
    );
  });

  test("model/ decodes to what scored", () => {
    const values = random(Rng.of("model"));
    const { bytes, params } = encodeModel(layout, values, "int8", []);
    expect(decodeModel(layout, bytes)).toEqual(params);
  });
});

describe("keyframe", () => {
  test("is lossless and brings its own layout", () => {
    fc.assert(
      fc.property(vector, (values) => {
        const read = decodeKeyframe(encodeKeyframe(layout, values));
        expect(read.layout).toEqual(layout);
        expect(Buffer.from(read.params.buffer).equals(Buffer.from(values.buffer))).toBe(true);
      }),
      { numRuns: 50 },
    );
  });
});

describe("the chain of updates", () => {
  test.each(["int8", "fp16"] as const)(
    "does not drift in 100 rounds of %s: the error is never older than one round",
    (dtype) => {
      fc.assert(
        fc.property(fc.integer(), fc.double({ min: 1e-4, max: 10, noNaN: true }), (seed, size) => {
          const rng = Rng.of("drift", seed);
          const server = random(rng);
          let sent: Float32Array = server.slice();
          let received: Float32Array = server.slice();
          for (let round = 0; round < 100; round++) {
            const lastStep = random(rng, size);
            for (let i = 0; i < server.length; i++) server[i] = (server[i] as number) + (lastStep[i] as number);
            const carried = Math.max(...server.map((value, i) => Math.abs(value - (sent[i] as number))));
            const update = encodeUpdate(layout, server, sent, dtype);
            sent = update.params;
            received = applyUpdate(layout, received, update.bytes, received);
            // Half a step of this round's difference, plus the rounding of binary32 itself.
            const worst = Math.max(...server.map((value, i) => Math.abs(value - (sent[i] as number))));
            const magnitude = Math.max(...server.map(Math.abs));
            expect(worst).toBeLessThanOrEqual(
              (carried / (dtype === "int8" ? 254 : 2048)) * 1.001 + magnitude * 2 ** -22,
            );
          }
          expect(Buffer.from(received.buffer).equals(Buffer.from(sent.buffer))).toBe(true);
        }),
        { numRuns: 5 },
      );
    },
  );

  test.each(["int8", "fp16", "fp32"] as const)(
    "a tensor that did not change keeps every bit in %s, the sign of zero included",
    (dtype) => {
      const parent = random(Rng.of("unchanged"));
      for (const slot of layout.tensors) parent[slot.offset] = -0;
      const same = encodeUpdate(layout, parent, parent, dtype);
      expect([same.changed, same.params === parent]).toEqual([false, true]);
      const bits = (params: Float32Array) => Buffer.from(params.buffer).toString("hex");
      expect(bits(applyUpdate(layout, parent, same.bytes))).toBe(bits(parent));
      const server = parent.slice();
      server[layout.length - 1] = 5;
      const { bytes, params, changed } = encodeUpdate(layout, server, parent, dtype);
      expect(changed).toBe(true);
      expect(bits(applyUpdate(layout, parent, bytes))).toBe(bits(params));
      expect(bits(params.slice(0, -1))).toBe(bits(parent.slice(0, -1)));
    },
  );

  test("a server that stands still is reached exactly, down to the rounding of binary32", () => {
    const server = random(Rng.of("still"));
    let sent = random(Rng.of("start"));
    for (let round = 0; round < 8; round++) sent = encodeUpdate(layout, server, sent, "int8").params;
    server.forEach((value, i) => expect(Math.abs(value - (sent[i] as number))).toBeLessThan(1e-6));
  });
});

describe("decoding hostile bytes", () => {
  const values = random(Rng.of("hostile"));
  const { bytes } = encodeModel(layout, values, "int8", []);

  test("cut, lengthened or mistaken packs are refused with RELEASE_FORMAT", () => {
    const refused = (hostile: Uint8Array) =>
      expect(() => decodeModel(layout, hostile)).toThrow(expect.objectContaining({ code: "RELEASE_FORMAT" }));
    for (let length = 0; length < bytes.length; length += 7) refused(bytes.slice(0, length));
    refused(Uint8Array.from([...bytes, 0]));
    refused(encodeUpdate(layout, values, values, "int8").bytes);
    refused(encodeModel(layoutOf([{ name: "other", shape: [layout.length] }]), values, "int8", []).bytes);
  });

  test("bytes are read wherever they lie in a buffer", () => {
    const expected = decodeModel(layout, bytes);
    for (const at of [0, 1, 2, 3]) {
      const buffer = Buffer.alloc(bytes.length + 8);
      buffer.set(bytes, at);
      expect(decodeModel(layout, buffer.subarray(at, at + bytes.length))).toEqual(expected);
    }
  });

  test("any changed byte decodes to finite numbers or is refused with a code", () => {
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const hostile = bytes.slice();
        hostile[at] = (hostile[at] as number) ^ flip;
        try {
          expect(decodeModel(layout, hostile).length).toBe(layout.length);
        } catch (error) {
          expect(error).toMatchObject({ code: "RELEASE_FORMAT" });
        }
      }),
      { numRuns: 500 },
    );
  });
});
