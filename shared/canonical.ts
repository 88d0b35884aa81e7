/** Canonical JSON (RFC 8785 for the values used here): sorted keys, no spaces. What is hashed and signed. */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { Sha256 } from "./ids.ts";

/** Serialises plain data; keys are sorted by UTF-16 code units, undefined members are left out. */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(",")}]`;
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
  return `{${members.join(",")}}`;
}

/** SHA-256 of the canonical JSON of plain data. */
export function hashOf(value: unknown): Sha256 {
  return hashOfText(canonicalJson(value));
}

/** SHA-256 of a text's UTF-8. */
export function hashOfText(text: string): Sha256 {
  return bytesToHex(sha256(utf8ToBytes(text))) as Sha256;
}
