/** What augmentation and ways of training need of the rest of federation.yaml. */
import type { FederationConfig } from "../shared/config/federation.ts";
import { invalidField } from "../shared/config/parse.ts";

/** Throws CONFIG_INVALID. */
export function checkTrainingFeatures(config: FederationConfig): void {
  checkFlip(config);
  checkSemiSupervised(config);
}

/** Depth has no probability: there would be nothing for a teacher to be sure of. */
function checkSemiSupervised({ labels, training }: FederationConfig): void {
  const heads = labels.segmentation.length + labels.detection.length + labels.scene.length;
  if (training.semiSupervised !== null && heads === 0) {
    throw invalidField("training.semiSupervised", "null where only depth is learned", "a teacher");
  }
}

/** A class whose name tells one side from the other would be wrong in the mirror. */
function checkFlip({ labels, training }: FederationConfig): void {
  const { probability, words } = training.augmentation.flip;
  if (probability === 0) return;
  const sided = new Set(words.flat());
  for (const name of [...labels.detection, ...labels.segmentation, ...labels.scene]) {
    const word = (name.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).find((part) => sided.has(part));
    if (word === undefined) continue;
    throw invalidField(
      "training.augmentation.flip.probability",
      `0, as the class "${name}" says "${word}"`,
      probability,
    );
  }
}
