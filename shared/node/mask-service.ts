/** Masking at the other end of a message port: what a masking thread does, and what is said to it. */
import { bytesOf, MaskPass, blocksOf, type Mask, type WordBits, type Words } from "../secagg/mask.ts";
import type { CryptoPort, Hasher } from "../secagg/crypto-port.ts";

/**
 * A vector is sent in pieces, in order; each piece's memory goes over and comes back. One in memory that both ends share
 * is masked where it is.
 */
export type ToMaskService =
  | { readonly kind: "shared"; readonly job: number; readonly words: Words; readonly masks: readonly Mask[] }
  | { readonly kind: "begin"; readonly job: number; readonly wordBits: WordBits; readonly masks: readonly Mask[] }
  | { readonly kind: "piece"; readonly job: number; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "end"; readonly job: number };

export type FromMaskService =
  | { readonly kind: "piece"; readonly job: number; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "digest"; readonly job: number; readonly digest: Uint8Array };

/** The part of a MessagePort that both ends need. */
export interface Port<In, Out> {
  on(event: "message", listener: (message: In) => void): unknown;
  postMessage(message: Out, transfer: ArrayBuffer[]): void;
}

/** Serves jobs until the port closes. */
export function serveMasks(port: Port<ToMaskService, FromMaskService>, crypto: CryptoPort): void {
  const jobs = new Map<number, { pass: MaskPass; hasher: Hasher; wordBits: WordBits }>();
  port.on("message", (message) => {
    const { job } = message;
    if (message.kind === "begin") {
      const { masks, wordBits } = message;
      jobs.set(job, { pass: new MaskPass(crypto, masks), hasher: crypto.hasher(), wordBits });
      for (const { key } of masks) key.fill(0);
      return;
    }
    if (message.kind === "shared") {
      const pass = new MaskPass(crypto, message.masks);
      const hasher = crypto.hasher();
      for (const { key } of message.masks) key.fill(0);
      for (const block of blocksOf(message.words)) {
        pass.apply(block);
        hasher.update(bytesOf(block));
      }
      port.postMessage({ kind: "digest", job, digest: hasher.digest() }, []);
      return;
    }
    const at = jobs.get(job);
    if (!at) throw new Error(`no masking job ${job}`);
    if (message.kind === "end") {
      jobs.delete(job);
      port.postMessage({ kind: "digest", job, digest: at.hasher.digest() }, []);
      return;
    }
    const { bytes } = message;
    const words =
      at.wordBits === 32
        ? new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
        : new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
    for (const block of blocksOf(words)) at.pass.apply(block);
    at.hasher.update(bytes);
    port.postMessage({ kind: "piece", job, bytes }, [bytes.buffer]);
  });
}
