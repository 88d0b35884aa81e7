/** Names and numbers as the report writes them. */
import type { Head } from "../../shared/release/scores.ts";

export const HEAD_NAMES: Readonly<Record<Head, string>> = {
  segmentation: "Segmentation",
  detection: "Detection",
  depth: "Depth from RGB",
  scene: "Scene",
};

export function percent(share: number): string {
  return `${(share * 100).toFixed(1)} %`;
}

export function points(drop: number): string {
  const size = Math.abs(drop * 100).toFixed(2);
  return `${drop < 0 && size !== "0.00" ? "−" : ""}${size} points`;
}

export function plural(count: number, word: string): string {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

/** Decimal units: 1 MB is 10^6 bytes. */
export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  if (count < 1e6) return `${(count / 1e3).toFixed(1)} kB`;
  return count < 1e9 ? `${(count / 1e6).toFixed(2)} MB` : `${(count / 1e9).toFixed(2)} GB`;
}
