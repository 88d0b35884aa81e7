/** A release, or a model/ folder, as a model that computes: with its base and this site's personal params. */
import { startOf } from "../../models/engine/node/pretrained.ts";
import { openModel, type BuiltModel } from "../../models/registry.ts";
import { CodedError } from "../../shared/errors.ts";
import { layoutHashOf } from "../../shared/quantize/pack.ts";
import type { LoadedModel } from "./load-model-folder.ts";

/** Needs a loaded engine. Throws PARAMS_SHAPE for personal params of another model, and what {@link openModel} throws. */
export async function openRelease({ config, seed, base, params, personal }: LoadedModel): Promise<BuiltModel> {
  const built = await openModel(config, seed, base ?? (await startOf(config.model)));
  try {
    if (personal !== null && layoutHashOf(personal.layout) !== layoutHashOf(built.personal)) {
      throw new CodedError("PARAMS_SHAPE", "the personal params are those of another model or plan", {
        expected: built.personal.length,
        got: personal.layout.length,
      });
    }
    built.setParams(params, personal?.params);
    return built;
  } catch (error) {
    built.dispose();
    throw error;
  }
}

/** What people should know of a model that is released without what sites keep for themselves; null: nothing. */
export function personalWords({ config, personal }: LoadedModel): string | null {
  const parts = config.training.personal.join(", ");
  if (parts === "") return null;
  return personal === null
    ? `each site keeps its own ${parts}: here they have their initial values (--personal gives a site's)`
    : `with a site's own ${parts}`;
}
