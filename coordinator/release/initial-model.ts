/** The model a federation begins with: its layout, and version 0's params. Builds it once and remembers the layout. */
import { join } from "node:path";
import { z } from "zod";
import { loadEngine } from "../../models/engine/node/load.ts";
import { startOf } from "../../models/engine/node/pretrained.ts";
import { loadOwnWeights } from "../../models/own/build.ts";
import { type BuiltModel, type ModelConfig, openModel } from "../../models/registry.ts";
import { hashOf } from "../../shared/canonical.ts";
import { invalidField } from "../../shared/config/parse.ts";
import { sha256Hex } from "../../shared/ids.ts";
import { readTextIfAny, writeFileDurably } from "../../shared/node/files.ts";
import type { Strategy } from "../../shared/config/strategy.ts";
import { paramsWithControl, withControl } from "../../shared/params/control.ts";
import { layoutOf, type ParamLayout } from "../../shared/params/layout.ts";
import { decodeBase } from "../../shared/release/base.ts";
import { readBaseBytes } from "../base-model.ts";
import { readOwnWeights } from "../own-model.ts";

const layoutFile = z.strictObject({
  model: sha256Hex,
  tensors: z.array(z.strictObject({ name: z.string(), shape: z.array(z.int().min(1)) })),
});

export interface InitialModel {
  readonly layout: ParamLayout;
  /** Params of `seed`, equal on every machine, those that ship, or those that a model of one's own or a base came with. */
  params(): Promise<Float32Array>;
}

/** The same for a strategy that keeps a control variate behind the params. */
export function begunWith({ layout, params }: InitialModel, { name }: Strategy): InitialModel {
  if (name !== "scaffold") return { layout, params };
  return { layout: withControl(layout), params: async () => paramsWithControl(await params()) };
}

/** Builds nothing until it has to: a coordinator that restarts needs no engine. `folder`: where the layout is kept. */
export async function initialModel(config: ModelConfig, seed: number, folder: string): Promise<InitialModel> {
  const path = join(folder, "layout.json");
  const model = hashOf(config);
  const text = await readTextIfAny(path);
  const kept = text === null ? null : layoutFile.safeParse(JSON.parse(text));
  if (kept?.success === true && kept.data.model === model) {
    return { layout: layoutOf(kept.data.tensors), params: async () => (await build(config, seed)).params };
  }
  const { layout, params } = await build(config, seed);
  const tensors = layout.tensors.map(({ name, shape }) => ({ name, shape: [...shape] }));
  await writeFileDurably(path, JSON.stringify({ model, tensors }));
  return { layout, params: () => Promise.resolve(params) };
}

async function build(config: ModelConfig, seed: number): Promise<{ layout: ParamLayout; params: Float32Array }> {
  const { own, init = "random", base } = config.model;
  const begin = base === undefined ? await startOf(config.model) : decodeBase(await readBaseBytes(init, base));
  await loadEngine();
  const built = await openModel(config, seed, begin);
  try {
    checkParts(config, built);
    const weights = own === undefined ? null : await readOwnWeights(init, own);
    if (weights !== null) loadOwnWeights(built.model, weights.specs, weights.data);
    return { layout: built.layout, params: built.getParams() };
  } finally {
    built.dispose();
  }
}

/** Words that name nothing of this model are an error, and so is a vector of nothing. Throws CONFIG_INVALID. */
function checkParts({ model, training }: ModelConfig, { layout, personal }: BuiltModel): void {
  const { trainable, personal: parts } = training;
  if (layout.length === 0) throw invalidField("training.trainable", `something that ${model.name} has`, trainable);
  if (parts.length > 0 && personal.length === 0) {
    throw invalidField("training.personal", `parts that ${model.name} has`, parts.join(", "));
  }
}
