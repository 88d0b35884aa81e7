/** The teacher that `training.distillation` names: found, compared with the federation, and pinned in the plan. */
import { resolve } from "node:path";
import { canonicalJson } from "../shared/canonical.ts";
import type { FederationConfig } from "../shared/config/federation.ts";
import { invalidField } from "../shared/config/parse.ts";
import { CodedError, isCoded } from "../shared/errors.ts";
import { NodeCrypto } from "../shared/node/crypto.ts";
import { folderOnDisk } from "../shared/node/release-folder.ts";
import { identifyModel, type IdentifiedModel } from "../shared/release/model-hash.ts";

const FIELD = "training.distillation.teacher";

/**
 * The configuration with the teacher's absolute path and hash; as it is where there is no teacher. `dir` is where paths
 * begin. Throws CONFIG_INVALID for a teacher that is not there, has other labels, or is not the one that was pinned.
 */
export async function withTeacher(config: FederationConfig, dir: string): Promise<FederationConfig> {
  const { training, labels } = config;
  const { distillation } = training;
  if (distillation === null) return config;
  const path = resolve(dir, distillation.teacher);
  const { sha256, card } = await identified(path);
  if (canonicalJson(card.labels) !== canonicalJson(labels)) {
    throw invalidField(FIELD, `a model with the labels of this federation, in their order`, path);
  }
  if (distillation.sha256 !== undefined && distillation.sha256 !== sha256) {
    throw invalidField(FIELD, `the model ${distillation.sha256}`, sha256);
  }
  return { ...config, training: { ...training, distillation: { ...distillation, teacher: path, sha256 } } };
}

async function identified(path: string): Promise<IdentifiedModel> {
  try {
    return await identifyModel(folderOnDisk(path), path, new NodeCrypto());
  } catch (error) {
    if (!isCoded(error)) throw error;
    throw new CodedError("CONFIG_INVALID", `${FIELD}: ${error.message}`, { field: FIELD, got: path }, { cause: error });
  }
}
