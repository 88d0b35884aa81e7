/** A log that was changed is found out, with the line. */
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { checkpoint, hashOfLine, lineOf, NOTHING_BEFORE, type Act } from "../../../shared/audit/entry.ts";
import { verifyAudit } from "../../../shared/audit/verify.ts";
import type { Sha256 } from "../../../shared/ids.ts";
import { NodeCrypto } from "../../../shared/node/crypto.ts";

const crypto = new NodeCrypto();
const key = crypto.signingKey(new Uint8Array(32).fill(1));
const other = crypto.signingKey(new Uint8Array(32).fill(2));
const hex = (of: typeof key): Sha256 => Buffer.from(of.publicKey).toString("hex") as Sha256;
const AT = "2026-01-01T00:00:00.000Z";

/** Acts with a checkpoint behind them, as lines. */
function logOf(acts: readonly Act[], signer = key): string[] {
  const lines: string[] = [];
  let previous = NOTHING_BEFORE;
  const add = (act: Act): void => {
    const line = lineOf(lines.length + 1, AT, act, previous);
    previous = hashOfLine(line);
    lines.push(line);
  };
  for (const act of acts) add(act);
  add(checkpoint(signer, lines.length + 1, previous));
  return lines;
}

const lines = logOf([1, 2, 3, 4].map((round) => ({ act: "round begun", facts: { round } })));
const text = (of: readonly string[]): string => of.map((line) => `${line}\n`).join("");
const at = (i: number): string => lines[i] as string;

describe("an audit log", () => {
  test("that nobody touched is whole, and says how far it is signed and by whom", () => {
    expect(verifyAudit(crypto, text(lines), hex(key))).toMatchObject({ signedUpTo: 4, key: hex(key), torn: "" });
    const more = lineOf(6, AT, { act: "x", facts: {} }, hashOfLine(at(4)));
    expect(verifyAudit(crypto, text([...lines, more]), null)).toMatchObject({ signedUpTo: 4, head: hashOfLine(more) });
    expect(verifyAudit(crypto, "", null)).toMatchObject({ signedUpTo: 0, key: null, head: NOTHING_BEFORE });
  });

  test("with a last line cut short says so", () => {
    expect(verifyAudit(crypto, `${text(lines)}{"act":"ro`, null)).toMatchObject({ torn: '{"act":"ro', signedUpTo: 4 });
  });

  test.each([
    ["a line removed", [at(0), at(2), at(3), at(4)], "AUDIT_CHAIN", 2],
    ["the first line removed", lines.slice(1), "AUDIT_CHAIN", 1],
    ["a line changed", [at(0), at(1).replace('"round":2', '"round":7'), at(2), at(3), at(4)], "AUDIT_CHAIN", 3],
    ["a line inserted", [at(0), at(0).replace('"n":1', '"n":2'), at(1), at(2), at(3), at(4)], "AUDIT_CHAIN", 2],
    ["two lines swapped", [at(0), at(2), at(1), at(3), at(4)], "AUDIT_CHAIN", 2],
    ["white space", [`${at(0)} `, ...lines.slice(1)], "AUDIT_FORMAT", 1],
    ["an empty line", [at(0), "", ...lines.slice(1)], "AUDIT_FORMAT", 2],
    [
      "the last act before the signature changed",
      [at(0), at(1), at(2), at(3).replace('"round":4', '"round":5'), at(4)],
      "AUDIT_CHAIN",
      5,
    ],
    [
      "a signature changed",
      [...lines.slice(0, 4), at(4).replace(/"signature":"./, '"signature":"_')],
      "AUDIT_SIGNATURE",
      5,
    ],
  ])("%s", (_what, changed, code, line) => {
    expect(() => verifyAudit(crypto, text(changed), hex(key))).toThrow(
      expect.objectContaining({ code, details: { line } }),
    );
  });

  test("written anew in full by somebody else does not carry the owner's signature", () => {
    const forged = logOf([{ act: "round begun", facts: { round: 9 } }], other);
    expect(() => verifyAudit(crypto, text(forged), hex(key))).toThrow(
      expect.objectContaining({ code: "AUDIT_SIGNATURE" }),
    );
    expect(verifyAudit(crypto, text(forged), null).key).toBe(hex(other));
  });

  test.each(["round over", "session ended"])(
    "written anew without any signature behind each %s is no log of its owner",
    (act) => {
      const anew: string[] = [];
      let previous = NOTHING_BEFORE;
      for (let i = 1; i <= 6; i++) {
        anew.push(lineOf(i, AT, { act: i % 2 === 1 ? "took part" : act, facts: { round: i } }, previous));
        previous = hashOfLine(anew.at(-1) as string);
      }
      expect(() => verifyAudit(crypto, text(anew), hex(key))).toThrow(
        expect.objectContaining({ code: "AUDIT_SIGNATURE", details: { line: 6 } }),
      );
      // A crash may have taken one signature, and the newest may not be there yet.
      expect(verifyAudit(crypto, text(anew.slice(0, 5)), null).signedUpTo).toBe(0);
    },
  );

  test("with any one byte changed before its end is refused, or known to be shorter", () => {
    const whole = text(lines);
    const { head } = verifyAudit(crypto, whole, hex(key));
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.constantFrom("0", "a", '"', "\n", " ", "}"), (place, put) => {
        if (whole[place] === put) return;
        const changed = whole.slice(0, place) + put + whole.slice(place + 1);
        try {
          const { torn, head: now } = verifyAudit(crypto, changed, hex(key));
          expect(torn.length > 0 || now !== head).toBe(true);
        } catch (error) {
          expect(error).toMatchObject({ code: expect.stringMatching(/^AUDIT_/) });
        }
      }),
      { numRuns: 300 },
    );
  });
});
