/**
 * The weights that ship with this package, below models/pretrained: which model and preset have some, and their
 * hash (shared/release/model-hash.ts). It stands in the training plan, so that sites approve with
 * which weights a federation begins, and whoever loads them checks it.
 */
import { modelTitle } from "./models.ts";
import type { Sha256 } from "../ids.ts";

const SHIPPED: Readonly<Record<string, string>> = {
  "allulook4 nano": "4a6958d428a5738cdd4058e32b63e780233f33bdbaaf1fcb2c7f32aa829cc22c",
  "allulook4 tiny": "8e88b1b2873de377b6d845eb72abf1dddaac1beef7c61d0bef84519f7da3021d",
};

interface Named {
  readonly name: string;
  readonly preset: string;
  /** With other parts than the usual ones it is another model. */
  readonly backbone?: string | undefined;
  readonly fusion?: string | undefined;
}

/** The hash of the weights that a model of the table may begin with; undefined where none ship. */
export function shippedFor(model: Named): Sha256 | undefined {
  if ((model.backbone ?? model.fusion) !== undefined) return undefined;
  return SHIPPED[modelTitle(model)] as Sha256 | undefined;
}

/** The folders below models/pretrained, with the hash of each. */
export function shippedFolders(): { readonly folder: string; readonly sha256: Sha256 }[] {
  return Object.entries(SHIPPED).map(([title, sha256]) => ({ folder: folderOf(title), sha256: sha256 as Sha256 }));
}

/** Where below models/pretrained weights of this hash lie; undefined where this version ships none. */
export function folderOfWeights(sha256: Sha256): string | undefined {
  return shippedFolders().find((one) => one.sha256 === sha256)?.folder;
}

function folderOf(title: string): string {
  return title.replace(" ", "-");
}
