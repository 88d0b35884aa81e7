/** The larger model of `training.distillation`, from this site's own copy: opened once, never trained. */
import type { Distillation } from "../../shared/config/distillation.ts";
import { CodedError } from "../../shared/errors.ts";
import { NodeCrypto } from "../../shared/node/crypto.ts";
import { folderOnDisk } from "../../shared/node/release-folder.ts";
import { identifyModel } from "../../shared/release/model-hash.ts";
import type { BuiltModel } from "../../models/registry.ts";
import { loadRelease } from "../model-cache/load-model-folder.ts";
import { openRelease } from "../model-cache/open-release.ts";

/** What a step needs of it. */
export interface Tutor {
  readonly model: BuiltModel;
  readonly settings: Distillation;
}

/**
 * @param folder this site's copy; null: there is none
 * @param student whose outputs are to become like the teacher's
 * @throws CodedError SITE_TEACHER without the very model that the plan names; CONFIG_INVALID where it does not fit
 */
export async function openTutor(folder: string | null, settings: Distillation, student: BuiltModel): Promise<Tutor> {
  const wanted = { sha256: settings.sha256 };
  const named = `${settings.teacher} (${settings.sha256 ?? "not pinned"})`;
  if (folder === null) {
    throw new CodedError("SITE_TEACHER", `the plan distils from ${named}; site.yaml names no teacher`, wanted);
  }
  const { sha256 } = await identifyModel(folderOnDisk(folder), folder, new NodeCrypto());
  if (sha256 !== settings.sha256) {
    throw new CodedError("SITE_TEACHER", `the plan distils from ${named}; ${folder} holds ${sha256}`, {
      ...wanted,
      got: sha256,
    });
  }
  const loaded = await loadRelease(folder);
  const { config } = loaded;
  const model = await openRelease(loaded);
  try {
    const fits = (["segmentation", "depth"] as const).every((head) => model.strides[head] === student.strides[head]);
    if (!fits || student.stageAt !== undefined) {
      throw new CodedError(
        "CONFIG_INVALID",
        `training.distillation.teacher: expected a model whose maps are as large as the student's, got ${config.model.name}`,
        { field: "training.distillation.teacher", expected: student.strides, got: model.strides },
      );
    }
    return { model, settings };
  } catch (error) {
    model.dispose();
    throw error;
  }
}
